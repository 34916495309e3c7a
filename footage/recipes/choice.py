"""Apply the choice of a configuration variant before its options are parsed."""

import dataclasses
from collections.abc import Sequence

from footage.errors import UsageError
from footage.objectives.losses.base import LOSSES
from footage.training.config import TrainConfig

LOSS = "--objective.frame-shot.loss"


def with_loss(config: TrainConfig, words: Sequence[str]) -> tuple[TrainConfig, list[str]]:
    """Apply `--objective.frame-shot.loss NAME`, so that the options of that loss become available.

    Args:
        config: Configuration of a recipe.
        words: Options of `footage train`.

    Returns:
        The configuration with the default settings of the chosen loss, and the remaining options.

    Raises:
        UsageError: The name is missing.
        ConfigError: There is no such loss.
    """
    rest = list(words)
    for place, word in enumerate(words):
        option, equals, name = word.partition("=")
        if option.replace("_", "-") != LOSS:
            continue
        if not equals and place + 1 == len(words):
            raise UsageError(f"{LOSS} needs a name", f"losses: {', '.join(LOSSES)}")
        name = name if equals else words[place + 1]
        level = config.objective.frame_shot
        if level.loss.name != name:
            level = dataclasses.replace(level, loss=LOSSES.find(name)())
            objective = dataclasses.replace(config.objective, frame_shot=level)
            config = dataclasses.replace(config, objective=objective)
        del rest[place : place + (1 if equals else 2)]
        return with_loss(config, rest)
    return config, rest
