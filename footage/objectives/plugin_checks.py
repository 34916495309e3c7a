"""Checks of the losses and levels that plugins add; built-in ones are only called."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from footage.errors import PluginError
from footage.objectives.inputs import Shape
from footage.registry import is_plugin, plugin_errors
from footage.shapes import Scalar


def checked_value(what: str, code: object, compute: Callable[[], Any]) -> Scalar:
    """Compute the value of a loss or level.

    Args:
        what: Its name in errors, such as "loss 'vicreg'".
        code: The object that a plugin may have defined.
        compute: Returns the value.

    Raises:
        PluginError: The plugin raised an exception, or the value is not a number with a gradient.
    """
    with plugin_errors(f"{what} failed", code):
        value = compute()
    if not is_plugin(code):
        assert isinstance(value, Tensor)
        return value
    if not isinstance(value, Tensor) or value.shape:
        is_tensor = isinstance(value, Tensor)
        found = f"shape {tuple(value.shape)}" if is_tensor else type(value).__name__
        raise PluginError(
            f"{what} must return one number, a tensor of shape (), got {found}",
            "reduce it to one number, for example with .mean()",
        )
    if torch.is_grad_enabled() and not value.requires_grad:
        raise PluginError(
            f"{what} returned a tensor without a gradient",
            "compute it from the embeddings, without .detach(), .item() or torch.no_grad()",
        )
    return value


def checked_chance(
    what: str, code: object, chance: Callable[..., float], shape: Shape, *arguments: object
) -> float:
    """Return the value of a loss or level for uninformative features.

    Raises:
        PluginError: The plugin raised an exception, or did not return a number.
    """
    with plugin_errors(f"{what} failed in chance", code):
        return float(chance(shape, *arguments))
