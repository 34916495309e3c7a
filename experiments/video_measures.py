r"""Summarise results of `video_tasks.py`, `interventions.py` or `adapted_gameplay.py`.

    python -m experiments.video_measures RESULTS.jsonl
    python -m experiments.video_measures RESULTS.jsonl CHANGES.jsonl
    python -m experiments.video_measures ADAPTED.jsonl --by in-domain

The first table has one row per arm, with the measures preregistered in `notebook.md`: means over
seeds, in percent. A star marks the learning rate of each recipe that is best on the validation
splits of seed 0. The second table compares each recipe at its best rate with each control, and with
the same recipe without its last change, seed by seed.
"""

import argparse
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.compare import read_lines
from experiments.compare_table import Line, Values, difference
from experiments.dots import CONTROLS
from footage.suites import pocket, pocket_video

RATE = ", learning rate "
BASELINES = ("chance", "pixels", "untrained", "original")
TASKS = tuple(row.name for row in pocket.COUNTED)
SEARCH = ("same shot", "same video, another shot")


def _of_group(group: str, *protocols: str) -> tuple[str, ...]:
    """Return the measures of the tasks of a group in the pocket-video suite."""
    tasks = [row.name for row in pocket_video.TASKS if row.group == group]
    return tuple(f"{task}, {protocol}" for task in tasks for protocol in protocols)


FIVE: dict[str, tuple[str, ...]] = {
    "instances": _of_group("instances", "1-shot", "2-shot", "4-shot"),
    "propagation": ("propagation, propagation",),
    "robustness": _of_group("robustness", "linear"),
    "search": SEARCH,
    "in-domain": _of_group("in-domain", "1-shot", "5-shot", "20-shot"),
}
"""The measures of tasks where videos should help, by name."""
LINEAR = tuple(f"{task}, linear" for task in TASKS)
CHOSEN_BY: dict[str, tuple[str, ...]] = {
    "13 tasks": LINEAR + tuple(f"{task}, knn" for task in TASKS),
    "instances": FIVE["instances"],
    "in-domain": FIVE["in-domain"],
}
"""Groups of validation splits by which learning rates are chosen, with equal weights."""


def recipe_of(label: str) -> str:
    """Return the label of an arm without its learning rate."""
    return label.partition(RATE)[0]


class Score(NamedTuple):
    """The measures of one arm with one seed; absent ones were not computed."""

    parts: dict[str, float]
    validation: float | None
    """Mean over the groups of validation splits."""


def score(line: Line, column: str = "model", by: Sequence[str] = tuple(CHOSEN_BY)) -> Score:
    """Return the measures of a result.

    Args:
        line: A line of the results.
        column: The trained network, or a baseline.
        by: Groups of validation splits.
    """
    parts = {
        name: value
        for name, measures in (*FIVE.items(), ("13 tasks", LINEAR))
        if (value := _mean(line["test"], measures, column)) is not None
    }
    if FIVE.keys() <= parts.keys():
        parts["mean of five"] = statistics.mean(parts[name] for name in FIVE)
    groups = [_mean(line["validation"], CHOSEN_BY[group], column) for group in by]
    found = [value for value in groups if value is not None]
    return Score(parts, statistics.mean(found) if found else None)


def _mean(found: Mapping[str, Values], measures: Sequence[str], column: str) -> float | None:
    """Return the mean of measures, or None if one of them is absent."""
    values = [found.get(measure, {}).get(column) for measure in measures]
    known = [value for value in values if value is not None]
    return statistics.mean(known) if len(known) == len(values) else None


class Scores(NamedTuple):
    """The results of all arms, by label and seed."""

    arms: dict[str, dict[int, Score]]
    baselines: dict[str, Score]
    """Measures of each baseline, from the first line."""
    originals: dict[int, Score]
    """Measures of the original weights by seed, which determines the held-out videos."""

    def values(self, label: str, part: str) -> dict[int, float]:
        """Return a measure of an arm by seed."""
        return {seed: one.parts[part] for seed, one in self.arms[label].items()}

    def best(self) -> dict[str, str]:
        """Return the label of each recipe with the best validation result of its first seed."""
        found: dict[str, str] = {}
        for label in self.arms:
            recipe = recipe_of(label)
            if recipe not in found or self._chosen(label) > self._chosen(found[recipe]):
                found[recipe] = label
        return found

    def _chosen(self, label: str) -> float:
        seeds = self.arms[label]
        return seeds[min(seeds)].validation or 0.0


def read(*paths: Path, by: Sequence[str] = tuple(CHOSEN_BY)) -> Scores:
    """Read results; the groups of validation splits in `by` decide the learning rates."""
    lines = [line for path in paths for line in read_lines(path)]
    arms: dict[str, dict[int, Score]] = {}
    for line in lines:
        arms.setdefault(line["label"], {})[line["seed"]] = score(line, by=by)
    baselines = {name: score(lines[0], name) for name in BASELINES}
    originals = {line["seed"]: score(line, "original") for line in reversed(lines)}
    return Scores(arms, {name: one for name, one in baselines.items() if one.parts}, originals)


def table(scores: Scores, recipes: Collection[str] = ()) -> str:
    """Format the measures of the arms, and the comparisons, as Markdown.

    Args:
        scores: The results.
        recipes: Recipes to show, with all of their learning rates; all if empty.
    """
    names = list(next(iter(next(iter(scores.arms.values())).values())).parts)
    best = set(scores.best().values())
    text = _row("", "seeds", "validation", *names) + _row("---", *["---:"] * (2 + len(names)))
    for name, one in scores.baselines.items():
        text += _row(name, "", "", *(_shown(one.parts.get(part)) for part in names))
    for label, seeds in scores.arms.items():
        if recipes and recipe_of(label) not in recipes:
            continue
        first = seeds[min(seeds)].validation
        means = [statistics.mean(scores.values(label, part).values()) for part in names]
        star = " *" if label in best else ""
        text += _row(label + star, str(len(seeds)), _shown(first), *map(_shown, means))
    return text + "\n" + comparisons(scores, names, recipes)


def comparisons(scores: Scores, names: Sequence[str], recipes: Collection[str] = ()) -> str:
    """Format the lead of each recipe over the original weights, each control, and no change."""
    best = scores.best()
    text = _row("", "seeds", *names) + _row("---", *["---:"] * (1 + len(names)))
    controls = {recipe for recipe in best if recipe.partition(",")[0] in CONTROLS}
    for recipe, label in best.items():
        if recipes and recipe not in recipes:
            continue
        seeds = scores.arms[label]
        others = {control: scores.arms[best[control]] for control in controls if recipe != control}
        shown = {} if recipe in controls else dict(sorted(others.items()))
        unchanged = recipe.rpartition(", ")[0]
        if unchanged in best:
            shown[unchanged] = scores.arms[best[unchanged]]
        if "original" in scores.baselines:
            shown = {"original": scores.originals, **shown}
        for other, theirs in shown.items():
            text += _lead(f"{recipe} - {other}", seeds, theirs, names)
    return text


def _lead(
    words: str, ours: Mapping[int, Score], theirs: Mapping[int, Score], names: Sequence[str]
) -> str:
    """Format the difference of two arms in each measure, for the seeds that both have."""
    both = sorted(ours.keys() & theirs.keys())
    cells = []
    for part in names:
        pair = [{seed: arm[seed].parts.get(part) for seed in both} for arm in (ours, theirs)]
        known = [seed for seed in both if None not in (pair[0][seed], pair[1][seed])]
        cells.append(difference(*({seed: one[seed] for seed in known} for one in pair)))
    return _row(words, str(len(both)), *cells)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument(
        "--by",
        nargs="+",
        choices=CHOSEN_BY,
        default=[*CHOSEN_BY],
        help="groups of validation splits",
    )
    options = parser.parse_args()
    print(table(read(*options.results, by=options.by)), end="")


if __name__ == "__main__":
    main()
