"""The command line of `footage recipes`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional

from footage.cli import output, parsing
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
    if names:
        texts = [f"{name}\n\n{RECIPES[name].notes}\n" for name in names]
        listed = names
    else:
        others = " and ".join(f"METHOD-{scale}" for scale in SCALES if scale != "paper")
        texts = [f"{method:18} {RECIPES[method].summary}" for method in METHODS]
        texts += [f"\nMETHOD without a suffix has the paper's scale; {others} are smaller"]
        listed = tuple(RECIPES)
    values = [
        {"name": name, "summary": RECIPES[name].summary, "notes": RECIPES[name].notes}
        for name in listed
    ]
    output.show_values({"recipes": values}, "\n".join(texts))
