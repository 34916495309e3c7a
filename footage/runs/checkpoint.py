"""Checkpoints: a folder per step that is either complete or absent, and contains no pickle.

    checkpoints/step-00000200/
        model.safetensors        weights and buffers of the backbone and the heads
        optimizer.safetensors    moments and other tensors of the optimiser
        ema.safetensors          averaged weights, if EMA is enabled
        best.safetensors         weights of the best step so far, with early stopping
        state.json               step, counters, configuration: everything that is not a tensor
        MANIFEST.json            size and SHA-256 of every other file

A checkpoint is written into a hidden folder next to its final path, synced to disk and renamed.
Reading verifies every hash. If the newest checkpoint is damaged, one warning is logged and the
previous one is used. Read errors of the device are retried first.
"""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from footage.errors import CheckpointError
from footage.io import files
from footage.io import tensors as tensor_files
from footage.io.documents import Document
from footage.io.retry import retried

log = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{8,18})")
_MANIFEST, _STATE, _MODEL = "MANIFEST.json", "state.json", "model.safetensors"
_DAMAGED = "remove this checkpoint to resume from the one before it, or restore it from a copy"

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Value = bool | int | float | str | None
_Key = Annotated[str, msgspec.Meta(max_length=200)]


class OptimizerState(msgspec.Struct, frozen=True):
    """Non-tensor state of an optimiser; see `pack_optimizer`."""

    scalars: dict[_Key, _Value]
    param_groups: list[dict[_Key, _Value | list[int | float]]]


class Randomness(msgspec.Struct, frozen=True):
    """The only random state to save: all draws are functions of the seed and the step."""

    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    next_step: _Count


class State(msgspec.Struct, frozen=True):
    """The content of state.json: everything in a checkpoint that is not a tensor."""

    step: _Count
    """Optimiser steps taken so far."""
    optimizer: OptimizerState
    random: Randomness
    config: dict[str, Any]
    """The run's configuration, for reference only; resuming reads run.json."""
    best_step: _Count | None = None
    """Step of the weights in best.safetensors; None without that file or in earlier versions."""


class _File(msgspec.Struct, frozen=True):
    """One file of a checkpoint, as the manifest lists it."""

    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


_FileName = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z]+(\.safetensors|\.json)$", min_length=1, max_length=100)
]
_manifest_document = Document[dict[str, _File]](
    schema=dict[_FileName, _File],
    name="a list of checkpoint files",
    error=CheckpointError,
    hint=_DAMAGED,
    most_bytes=2**20,
)
_state_document = Document[State](
    schema=State, name="a checkpoint's state", error=CheckpointError, hint=_DAMAGED
)


class Checkpoint(NamedTuple):
    """The content of one checkpoint folder."""

    path: Path
    tensors: dict[str, dict[str, Tensor]]
    state: State

    @property
    def step(self) -> int:
        """Optimiser steps taken so far."""
        return self.state.step


def save(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: State, *, keep: int
) -> Path:
    """Write a checkpoint, then remove all but the newest `keep`.

    An existing complete checkpoint of the same step is kept: a run has only one state per step.

    Args:
        folder: The run's folder of checkpoints.
        tensors: A group of named tensors for each file; `model` is one of them.
        state: Everything that is not a tensor.
        keep: Number of checkpoints to keep; older ones are removed only after this one is complete.

    Raises:
        OutputError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    target = folder / f"step-{state.step:08d}"
    with files.output_errors(folder):
        _sweep(folder)
    if not _is_complete(target):
        files.require_space(target, num_bytes(tensors), "a checkpoint")
        with files.atomic_folder(target) as temporary:
            for group, named in tensors.items():
                tensor_files.write(temporary / f"{group}.safetensors", named, {})
            _state_document.write(temporary / _STATE, state)
            listed = {path.name: _listed(path) for path in sorted(temporary.iterdir())}
            _manifest_document.write(temporary / _MANIFEST, listed)
    with files.output_errors(folder):
        for old in _all(folder)[:-keep]:
            _remove(old)
    return target


def steps(folder: Path) -> list[int]:
    """Return the steps of all checkpoints in a folder, including damaged ones, in order."""
    return [int(path.name.removeprefix("step-")) for path in _all(folder)]


def newest(folder: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint; None if there is none at all.

    Raises:
        CheckpointError: There are checkpoints and every one of them is damaged.
    """
    candidates = _all(folder)
    for path in reversed(candidates):
        try:
            return load(path)
        except CheckpointError as error:
            log.warning("%s; falling back to the checkpoint before it", error.message)
    if candidates:
        raise CheckpointError(
            f"all {len(candidates)} checkpoints in {str(folder)!r} are damaged",
            "restore one from a copy, or remove the run folder to start again",
        )
    return None


def load(path: Path) -> Checkpoint:
    """Read one checkpoint folder and verify every byte; read errors are retried for some seconds.

    Raises:
        CheckpointError: A file is missing or cannot be read, or differs from what was written.
    """
    try:
        manifest = _manifest_document.read(path / _MANIFEST)
        missing = {_STATE, _MODEL} - manifest.keys()
        changed = [name for name, listed in manifest.items() if _listed(path / name) != listed]
        if missing or changed:
            names = ", ".join(sorted(missing) or changed)
            raise CheckpointError(f"{names} {'not listed' if missing else 'changed'}")
        state = _state_document.read(path / _STATE)
        if path.name != f"step-{state.step:08d}":
            raise CheckpointError(f"state.json belongs to step {state.step}")
        tensors = {
            name.removesuffix(".safetensors"): load_file(path / name)
            for name in manifest
            if name.endswith(".safetensors")
        }
    except (CheckpointError, OSError, SafetensorError) as error:
        reason = error.message if isinstance(error, CheckpointError) else str(error)
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged: {reason}", _DAMAGED) from error
    return Checkpoint(path, tensors, state)


def final_weights(found: Checkpoint) -> dict[str, Tensor]:
    """Return the weights that others than training use: the best ones, averaged ones, or the last.

    Raises:
        CheckpointError: The checkpoint contains no weights.
    """
    for group in ("best", "ema", "model"):
        if found.tensors.get(group):
            return found.tensors[group]
    raise CheckpointError(
        f"checkpoint {str(found.path)!r} contains no weights", "restore it from a copy"
    )


def num_bytes(tensors: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Return the size of such a checkpoint on disk, in bytes, including the small files."""
    sizes = [t.numel() * t.element_size() for named in tensors.values() for t in named.values()]
    return sum(sizes) + 200 * len(sizes) + 2**16


def pack_optimizer(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], OptimizerState]:
    """Convert an optimiser's state to named tensors and JSON values."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for number, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{name}"] = value
            elif value is not None:  # torch optimisers treat absent and None alike
                scalars[f"{number}.{name}"] = value
    groups = [
        {key: list(value) if isinstance(value, tuple) else value for key, value in group.items()}
        for group in state["param_groups"]
    ]
    return tensors, OptimizerState(scalars, groups)


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], state: OptimizerState
) -> None:
    """Restore what `pack_optimizer` returned.

    Raises:
        ValueError: The state belongs to another optimiser.
    """
    values: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *state.scalars.items()]:
        number, _, name = key.partition(".")
        values.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": values, "param_groups": state.param_groups})


def _all(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _sweep(folder: Path) -> None:
    """Remove leftovers of killed saves: hidden folders not renamed, or only partly removed."""
    for abandoned in folder.glob(".step-*"):
        files.remove(abandoned)


def _remove(checkpoint: Path) -> None:
    """Rename a checkpoint to a hidden name before removing it, so that a kill leaves no part."""
    hidden = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}.partial")
    checkpoint.rename(hidden)
    files.remove(hidden)


def _is_complete(path: Path) -> bool:
    try:
        return path.is_dir() and bool(load(path))
    except CheckpointError:
        return False


def _listed(path: Path) -> _File:
    digest = retried(lambda: files.sha256(path), str(path))
    return _File(path.stat().st_size, digest)
