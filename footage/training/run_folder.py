"""Open a run folder for training: lock it, start, resume or extend its run, and save checkpoints.

One process trains in a folder at a time. A new folder is kept only if a step was taken.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from footage import configuration, distributed
from footage.errors import CheckpointError, ConfigError, FootageError, OutputError
from footage.io import copies, files
from footage.optim.schedules import learning_rate
from footage.runs import checkpoint, layout
from footage.training.config import TrainConfig
from footage.training.module import TrainState

log = logging.getLogger(__name__)

MOST_FAILED_SAVES = 3
"""Training stops after this many failed checkpoints in a row [ours]."""
_LOCK = ".lock"


class RunFolder:
    """A run folder that this process, or the first process of its group, has locked.

    Args:
        path: The folder.
        config: The run's configuration.
        state: The training state.
    """

    def __init__(self, path: Path, config: TrainConfig, state: TrainState) -> None:
        self.path = path
        self.config = config
        self.state = state
        self.step = 0
        """Number of optimiser steps taken when the folder was opened."""
        self.saved_step = 0
        """Step of the newest checkpoint; 0 while there is none."""
        self.has_stopped_early = False
        """Whether early stopping had ended the run when the folder was opened."""
        self._failed_saves = 0

    @property
    def is_complete(self) -> bool:
        """Whether no step was left to take when the folder was opened."""
        return self.step >= self.config.steps or self.has_stopped_early

    def record_stopping(self, entry: Mapping[str, int | float]) -> None:
        """Write the result of early stopping to run.json; called on every rank."""
        distributed.on_main(
            lambda: layout.write_record(
                self.path, {**layout.read_record(self.path), "stopping": entry}
            )
        )

    def save(self, step: int, flush: Callable[[], None], *, is_last: bool) -> None:
        """Write a checkpoint; called on every rank.

        If it cannot be written, training continues and the next save is tried, because space may be
        freed and no steps are lost until then. Training stops after `MOST_FAILED_SAVES` failures in
        a row, or immediately if this is the last save. The previous checkpoint is kept.

        Args:
            step: Number of optimiser steps taken.
            flush: Syncs the metrics of these steps to disk, before the checkpoint.
            is_last: Whether training ends here.

        Raises:
            OutputError: The checkpoint cannot be written and training must stop.
        """
        distributed.on_main(lambda: self._save(step, flush, is_last))

    def _save(self, step: int, flush: Callable[[], None], is_last: bool) -> None:
        try:
            flush()
            self.state.save(
                self.path / layout.CHECKPOINTS,
                step,
                keep=self.config.keep_checkpoints,
                seed=self.config.seed,
                config=configuration.to_dict(self.config),
            )
            copies.push(self.path)
        except OutputError as error:
            self._failed_saves += 1
            if is_last or self._failed_saves == MOST_FAILED_SAVES:
                raise OutputError(
                    f"{error.message}; training stopped at step {step}; the newest checkpoint is"
                    f" from step {self.saved_step}",
                    error.hint,
                ) from error
            log.warning(
                "WARNING: %s; training continues, but all steps since step %d are unsaved;"
                " it stops after %d failures in a row, this is failure %d",
                error.message, self.saved_step, MOST_FAILED_SAVES, self._failed_saves,
            )  # fmt: skip
        else:
            self._failed_saves, self.saved_step = 0, step

    def require_space(self) -> None:
        """Check that all checkpoints that this run keeps at the same time fit on the disk.

        Raises:
            OutputError: They do not fit, or nothing can be written there.
        """
        folder = self.path / layout.CHECKPOINTS
        missing = max(self.config.keep_checkpoints + 1 - len(checkpoint.steps(folder)), 1)
        if not self.is_complete:
            what = "a checkpoint" if missing == 1 else f"room for {missing} checkpoints"
            files.require_space(folder, self.state.checkpoint_bytes(), what, copies=missing)


@contextlib.contextmanager
def opened(
    path: Path,
    record: dict[str, Any],
    config: TrainConfig,
    state: TrainState,
    *,
    newer_store: bool = False,
) -> Iterator[RunFolder]:
    """Open and lock a run folder, and load its newest checkpoint into `state`.

    Args:
        path: The folder; created if it does not exist.
        record: Content of run.json.
        config: The run's configuration.
        state: Restored from the newest checkpoint if there is one.
        newer_store: Whether the run may have been started with an earlier version of the store;
            the record then names the version that it continues with.

    Raises:
        BusyError: Another process trains in this folder.
        OutputError: The folder cannot be written, or checkpoints do not fit.
        ConfigError: It contains a run with different settings or more steps.
        CheckpointError: It contains something else, or every checkpoint is damaged.
    """
    folder = RunFolder(path, config, state)
    with contextlib.ExitStack() as stack:
        distributed.on_main(lambda: _hold(stack, path, record, newer_store))
        found = checkpoint.newest(path / layout.CHECKPOINTS)
        if found is not None:
            state.restore(found)
            folder.step = folder.saved_step = found.step
        _require_same_step(folder.step)
        existing = layout.read_record(path)
        is_longer = existing["config"]["steps"] < config.steps
        folder.has_stopped_early = not is_longer and bool(existing["stopping"].get("stopped_early"))
        distributed.on_main(lambda: _extend(folder))
        distributed.on_main(folder.require_space)
        yield folder


def _hold(
    stack: contextlib.ExitStack, path: Path, record: dict[str, Any], newer_store: bool
) -> None:
    """Lock a folder for this run and write run.json if it is new, or uses a newer store."""
    existed = path.exists()
    if existed:
        _check_content(path, record, newer_store)
    stack.enter_context(files.exclusive(path / _LOCK, path))
    if not (path / layout.RUN).exists():
        stack.enter_context(_removed_unless_used(path, existed))
        layout.write_record(path, record)
        return
    existing = layout.read_record(path)
    if existing["store_hash"] != record["store_hash"]:
        layout.write_record(path, existing | {name: record[name] for name in _OF_STORE})


def _check_content(path: Path, record: dict[str, Any], newer_store: bool) -> None:
    if (path / layout.RUN).exists():
        existing = layout.read_record(path)
        if newer_store:
            existing = existing | {"store_hash": record["store_hash"]}
        _require_same_run(path, existing, record)
        return
    ours = (
        entry.name == _LOCK or files.TEMPORARY.fullmatch(entry.name) for entry in path.iterdir()
    )
    if not path.is_dir() or not all(ours):
        raise CheckpointError(
            f"{str(path)!r} is not empty and is not a run folder", "choose another --out"
        )


_OF_STORE = ("store_hash", "videos_used", "held_out")
"""Fields of run.json that change with the version of the store."""


@contextlib.contextmanager
def _removed_unless_used(path: Path, existed: bool) -> Iterator[None]:
    """Remove what a new run wrote if it fails before its first step."""
    try:
        yield
    except FootageError:
        if not any("loss" in line for line in layout.read_metrics(path)):
            for entry in path.iterdir():
                files.remove(entry)
            if not existed:
                path.rmdir()
        raise


def _require_same_run(path: Path, existing: dict[str, Any], requested: dict[str, Any]) -> None:
    def decisive(record: dict[str, Any]) -> dict[str, Any]:
        free = ("compute", "steps")
        config = _complete(record["config"])
        config = {key: value for key, value in config.items() if key not in free}
        hashes = {key: record.get(key, "") for key in ("store_hash", "images_hash")}
        teacher = {"teacher_digest": record.get("teacher", {}).get("digest", "")}
        return {**config, **hashes, **teacher}

    differ = list(configuration.differences(decisive(requested), decisive(existing)))
    if differ:
        message = f"{str(path)!r} contains a run with different settings: {'; '.join(differ[:5])}"
        missing = layout.missing_plugins(existing["plugins"])
        if missing:
            raise layout.plugin_missing(message, missing)
        raise ConfigError(message, "choose another --out, or use the same settings")
    steps, wanted = existing["config"]["steps"], requested["config"]["steps"]
    if wanted < steps:
        raise ConfigError(
            f"{str(path)!r} contains a run of {steps} steps, but --steps is {wanted}",
            f"use --steps {steps} to resume it, a larger number to extend it, or another --out",
        )


def _complete(config: dict[str, Any]) -> dict[str, Any]:
    """Add the settings that did not exist yet when a run was started, with their defaults."""
    try:
        return configuration.to_dict(configuration.from_dict(TrainConfig, config))
    except ConfigError:  # settings of a plugin that is not loaded
        return config


def _extend(folder: RunFolder) -> None:
    """Record in run.json that a shorter run is extended, and log the consequences."""
    record = layout.read_record(folder.path)
    steps, total = record["config"]["steps"], folder.config.steps
    if steps == total:
        return
    extended_at = [*record.get("extended_at", []), folder.step]
    config = {**record["config"], "steps": total}
    changed = {"config": config, "extended_at": extended_at, "stopping": {}}
    layout.write_record(folder.path, {**record, **changed})
    rate = learning_rate(
        folder.step,
        folder.config.schedule,
        peak=folder.config.optimizer.learning_rate,
        total_steps=total,
    )
    log.info(
        "extending the run from %d to %d steps: after step %d, the learning rate and other"
        " schedules are those of a run of %d steps (learning rate %.3g in the next step), so the"
        " result differs from that of a run that had %d steps from the start",
        steps, total, folder.step, total, rate, total,
    )  # fmt: skip


def _require_same_step(step: int) -> None:
    if distributed.largest(step) != step or distributed.largest(-step) != -step:
        raise CheckpointError(
            f"rank {distributed.rank()} can only read the checkpoint of step {step}, other ranks"
            " a different one",
            "check that all machines see the same run folder",
        )
