"""Trackio: a local database, or a Space of Hugging Face."""

import contextlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footage.training.loggers.base import (
    Picture,
    flat,
    register_logger,
    require_package,
    save_id,
    saved_id,
)


@register_logger("trackio")
class Trackio:
    """A run of Trackio; `trackio show` displays it.

    Set TRACKIO_PROJECT to choose the project, by default "footage"; TRACKIO_DIR, TRACKIO_SPACE_ID
    and the other variables of the library choose where data is stored. A resumed run continues the
    same run.

    Args:
        run: The run folder.
        first_step: Number of steps already taken.
    """

    @staticmethod
    def require() -> None:
        """Check that the library is installed."""
        require_package("trackio")

    def __init__(self, run: Path, first_step: int) -> None:
        import trackio

        known = saved_id(run, "trackio") or f"{run.name[:80]}-{secrets.token_hex(4)}"
        save_id(run, "trackio", known)
        self._image = trackio.Image
        project = os.environ.get("TRACKIO_PROJECT") or "footage"
        with contextlib.redirect_stdout(sys.stderr):  # it prints
            self._run = trackio.init(project, name=known, resume="allow", embed=False)
        self._step = first_step
        # The library counts on from the last step of a resumed run, but has no public name for it.
        self._last_step = getattr(self._run, "_next_step", 0) - 1

    def config(self, values: Mapping[str, Any]) -> None:
        """Record the configuration, which the library stores with the next values."""
        self._run.config.update(flat(values))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Record values; those of steps that were recorded before a kill are not repeated."""
        self._step = step
        if step > self._last_step:
            self._run.log(dict(values), step=step)

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Record pictures."""
        self.log(step, {name: self._image(image) for name, image in images.items()})

    def summary(self, values: Mapping[str, float]) -> None:
        """Record the final results with the last step."""
        self._run.log(dict(values), step=self._step)

    def flush(self) -> None:
        """Do nothing: a thread of the library writes every value."""

    def close(self) -> None:
        """Write what is left."""
        with contextlib.redirect_stdout(sys.stderr):
            self._run.finish()
