"""A model compared with its baselines: the numbers of one measure, and the verdict on them.

better                 the 95 % interval of the difference lies above 0
worse                  it lies below 0
no clear difference    it contains 0
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from footage.evaluation.hits import unpacked
from footage.evaluation.models import BASELINES
from footage.evaluation.probes import MAJORITY
from footage.evaluation.results import MODEL, ResultRow
from footage.metrics.intervals import Interval, difference
from footage.metrics.paired import Hits, PairedClips, PairedTask, paired_interval, spreads

BETTER: Final = "better"
WORSE: Final = "worse"
UNCLEAR: Final = "no clear difference"

ROLES: Final = (*BASELINES, MODEL)
"""Roles in the order of a comparison, weakest first."""

IN_WORDS: Final = {"untrained": "the untrained network", "pixels": "raw pixels"}
"""The baselines that a verdict names."""


class Comparison(NamedTuple):
    """One measure of a model and of its baselines."""

    task: str
    protocol: str
    cells: Mapping[str, ResultRow]
    """Rows by role; `model` is always present."""

    def against(self, baseline: str) -> str:
        """`BETTER`, `WORSE` or `UNCLEAR`."""
        low, high = _interval(self.cells[MODEL], self.cells[baseline])
        return BETTER if low > 0 else WORSE if high < 0 else UNCLEAR

    @property
    def verdict(self) -> str:
        """A phrase on all baselines, such as `better than the untrained network and raw pixels`."""
        found: dict[str, list[str]] = {}
        for baseline, words in IN_WORDS.items():
            if baseline in self.cells:
                found.setdefault(self.against(baseline), []).append(words)
        return "; ".join(
            f"{verdict} {'from' if verdict == UNCLEAR else 'than'} {' and '.join(names)}"
            for verdict, names in found.items()
        )


def _interval(ours: ResultRow, theirs: ResultRow) -> Interval:
    """The interval of a difference: paired if both rows contain their answers."""
    if not (ours.has_answers and theirs.has_answers and ours.images == theirs.images):
        return difference(ours.value, ours.num_test, theirs.value, theirs.num_test)
    both = spreads(ours.seed_values, theirs.seed_values, is_paired=ours.has_draws)
    return paired_interval([paired([ours], [theirs], 1.0)], (_mean, _mean), both)


def paired(
    ours: Sequence[ResultRow], theirs: Sequence[ResultRow], weight: float
) -> PairedTask | PairedClips:
    """The answers of two models on one task, or their values on its clips, of all their runs."""
    if ours[0].clips:
        objects = np.asarray([clip.objects for clip in ours[0].clips], float)
        return PairedClips(_clips(ours), _clips(theirs), objects, weight)
    return PairedTask(_hits(ours), _hits(theirs), weight)


def _clips(rows: Sequence[ResultRow]) -> Float[np.ndarray, "S N"]:
    return np.asarray([[clip.value for clip in row.clips] for row in rows], float)


def _hits(rows: Sequence[ResultRow]) -> Hits:
    return np.stack([unpacked(text, row.num_test) for row in rows for text in row.hits])


def _mean(accuracies: Float[np.ndarray, "R S"]) -> Float[np.ndarray, " R"]:
    return np.asarray(accuracies.mean(axis=1))


def comparisons(rows: Sequence[ResultRow]) -> Iterator[Comparison]:
    """Yield a comparison for every task and protocol under which the model was evaluated."""
    for task, protocol in dict.fromkeys(
        (row.task, row.protocol) for row in rows if row.protocol != MAJORITY
    ):
        cells = {
            row.role: row
            for row in rows
            if row.task == task and row.protocol in (protocol, MAJORITY)
        }
        if MODEL in cells:
            yield Comparison(task, protocol, cells)


def pixels_ahead(measured: Iterable[Comparison]) -> str:
    """A sentence that lists where raw pixels are better than the model; empty if nowhere."""
    tasks = [
        f"{each.task} ({each.protocol})"
        for each in measured
        if "pixels" in each.cells and each.against("pixels") == WORSE
    ]
    if not tasks:
        return ""
    return (
        f"Raw pixels are ahead on {', '.join(tasks)}. This happens where colours or positions "
        "alone give the answer: training varies both on purpose, so that the backbone does not "
        "rely on them."
    )
