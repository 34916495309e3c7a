"""Retrieval in videos that training held out, next to the baselines that it has to beat.

    same shot     is the nearest of all other frames from the same shot?
    same video    is the nearest frame outside the shot from the same video?

No label is needed: the store records the shot and the video of every frame. One frame of each shot
is a query, because two frames of one shot would ask nearly the same question twice.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from footage import configuration
from footage.errors import ConfigError
from footage.evaluation.columns import baselines
from footage.evaluation.digests import DIGITS, weights_digest
from footage.evaluation.features import forward, sizes_of
from footage.evaluation.held_out_frames import HeldOutFrames, held_out_frames
from footage.evaluation.labelled import FILE_BYTES, Evaluated
from footage.evaluation.results import (
    COLUMNS,
    NEAREST,
    SCHEMA_VERSION,
    ResultRow,
    read_rows,
    write_rows,
)
from footage.images.resize import resized
from footage.io import files
from footage.metrics.representation import answers, distances
from footage.models import load as models
from footage.runs import layout
from footage.store.reader import Store

log = logging.getLogger(__name__)

MOST_FRAMES: Final = 2000
"""Upper bound of the number of frames that are searched."""

TASKS: Final = ("same shot", "same video")
"""Names of the two tasks in result rows."""


def evaluate_held_out(run: Path, model: models.Model, *, seed: int, overwrite: bool) -> Evaluated:
    """Retrieval in the held-out videos of a run, computed or read from an earlier evaluation.

    The result is kept in the run's folder.

    Args:
        run: The run's folder.
        model: The model that the run trained.
        seed: Of the untrained network.
        overwrite: Compute it even if it is there.

    Returns:
        A row per task and column; none for a task that no frame can be a query of.

    Raises:
        ConfigError: The run held out no videos.
        StoreError: Its store cannot be read.
        OutputError: The result cannot be written.
    """
    record = layout.read_record(run)
    if not record["store"] or not record["held_out"]:
        raise ConfigError(
            f"{str(run)!r} held out no videos, so there is nothing to search in",
            "train with --held-out-fraction 0.1 on a store of at least two videos",
        )
    store = Store.open(record["store"])
    identity = [
        SCHEMA_VERSION, weights_digest(model.backbone),
        configuration.to_dict(model.preprocessing), store.content_hash, record["held_out"], seed,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:DIGITS]
    path = run / layout.EVALUATIONS / f"held-out-videos-{digest}.json"
    if path.exists() and not overwrite:
        log.info("already evaluated: %s", path)
        return Evaluated(read_rows(path), [path])
    files.require_space(path, FILE_BYTES, "a file of results")
    frames = held_out_frames(
        store, record["held_out"], size=model.preprocessing.size, frames=MOST_FRAMES
    )
    rows = retrieval_rows(model, frames, seed=seed)
    if not rows:
        log.warning("the held-out videos have too few frames to search in")
        return Evaluated([], [])
    return Evaluated(rows, [write_rows(path, models.describe(model), rows, [digest])])


class Question(NamedTuple):
    """A task, asked of every frame."""

    task: str
    right: Bool[Tensor, "N N"]
    """For each frame the frames that count as found."""
    allowed: Bool[Tensor, "N N"]
    """For each frame the frames that it may find."""

    @property
    def can_be_asked(self) -> Bool[Tensor, " N"]:
        """Which frames may find a right one and a wrong one; others say nothing."""
        return self.right.any(dim=1) & (self.allowed & ~self.right).any(dim=1)


def questions(frames: HeldOutFrames) -> list[Question]:
    """Both tasks."""
    same_shot = frames.shots[:, None] == frames.shots
    same_video = frames.videos[:, None] == frames.videos
    itself = torch.eye(len(frames.shots), dtype=torch.bool)
    return [
        Question(TASKS[0], same_shot & ~itself, ~itself),
        Question(TASKS[1], same_video & ~same_shot, ~same_shot),
    ]


def retrieval_rows(model: models.Model, frames: HeldOutFrames, *, seed: int) -> list[ResultRow]:
    """One row per task and column; none for a task without a query.

    Args:
        model: The model under test.
        frames: Frames of videos that training did not see.
        seed: Of the untrained network.
    """
    if len(frames.images) < 2:
        return []
    columns, described = baselines(model, seed=seed)
    sizes = sizes_of(columns)
    squares = ({size: resized(image, size) for size in sizes} for image in frames.images.numpy())
    features = forward(squares, columns)
    distance = {name: distances(features[name]) for name in columns}
    distance["chance"] = distance["pixels"]  # chance depends on no features
    queries = _first_of_each_shot(frames)
    return [
        _row(question, name, distance[name], queries, frames, described[name] | {"seed": seed})
        for question in questions(frames)
        for name in COLUMNS
        if bool((question.can_be_asked & queries).any())
    ]


def _row(
    question: Question,
    column: str,
    distance: Float[Tensor, "N N"],
    queries: Bool[Tensor, " N"],
    frames: HeldOutFrames,
    described: dict[str, Any],
) -> ResultRow:
    found = answers(distance, question.right, question.allowed)
    asked = question.can_be_asked & queries
    count = int(asked.sum())
    value = float((found.chance if column == "chance" else found.hit)[asked].mean())
    groups = frames.shots if question.task == TASKS[0] else frames.videos
    return ResultRow(
        column=column,
        task=question.task,
        protocol=NEAREST,
        metric="hit rate",
        value=value,
        standard_error=(value * (1 - value) / count) ** 0.5,
        validation=value,
        selected={},
        num_classes=len(set(groups.tolist())),
        num_train=0,
        num_val=0,
        num_test=count,
        split="held-out videos, one query per shot",
        **described,
    )


def _first_of_each_shot(frames: HeldOutFrames) -> Bool[Tensor, " N"]:
    before = torch.cat([frames.shots[:1] - 1, frames.shots[:-1]])
    return frames.shots != before
