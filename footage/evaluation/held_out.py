"""Retrieval in the videos that training held out, compared with baselines.

    same shot     is the nearest of all other frames from the same shot?
    same video    is the nearest frame outside the shot from the same video?

No labels are needed: the store records the shot and the video of every frame. One frame per shot is
a query, because two frames of one shot would ask nearly the same question twice.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from footage.errors import ConfigError
from footage.evaluation import models
from footage.evaluation.dataset import OTHER
from footage.evaluation.features import forward, sizes_of
from footage.evaluation.folders import FILE_BYTES, Evaluated, digest_of, header_of
from footage.evaluation.held_out_frames import HeldOutFrames, held_out_frames
from footage.evaluation.models import CHANCE, EvaluatedModel, with_baselines
from footage.evaluation.results import GENERATION, NEAREST, ResultRow, read_rows, write_file
from footage.evaluation.runner import fields_of_model
from footage.images.resize import resized
from footage.io import files
from footage.metrics.representation import answers, distances
from footage.models.load import best_device
from footage.runs import layout
from footage.store.reader import Store

log = logging.getLogger(__name__)

MOST_FRAMES: Final = 2000
"""Maximum number of frames to search."""

TASKS: Final = ("same shot", "same video")
"""Names of the two tasks in result rows."""


def evaluate_held_out(run: Path, model: EvaluatedModel, *, overwrite: bool) -> Evaluated:
    """Evaluate retrieval in the held-out videos of a run, or read an earlier result.

    The result is saved in the run's folder.

    Args:
        run: The run's folder.
        model: The model that the run trained.
        overwrite: Compute it even if a result exists.

    Returns:
        A row per task and model, baselines first; none for a task without a query.

    Raises:
        ConfigError: The run held out no videos.
        StoreError: Its store cannot be read.
        OutputError: The result cannot be written.
    """
    record = layout.read_record(run)
    if not record["store"] or not record["held_out"]:
        raise ConfigError(
            f"{str(run)!r} has no held-out videos, so retrieval cannot be evaluated",
            "train with --held-out-fraction 0.1 on a store of at least two videos",
        )
    store = Store.open(record["store"])
    frozen = models.frozen(model, torch.device("cpu"))
    digest = digest_of(frozen.described, store.content_hash, record["held_out"], model.seed)
    path = run / layout.EVALUATIONS / f"held-out-videos-{digest}.json"
    if path.exists() and not overwrite:
        log.info("already evaluated: %s", path)
        return Evaluated(read_rows(path), [path])
    files.require_space(path, FILE_BYTES, "a results file")
    frames = held_out_frames(
        store, record["held_out"], size=frozen.extractor.size, frames=MOST_FRAMES
    )
    rows = retrieval_rows(model, frames)
    if not rows:
        log.warning("the held-out videos have too few frames for retrieval")
        return Evaluated([], [])
    return Evaluated(
        rows, [write_file(path, header_of(frozen.described, frozen.feature_dim), rows, [digest])]
    )


class Question(NamedTuple):
    """One retrieval task, defined for every frame."""

    task: str
    right: Bool[Tensor, "N N"]
    """For each query, the frames that count as a hit."""
    allowed: Bool[Tensor, "N N"]
    """For each query, the candidate frames."""

    @property
    def can_be_asked(self) -> Bool[Tensor, " N"]:
        """Frames that have both right and wrong candidates; the others are not queries."""
        return self.right.any(dim=1) & (self.allowed & ~self.right).any(dim=1)


def questions(frames: HeldOutFrames) -> list[Question]:
    """Return both tasks."""
    same_shot = frames.shots[:, None] == frames.shots
    same_video = frames.videos[:, None] == frames.videos
    itself = torch.eye(len(frames.shots), dtype=torch.bool)
    return [
        Question(TASKS[0], same_shot & ~itself, ~itself),
        Question(TASKS[1], same_video & ~same_shot, ~same_shot),
    ]


def retrieval_rows(model: EvaluatedModel, frames: HeldOutFrames) -> list[ResultRow]:
    """Return one row per task and model, baselines first; none for a task without a query.

    Args:
        model: The model under test.
        frames: Frames of videos that were not used for training.
    """
    if len(frames.images) < 2:
        return []
    device = best_device()
    loaded = {each: models.frozen(each, device) for each in with_baselines(model)}
    extractors = {each: frozen.extractor for each, frozen in loaded.items()}
    sizes = sizes_of(extractors)
    squares = ({size: resized(image, size) for size in sizes} for image in frames.images.numpy())
    features = forward(squares, extractors)
    distance = {each: distances(features[each]) for each in loaded}
    queries = _first_of_each_shot(frames)
    return [
        _row(question, each, frozen.described, distance[each], queries, frames)
        for question in questions(frames)
        for each, frozen in loaded.items()
        if bool((question.can_be_asked & queries).any())
    ]


def _row(
    question: Question,
    model: EvaluatedModel,
    described: Mapping[str, Any],
    distance: Float[Tensor, "N N"],
    queries: Bool[Tensor, " N"],
    frames: HeldOutFrames,
) -> ResultRow:
    found = answers(distance, question.right, question.allowed)
    asked = question.can_be_asked & queries
    count = int(asked.sum())
    chance = float(found.chance[asked].mean())
    value = chance if model.baseline == CHANCE else float(found.hit[asked].mean())
    groups = frames.shots if question.task == TASKS[0] else frames.videos
    return ResultRow(
        suite="",
        task=question.task,
        group=OTHER,
        model=described["model"],
        baseline=model.baseline,
        protocol=NEAREST,
        metric="hit rate",
        value=value,
        standard_error=(value * (1 - value) / count) ** 0.5,
        seed_values=(value,),
        chance=chance,
        validation=value,
        selected={},
        num_classes=len(set(groups.tolist())),
        num_train=0,
        num_val=0,
        num_test=count,
        split="held-out videos, one query per shot",
        deviations=(),
        missing={},
        sweep_size=0,
        seed_rule="one run",
        generation=GENERATION,
        seed=model.seed,
        resize="area",
        precision="float32",
        **fields_of_model(described),
    )


def _first_of_each_shot(frames: HeldOutFrames) -> Bool[Tensor, " N"]:
    before = torch.cat([frames.shots[:1] - 1, frames.shots[:-1]])
    return frames.shots != before
