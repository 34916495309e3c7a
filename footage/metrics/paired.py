"""Confidence intervals of the difference of two models on the same test images.

Both models answer the same images, so the bootstrap draws images with replacement and counts the
answers of both on each draw. Images on which both agree cancel out, which makes the interval
narrower than one of independent samples. Each task gets two pseudo-images, one that only the first
model answers correctly and one that only the second does (Bonett & Price 2012,
https://doi.org/10.3102/1076998611411915): otherwise the interval is too narrow if the models
disagree on few images, and empty if they agree on all.

Several runs of one recipe, or several seeds of a protocol, also vary by chance. Their mean is
varied by Student's t with its standard error, because a bootstrap of two or three values is too
narrow.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from footage.metrics.intervals import Interval
from footage.seeding import generator

DRAWS: Final = 10_000
"""More than for other intervals: with several comparisons, the tails are smaller."""

LEVEL: Final = 0.95

Hits = Bool[np.ndarray, "S N"]
"""Whether each seed (row) answers each test image (column) correctly."""
Aggregate = Callable[[Float[np.ndarray, "R S"]], Float[np.ndarray, " R"]]
"""Reduces the accuracies of all seeds to one."""


class PairedTask(NamedTuple):
    """The answers of two models on the test images of one task."""

    ours: Hits
    theirs: Hits
    weight: float
    """Weight of the task in the mean; the weights of all tasks add up to 1."""


class Spread(NamedTuple):
    """The standard error of a mean over seeds; 0 for one seed, whose spread is unknown."""

    standard_error: float
    degrees: int


def spread(values: Sequence[float]) -> Spread:
    """Measure the spread of the values of several seeds, each averaged over all tasks."""
    if len(values) < 2:
        return Spread(0.0, 0)
    return Spread(float(np.std(values, ddof=1)) / math.sqrt(len(values)), len(values) - 1)


def spreads(
    ours: Sequence[float], theirs: Sequence[float], *, is_paired: bool
) -> tuple[Spread, Spread]:
    """Measure the spread of two models over their seeds.

    Args:
        ours: The values of the seeds of the first model.
        theirs: Those of the second model.
        is_paired: Whether both models have the same seeds, such as draws of labelled images; then
            the first spread is that of the differences, and the second one is 0.
    """
    if is_paired:
        return spread([one - other for one, other in zip(ours, theirs, strict=True)]), spread([])
    return spread(ours), spread(theirs)


def paired_interval(
    tasks: Sequence[PairedTask],
    aggregates: tuple[Aggregate, Aggregate],
    spreads: tuple[Spread, Spread],
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the interval of the weighted mean difference, first model minus second.

    Args:
        tasks: Answers of both models; the images of different tasks are drawn independently.
        aggregates: The rule that reduces seeds to one accuracy, for each model.
        spreads: The spread over seeds, for each model.
        level: Confidence level.
        seed: Seed of the draws.
    """
    draw = generator("paired bootstrap", seed)
    total = np.zeros(DRAWS)
    for task in tasks:
        total += task.weight * _differences(task, aggregates, draw)
    for sign, each in zip((1, -1), spreads, strict=True):
        if each.standard_error > 0:
            total += sign * each.standard_error * draw.standard_t(each.degrees, DRAWS)
    tail = (1 - level) / 2
    low, high = np.quantile(total, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _differences(
    task: PairedTask, aggregates: tuple[Aggregate, Aggregate], draw: np.random.Generator
) -> Float[np.ndarray, " R"]:
    """Differences on resampled images.

    Images with the same answers of all seeds are interchangeable, so only their numbers are drawn.
    """
    both = np.concatenate([task.ours, task.theirs])
    only_ours = np.arange(len(both)) < len(task.ours)
    pseudo = np.stack([only_ours, ~only_ours], axis=1)
    patterns, counts = np.unique(np.concatenate([both, pseudo], axis=1), axis=1, return_counts=True)
    drawn = draw.multinomial(counts.sum(), counts / counts.sum(), DRAWS)
    accuracies = (drawn @ patterns.T.astype(float)) / counts.sum()
    ours, theirs = np.split(accuracies, [len(task.ours)], axis=1)
    difference: Float[np.ndarray, " R"] = aggregates[0](ours) - aggregates[1](theirs)
    return difference
