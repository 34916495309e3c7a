"""The policy on missing sandbox layers, and the log lines about the layers.

    FOOTAGE_REQUIRE_SANDBOX=1    untrusted files are decoded within all layers, or not at all

Every process that footage starts inherits the variable. `--require-sandbox` sets it for a command.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

from footage.errors import SandboxError
from footage.sandbox.layers import ACTIVE, MISSING, Sandbox

VARIABLE = "FOOTAGE_REQUIRE_SANDBOX"
HINT = (
    "use a system that supports them (see docs/background/sandbox.md), or do not require all layers"
)

log = logging.getLogger(__name__)
_reported: set[tuple[str, str]] = set()


def requires_all() -> bool:
    """Return whether files must not be decoded when a layer is missing."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


@contextlib.contextmanager
def of_command(*, require_all: bool) -> Iterator[None]:
    """Require all layers during one command, if requested, and let it report its layers again."""
    before = os.environ.get(VARIABLE)
    _reported.clear()
    try:
        if require_all:
            os.environ[VARIABLE] = "1"
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def check(sandbox: Sandbox) -> None:
    """Log which layers are active and which are missing, once.

    Raises:
        SandboxError: A layer is missing, and all are required.
    """
    lines = sandbox.lines()
    if lines not in _reported:
        _reported.add(lines)
        for name, layers in zip((ACTIVE, MISSING), lines, strict=True):
            log.info("%s: %s", name, layers)
    if sandbox.missing and requires_all():
        raise SandboxError(sandbox.refusal, HINT)
