"""Weights & Biases, online or offline."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from footage.errors import MachineError
from footage.text import redacted
from footage.training.loggers.base import (
    Picture,
    register_logger,
    require_package,
    save_id,
    saved_id,
)

WAIT_SECONDS: Final = 50.0
"""Longest time to connect, and to upload what is left at the end; data that was not uploaded stays
in RUN/wandb for `wandb sync` [ours].
"""


@register_logger("wandb")
class WeightsAndBiases:
    """A run of Weights & Biases, with files in the subfolder `wandb` of the run folder.

    Set WANDB_MODE=offline to work without a network, and WANDB_PROJECT and WANDB_ENTITY to choose
    where the run appears; the default project is "footage". All other variables of the library
    apply. A resumed run continues the same run.

    Args:
        run: The run folder.
        first_step: Number of steps already taken.

    Raises:
        MachineError: No API key is configured.
    """

    @staticmethod
    def require() -> None:
        """Check that the library is installed."""
        require_package("wandb")

    def __init__(self, run: Path, first_step: int) -> None:  # noqa: ARG002
        import wandb

        settings = wandb.Settings(
            init_timeout=WAIT_SECONDS,
            finish_timeout=WAIT_SECONDS,
            # the library records the command line, and the machine, unless it contains a secret
            x_disable_meta=any(redacted(word) != word for word in sys.argv),
        )
        if "WANDB_CONSOLE" not in os.environ:
            settings.console = "off"  # the progress bar is not captured
        mode = os.environ.get("WANDB_MODE", "online")
        if mode in ("online", "shared") and not wandb.login(prompt=False):
            raise MachineError(
                "no API key of Weights & Biases is configured",
                "run `wandb login`, or set WANDB_MODE=offline",
            )
        known = saved_id(run, "wandb") or secrets.token_hex(4)
        save_id(run, "wandb", known)
        self._image = wandb.Image
        self._run = wandb.init(
            dir=str(run),
            project=os.environ.get("WANDB_PROJECT") or "footage",
            name=os.environ.get("WANDB_NAME") or run.name,
            id=known,
            resume="allow",
            settings=settings,
        )
        self._next_step = self._run.step
        self._exit_code = 1

    def config(self, values: Mapping[str, Any]) -> None:
        """Record the configuration."""
        self._run.config.update(dict(values), allow_val_change=True)  # type: ignore[no-untyped-call]

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Record values; the server rejects steps before those that it has."""
        if step >= self._next_step:
            self._run.log(dict(values), step=step)

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Record pictures."""
        self.log(step, {name: self._image(image) for name, image in images.items()})

    def summary(self, values: Mapping[str, float]) -> None:
        """Record the final results, and that the run is complete."""
        self._run.summary.update(dict(values))
        self._exit_code = 0

    def flush(self) -> None:
        """Do nothing: a process of the library writes every value."""

    def close(self) -> None:
        """Upload what is left, and finish the run."""
        self._run.finish(self._exit_code)
