"""Evaluate a model and its baselines on labelled folders; reuse the results of earlier calls.

An evaluation is identified by everything that its numbers depend on: weights, preprocessing,
images, labels, split, protocols and seed. Its digest is part of the file name in the run folder, so
two folders of the same name, or two checkpoints, have separate files. A killed evaluation resumes
from the records next to these files.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from footage.errors import ConfigError, FootageError, OutputError
from footage.evaluation import models, runner
from footage.evaluation.dataset import Task
from footage.evaluation.digests import DIGITS, TaskImages, task_images
from footage.evaluation.execution import Evaluation, Progress, entry, protocols_of
from footage.evaluation.models import EvaluatedModel, with_baselines
from footage.evaluation.protocols import Protocol
from footage.evaluation.results import RESULTS, ResultFile, ResultRow, read_rows, write_file
from footage.evaluation.verdict_sentences import verdict
from footage.evaluation.verdicts import compare
from footage.io import files
from footage.runs import layout

log = logging.getLogger(__name__)

FILE_BYTES: Final = 1_000_000
"""Space required before the work starts; a results file takes a few kilobytes."""
LONGEST_NAME: Final = 100
"""Maximum length of a task's name in its file name, in bytes."""
IDENTITY_VERSION: Final = 2
"""Part of every digest; a new value invalidates the results of earlier versions."""


class Evaluated(NamedTuple):
    """Result rows and the files that contain them."""

    rows: list[ResultRow]
    files: list[Path]


class Identified(NamedTuple):
    """A task with the digests of its images."""

    task: Task
    images: TaskImages
    digest: str
    """Digest of the whole evaluation."""

    @property
    def file_name(self) -> str:
        """The file in the run's folder."""
        short = self.task.name.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore")
        return f"{short}-{self.digest}.json"


def evaluate_folders(
    model: EvaluatedModel,
    tasks: Sequence[Task],
    protocols: Sequence[Protocol],
    *,
    batch_size: int,
    out: Path | None,
    overwrite: bool,
    progress: Progress,
    with_answers: bool = False,
) -> Evaluated:
    """Return rows of a model and its baselines on all tasks, computed or from earlier results.

    Args:
        model: The model under test.
        tasks: Labelled folders with unique names.
        protocols: Frozen protocols.
        batch_size: Images per forward pass.
        out: Additional JSON file for all tasks, or None.
        overwrite: Compute everything again, and replace files that contain other results.
        progress: Progress callbacks.
        with_answers: Whether to evaluate again if earlier results do not contain the answers.

    Raises:
        ConfigError: `out` contains other results, or images cannot be read.
        CheckpointError: An earlier file is damaged.
        OutputError: A file cannot be written.
    """
    with _held(out):
        frozen = models.frozen(model, torch.device("cpu"))
        every = [_identified(task, model, frozen.described, protocols) for task in tasks]
        digests = [each.digest for each in every]
        known = {} if overwrite else _known(every, model.run, out, with_answers=with_answers)
        stored = _stored(every, model.run, out)
        left = [each for each in every if each.digest not in known]
        if left:
            known |= _computed(
                left, model, protocols, batch_size, stored, progress, is_fresh=overwrite
            )
        header = header_of(frozen.described, frozen.feature_dim)
        new = {each.digest for each in left}
        for path, digest in zip(stored, digests, strict=False):
            if digest in new or not path.exists():
                write_file(path, header, known[digest], [digest], **compared(known[digest]))
        rows = [row for digest in digests for row in known[digest]]
        if out:
            stored.append(write_file(out, header, rows, digests, **compared(rows)))
    return Evaluated(rows, stored)


def left_of(
    model: EvaluatedModel,
    tasks: Sequence[Task],
    protocols: Sequence[Protocol],
    out: Path | None,
    *,
    overwrite: bool,
    with_answers: bool = False,
) -> list[Task]:
    """Return the tasks without results of earlier calls; nothing is written.

    Images are read only if earlier results exist.

    Raises:
        ConfigError: `out` contains other results.
    """
    if overwrite:
        return list(tasks)
    folder = model.run / layout.EVALUATIONS if model.run else None
    if not (out and out.exists()) and not (folder and any(folder.glob("*.json"))):
        return list(tasks)
    frozen = models.frozen(model, torch.device("cpu"))
    every = [_identified(task, model, frozen.described, protocols) for task in tasks]
    known = _known(every, model.run, out, with_answers=with_answers)
    return [each.task for each in every if each.digest not in known]


def header_of(described: Mapping[str, Any], feature_dim: int = 0) -> dict[str, Any]:
    """The description of a model at the start of its result files."""
    return {
        "architecture": described["architecture"],
        "options": described.get("options", {}),
        "feature_dim": feature_dim,
        "preprocessing": {name: described[name] for name in ("size", "mean", "std")},
        "weights_origin": described["weights_origin"],
    }


def compared(rows: Sequence[ResultRow]) -> dict[str, Any]:
    """The verdict on a model and its baselines, and the differences behind it."""
    found = compare(rows)
    return {
        "verdict": verdict(found),
        "differences": [difference for each in found for difference in each.differences],
    }


def digest_of(described: Mapping[str, Any], *more: object) -> str:
    """Digest of what the numbers of a model depend on.

    Args:
        described: Description of the model; one without weights is identified by its name.
        more: Everything else that they depend on, as JSON values.
    """
    preprocessing = {name: described[name] for name in ("size", "mean", "std")}
    weights = described.get("weights") or described["model"]
    identity = [IDENTITY_VERSION, weights, preprocessing, *more]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:DIGITS]


def _identified(
    task: Task, model: EvaluatedModel, described: Mapping[str, Any], protocols: Sequence[Protocol]
) -> Identified:
    images = task_images(task.num_classes, task.train, task.val, task.test)
    names = [protocol.name for protocol in protocols]
    return Identified(
        task, images, digest_of(described, names, model.seed, images.digest, task.split)
    )


def _computed(
    left: Sequence[Identified],
    model: EvaluatedModel,
    protocols: Sequence[Protocol],
    batch_size: int,
    stored: Sequence[Path],
    progress: Progress,
    *,
    is_fresh: bool,
) -> dict[str, list[ResultRow]]:
    """Rows by digest: for each task, the baselines, weakest first, then the model."""
    with _records(stored, [each.digest for each in left]) as records:
        evaluation = evaluation_of(
            model, [each.task for each in left], protocols, batch_size, records
        )
        evaluation = dataclasses.replace(evaluation, is_fresh=is_fresh)
        images = {each.task.name: each.images for each in left}
        rows = runner.run(evaluation, progress, images)
    return {each.digest: [row for row in rows if row.task == each.task.name] for each in left}


def evaluation_of(
    model: EvaluatedModel,
    tasks: Sequence[Task],
    protocols: Sequence[Protocol],
    batch_size: int,
    records: Path,
) -> Evaluation:
    """Return the evaluation of a model and its baselines on tasks."""
    return Evaluation(
        entries=tuple(
            entry(each, protocol, records / (each.baseline or "model") / protocol.name)
            for each in with_baselines(model)
            for protocol in protocols_of(each, protocols)
        ),
        tasks=tuple(tasks),
        out=records,
        batch_size=batch_size,
    )


@contextlib.contextmanager
def _records(stored: Sequence[Path], digests: Sequence[str]) -> Iterator[Path]:
    """A folder for the records of an evaluation, removed once its rows are complete."""
    if not stored:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    name = hashlib.sha256("".join(digests).encode()).hexdigest()[:DIGITS]
    folder = stored[0].parent / f".{name}"
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def _held(out: Path | None) -> Iterator[None]:
    if out is None:
        yield
    else:
        with files.exclusive(out.with_name(f".{out.name}.lock"), out):
            files.require_space(out, FILE_BYTES, "a results file")
            yield


def _known(
    every: Sequence[Identified], run: Path | None, out: Path | None, *, with_answers: bool
) -> dict[str, list[ResultRow]]:
    """Rows of identical earlier evaluations, by digest; on request only those with answers."""
    known = {}
    for each in every:
        path = run / layout.EVALUATIONS / each.file_name if run else None
        if path and path.exists():
            log.info("already evaluated: %s", path)
            known[each.digest] = read_rows(path)
    if out and out.exists():
        found = same([each.digest for each in every], out)
        for each in every:
            rows = [row for row in found.rows if row.task == each.task.name]
            if rows:
                known.setdefault(each.digest, rows)
    if with_answers:
        return {key: rows for key, rows in known.items() if all(row.hits for row in rows)}
    return known


def same(digests: Sequence[str], out: Path) -> ResultFile:
    """The content of `out`, which must belong to these evaluations.

    Raises:
        ConfigError: It contains other results.
    """
    hint = "choose another --out, or add --overwrite to replace it"
    try:
        found = RESULTS.read(out)
    except FootageError as error:
        raise ConfigError(f"{str(out)!r} exists, and {error.message}", hint) from error
    if found.evaluations != tuple(digests):
        raise ConfigError(f"{str(out)!r} exists and contains other results", hint)
    return found


def _stored(every: Sequence[Identified], run: Path | None, out: Path | None) -> list[Path]:
    """Files inside the run's folder; none if it cannot be written and `out` is given."""
    if run is None:
        return []
    paths = [run / layout.EVALUATIONS / each.file_name for each in every]
    try:
        files.require_space(paths[0], FILE_BYTES, "a results file")
    except OutputError as error:
        if out is None:
            raise OutputError(error.message, f"{error.hint}; or add --out FILE") from error
        log.warning("the results are not saved in the run: %s", error.message)
        return []
    return paths
