"""The files that let an evaluation resume; each is written once.

PROTOCOL/evaluation.json               which model is evaluated, and how
PROTOCOL/select/TASK/N.json            accuracy of one setting on the validation part
PROTOCOL/test/TASK/SEED.answers.json   a classifier's answers, before any label is read
PROTOCOL/test/TASK/SEED.json           their accuracy
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from footage.errors import ConfigError
from footage.evaluation import earlier
from footage.evaluation.fields import Count, Environment, Hash, Record, Share, Text
from footage.io.documents import Document

Content = TypeVar("Content")

LONGEST_NAME: Final = 255
"""Maximum length of a folder's name, in bytes."""

_HINT: Final = "remove it to compute it again"


class Selection(NamedTuple):
    """The result of selection, which does not use the test part."""

    selected: dict[str, float | Text]
    """The setting, as JSON values."""
    validation: Share
    """Its accuracy on the validation part."""


class Answered(Record, frozen=True):
    """Answers of one classifier on a test part."""

    digest: Hash
    """Digest of the lists of images."""
    selection: Selection = msgspec.field(name="choice")
    answers: list[Count]
    """Class numbers, in the order of the list."""
    images: Hash = ""
    """Digest of the images themselves; empty in files of earlier versions."""


class Scored(Record, frozen=True):
    """The score of the answers."""

    accuracy: Share
    chance: Share
    """Accuracy of always predicting the most common class of the other parts."""


class Tried(Record, frozen=True):
    """The result of one setting on the validation part."""

    digest: Hash
    validation: Share
    diverged: bool
    images: Hash = ""


class Evaluation(Record, frozen=True):
    """The evaluation whose results the folder of a protocol contains."""

    identity: dict[str, Any]
    environment: Environment


ANSWERED: Final = Document[Answered](
    schema=Answered, name="stored answers", error=ConfigError, hint=_HINT
)
SCORED: Final = Document[Scored](
    schema=Scored, name="a stored accuracy", error=ConfigError, hint=_HINT
)
TRIED: Final = Document[Tried](
    schema=Tried, name="a stored accuracy of a setting", error=ConfigError, hint=_HINT
)
EVALUATION: Final = Document[Evaluation](
    schema=Evaluation,
    name="the description of an evaluation",
    error=ConfigError,
    hint="remove the folder it is in and evaluate again",
    migrate=earlier.evaluation,
)


def folder_name(task: str) -> str:
    """The name of a task's folder: the task's name, unless it is too long."""
    if len(os.fsencode(task)) <= LONGEST_NAME:
        return task
    return f"{task[:60]}-{hashlib.sha256(task.encode()).hexdigest()[:16]}"


def publish(document: Document[Content], path: Path, record: Any) -> Content:  # noqa: ANN401
    """Write a file that is never changed; return its content, which may be from an earlier run.

    Raises:
        OutputError: It cannot be written.
        ConfigError: An earlier one is damaged.
    """
    document.write(path, record, replace=False)
    return document.read(path)


def read(document: Document[Content], path: Path) -> Content | None:
    """A file that `publish` wrote, or None.

    Raises:
        ConfigError: It is damaged.
    """
    return document.read(path) if path.exists() else None
