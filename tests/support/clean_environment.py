"""Processes that can import some installed distributions, what they require, and nothing else."""

import functools
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

from footage import _torchvision_compat

DECLARE_OPERATORS = """
library = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
"""Makes torchvision importable next to a build of torch that it was not built for."""


class CleanEnvironment:
    """A folder of links to distributions, and to everything that they require.

    Args:
        folder: An empty folder.
        names: Distributions, such as "timm".
    """

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.distributions = _closure(names)
        for name in sorted(self.distributions):
            for entry in _entries(name):
                link = folder / entry.name
                if not link.exists():
                    link.symlink_to(entry)

    def run(self, code: str) -> object:
        """Run code that prints JSON in a new interpreter, with warnings as errors; return it."""
        before = f"import sys; sys.path.append({str(self.folder)!r})\n"
        if _torchvision_compat.KEPT_ALIVE and "torchvision" in self.distributions:
            before += f"import torch\n{DECLARE_OPERATORS}"
        before += "import importlib.util; assert importlib.util.find_spec('footage') is None\n"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-W", "error", "-c", before + code],
            capture_output=True, text=True, check=False, cwd=self.folder.parent,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@functools.cache
def _requirements(name: str) -> frozenset[str]:
    found = map(Requirement, importlib.metadata.requires(name) or [])
    wanted = [one.name for one in found if not one.marker or one.marker.evaluate({"extra": ""})]
    return frozenset(one for one in wanted if _is_installed(one))


def _is_installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _closure(names: tuple[str, ...]) -> set[str]:
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _requirements(name)
    return found


@functools.cache
def _entries(name: str) -> frozenset[Path]:
    """Modules, packages and metadata of a distribution in its site-packages."""
    distribution = importlib.metadata.distribution(name)
    home = Path(str(distribution.locate_file("")))
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    return frozenset(home / top for top in tops if not top.endswith(".pth"))
