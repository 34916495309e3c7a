"""The command line of `footage recipes`."""

import logging
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional

from footage.cli import parsing
from footage.cli.options import optional

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_recipes, words, "footage recipes")


def _recipes(
    names: Annotated[
        tuple[str, ...], Positional, optional("[RECIPE ...]", "Recipes to describe.")
    ] = (),
) -> None:
    """List the recipes of `footage train`, or describe some of them.

    A description contains what the recipe reproduces, what it changes, and what it costs.
    """
    from footage.recipes.methods import METHODS, RECIPES, recipe
    from footage.recipes.scales import SCALES

    for name in names:
        recipe(name)  # refuses an unknown one
        print(f"{name}\n\n{RECIPES[name].notes}\n")
    if names:
        return
    for method in METHODS:
        print(f"{method:18} {RECIPES[method].summary}")
    others = ", ".join(f"METHOD-{scale}" for scale in SCALES if scale != "paper")
    print(f"\nMETHOD alone has the paper's scale; {others} are smaller")
    log.info("next: footage recipes vivi-ex4-tiny")
