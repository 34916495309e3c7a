"""The files of a comparison of several models: all rows, the differences and the verdict.

    FILE.json                                  --out FILE, on labelled images
    OUT/comparison.json                        --out OUT, on a suite
    RUN/evaluations/comparisons/NAME.json      in the folder of every run that was compared
    evaluations/comparisons/NAME.json          on a suite, if none of the models is a run

NAME is that of the data, with a digest of their images. A comparison of other models on the same
data replaces an earlier one; nothing is lost, because the answers of each model are cached.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from footage.errors import ConfigError, FootageError, OutputError
from footage.evaluation.digests import DIGITS
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.results import NEAREST, RESULTS, ResultRow, write_file
from footage.evaluation.verdict_sentences import verdict
from footage.evaluation.verdicts import Comparison
from footage.runs import layout

log = logging.getLogger(__name__)

COMPARISON: Final = "comparison.json"
COMPARISONS: Final = "comparisons"
LONGEST_NAME: Final = 80


def folder_name_of(model: EvaluatedModel) -> str:
    """The name of a model as the name of a folder."""
    return re.sub(r"[^\w.-]+", "-", model.name)


def without_repeats(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Rows of several evaluations without baselines that are the same in all of them."""
    kept: dict[tuple[object, ...], ResultRow] = {}
    for row in rows:
        model: object = row.weights or row.baseline if row.baseline else row.model
        if row.protocol == NEAREST:  # each run has held-out videos of its own
            model = len(kept)
        kept.setdefault((row.suite, row.task, row.protocol, row.baseline, model, row.images), row)
    return list(kept.values())


def write_comparison(
    name: str,
    models: Sequence[EvaluatedModel],
    rows: Sequence[ResultRow],
    comparisons: Sequence[Comparison],
    out: str,
    *,
    is_suite: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write a comparison to all of its files, and return their paths.

    Args:
        name: Name of the data.
        models: The models under test.
        rows: Rows of models and baselines.
        comparisons: The models under each protocol.
        out: Value of --out; empty for the default.
        is_suite: Whether `out` is a folder.
        overwrite: Whether to replace different results in `out`.

    Raises:
        ConfigError: `out` contains results of other models.
        OutputError: A file cannot be written.
    """
    digests = [_digest(row) for row in rows]
    differences = [each for comparison in comparisons for each in comparison.differences]
    paths = list(_paths(name, models, rows, is_suite=is_suite))
    if out:
        path = Path(out) / COMPARISON if is_suite else Path(out)
        if not overwrite:
            _check(path, digests)
        paths.append(path)
    written = []
    for path in paths:
        try:
            write_file(
                path, None, rows, digests, verdict=verdict(comparisons), differences=differences
            )
        except OutputError as error:
            if path == paths[-1]:
                raise
            log.warning("the comparison is not saved in the run: %s", error.message)
            continue
        written.append(path)
    return written


def _paths(
    name: str, models: Sequence[EvaluatedModel], rows: Sequence[ResultRow], *, is_suite: bool
) -> Iterator[Path]:
    images = json.dumps(sorted({row.images for row in rows}))
    short = re.sub(r"[^\w.-]+", "-", name)[:LONGEST_NAME]
    file = f"{short}-{hashlib.sha256(images.encode()).hexdigest()[:8]}.json"
    folders = [model.run / layout.EVALUATIONS for model in models if model.run]
    if is_suite and not folders:
        folders = [Path(layout.EVALUATIONS)]
    for folder in folders:
        yield folder / COMPARISONS / file


def _digest(row: ResultRow) -> str:
    """Digest of what a row depends on, without names."""
    model = row.weights or row.baseline or row.model
    parts = [model, row.size, row.mean, row.std, row.protocol, row.task, row.images, row.seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:DIGITS]


def _check(path: Path, digests: Sequence[str]) -> None:
    """Allow a file to be replaced by a comparison that contains all of its results."""
    if not path.exists():
        return
    hint = "choose another --out, or add --overwrite to replace it"
    try:
        found = RESULTS.read(path)
    except FootageError as error:
        raise ConfigError(f"{str(path)!r} exists, and {error.message}", hint) from error
    if not set(found.evaluations) <= set(digests):
        raise ConfigError(f"{str(path)!r} exists and contains other results", hint)
