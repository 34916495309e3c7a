"""Evaluate a model on labelled images: reuse existing results and compute the others.

An evaluation is identified by everything that its numbers depend on: weights, preprocessing,
images, labels, split, protocols and seed. Its digest is part of the name of the file in the run,
so that two folders of the same name, or two checkpoints, have separate files.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from footage import configuration
from footage.errors import ConfigError, FootageError, OutputError
from footage.evaluation.columns import judge
from footage.evaluation.dataset import Task
from footage.evaluation.digests import TaskImages, task_images, weights_digest
from footage.evaluation.leakage import Compared, Leakage, leakage
from footage.evaluation.results import (
    RESULTS,
    SCHEMA_VERSION,
    ResultFile,
    ResultRow,
    read_rows,
    write_rows,
)
from footage.evaluation.training_data import training_data
from footage.io import files
from footage.models import load as models
from footage.runs import layout

log = logging.getLogger(__name__)

FILE_BYTES: Final = 1_000_000
"""Space required before the work starts; a results file takes a few kilobytes."""
LONGEST_NAME: Final = 100
"""Maximum length of a task's name in its file name, in bytes."""

Advance = Callable[[float], None]


class Evaluated(NamedTuple):
    """Result rows and the files that contain them."""

    rows: list[ResultRow]
    files: list[Path]


class Identified(NamedTuple):
    """A task with the digests of its images."""

    task: Task
    images: TaskImages
    digest: str
    """Of the whole evaluation."""

    @property
    def file_name(self) -> str:
        """In the run's folder."""
        short = self.task.name.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore")
        return f"{short}-{self.digest}.json"


class LabelledEvaluation:
    """One model on some labelled tasks.

    Args:
        model: The model under test.
        tasks: Tasks with fixed splits and unique names.
        protocols: Names of `adapt.PROTOCOLS`.
        seed: Seed of the untrained network and of the splits.
        batch_size: Images per forward pass.
    """

    def __init__(
        self,
        model: models.Model,
        tasks: Sequence[Task],
        protocols: Sequence[str],
        *,
        seed: int,
        batch_size: int,
    ) -> None:
        self._model = model
        self._protocols = tuple(protocols)
        self._seed = seed
        self._batch_size = batch_size
        self._run = Path(model.name) if (Path(model.name) / layout.RUN).is_file() else None
        self._weights = weights_digest(model.backbone)
        self._tasks = [self._identified(task) for task in tasks]

    def run(
        self,
        out: Path | None,
        *,
        overwrite: bool,
        progress: Callable[[str, int], Advance],
    ) -> Evaluated:
        """Rows of all tasks, computed or read from files of the same evaluation.

        Args:
            out: One file for all tasks; None for none.
            overwrite: Compute everything, and replace files that contain other results.
            progress: Called with each task's name and number of images.

        Raises:
            ConfigError: `out` contains other results, or images cannot be read.
            CheckpointError: An earlier file is damaged.
            OutputError: A file cannot be written.
        """
        with self._held(out):
            known = {} if overwrite else self._known(out)
            written = [] if self._run is None else self._prepared(out)
            left = [each for each in self._tasks if each.digest not in known]
            leaked = self._leakage(left)
            for each in left:
                task = each.task
                advance = progress(task.name, task.num_images)
                rows = judge(
                    self._model, task, self._protocols,
                    seed=self._seed, batch_size=self._batch_size, advance=advance,
                )  # fmt: skip
                found = leaked[task.name]
                known[each.digest] = [self._completed(row, each, found) for row in rows]
            described = models.describe(self._model)
            for path, each in zip(written, self._tasks, strict=False):
                if overwrite or not path.exists():
                    write_rows(path, described, known[each.digest], [each.digest])
            rows = [row for each in self._tasks for row in known[each.digest]]
            if out:
                written.append(write_rows(out, described, rows, [e.digest for e in self._tasks]))
        return Evaluated(rows, written)

    def _identified(self, task: Task) -> Identified:
        images = task_images(len(task.classes), task.train, task.val, task.test)
        identity = [
            SCHEMA_VERSION, self._weights, configuration.to_dict(self._model.preprocessing),
            self._protocols, self._seed, images.digest, task.split,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        return Identified(task, images, digest)

    @contextlib.contextmanager
    def _held(self, out: Path | None) -> Iterator[None]:
        if out is None:
            yield
        else:
            with files.exclusive(out.with_name(f".{out.name}.lock"), out):
                files.require_space(out, FILE_BYTES, "a file of results")
                yield

    def _known(self, out: Path | None) -> dict[str, list[ResultRow]]:
        """Rows of earlier evaluations that are the same, by digest."""
        known = {}
        for each in self._tasks:
            path = self._run / layout.EVALUATIONS / each.file_name if self._run else None
            if path and path.exists():
                log.info("already evaluated: %s", path)
                known[each.digest] = read_rows(path)
        if out and out.exists():
            found = self._same(out)
            for each in self._tasks:
                rows = [row for row in found.rows if row.task == each.task.name]
                if rows:
                    known.setdefault(each.digest, rows)
        return known

    def _same(self, out: Path) -> ResultFile:
        """The content of `out`, which must belong to this evaluation."""
        hint = "choose another --out, or add --overwrite to replace it"
        try:
            found = RESULTS.read(out)
        except FootageError as error:
            raise ConfigError(f"{str(out)!r} exists, and {error.message}", hint) from error
        if found.evaluations != tuple(each.digest for each in self._tasks):
            raise ConfigError(f"{str(out)!r} exists and contains other results", hint)
        return found

    def _prepared(self, out: Path | None) -> list[Path]:
        """Files inside the run's folder; none if it cannot be written and `out` is given."""
        assert self._run is not None
        paths = [self._run / layout.EVALUATIONS / each.file_name for each in self._tasks]
        try:
            files.require_space(paths[0], FILE_BYTES, "a file of results")
        except OutputError as error:
            if out is None:
                raise OutputError(error.message, f"{error.hint}; or add --out FILE") from error
            log.warning("the results are not saved in the run: %s", error.message)
            return []
        return paths

    def _leakage(self, left: Sequence[Identified]) -> dict[str, Leakage]:
        if not left:
            return {}
        compared = {each.task.name: Compared(each.task.test, each.images) for each in left}
        return leakage(compared, training_data(self._model.name))

    def _completed(self, row: ResultRow, of: Identified, found: Leakage) -> ResultRow:
        """The row with its dependencies; baselines are trained on the task only."""
        baseline = Leakage(images=0, frames=0, copies=found.copies, unchecked=())
        return msgspec.structs.replace(
            row,
            images=of.images.digest,
            leakage=found if row.column == "model" else baseline,
        )
