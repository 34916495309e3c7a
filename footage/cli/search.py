"""The command line of `footage search`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_page
from footage.cli.options import SOME, Model, optional, required
from footage.retrieval.config import SearchConfig


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_search, words, "footage search")


def _search(
    model: Model,
    query: Annotated[
        tuple[str, ...],
        Positional,
        SOME,
        required("QUERY [QUERY ...]", "Images, videos, folders of both, or URLs; one query each."),
    ],
    *,
    store: Annotated[
        str,
        arg(
            name="in",
            metavar="STORE",
            help="Frame store to search.",
            help_behavior_hint="(required)",
        ),
    ],
    html: Annotated[
        str, optional("FILE", "Also write an HTML page with pictures of the shots.")
    ] = "",
    config: Annotated[SearchConfig, arg(name="")] = SearchConfig(),  # noqa: B008 (frozen)
) -> None:
    """Find the shots of a frame store that are nearest to images and videos.

    The features of the store are computed once per model and kept in the cache.
    """
    from footage.commands.search import search

    found = search(model, query, store=store, html=html, config=config)
    output.show(found)
    if found.page:
        log_page(found.page)
