"""The command line of `footage recipes`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional

from footage.cli import parsing
from footage.cli.options import optional


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_recipes, words, "footage recipes")


def _recipes(
    names: Annotated[
        tuple[str, ...], Positional, optional("[RECIPE ...]", "Recipes to describe.")
    ] = (),
) -> None:
    """List the recipes of `footage train`, or describe some of them.

    A description states what a recipe reproduces, changes, and costs.
    """
    from footage.recipes.methods import METHODS, RECIPES, recipe
    from footage.recipes.scales import SCALES

    for name in names:
        recipe(name)  # raises an error for an unknown name
        print(f"{name}\n\n{RECIPES[name].notes}\n")
    if names:
        return
    for method in METHODS:
        print(f"{method:18} {RECIPES[method].summary}")
    others = ", ".join(f"METHOD-{scale}" for scale in SCALES if scale != "paper")
    print(f"\nMETHOD alone has the paper's scale; {others} are smaller")
