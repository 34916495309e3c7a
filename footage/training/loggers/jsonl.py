"""Everything that is logged as JSON lines, for log collectors and scripts."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import simplejpeg

from footage.io import files
from footage.training.loggers.base import Picture, register_logger

LINES: Final = "log.jsonl"
PICTURES: Final = "log_images"


@register_logger("jsonl")
class JSONLines:
    """The file log.jsonl in the run folder, and pictures in its subfolder log_images.

    Every line has "time" (seconds since 1970) and "step", and one of "config", "values", "images"
    (paths relative to the run folder) and "summary". Lines after the step at which a run is
    resumed are removed, because they are written again.

    Args:
        run: The run folder.
        first_step: Number of steps already taken.
    """

    def __init__(self, run: Path, first_step: int) -> None:
        self._run = run
        self._step = first_step
        path = run / LINES
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if _step(line) <= first_step] if first_step else []
        files.write_text(path, "".join(kept))
        self._file = path.open("a", encoding="utf-8")

    def config(self, values: Mapping[str, Any]) -> None:
        """Write the configuration."""
        self._write(self._step, config=values)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write values."""
        self._step = step
        self._write(step, values=values)

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Write pictures as JPEG files, and their paths."""
        (self._run / PICTURES).mkdir(exist_ok=True)
        paths = {name: f"{PICTURES}/{step:08d}-{name}.jpg" for name in images}
        for name, image in images.items():
            (self._run / paths[name]).write_bytes(simplejpeg.encode_jpeg(image, quality=90))
        self._write(step, images=paths)

    def summary(self, values: Mapping[str, float]) -> None:
        """Write the final results."""
        self._write(self._step, summary=values)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, step: int, **fields: Any) -> None:  # noqa: ANN401
        line = {"time": round(time.time(), 3), "step": step, **fields}
        self._file.write(json.dumps(line, default=str) + "\n")


def _step(line: str) -> int | float:
    """Return the step of a line; one that a kill has cut short is after every step."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return float("inf")
