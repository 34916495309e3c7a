"""The table of what `benchmarks/compare.py` found: every measure of every arm, with spread."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

BASELINES = ("chance", "pixels", "untrained")
PROTOCOLS = ("knn", "linear")

Line = Mapping[str, Any]
"""One line of the results: an arm with a seed."""
Values = dict[str, float]
"""Percent by column, for one measure and seed."""


def table(lines: Sequence[Line], part: str = "test") -> str:
    """Markdown: every measure beside its baselines, then paired differences to the first arm.

    A cell is the mean over seeds with the smallest and the largest, where they differ; the
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
    sources = [(first, column) for column in BASELINES] + [(label, "model") for label in arms]
    text = _row(["", *BASELINES, *arms]) + _row(["---"] * (1 + len(sources)))
    for name in names:
        cells = [_spread(_column(arms[label], name, column)) for label, column in sources]
        text += _row([name, *cells])
    if others:
        text += f"\nDifference to {first}, seed by seed:\n\n"
        text += _row(["", *others]) + _row(["---"] * (1 + len(others)))
    for name in names if others else []:
        base = _column(arms[first], name, "model")
        cells = []
        for label in others:
            own = _column(arms[label], name, "model")
            cells.append(_difference([own[seed] - base[seed] for seed in own if seed in base]))
        text += _row([name, *cells])
    return text


def _with_means(found: Mapping[str, Values], groups: Mapping[str, str]) -> dict[str, Values]:
    """And the means, for each protocol, over all labelled sets and over those of each group."""
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
    """By seed, where the measure has that column."""
    return {
        seed: found[name][column] for seed, found in seeds.items() if column in found.get(name, {})
    }


def _spread(values: Mapping[int, float]) -> str:
    if not values:
        return ""
    middle, low, high = statistics.mean(values.values()), min(values.values()), max(values.values())
    return f"{middle:.1f} ({low:.1f}..{high:.1f})" if low < high else f"{middle:.1f}"


def _difference(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:+.1f}" for value in values)
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):+.1f} ± {error:.1f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
