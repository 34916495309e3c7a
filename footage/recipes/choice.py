"""Apply the choice of a configuration variant before its options are parsed."""

import dataclasses
import difflib
from collections.abc import Sequence

from footage.errors import UnknownNameError, UsageError
from footage.objectives.losses.base import LOSSES
from footage.training.config import TrainConfig

LOSS = "--objective.frame-shot.loss"
LEVELS = "--objective.extra-levels"


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


def require_settings_of_loss(config: TrainConfig, words: Sequence[str]) -> None:
    """Check that options of the loss are settings of the chosen one.

    Raises:
        UsageError: The loss does not have such a setting; the hint lists those that it has.
    """
    loss = config.objective.frame_shot.loss
    settings = [field.name.replace("_", "-") for field in dataclasses.fields(loss)]
    for name in _after(f"{LOSS}.", words):
        if name in settings:
            continue
        near = difflib.get_close_matches(name, settings, n=1)
        has = f"loss {loss.name} has: {', '.join(settings) or 'no settings'}"
        raise UsageError(
            f"unknown option {f'{LOSS}.{name}'!r}",
            f"did you mean {LOSS}.{near[0]}? {has}" if near else has,
        )


def require_levels(config: TrainConfig, words: Sequence[str]) -> None:
    """Check the names of the levels that options set.

    Raises:
        UnknownNameError: No loaded plugin defines such a level.
    """
    known = [name.replace("_", "-") for name in config.objective.extra_levels]
    for name in _after(f"{LEVELS}.", words):
        level = name.partition(".")[0]
        if level not in known:
            raise UnknownNameError("level", level, known, plugins=True)


def _after(prefix: str, words: Sequence[str]) -> list[str]:
    names = [word.partition("=")[0].replace("_", "-") for word in words]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
