"""JSON beside videos that a script makes: what is true of them, and what they were made with."""

import json
from pathlib import Path
from typing import Any

from footage.errors import ConfigError

FILE = "truth.json"


def read(out: Path, made_with: dict[str, Any]) -> dict[str, Any] | None:
    """What was written before; None in a new folder.

    Raises:
        ConfigError: The folder holds videos that were made in another way.
    """
    path = out / FILE
    if not path.exists():
        return None
    before: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if before["made_with"] != made_with:
        raise ConfigError(
            f"{out} holds videos made with {before['made_with']}, not {made_with}",
            "choose another --out",
        )
    return before


def write(path: Path, content: dict[str, Any]) -> None:
    """Write aside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), "utf-8")
    partial.replace(path)
