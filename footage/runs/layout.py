"""The layout of a run folder: the files through which training and other commands communicate.

RUN/run.json         configuration, versions, commit, store, seed, machine, initial weights
RUN/labels.txt       labelled images whose labels were used, if any
RUN/metrics.jsonl    one JSON object per line: training and online metrics, by step
RUN/checkpoints/     see `footage.runs.checkpoint`
RUN/tensorboard/     the same numbers for TensorBoard
RUN/loggers/         id of this run in the database of each logger that has one
RUN/evaluations/     results of `footage evaluate`
RUN/*/profile.json   results of `footage profile`, if they were written into the run
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from footage import configuration
from footage.errors import CheckpointError, ConfigError
from footage.io import files
from footage.io.documents import Document
from footage.registry import as_options, selected_plugins
from footage.runs import records
from footage.runs.migration import VERSION
from footage.runs.records import RunRecord

RUN = "run.json"
LABELS = "labels.txt"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
LOGGER_IDS = "loggers"
EVALUATIONS = "evaluations"


def write_record(run: Path, record: Mapping[str, Any]) -> None:
    """Write run.json with a checksum, completely or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    unknown = record.keys() - set(RunRecord.__struct_fields__)
    assert not unknown, f"RunRecord has no fields {unknown}"
    records.RUN.write(run / RUN, {**record, "version": VERSION})


def read_record(run: Path) -> dict[str, Any]:
    """Read run.json; fields that earlier versions did not write have their defaults.

    Args:
        run: A run folder, or the path of a run.json.

    Raises:
        CheckpointError: The folder contains no run, or its file is damaged.
    """
    path = run / RUN if run.is_dir() else run
    if not path.exists():
        raise CheckpointError(
            f"{str(run)!r} is not a run: {str(path)!r} does not exist",
            "pass a folder that `footage train` wrote",
        )
    record: dict[str, Any] = configuration.plain(msgspec.to_builtins(records.RUN.read(path)))
    return record


@contextlib.contextmanager
def naming_plugins(plugins: Sequence[str]) -> Iterator[None]:
    """Use a run's record; if that fails and its plugins are not loaded, the error names them.

    Args:
        plugins: The plugins that the record lists.

    Raises:
        ConfigError: A name or setting is unknown.
    """
    try:
        yield
    except ConfigError as error:
        missing = missing_plugins(plugins)
        if not missing:
            raise
        raise plugin_missing(error.message, missing) from error


def missing_plugins(plugins: Sequence[str]) -> list[str]:
    """Return the plugins that this process has not loaded; a moved file is the same plugin."""
    loaded = {Path(name).name for name in selected_plugins()}
    return [name for name in plugins if Path(name).name not in loaded]


def plugin_missing(message: str, missing: Sequence[str]) -> ConfigError:
    """Return the error of a run whose plugins are not loaded."""
    names = ", ".join(Path(name).name for name in missing)
    return ConfigError(
        f"{message}; the run used the plugin{'s' * (len(missing) > 1)} {names}",
        f"add {shlex.join(as_options(missing))}",
    )


_Name = Annotated[str, msgspec.Meta(max_length=200)]


class MetricsLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of metrics.jsonl: an optimiser step, or online metrics of the held-out videos."""

    step: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    """Optimiser steps taken when the line was written."""
    loss: float | msgspec.UnsetType = msgspec.UNSET
    learning_rate: float | msgspec.UnsetType = msgspec.UNSET
    gradient_norm: float | msgspec.UnsetType = msgspec.UNSET
    images_per_second: float | msgspec.UnsetType = msgspec.UNSET
    data_wait: float | msgspec.UnsetType = msgspec.UNSET
    levels: dict[_Name, float] | msgspec.UnsetType = msgspec.UNSET
    probe: dict[_Name, float] | msgspec.UnsetType = msgspec.UNSET
    advice: list[str] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Require all fields of one kind of line."""
        of_step = (self.loss, self.learning_rate, self.gradient_norm, self.images_per_second,
                   self.data_wait, self.levels)  # fmt: skip
        of_probe = (self.probe, self.advice)
        for fields, others in ((of_step, of_probe), (of_probe, of_step)):
            if all(one is msgspec.UNSET for one in others):
                if any(one is msgspec.UNSET for one in fields):
                    raise ValueError("a field of the training or online metrics is missing")
                return
        raise ValueError("it mixes fields of the training and online metrics")


METRICS_LINE = Document[MetricsLine](
    schema=MetricsLine,
    name="a line of metrics",
    error=CheckpointError,
    hint=f"remove that line from {METRICS}, or restore the file from a copy",
    most_bytes=2**34,
)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Read all lines of metrics.jsonl, except a last line truncated by a kill.

    Raises:
        CheckpointError: A line is damaged.
    """
    path = run / METRICS
    if not path.exists():
        return []
    return [msgspec.to_builtins(line) for line in METRICS_LINE.read_lines(path)]


def rewind_metrics(run: Path, step: int) -> None:
    """Drop the lines that a resumed run writes again: those after `step`, or all before step 1.

    Raises:
        CheckpointError: A line is damaged.
        OutputError: The file cannot be written.
    """
    path = run / METRICS
    lines = METRICS_LINE.read_lines(path) if path.exists() else []
    texts = path.read_bytes().split(b"\n") if lines else []
    kept = [text for text, line in zip(texts, lines, strict=False) if 0 < step >= line.step]
    files.write_text(path, "".join(text.decode() + "\n" for text in kept))
