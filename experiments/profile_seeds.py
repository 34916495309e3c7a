r"""Summarise invariance profiles of the same arms with several seeds.

    footage profile ex-frame ex-shot vivi-ex4 vivi-rot --store STORE --out OUT
    python -m experiments.profile_seeds OUT/profile.json OTHER/profile.json

A cell of the first table is the distance that one factor moves the features, relative to another
object: the mean over seeds with its standard error. The second table has the differences between
arms, paired by seed.
"""

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAIRS = (("ex-shot", "ex-frame"), ("vivi-ex4", "ex-shot"), ("vivi-rot", "vivi-ex4"))
"""Arms that differ in one level or loss."""

Profile = Mapping[str, Any]
"""A `profile.json`."""


def ratios(profile: Profile) -> dict[str, dict[str, float]]:
    """Return the relative distance for each factor, by model."""
    return {
        model["name"]: {name: found["ratio"]["value"] for name, found in model["factors"].items()}
        for model in profile["models"]
    }


def table(profiles: Sequence[Profile]) -> str:
    """Format Markdown: the relative distances of all models, and the differences of `PAIRS`."""
    seeds = [ratios(profile) for profile in profiles]
    factors = list(next(iter(seeds[0].values())))
    text = _row("", *factors) + _row("---", *["---:"] * len(factors))
    for name in seeds[0]:
        cells = [_mean([found[name][factor] for found in seeds]) for factor in factors]
        text += _row(name, *cells)
    text += "\n" + _row("", *factors) + _row("---", *["---:"] * len(factors))
    for ours, theirs in PAIRS:
        cells = [
            _mean([found[ours][factor] - found[theirs][factor] for found in seeds], sign="+")
            for factor in factors
        ]
        text += _row(f"{ours} - {theirs}", *cells)
    return text


def _mean(values: Sequence[float], sign: str = "") -> str:
    """Format a mean with its standard error, which baselines lack because no seed changes them."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    mean = f"{statistics.mean(values):{sign}.2f}"
    return f"{mean} ± {error:.2f}" if error else mean


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("profiles", type=Path, nargs="+", help="one profile.json per seed")
    options = parser.parse_args()
    print(table([json.loads(path.read_text("utf-8")) for path in options.profiles]), end="")


if __name__ == "__main__":
    main()
