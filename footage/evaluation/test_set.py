"""The test part of a task behind a seal: it answers once for each protocol and seed, on disk.

    Visible      what fitting and selection are given: it has no test part
    SealedTest   the test part: hands its images to one classifier, stores the answers, and only
                 then looks at its labels

Answers and accuracy are files of their own that are written once, see `records`. A kill between the
two costs nothing: the answers are counted again, no second classifier is asked. A classifier of
another choice is refused for good.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from footage.errors import ConfigError
from footage.evaluation.dataset import Part
from footage.evaluation.records import ANSWERED, SCORED, Answered, Choice, Scored, publish, read
from footage.evaluation.suite import SuiteTask

Answers = Int[np.ndarray, " N"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Visible:
    """A task as those see it who fit and select."""

    name: str
    num_classes: int
    train: Part
    val: Part
    images: str
    """Digest of its images; empty before they were read."""

    @property
    def both(self) -> Part:
        """Training and validation part, in this order: train800val200."""
        labels = np.concatenate([self.train.labels, self.val.labels])
        return Part(self.train.paths + self.val.paths, labels)

    @property
    def digest(self) -> str:
        """Of its lists of images."""
        return digest(self.num_classes, (self.train, self.val))

    @property
    def commonest(self) -> int:
        """The commonest class of both parts, the smallest number among equals."""
        return int(np.bincount(self.both.labels, minlength=self.num_classes).argmax())


class Score(NamedTuple):
    """What one read of a test part gave."""

    accuracy: float
    chance: float
    """Accuracy of always answering the commonest class that was seen."""
    choice: Choice


class SealedTest:
    """The test part of one task for one model and protocol.

    Args:
        task: Where the test part is taken from.
        folder: The ledger of the model and protocol.
    """

    def __init__(self, task: SuiteTask, folder: Path) -> None:
        self.__part = task.test
        self.name = task.name
        self._commonest = visible(task).commonest
        self._digest = digest(task.num_classes, (task.train, task.val, task.test))
        self._images = task.images
        self._folder = folder / "test" / task.name

    def recorded(self, seed: int) -> Score | None:
        """The score that the stored answers of a seed give, or None where none are stored.

        Raises:
            ConfigError: They belong to other lists of images.
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
        found = read(SCORED, self._folder / f"{seed}.json") or self._count(seed, answered)
        return Score(found.accuracy, found.chance, answered.choice)

    def score(
        self, seed: int, choice: Choice, classify: Callable[[Sequence[Path]], Answers]
    ) -> Score:
        """Read the test part with one classifier, or give what that reading once gave.

        Args:
            seed: Of the final run.
            choice: What was selected; a later call with another choice is refused.
            classify: Class numbers of image files, in order; asked once.

        Raises:
            ConfigError: The test part was already read for this seed with another choice.
        """
        if self.recorded(seed) is None:
            answers = classify(self.__part.paths)
            record = Answered(
                digest=self._digest, choice=choice, answers=answers.tolist(), images=self._images
            )
            publish(ANSWERED, self._folder / f"{seed}.answers.json", record)
        found = self.recorded(seed)
        assert found is not None
        if found.choice != choice:
            raise ConfigError(
                f"the test part of {self.name} was already read with {found.choice.selected}, "
                f"and is now asked again with {choice.selected}",
                "select by the validation part; for another protocol give another --out",
            )
        return found

    def _count(self, seed: int, answered: Answered) -> Scored:
        """The one place where labels of a test part are looked at."""
        labels = self.__part.labels
        found = {
            "accuracy": float((np.array(answered.answers) == labels).mean()),
            "chance": float((labels == self._commonest).mean()),
        }
        return publish(SCORED, self._folder / f"{seed}.json", found)


def visible(task: SuiteTask) -> Visible:
    """A task without its test part."""
    return Visible(
        name=task.name,
        num_classes=task.num_classes,
        train=task.train,
        val=task.val,
        images=task.fitted_images,
    )


def digest(num_classes: int, parts: Sequence[Part]) -> str:
    """Of lists of images; where the suite's folder stands does not matter."""
    hashed = hashlib.sha256(str(num_classes).encode())
    for part in parts:
        hashed.update("\n".join("/".join(path.parts[-3:]) for path in part.paths).encode())
        hashed.update(np.asarray(part.labels, dtype="<i8").tobytes())
    return hashed.hexdigest()[:16]


def check_digest(found: str, wanted: str, what: str, where: Path) -> None:
    """Refuse a record that was made with other images; an empty digest is not known.

    Raises:
        ConfigError: The digests differ.
    """
    if found and wanted and found != wanted:
        raise ConfigError(
            f"{str(where)!r} contains results for other {what}",
            "choose another --out, or restore the images that it was started with",
        )
