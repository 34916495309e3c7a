"""The command line of `footage duplicates`."""

import logging
import shlex
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.logs import LOCAL_PATHS
from footage.cli.options import optional, required
from footage.retrieval.config import DuplicatesConfig

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_duplicates, words, "footage duplicates")


def _duplicates(
    store: Annotated[str, Positional, required("STORE", "Frame store to search.")],
    *,
    model: Annotated[
        str,
        optional(
            "MODEL",
            "Run, exported file or folder, or timm model name whose features are compared."
            " Default: the low spatial frequencies of frames, which copies share.",
        ),
    ] = "",
    html: Annotated[
        str, optional("FILE", "Also write an HTML page with pictures of the shots.")
    ] = "",
    config: Annotated[DuplicatesConfig, arg(name="")] = DuplicatesConfig(),  # noqa: B008 (frozen)
) -> None:
    """Find near-duplicate shots in different videos of a frame store."""
    from footage.commands.duplicates import duplicates

    found = duplicates(store, model=model, html=html, config=config)
    output.show(found)
    if found.page:
        page = shlex.quote(str(found.page))
        log.info("next: python -m webbrowser %s", page, extra=LOCAL_PATHS)
