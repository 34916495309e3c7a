"""Files that this process has open."""

import contextlib
import os
from pathlib import Path


def open_files(folder: Path) -> list[str]:
    """Return the open files at or below a folder, including deleted ones."""
    targets = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            targets.append(os.readlink(f"/proc/self/fd/{number}"))
    place = str(folder.resolve())
    return [target for target in targets if target == place or target.startswith(f"{place}/")]
