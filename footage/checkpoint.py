"""Checkpoints: a directory per step that is either whole or absent, and holds no pickle.

    checkpoints/step-00000200/
        model.safetensors        weights and buffers of the backbone and the heads
        optimizer.safetensors    moments and other tensors of the optimiser
        ema.safetensors          averaged weights, when they are kept
        state.json               step, counters, configuration: everything that is not a tensor
        MANIFEST.json            size and SHA-256 of every other file

A checkpoint is written into a hidden directory beside its place, forced to disk and renamed.
Reading checks every hash; where the newest is damaged, that is said and the one before it is taken.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from footage.errors import CheckpointError

log = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{8})")
_MANIFEST = "MANIFEST.json"


class Checkpoint(NamedTuple):
    """What one checkpoint directory holds."""

    path: Path
    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    keep: int,
) -> Path:
    """Write a checkpoint and then remove all but the newest `keep`.

    Args:
        folder: The run's folder of checkpoints.
        step: Optimiser steps taken so far.
        tensors: A group of named tensors for each file, such as `model`.
        state: What is not a tensor, as JSON values.
        keep: How many checkpoints stay; older ones go only after this one is in place.

    Raises:
        CheckpointError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    target = folder / f"step-{step:08d}"
    aside = folder / f".{target.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        aside.mkdir()
        for group, named in tensors.items():
            save_file(_savable(named), aside / f"{group}.safetensors")
        (aside / "state.json").write_text(json.dumps({"step": step, **state}, indent=1))
        (aside / _MANIFEST).write_text(json.dumps(_manifest(aside), indent=1))
        _force_to_disk(aside)
        if target.exists():  # the same step of an earlier life, damaged or repeated
            shutil.rmtree(target)
        aside.rename(target)
        _force_to_disk(folder)
    except Exception as error:  # safetensors and torch report a full disk in classes of their own
        shutil.rmtree(aside, ignore_errors=True)
        free = shutil.disk_usage(folder.parent).free if folder.parent.exists() else 0
        needed = sum(
            t.numel() * t.element_size() for named in tensors.values() for t in named.values()
        )
        raise CheckpointError(
            f"checkpoint {target} could not be written: {error}",
            f"it needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; then run again",
        ) from error
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint; None when there is none at all.

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
            f"all {len(candidates)} checkpoints in {folder} are damaged",
            "restore one from a copy, or remove them to begin again",
        )
    return None


def load(path: Path) -> Checkpoint:
    """Read one checkpoint directory, every byte checked.

    Raises:
        CheckpointError: A file is absent, of another size or of another hash.
    """
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        damaged = [name for name, known in manifest.items() if _entry(path / name) != known]
        if damaged:
            raise CheckpointError(f"checkpoint {path} is damaged: {', '.join(damaged)} changed")
        state = json.loads((path / "state.json").read_text())
        tensors = {
            name.removesuffix(".safetensors"): load_file(path / name)
            for name in manifest
            if name.endswith(".safetensors")
        }
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged: {error}") from error
    return Checkpoint(path, int(state.pop("step")), tensors, state)


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and JSON values."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for number, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{name}"] = value
            elif value is not None:  # absent and None mean the same to every torch optimiser
                scalars[f"{number}.{name}"] = value
    return tensors, {"scalars": scalars, "param_groups": state["param_groups"]}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Put back what `pack_optimizer` gave."""
    values: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *state["scalars"].items()]:
        number, _, name = key.partition(".")
        values.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": values, "param_groups": state["param_groups"]})


def _savable(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU; safetensors refuses tensors that share memory."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named.items()}


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))


def _sweep(folder: Path) -> None:
    """Remove what a killed save left: hidden directories that were never renamed."""
    for left_over in folder.glob(".step-*"):
        shutil.rmtree(left_over)


def _manifest(folder: Path) -> dict[str, Any]:
    return {path.name: _entry(path) for path in sorted(folder.iterdir())}


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _force_to_disk(folder: Path) -> None:
    for path in (*_files(folder), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())
