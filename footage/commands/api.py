"""Functions of `import footage` that differ from those of the commands."""

import os
from pathlib import Path

from footage import arguments
from footage.commands import train as command
from footage.errors import ConfigError
from footage.recipes.methods import recipe as recipe_named
from footage.training.config import TrainConfig


@arguments.renamed(images="labels")
def train(
    config: TrainConfig | str,
    *,
    out: str | os.PathLike[str],
    store: str | os.PathLike[str] = "",
    labels: str | os.PathLike[str] = "",
    recipe: str = "",
) -> Path:
    """Train with a configuration or a named recipe; see `footage.commands.train.train`.

    Args:
        config: A recipe's name such as "vivi-ex4-tiny", or a configuration.
        out: The run folder.
        store: A frame store; not needed to train on images alone.
        labels: Labelled images, for recipes that learn from them.
        recipe: Name of the recipe that `config` came from, for the record.

    Returns:
        The run folder.

    Raises:
        ConfigError: `config` is neither; other errors as in `footage.commands.train.train`.
    """
    if isinstance(config, str):
        return train(recipe_named(config), out=out, store=store, labels=labels, recipe=config)
    if not isinstance(config, TrainConfig):
        raise ConfigError(
            f"config must be a TrainConfig or the name of a recipe, got {type(config).__name__}",
            'pass footage.recipe("vivi-ex4-tiny"), changed with dataclasses.replace, or a name that'
            " `footage recipes` lists",
        )
    return command.train(config, out=out, store=store, labels=labels, recipe=recipe)
