"""Rename settings in committed results: python -m experiments.migrate_results.

Lines keep their order and everything else; running it again changes nothing.
"""

import json
from pathlib import Path

from footage.runs.migration import RENAMED

RESULTS = Path(__file__).parent / "results"


def migrated(line: str) -> str:
    """A line of results with renamed settings."""
    content = json.loads(line)
    settings = content.get("settings")
    if not isinstance(settings, dict) or not settings.keys() & RENAMED.keys():
        return line
    content["settings"] = {RENAMED.get(name, name): value for name, value in settings.items()}
    return json.dumps(content)


if __name__ == "__main__":
    for path in sorted(RESULTS.glob("*.jsonl")):
        lines = path.read_text("utf-8").splitlines()
        path.write_text("".join(f"{migrated(line)}\n" for line in lines), "utf-8")
