"""The verb `footage evaluate`: a model judged on labelled images, beside what it must beat.

Every table has four columns of features: `chance` (the commonest class), `pixels` (the image itself
at 16 x 16), `untrained` (the same network with random weights) and `model`.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from footage import model as models
from footage import runs
from footage.errors import ConfigError
from footage.evaluation.adapt import PROTOCOLS, Examples, Fitted, Protocol, accuracy, majority
from footage.evaluation.features import Column, extract, model_column, pixel_column
from footage.evaluation.labelled import Task, open_task
from footage.evaluation.results import COLUMNS, MAJORITY, ResultRow, write_rows
from footage.images.layout import NAMED_IN_ERRORS

log = logging.getLogger(__name__)

PIXELS: Final = 16
"""Height and width of the raw-pixel baseline."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """How a model is judged."""

    protocols: tuple[str, ...] = ("knn", "linear")
    """Ways to judge frozen features: knn, linear."""

    seed: int = 0
    """Seed of the split and of the untrained network."""

    size: int = 0
    """Input height and width in pixels; 0 keeps the model's own."""

    batch_size: int = 64
    """Images in one forward pass."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.protocols if name not in PROTOCOLS]
        if unknown or not self.protocols:
            raise ConfigError(
                f"protocols must name some of {', '.join(PROTOCOLS)}, got {self.protocols}"
            )
        if self.size < 0:
            raise ConfigError(f"size must be 0 or a number of pixels, got {self.size}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}")


class Evaluation(NamedTuple):
    """The result rows and the files that hold them."""

    rows: list[ResultRow]
    files: list[Path]


def evaluate(
    model: str,
    *,
    labelled: Sequence[str | Path],
    out: str | Path = "",
    config: EvaluateConfig | None = None,
) -> Evaluation:
    """Judge a model on labelled images.

    A run's results are also written beside it, one file a task in `RUN/evaluations/`.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        labelled: Folders with one subfolder per class, or list files.
        out: A JSON file for all results, besides the run's own.
        config: Protocols, seed and sizes; the defaults when left out.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: A labelled folder cannot be used, or images in it cannot be read.
    """
    config = config or EvaluateConfig()
    tasks = [open_task(path, config.seed) for path in labelled]
    _check_names([task.name for task in tasks])
    loaded = models.load(model, size=config.size, seed=config.seed)
    _warn_of_known_labels(Path(model), labelled)
    rows: list[ResultRow] = []
    files: list[Path] = []
    run = Path(model)
    with _progress() as progress:
        for task in tasks:
            bar = progress.add_task(task.name, total=task.num_images)
            found = _evaluate_task(loaded, task, config, functools.partial(progress.advance, bar))
            rows += found
            if (run / runs.RUN).is_file():
                path = run / runs.EVALUATIONS / f"{task.name}.json"
                files.append(write_rows(path, models.describe(loaded), found))
    if str(out):
        files.append(write_rows(Path(out), models.describe(loaded), rows))
    return Evaluation(rows, files)


def _warn_of_known_labels(model: Path, labelled: Sequence[str | Path]) -> None:
    """Say when a run was trained with labels that it is now judged by."""
    known = runs.read_record(model).get("images") if (model / runs.RUN).is_file() else ""
    if not known:
        return
    trained = Path(known)
    for path in (Path(each).resolve() for each in labelled):
        own_parts = (path / "train").is_dir()  # co-training then took train/ only
        if not own_parts and (
            path == trained or path in trained.parents or trained in path.parents
        ):
            log.warning(
                "%s was trained with labels from %s: its test images are no unseen images", model,
                trained,
            )  # fmt: skip


def _evaluate_task(
    model: models.Model, task: Task, config: EvaluateConfig, advance: Callable[[float], None]
) -> list[ResultRow]:
    """All columns and protocols of one task; its files are decoded once."""
    device = models.best_device()
    untrained = models.untrained(model, seed=config.seed)
    columns = {
        "pixels": pixel_column(PIXELS),
        "untrained": model_column(untrained, device),
        "model": model_column(model, device),
    }
    described: dict[str, dict[str, Any]] = {
        "chance": {"model": "chance", "architecture": "", "start": "", "size": 0},
        "pixels": {"model": "raw pixels", "architecture": "", "start": "", "size": PIXELS},
        "untrained": _described(untrained),
        "model": _described(model),
    }
    parts = _parts(task, columns, config.batch_size, advance)
    rows = []
    for column in COLUMNS:
        protocols: dict[str, Protocol] = (
            {MAJORITY: majority}
            if column == "chance"
            else {name: PROTOCOLS[name] for name in config.protocols}
        )
        train, val, test = parts["pixels" if column == "chance" else column]
        for name, protocol in protocols.items():
            fitted = protocol(train, val, len(task.classes))
            rows.append(_row(task, config, column, name, fitted, test, described[column]))
    return rows


def _parts(
    task: Task,
    columns: Mapping[str, Column],
    batch_size: int,
    advance: Callable[[float], None],
) -> dict[str, tuple[Examples, Examples, Examples]]:
    """Features of the three parts by column."""
    parts = (task.train, task.val, task.test)
    paths = [path for part in parts for path in part.paths]
    extracted = extract(paths, columns, batch_size=batch_size, advance=advance)
    if extracted.unreadable:
        first = "; ".join(image.reason for image in extracted.unreadable[:NAMED_IN_ERRORS])
        raise ConfigError(
            f"{len(extracted.unreadable)} of {len(paths)} images of {task.name} cannot be read: "
            f"{first}",
            "mend or remove them; leaving them out unasked would change the task",
        )
    sizes = [len(part.paths) for part in parts]
    labels = [torch.from_numpy(part.labels) for part in parts]
    result = {}
    for name, features in extracted.features.items():
        split = [Examples(f, y) for f, y in zip(torch.split(features, sizes), labels, strict=True)]
        result[name] = (split[0], split[1], split[2])
    return result


def _row(
    task: Task,
    config: EvaluateConfig,
    column: str,
    protocol: str,
    fitted: Fitted,
    test: Examples,
    described: Mapping[str, Any],
) -> ResultRow:
    """The one place where the test part is read."""
    measured = accuracy(fitted.predict(test.features), test.labels)
    return ResultRow(
        column=column,
        task=task.name,
        protocol=protocol,
        metric="top-1",
        value=measured.value,
        standard_error=measured.standard_error,
        validation=fitted.validation_accuracy,
        selected=fitted.selected,
        num_classes=len(task.classes),
        num_train=len(task.train.paths),
        num_val=len(task.val.paths),
        num_test=len(task.test.paths),
        split=task.split,
        seed=config.seed,
        **described,
    )


def _described(model: models.Model) -> dict[str, Any]:
    return {
        "model": model.name,
        "architecture": model.backbone.architecture,
        "start": model.start,
        "size": model.preprocessing.size,
    }


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise ConfigError("no labelled images were given", "add --labelled FOLDER")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"several labelled folders are called {twice[0]}",
            "rename one, for a task is known by its name",
        )


def _progress() -> Progress:
    return Progress(
        TextColumn("evaluate {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
