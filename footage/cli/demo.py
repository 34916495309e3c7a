"""The command line of `footage demo`."""

import logging
import shlex
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.options import optional
from footage.commands.settings import DemoConfig

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_demo, words, "footage demo")


def _demo(
    videos: Annotated[
        tuple[str, ...],
        Positional,
        optional(
            "[PATH ...]", "Your own videos. Defaults to a small set of real and rendered clips."
        ),
    ] = (),
    *,
    out: Annotated[str, arg(metavar="FOLDER", help="Folder for all outputs.")] = "demo",
    config: Annotated[DemoConfig, arg(name="")] = DemoConfig(),  # noqa: B008 (frozen)
) -> None:
    """Ingest, train, evaluate, export and report, in minutes on a laptop CPU."""
    from footage.commands.demo import demo

    found = demo(videos, out=out, config=config)
    output.show(found)
    log.info("next: python -m webbrowser %s", shlex.quote(str(found.page)))
