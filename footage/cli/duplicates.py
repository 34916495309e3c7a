"""The command line of `footage duplicates`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_page
from footage.cli.options import optional, required
from footage.retrieval.config import DuplicatesConfig


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
        log_page(found.page)
