"""Format the results of `experiments/compare.py`: every measure of every arm, with spread."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BASELINES = ("chance", "pixels", "untrained", "original")
PROTOCOLS = ("knn", "linear")

Line = Mapping[str, Any]
"""One line of the results: an arm with a seed."""
Values = dict[str, float]
"""Percent by column, for one measure and seed."""


def table(lines: Sequence[Line], part: str = "test") -> str:
    """Format Markdown: every measure with its baselines, then paired differences to the first arm.

    A cell is the mean over seeds, with the smallest and the largest value if they differ; the
    baselines are those of the first arm. A difference is the mean of the seeds' differences with
    its standard error.
    """
    arms: dict[str, dict[int, dict[str, Values]]] = {}
    for line in lines:
        arms.setdefault(line["label"], {})[line["seed"]] = _with_means(
            line[part], line.get("groups", {})
        )
    first, *others = arms
    names = list(dict.fromkeys(name for found in arms[first].values() for name in found))
    baselines = [column for column in BASELINES if _has(arms[first], column)]
    sources = [(first, column) for column in baselines] + [(label, "model") for label in arms]
    text = _row(["", *baselines, *arms]) + _row(["---"] * (1 + len(sources)))
    for name in names:
        columns = [_column(arms[label], name, column) for label, column in sources]
        cells = [spread(column.values()) for column in columns]
        text += _row([name, *cells])
    if others:
        text += f"\nDifference to {first}, seed by seed:\n\n"
        text += _row(["", *others]) + _row(["---"] * (1 + len(others)))
    for name in names if others else []:
        base = _column(arms[first], name, "model")
        cells = [difference(_column(arms[label], name, "model"), base) for label in others]
        text += _row([name, *cells])
    return text


def _has(seeds: Mapping[int, Mapping[str, Values]], column: str) -> bool:
    return any(column in values for found in seeds.values() for values in found.values())


def _with_means(found: Mapping[str, Values], groups: Mapping[str, str]) -> dict[str, Values]:
    """Add the means, for each protocol, over all labelled sets and over those of each group."""
    means = {}
    for protocol in PROTOCOLS:
        sets = {
            name.removesuffix(f", {protocol}"): values
            for name, values in found.items()
            if name.endswith(f", {protocol}")
        }
        kinds = {
            f"{group} ": [values for name, values in sets.items() if groups.get(name) == group]
            for group in dict.fromkeys(groups.values())
        }
        for words, members in {"": [*sets.values()], **kinds}.items():
            if len(members) > 1:
                means[f"mean of {len(members)} {words}sets, {protocol}"] = {
                    column: statistics.mean(values[column] for values in members)
                    for column in members[0]
                }
    return {**found, **means}


def _column(seeds: Mapping[int, Mapping[str, Values]], name: str, column: str) -> dict[int, float]:
    """Return the values by seed, where the measure has that column."""
    return {
        seed: found[name][column] for seed, found in seeds.items() if column in found.get(name, {})
    }


def spread(values: Iterable[float]) -> str:
    """Format the mean over seeds, with minimum and maximum if they differ."""
    found = list(values)
    if not found:
        return ""
    mean, low, high = f"{statistics.mean(found):.1f}", f"{min(found):.1f}", f"{max(found):.1f}"
    return mean if low == high else f"{mean} ({low}..{high})"


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Return the differences seed by seed, for seeds that both have."""
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> str:
    """Format the mean of the paired differences, with its standard error if there are several."""
    found = paired(ours, theirs)
    if len(found) < 2:
        return "".join(f"{value:+.1f}" for value in found)
    return f"{statistics.mean(found):+.1f} ± {statistics.stdev(found) / len(found) ** 0.5:.1f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
