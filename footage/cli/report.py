"""The command line of `footage report`."""

import logging
import shlex
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.logs import LOCAL_PATHS
from footage.cli.options import SOME, required

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_report, words, "footage report")


def _report(
    runs: Annotated[
        tuple[str, ...],
        Positional,
        SOME,
        required(
            "RUN [RUN ...]",
            "Run folders, comparisons, suite results of other models, and profiles.",
        ),
    ],
    *,
    out: Annotated[str, arg(metavar="FILE", help="HTML file to write.")] = "report.html",
) -> None:
    """Write a self-contained HTML report about one or more runs."""
    from footage.commands.report import report

    written = report(runs, out=out)
    output.show(written)
    log.info("next: python -m webbrowser %s", shlex.quote(str(written.path)), extra=LOCAL_PATHS)
