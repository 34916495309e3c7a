"""Ground truth and settings, as JSON next to the videos that a script makes."""

import json
from pathlib import Path
from typing import Any

from footage.errors import ConfigError

FILE = "truth.json"


def read(out: Path, made_with: dict[str, Any]) -> dict[str, Any] | None:
    """Read the ground truth of a folder; None in a new folder.

    Raises:
        ConfigError: The folder contains videos that were made with other settings.
    """
    path = out / FILE
    if not path.exists():
        return None
    before: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if before["made_with"] != made_with:
        raise ConfigError(
            f"{out} contains videos made with {before['made_with']}, not {made_with}",
            "choose another --out",
        )
    return before


def write(path: Path, content: dict[str, Any]) -> None:
    """Write to a temporary file, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), "utf-8")
    partial.replace(path)
