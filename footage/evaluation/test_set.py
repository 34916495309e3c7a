"""The test set of a task: it is read once per model, protocol and seed, and the answers are stored.

    TrainVal   the input of fitting and selection: training and validation parts, no test part
    TestSet    the test part: gets the answers of one classifier, stores them, and only then reads
               its labels

Answers and accuracy are separate files that are written once, see `records`. After a kill between
the two, the stored answers are scored and no second classifier is run. A classifier with another
selection is refused.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from footage.errors import ConfigError
from footage.evaluation.dataset import Part, Task
from footage.evaluation.records import (
    ANSWERED,
    SCORED,
    Answered,
    Scored,
    Selection,
    folder_name,
    publish,
    read,
)

Answers = Int[np.ndarray, " N"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainVal:
    """The parts of a task that fitting and selection may use."""

    name: str
    num_classes: int
    train: Part
    val: Part
    images: str
    """Digest of its images; empty before they are read."""

    @property
    def both(self) -> Part:
        """The training and validation parts, in this order: train800val200."""
        labels = np.concatenate([self.train.labels, self.val.labels])
        return Part(self.train.paths + self.val.paths, labels)

    @property
    def digest(self) -> str:
        """Digest of its lists of images."""
        return digest(self.num_classes, (self.train, self.val))

    @property
    def most_common(self) -> int:
        """The most common class of both parts; ties go to the smallest number."""
        return int(np.bincount(self.both.labels, minlength=self.num_classes).argmax())


class Score(NamedTuple):
    """The result of reading a test part once."""

    accuracy: float
    chance: float
    """Accuracy of always predicting the most common class of the other parts."""
    selection: Selection


class TestSet:
    """The test part of one task for one model and protocol.

    Args:
        task: The task; only its test part is kept.
        records: Folder of the records of one model under one protocol.
    """

    def __init__(self, task: Task, records: Path) -> None:
        self.__part = task.test
        self.name = task.name
        self._most_common = train_val(task).most_common
        self._digest = digest(task.num_classes, (task.train, task.val, task.test))
        self._images = task.images
        self._folder = records / "test" / folder_name(task.name)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files, without their labels."""
        return self.__part.paths

    def recorded(self, seed: int) -> Score | None:
        """Return the score of a seed's stored answers, or None if none are stored.

        Raises:
            ConfigError: The answers belong to other lists of images.
        """
        answered = self.answered(seed)
        if answered is None:
            return None
        found = read(SCORED, self._folder / f"{seed}.json") or self._count(seed, answered)
        return Score(found.accuracy, found.chance, answered.selection)

    def is_answered(self, seed: int) -> bool:
        """Whether the answers of a seed are stored; unlike `recorded`, it writes nothing."""
        return self.answered(seed) is not None

    def store(self, seed: int, selection: Selection, answers: list[int]) -> None:
        """Store the answers of a seed, unless they are stored already."""
        record = Answered(
            digest=self._digest, selection=selection, answers=answers, images=self._images
        )
        publish(ANSWERED, self._folder / f"{seed}.answers.json", record)

    def hits(self, seed: int) -> Bool[np.ndarray, " N"]:
        """Whether each of the stored answers of a seed is correct, in the order of the images."""
        answered = self.answered(seed)
        assert answered is not None
        hits: Bool[np.ndarray, " N"] = np.array(answered.answers) == self.__part.labels
        return hits

    def answered(self, seed: int) -> Answered | None:
        """Return the stored answers of a seed, or None if none are stored.

        Raises:
            ConfigError: The answers belong to other images.
        """
        path = self._folder / f"{seed}.answers.json"
        answered = read(ANSWERED, path)
        if answered is None:
            return None
        check_digest(answered.digest, self._digest, "lists of images", self._folder)
        check_digest(answered.images, self._images, "images", self._folder)
        if len(answered.answers) != len(self.__part.paths):
            raise ConfigError(
                f"{str(path)!r} has {len(answered.answers)} answers for"
                f" {len(self.__part.paths)} images",
                "remove it to compute it again",
            )
        return answered

    def score(
        self, seed: int, selection: Selection, classify: Callable[[Sequence[Path]], Answers]
    ) -> Score:
        """Read the test part with one classifier, or return the score of an earlier reading.

        Args:
            seed: Seed of the final run.
            selection: The selected setting; a later call with another setting is refused.
            classify: Returns the class numbers of image files, in order; called at most once.

        Raises:
            ConfigError: The test part was already read for this seed with another selection.
        """
        if self.recorded(seed) is None:
            self.store(seed, selection, classify(self.__part.paths).tolist())
        found = self.recorded(seed)
        assert found is not None
        if found.selection != selection:
            raise ConfigError(
                f"the test part of {self.name} was already read with {found.selection.selected} "
                f"and cannot be read again with {selection.selected}",
                "select settings on the validation part; use another --out for another protocol",
            )
        return found

    def _count(self, seed: int, answered: Answered) -> Scored:
        """Compare answers with the labels of the test part; only this and `hits` read them."""
        labels = self.__part.labels
        score = {
            "accuracy": float((np.array(answered.answers) == labels).mean()),
            "chance": float((labels == self._most_common).mean()),
        }
        return publish(SCORED, self._folder / f"{seed}.json", score)


def train_val(task: Task) -> TrainVal:
    """Return a task without its test part."""
    return TrainVal(
        name=task.name,
        num_classes=task.num_classes,
        train=task.train,
        val=task.val,
        images=task.fitted_images,
    )


def digest(num_classes: int, parts: Sequence[Part]) -> str:
    """Digest of lists of images; it does not depend on where the folder is."""
    hashed = hashlib.sha256(str(num_classes).encode())
    for part in parts:
        hashed.update("\n".join("/".join(path.parts[-3:]) for path in part.paths).encode())
        hashed.update(np.asarray(part.labels, dtype="<i8").tobytes())
    return hashed.hexdigest()[:16]


def check_digest(found: str, wanted: str, what: str, where: Path) -> None:
    """Refuse a record of other images; an empty digest is unknown and matches every other.

    Raises:
        ConfigError: The digests differ.
    """
    if found and wanted and found != wanted:
        raise ConfigError(
            f"{str(where)!r} contains results for other {what}",
            "choose another --out, or restore the original images",
        )
