"""The command line of `footage pocket`, the old name of `pocket-suite` of another package."""

import importlib
import logging
from collections.abc import Sequence

from footage.errors import UsageError
from footage.suites.pocket import BUILD_HINT

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Run `pocket-suite`."""
    try:
        program = importlib.import_module("pocket_suite.cli")
    except ModuleNotFoundError as error:
        raise UsageError(
            "the pocket suite is built by a separate package, which is not installed", BUILD_HINT
        ) from error
    log.warning("`footage pocket` is deprecated; use `pocket-suite`")
    raise SystemExit(program.main(words))
