"""Write the resolved configuration of every recipe: python -m tests.golden.make_recipes.

A changed default then shows in the diff of `recipes.json`.
"""

import json
from pathlib import Path

from footage import configuration
from footage.recipes.methods import RECIPES

PATH = Path(__file__).parent / "recipes.json"


def resolved() -> str:
    """Every recipe with every setting, as text."""
    recipes = {name: configuration.to_dict(found.config) for name, found in RECIPES.items()}
    return json.dumps(recipes, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(resolved())
