"""Descriptions of the origin of a run's weights, as results, exports and reports show them."""

import re
from collections.abc import Mapping
from typing import Final

_INITIAL: Final = "initial weights of "


def of_step(step: int, run: str, initial: str) -> str:
    """Describe the weights that a run keeps.

    Args:
        step: The step that they are from; 0 if early stopping kept the initial weights.
        run: The run as the user named it.
        initial: Description of the weights that training started from.
    """
    if step == 0:
        return f"{_INITIAL}{run}, which early stopping kept: {initial}"
    return f"step {step} of {run}, initialised from {initial}"


def are_initial(weights_origin: str) -> bool:
    """Whether these are the initial weights of a run, which early stopping kept."""
    return weights_origin.startswith(_INITIAL)


def corrected(weights_origin: str, stopping: Mapping[str, int | float]) -> str:
    """Correct a description by an earlier version, which named the last step of a run.

    It is returned unchanged if early stopping kept that step, or if it is about other weights.

    Args:
        weights_origin: The description.
        stopping: The result of early stopping in the run's record; empty without it.
    """
    last, best = stopping.get("last_step"), stopping.get("best_step")
    found = re.fullmatch(r"step (\d+) of (.+?), initialised from (.+)", weights_origin)
    if found is None or best is None or int(found[1]) != last or best == last:
        return weights_origin
    return of_step(int(best), found[2], found[3])
