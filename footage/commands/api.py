"""Functions of `import footage` that differ from those of the commands."""

import os
from typing import Any, Literal

from footage import arguments
from footage.arguments import Location
from footage.commands import train as command
from footage.errors import ConfigError
from footage.keywords import configured
from footage.recipes.methods import recipe as recipe_named
from footage.runs import layout
from footage.runs.results import TrainingResult, read_result
from footage.training.config import TrainConfig


@arguments.renamed(images="labels")
def train(
    config: TrainConfig | str,
    *,
    out: Location,
    store: Location = "",
    labels: Location = "",
    store_version: Literal["run", "latest"] = "run",
    recipe: str = "",
    **options: Any,  # noqa: ANN401
) -> TrainingResult:
    """Train with a configuration or a named recipe; see `footage.commands.train.train`.

    Args:
        config: A recipe's name such as "vivi-ex4-tiny", or a configuration.
        out: The run folder.
        store: A frame store; not needed to train on images alone.
        labels: Labelled images, for recipes that learn from them.
        store_version: Version of a store that has grown, for a run that is resumed.
        recipe: Name of the recipe that `config` came from, for the record.
        **options: Settings that differ from those of `config`, such as `steps=500`; see
            `footage.keywords`.

    Returns:
        The run folder, in a result that can be used as a path.

    Raises:
        ConfigError: `config` is neither, or an option does not exist or has a wrong value; other
            errors as in `footage.commands.train.train`.
    """
    if isinstance(config, str):
        recipe = recipe or config
        config = recipe_named(config)
    if not isinstance(config, TrainConfig):
        raise ConfigError(
            f"config must be a TrainConfig or the name of a recipe, got {type(config).__name__}",
            'pass footage.recipe("vivi-ex4-tiny"), changed with dataclasses.replace, or a name that'
            " `footage recipes` lists",
        )
    config = configured(config, TrainConfig, options, train)
    path = command.train(
        config,
        out=out,
        store=store,
        labels=labels,
        store_version=store_version,
        recipe=recipe,
    )
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    if is_first or (path / layout.RUN).exists():
        return read_result(path)
    return TrainingResult(path=path, recipe=recipe, steps=config.steps)
