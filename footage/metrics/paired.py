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


Drawn = tuple[Float[np.ndarray, "R S"], Float[np.ndarray, "R T"]]
"""Values of all seeds of both models on each resample."""


class PairedTask(NamedTuple):
    """The answers of two models on the test images of one task."""

    ours: Hits
    theirs: Hits
    weight: float
    """Weight of the task in the mean; the weights of all tasks add up to 1."""

    def drawn(self, draw: np.random.Generator) -> Drawn:
        """Accuracies of both models on resampled images.

        Images with the same answers of all seeds are interchangeable, so only their numbers are
        drawn.
        """
        both = np.concatenate([self.ours, self.theirs])
        only_ours = np.arange(len(both)) < len(self.ours)
        pseudo = np.stack([only_ours, ~only_ours], axis=1)
        every = np.concatenate([both, pseudo], axis=1)
        patterns, counts = np.unique(every, axis=1, return_counts=True)
        drawn = draw.multinomial(counts.sum(), counts / counts.sum(), DRAWS)
        accuracies = (drawn @ patterns.T.astype(float)) / counts.sum()
        ours, theirs = np.split(accuracies, [len(self.ours)], axis=1)
        return ours, theirs


class PairedClips(NamedTuple):
    """The values of two models on the clips of one task, which are resampled as they are."""

    ours: Float[np.ndarray, "S N"]
    theirs: Float[np.ndarray, "T N"]
    objects: Float[np.ndarray, " N"]
    """Number of objects of each clip, by which clips are weighted in a mean."""
    weight: float
    """Weight of the task in the mean."""

    def drawn(self, draw: np.random.Generator) -> Drawn:
        """Mean values of both models on resampled clips."""
        count = len(self.objects)
        drawn = draw.multinomial(count, np.full(count, 1 / count), DRAWS) * self.objects
        total = drawn.sum(axis=1, keepdims=True)
        return drawn @ self.ours.T / total, drawn @ self.theirs.T / total


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
    tasks: Sequence[PairedTask | PairedClips],
    aggregates: tuple[Aggregate, Aggregate],
    spreads: tuple[Spread, Spread],
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the interval of the weighted mean difference, first model minus second.

    Args:
        tasks: Answers of both models; the images of different tasks are drawn independently, and
            so are clips.
        aggregates: The rule that reduces seeds to one accuracy, for each model.
        spreads: The spread over seeds, for each model.
        level: Confidence level.
        seed: Seed of the draws.
    """
    draw = generator("paired bootstrap", seed)
    total = np.zeros(DRAWS)
    for task in tasks:
        ours, theirs = task.drawn(draw)
        total += task.weight * (aggregates[0](ours) - aggregates[1](theirs))
    for sign, each in zip((1, -1), spreads, strict=True):
        if each.standard_error > 0:
            total += sign * each.standard_error * draw.standard_t(each.degrees, DRAWS)
    tail = (1 - level) / 2
    low, high = np.quantile(total, [tail, 1 - tail])
    return Interval(float(low), float(high))
