"""Write constraints.txt: the exact version of every package of the developers' environment.

    python -m release.constraints

`make constraints` runs it. The versions are those that are installed. A package that was added to
pyproject.toml must be installed first: `pip install -c constraints.txt NAME`.
"""

import sys

from packaging.requirements import Requirement
from packaging.version import Version

from release.dependencies import ROOT, closure, requirements

FILE = ROOT / "constraints.txt"
BUILD = [Requirement("hatchling")]
"""Needed to build footage itself."""
HEAD = """\
# Exact versions of the developers' and CI environment, direct and indirect.
# Written by `make constraints` from what is installed; users of footage do not need this file.
# The pin of torch is a version for which some package indexes offer a build for CPUs only.
"""


def pins() -> str:
    """Return the content of constraints.txt for this environment.

    Raises:
        SystemExit: A package of the extra `dev` is not installed.
    """
    installed, missing = closure([*requirements("", "dev"), *BUILD])
    if missing:
        sys.exit(f"error: not installed: {', '.join(sorted(missing))}\nhint: install them first")
    lines = [f"{name}=={Version(found.version).public}\n" for name, found in installed.items()]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    text = pins()
    FILE.write_text(text, encoding="utf-8")
    print(f"{FILE.name}: {text.count('==')} packages")
