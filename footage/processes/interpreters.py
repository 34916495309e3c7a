"""Start fresh Python interpreters that import footage and nothing from the working directory.

`python -c` and `python -m` put the working directory first on the import path: a file `signal.py`
there would shadow the standard library's. Every interpreter that footage starts uses `command`.
"""

import os
import sys
from pathlib import Path

_NAMES = frozenset(
    [
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "COVERAGE_PROCESS_START",
        "FOOTAGE_PLUGINS",
        "FOOTAGE_REQUIRE_SANDBOX",
    ]
)
_PREFIXES = ("LC_", "LD_", "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "GLIBC_", "MALLOC_")
"""Variables of the system, the interpreter and numeric libraries."""


def command(program: str, *arguments: str) -> list[str]:
    """Return the command line of a fresh interpreter that runs some Python code.

    Packages are found where the caller finds them, except in the working directory and in the
    folder of the caller's script. The folder of footage itself comes last.
    """
    prefix = f"import sys; sys.path += [one for one in {folders()!r} if one not in sys.path]\n"
    return [sys.executable, "-P", "-c", prefix + program, *arguments]


def folders() -> list[str]:
    """Return the folders in which a fresh interpreter looks for packages."""
    unsafe = {os.path.realpath(os.curdir)}
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main:
        unsafe.add(os.path.realpath(os.path.dirname(main)))
    named = [one for one in sys.path if one and os.path.realpath(one) not in unsafe]
    return [*named, str(Path(__file__).resolve().parents[1])]


def minimal_environment() -> dict[str, str]:
    """Return the variables that an interpreter needs to run, and no credentials of any name."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
