"""The command line of `footage report`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_page
from footage.cli.options import SOME, required


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
    log_page(written.path)
