"""The packages that footage needs, directly and indirectly, as they are installed here."""

import importlib.metadata
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def metadata() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return read


def project() -> dict[str, list[str]]:
    """Return the requirements of pyproject.toml by extra; those of footage itself under ""."""
    read = metadata()
    extras: Mapping[str, list[str]] = read["optional-dependencies"]
    return {"": read["dependencies"], **extras}


def requirements(*extras: str) -> list[Requirement]:
    """Return the direct requirements of some extras; extras of footage in them are replaced.

    Args:
        extras: Names of extras, "" for footage itself.

    Returns:
        The requirements that apply to this Python and system.
    """
    found = []
    for text in (text for extra in extras for text in project()[extra]):
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == "footage":
            found += requirements(*requirement.extras)
        elif requirement.marker is None or requirement.marker.evaluate():
            found.append(requirement)
    return found


def closure(direct: Iterable[Requirement]) -> tuple[dict[str, Distribution], set[str]]:
    """Follow requirements through the metadata of installed packages.

    Args:
        direct: The requirements to begin with.

    Returns:
        The installed distributions by normalised name, and the names that are not installed.
    """
    installed: dict[str, Distribution] = {}
    missing: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(one, extra) for one in direct for extra in ("", *one.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            installed[name] = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.add(name)
            continue
        for needed in map(Requirement, installed[name].requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, wanted) for wanted in ("", *needed.extras)]
    return dict(sorted(installed.items())), missing
