"""Labelled images judged in four columns of frozen features, in one pass over the files.

chance      the commonest class
pixels      the image itself at 16 x 16
untrained   the same network with random weights
model       the model
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

from footage.evaluation.dataset import Task
from footage.evaluation.digests import weights_digest
from footage.evaluation.features import (
    Column,
    extract,
    model_column,
    pixel_column,
    refuse_unreadable,
)
from footage.evaluation.probes import PROTOCOLS, Examples, Fitted, Protocol, accuracy, majority
from footage.evaluation.results import COLUMNS, MAJORITY, ResultRow
from footage.io.walk import text
from footage.models import load as models

PIXEL_SIZE: Final = 16
"""Height and width of the raw-pixel baseline."""


def judge(
    model: models.Model,
    task: Task,
    protocols: Sequence[str],
    *,
    seed: int,
    batch_size: int,
    advance: Callable[[float], None],
) -> list[ResultRow]:
    """All columns and protocols of one task; its files are decoded once.

    Args:
        model: The column `model`; the same network with random weights is `untrained`.
        task: Its split is settled.
        protocols: Names of `adapt.PROTOCOLS`.
        seed: Of the untrained network; also told with the rows.
        batch_size: Images in one forward pass.
        advance: Called with the number of images done since its last call.

    Raises:
        ConfigError: Images cannot be read.
    """
    columns, described = baselines(model, seed=seed)
    parts = _parts(task, columns, batch_size, advance)
    rows = []
    for column in COLUMNS:
        ways: dict[str, Protocol] = (
            {MAJORITY: majority}
            if column == "chance"
            else {name: PROTOCOLS[name] for name in protocols}
        )
        train, val, test = parts["pixels" if column == "chance" else column]
        for name, protocol in ways.items():
            fitted = protocol(train, val, len(task.classes))
            rows.append(_row(task, seed, column, name, fitted, test, described[column]))
    return rows


def baselines(
    model: models.Model, *, seed: int
) -> tuple[dict[str, Column], dict[str, dict[str, Any]]]:
    """The columns that need features, and what result rows record of every column.

    Args:
        model: The column `model`; the same network with random weights is `untrained`.
        seed: Of the untrained network.
    """
    device = models.best_device()
    untrained = models.untrained(model, seed=seed)
    columns = {
        "pixels": pixel_column(PIXEL_SIZE),
        "untrained": model_column(untrained, device),
        "model": model_column(model, device),
    }
    described: dict[str, dict[str, Any]] = {
        "chance": {"model": "chance", "architecture": "", "start": "", "size": 0},
        "pixels": {"model": "raw pixels", "architecture": "", "start": "", "size": PIXEL_SIZE},
        "untrained": _described(untrained),
        "model": _described(model),
    }
    return columns, described


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
    refuse_unreadable(extracted.unreadable, len(paths), task.name)
    sizes = [len(part.paths) for part in parts]
    labels = [torch.from_numpy(part.labels) for part in parts]
    result = {}
    for name, features in extracted.features.items():
        split = [Examples(f, y) for f, y in zip(torch.split(features, sizes), labels, strict=True)]
        result[name] = (split[0], split[1], split[2])
    return result


def _row(
    task: Task,
    seed: int,
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
        seed=seed,
        **described,
    )


def _described(model: models.Model) -> dict[str, Any]:
    return {
        "model": text(model.name),
        "architecture": model.backbone.architecture,
        "start": text(model.start),
        "size": model.preprocessing.size,
        "weights": weights_digest(model.backbone),
    }
