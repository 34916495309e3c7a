"""Several models on the same test images: accuracies and paired differences.

The first model is compared with each of the others, or with its untrained network if it is alone.
A difference is the mean over all tasks. It is a difference only if its interval excludes 0; with
several comparisons, each interval has the level 1 - 0.05 / number (Bonferroni), so that all of them
hold together at 95 %. Models with the same weights are not compared. The verdict uses one protocol,
chosen beforehand: linear if it was evaluated, otherwise the first one; see `verdict_sentences`.

Runs that differ only in their seeds are one model: its accuracy is their mean, and its interval
includes their spread.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float

from footage.evaluation.averages import Rule
from footage.evaluation.comparisons import paired
from footage.evaluation.dataset import OTHER
from footage.evaluation.differences import (
    BETTER,
    NO_DIFFERENCE,
    SAME,
    WORSE,
    Difference,
    in_short,
)
from footage.evaluation.models import CHANCE, PIXELS, RANDOM
from footage.evaluation.results import PROPAGATION, ResultRow
from footage.metrics.paired import LEVEL, Aggregate, paired_interval, spreads
from footage.results import Fields, Result, View, jsonable

HEADLINE: Final = "linear"
"""The protocol of the verdict, if it was evaluated."""


class ComparedModel(NamedTuple):
    """One row of a comparison: a model, several runs of one recipe, or a baseline."""

    name: str
    baseline: str
    """One of `models.BASELINES`; empty for a model under test."""
    runs: tuple[Mapping[str, ResultRow], ...]
    """For each run, its rows by task."""

    @property
    def rows(self) -> list[ResultRow]:
        """All rows."""
        return [row for run in self.runs for row in run.values()]

    def value(self, weights: Mapping[str, float]) -> float:
        """Accuracy averaged over runs and tasks."""
        return float(np.mean(self.run_values(weights)))

    def run_values(self, weights: Mapping[str, float]) -> list[float]:
        """Accuracy of each run, averaged over tasks."""
        return [sum(w * run[task].value for task, w in weights.items()) for run in self.runs]

    def seed_values(self, weights: Mapping[str, float]) -> list[float]:
        """Accuracies that differ by chance only: those of the runs, or of a protocol's seeds."""
        if len(self.runs) > 1:
            return self.run_values(weights)
        seeds = [
            [weight * value for value in self.runs[0][task].seed_values]
            for task, weight in weights.items()
        ]
        return [sum(values) for values in zip(*seeds, strict=False)]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Comparison(Result):
    """Models under one protocol."""

    protocol: str
    weights: Mapping[str, float]
    """Weight of each task in the mean."""
    models: tuple[ComparedModel, ...]
    """Models under test, in the order given."""
    baselines: tuple[ComparedModel, ...]
    """Untrained networks, raw pixels and chance."""
    differences: tuple[Difference, ...]
    """The first model compared with each of the others, or with its untrained network."""
    to_baselines: tuple[Difference, ...]
    """The first model compared with each baseline that has answers, at 95 % each."""

    @property
    def unit(self) -> str:
        """What the models are tested on."""
        return "clips" if self.protocol == PROPAGATION else "test images"

    @property
    def num_test(self) -> int:
        """Number of test images or clips of all tasks."""
        return sum(self.first.runs[0][task].num_test for task in self.weights)

    @property
    def metric(self) -> str:
        """`top-1 accuracy`, or the metric of masks."""
        return "J&F" if self.protocol == PROPAGATION else "top-1 accuracy"

    @property
    def first(self) -> ComparedModel:
        """The model that the others are compared with."""
        return self.models[0]

    def views(self) -> Sequence[View]:
        """Return the accuracy of each model, and the difference of the first one from it."""
        found = {
            each.other: f"; first model minus this one: {in_short(each)}"
            for each in self._differences()
        }
        rows: list[tuple[str, object]] = [("protocol", self.protocol), ("data", place(self))]
        rows += [
            (each.name, f"{100 * each.value(self.weights):.1f} %{found.get(each.name, '')}")
            for each in (*self.models, *self.baselines)
        ]
        return [Fields(rows)]

    def to_dict(self) -> dict[str, Any]:
        """Return the accuracies and differences as JSON values, without the rows behind them."""
        models = [
            {
                "name": each.name,
                "baseline": each.baseline,
                "runs": [next(iter(run.values())).model for run in each.runs],
                "value": each.value(self.weights),
                "seed_values": each.seed_values(self.weights),
            }
            for each in (*self.models, *self.baselines)
        ]
        return {
            "protocol": self.protocol,
            "weights": dict(self.weights),
            "models": models,
            "differences": jsonable(self._differences()),
        }

    def _differences(self) -> list[Difference]:
        """All differences; those of the verdict first."""
        known = {each.other for each in self.differences}
        more = [each for each in self.to_baselines if each.other not in known]
        return [*self.differences, *more]


def compare(rows: Sequence[ResultRow], rule: Rule = "tasks") -> list[Comparison]:
    """Compare all models under each protocol; protocols without a model are left out.

    Args:
        rows: Rows of models and baselines on the same images, the first model's first.
        rule: Whether the mean weights all tasks or all groups of tasks equally.
    """
    protocols = dict.fromkeys(row.protocol for row in rows if row.has_answers)
    found = [_compare([row for row in rows if row.protocol == each], rule) for each in protocols]
    return sorted(filter(None, found), key=lambda each: each.protocol != HEADLINE)


# --- differences ---------------------------------------------------------------------------------


def _compare(rows: Sequence[ResultRow], rule: Rule) -> Comparison | None:
    """Compare the models of one protocol."""
    protocol = rows[0].protocol
    models = _models(row for row in rows if not row.baseline and row.has_answers)
    if not models:
        return None
    chance = [_chance(row) for row in models[0].runs[0].values()]
    answering = [row for row in rows if row.baseline not in ("", CHANCE) and row.has_answers]
    baselines = _baselines([*answering, *chance])
    tasks = _common_tasks(models)
    weights = _weights([models[0].runs[0][task] for task in tasks], rule)
    baselines = [each for each in baselines if set(tasks) <= each.runs[0].keys()]
    others = list(models[1:]) or _rivals(baselines)
    number = sum(not _are_same(models[0], other) for other in others)
    level = 1 - (1 - LEVEL) / max(number, 1)
    return Comparison(
        protocol,
        weights,
        tuple(models),
        tuple(baselines),
        tuple(_difference(protocol, models[0], other, weights, level) for other in others),
        tuple(
            _difference(protocol, models[0], each, weights, LEVEL)
            for each in baselines
            if each.baseline != CHANCE
        ),
    )


def _chance(row: ResultRow) -> ResultRow:
    """The row of always predicting the most common class."""
    return msgspec.structs.replace(
        row,
        model=CHANCE,
        baseline=CHANCE,
        value=row.chance,
        seed_values=(row.chance,),
        hits=(),
        clips=(),
    )


def _models(rows: Iterable[ResultRow]) -> list[ComparedModel]:
    """Models in order; runs of one recipe are one model."""
    groups: dict[str, dict[str, dict[str, ResultRow]]] = {}
    for row in rows:
        runs = groups.setdefault(row.recipe or row.model, {})
        runs.setdefault(row.model, {})[row.task] = row
    return [
        ComparedModel(_group_name(list(runs)), "", tuple(runs.values())) for runs in groups.values()
    ]


def _group_name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - 1} more" if len(names) > 2 else f", {names[1]}"
    return f"{names[0]}{more} ({len(names)} seeds)"


def _baselines(rows: Sequence[ResultRow]) -> list[ComparedModel]:
    """One model per network with random weights, then raw pixels and chance."""
    networks: dict[tuple[str, str], dict[str, ResultRow]] = {}
    order = {RANDOM: 0, PIXELS: 1, CHANCE: 2}
    for row in sorted(rows, key=lambda row: order[row.baseline]):
        networks.setdefault((row.baseline, row.weights), {}).setdefault(row.task, row)
    several = sum(baseline == RANDOM for baseline, _ in networks) > 1
    names = {PIXELS: "raw pixels", CHANCE: CHANCE, RANDOM: "untrained network"}
    return [
        ComparedModel(
            f"untrained {next(iter(found.values())).architecture}"
            if several and baseline == RANDOM
            else names[baseline],
            baseline,
            (found,),
        )
        for (baseline, _), found in networks.items()
    ]


def _rivals(baselines: Sequence[ComparedModel]) -> list[ComparedModel]:
    """What a single model is compared with: its untrained network, or else raw pixels."""
    for kind in (RANDOM, PIXELS):
        found = [each for each in baselines if each.baseline == kind]
        if found:
            return found[:1]
    return []


def _common_tasks(models: Sequence[ComparedModel]) -> list[str]:
    runs = [run for model in models for run in model.runs]
    return [task for task in runs[0] if all(task in run for run in runs)]


def _weights(rows: Sequence[ResultRow], rule: Rule) -> dict[str, float]:
    """Weights of the tasks; tasks outside the groups of a suite do not count."""
    counted = [row for row in rows if row.group != OTHER] or rows
    sizes = Counter(row.group for row in counted)
    if rule == "groups":
        return {row.task: 1 / len(sizes) / sizes[row.group] for row in counted}
    return {row.task: 1 / len(counted) for row in counted}


def _difference(
    protocol: str,
    first: ComparedModel,
    other: ComparedModel,
    weights: Mapping[str, float],
    level: float,
) -> Difference:
    tasks = [
        paired([run[task] for run in first.runs], [run[task] for run in other.runs], weight)
        for task, weight in weights.items()
    ]
    both = spreads(
        first.seed_values(weights),
        other.seed_values(weights),
        is_paired=len(first.runs) == len(other.runs) == 1 and first.rows[0].has_draws,
    )
    low, high = paired_interval(tasks, (_aggregate(first), _aggregate(other)), both, level=level)
    return Difference(
        protocol=protocol,
        tasks=tuple(weights),
        first=first.name,
        other=other.name,
        value=first.value(weights) - other.value(weights),
        low=low,
        high=high,
        level=level,
        verdict=_verdict(first, other, low, high),
    )


def _verdict(first: ComparedModel, other: ComparedModel, low: float, high: float) -> str:
    if _are_same(first, other):
        return SAME
    return BETTER if low > 0 else WORSE if high < 0 else NO_DIFFERENCE


def _are_same(first: ComparedModel, other: ComparedModel) -> bool:
    """Whether both are the same weights, possibly with different input sizes."""
    ours, theirs = first.rows[0].weights, other.rows[0].weights
    return len(first.runs) == len(other.runs) == 1 and ours != "" and ours == theirs


def _aggregate(model: ComparedModel) -> Aggregate:
    """The accuracy of a model: the rule of the protocol over seeds, then the mean over runs."""
    row = model.rows[0]
    number = max(len(row.hits), 1)
    reduce = np.median if row.seed_rule.startswith("median") else np.mean

    def aggregate(values: Float[np.ndarray, "R S"]) -> Float[np.ndarray, " R"]:
        by_run = values.reshape(len(values), -1, number)
        found: Float[np.ndarray, " R"] = reduce(by_run, axis=2).mean(axis=1)
        return found

    return aggregate


def place(comparison: Comparison) -> str:
    """`photos (420 test images)`, or `the mean of 3 tasks (900 test images)`."""
    tasks = list(comparison.weights)
    tested = f"{comparison.num_test:,} {comparison.unit}"
    return f"{tasks[0] if len(tasks) == 1 else f'the mean of {len(tasks)} tasks'} ({tested})"
