"""Answers of earlier evaluations, by the content of everything that they depend on.

    CACHE/evaluations/ab/KEY.json    the answers of one model under one protocol on one task

A key is a digest of weights, architecture, preprocessing, protocol, and of the images and labels of
the task. It contains no names: a renamed run or a moved folder is found, and changed weights or
images are not. So a comparison with one more model evaluates only that model. Answers are copied to
the records of an evaluation before it starts, see `test_set`. Python functions have no digest and
are never cached.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from footage.errors import ConfigError, FootageError, OutputError
from footage.evaluation import protocols
from footage.evaluation.dataset import Task
from footage.evaluation.digests import DIGITS
from footage.evaluation.execution import Entry, Evaluation
from footage.evaluation.fields import Count, Hash, Record
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.records import Selection
from footage.evaluation.test_set import TestSet
from footage.io import cache, files
from footage.io.documents import Document

log = logging.getLogger(__name__)

VERSION: Final = 1
"""Part of every key; a new value invalidates all cached answers."""

Described = Mapping[EvaluatedModel, Mapping[str, Any]]


class CachedAnswers(Record, frozen=True):
    """Answers of each seed on a test part, with the selected setting."""

    seeds: dict[str, tuple[Selection, list[Count]]]
    key: Hash


CACHED: Final = Document[CachedAnswers](
    schema=CachedAnswers,
    name="cached answers",
    error=ConfigError,
    hint="remove it; it will be computed again",
)


def is_empty() -> bool:
    """Whether there are no cached answers at all."""
    return not any(_folder().glob("*/*.json"))


def restore(evaluation: Evaluation, described: Described) -> None:
    """Copy cached answers to the records of an evaluation, which then need no work.

    Args:
        evaluation: An evaluation whose tasks have digests of their images.
        described: Descriptions of the models.
    """
    restored: dict[str, list[str]] = {}
    for entry, task, path in places(evaluation, described):
        test = TestSet(task, entry.records)
        left = [seed for seed in entry.protocol.seeds if not test.is_answered(seed)]
        found = complete(path, entry, task) if left else None
        if found is not None:
            for seed in left:
                test.store(seed, *found.seeds[str(seed)])
            restored.setdefault(f"{entry.model.name}, {entry.protocol.name}", []).append(task.name)
    for name, tasks in restored.items():
        on = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
        log.info("cached: %s on %s", name, on)


def complete(path: Path, entry: Entry, task: Task) -> CachedAnswers | None:
    """Read a file of the cache if it answers all test images for all seeds of an entry."""
    found = _read(path)
    if found is None or found.seeds.keys() != {str(seed) for seed in entry.protocol.seeds}:
        return None
    count = len(task.test.paths)
    return found if all(len(answers) == count for _, answers in found.seeds.values()) else None


def keep(evaluation: Evaluation, described: Described) -> None:
    """Add the answers of a complete evaluation to the cache; a full disk is only a warning."""
    for entry, task, path in places(evaluation, described):
        test = TestSet(task, entry.records)
        found = {str(seed): test.answered(seed) for seed in entry.protocol.seeds}
        seeds = {seed: (each.selection, each.answers) for seed, each in found.items() if each}
        if len(seeds) < len(found) or (path.exists() and not evaluation.is_fresh):
            continue
        try:
            CACHED.write(path, {"seeds": seeds, "key": path.stem})
        except OutputError as error:
            log.warning("results are not cached: %s", error.message)
            return


def places(evaluation: Evaluation, described: Described) -> Iterator[tuple[Entry, Task, Path]]:
    """Yield every pair of an entry and a task that has a key, with its file, which may not exist.

    Args:
        evaluation: An evaluation whose tasks have digests of their images.
        described: Descriptions of the models.
    """
    for entry in evaluation.entries:
        content = _content(entry.model, described[entry.model])
        for task in evaluation.tasks if content else ():
            key = _key(content, entry, task)
            yield entry, task, _folder() / key[:2] / f"{key}.json"


def _folder() -> Path:
    return cache.folder() / "evaluations"


def _key(content: str, entry: Entry, task: Task) -> str:
    on_gpu = torch.cuda.is_available() and not entry.protocol.frozen
    protocol = protocols.described(entry.protocol)
    parts = [VERSION, content, protocol, task.images, "bfloat16" if on_gpu else "float32"]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[: 2 * DIGITS]


def _content(model: EvaluatedModel, described: Mapping[str, Any]) -> str:
    """What a model computes, as text without names; empty if that is not known."""
    weights = described.get("weights") or model.baseline
    if not weights and isinstance(model.model, str) and Path(model.model).is_file():
        weights = files.sha256(Path(model.model))
    parts = [described.get(name) for name in ("architecture", "options", "size", "mean", "std")]
    return json.dumps([weights, *parts], sort_keys=True) if weights else ""


def _read(path: Path) -> CachedAnswers | None:
    if not path.exists():
        return None
    try:
        found = CACHED.read(path)
    except FootageError as error:
        log.warning("%s", error.message)
        return None
    return found if found.key == path.stem else None
