"""The command `footage search`: the shots of a store that are nearest to images and videos."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from footage import arguments
from footage.arguments import Location, Locations
from footage.errors import StoreError
from footage.io.copies import on_local_copies, with_urls
from footage.keywords import configured
from footage.models import load as models
from footage.reporting import output
from footage.reporting.search_page import search_page
from footage.retrieval import features
from footage.retrieval.config import SearchConfig as SearchConfig
from footage.retrieval.config import is_approximate
from footage.retrieval.index import Index, require_faiss
from footage.retrieval.nearest import Match, nearest
from footage.retrieval.queries import Query, find_queries, read_queries
from footage.retrieval.results import FoundShot, QueryResult, SearchResult
from footage.store.reader import Store


@on_local_copies("model", "html")
def search(
    model: Location,
    query: Locations,
    *,
    store: Location,
    html: Location = "",
    config: SearchConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> SearchResult:
    """Find the shots of a store that are nearest to images and videos.

    The similarity of a shot and a query is the largest cosine similarity between any of their
    frames. The features of the store are computed once and kept in the cache; the next search with
    the same weights computes only the features of the query.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        query: Image files, video files, folders of both, or fsspec URLs; each file is one query.
        store: The frame store to search.
        html: An HTML page to write, with pictures of the queries and shots; empty for none.
        config: Number of shots, frame rate and sizes; the defaults when omitted.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: No query can be read, or `html` exists and is not a page of this command.
        FootageError: A query does not exist.
        OutputError: The page or the cache cannot be written.
        StoreError: The store does not exist, is damaged or has no frames.
    """
    config = configured(config, SearchConfig, options, search)
    page = arguments.path(html, "html") if html else None
    if page:
        output.check_target(page, "search", "--html")
    name, paths = arguments.location(model, "model"), arguments.locations(query, "query")
    opened = Store.open(arguments.location(store, "store"))
    if not opened.shots.num_rows:
        raise StoreError(f"the store {opened.location!r} has no frames", "ingest videos into it")
    num_frames = opened.totals["frames"]
    approximate = is_approximate(config.method, num_frames)
    if approximate:
        require_faiss()
    sources = find_queries(paths)
    loaded, device = models.load(name, size=config.size), models.best_device()
    queries = read_queries(sources, loaded, device, config)
    describer = features.of_model(loaded, device)
    parts = features.describe_store(opened, describer, batch_size=config.batch_size)
    search_in = Index(parts).nearest if approximate else functools.partial(nearest, parts)
    matches = search_in([each.vectors for each in queries.found], config.top)
    result = SearchResult(
        model=with_urls(name),
        store=opened.location,
        num_shots=opened.shots.num_rows,
        num_frames=num_frames,
        queries=[
            _result(opened, each, found) for each, found in zip(queries.found, matches, strict=True)
        ],
        failures=queries.failures,
        page=page,
    )
    if page:
        pictures = (_jpegs(opened, found) for found in matches)
        output.write(page, search_page(result, queries.found, pictures))
    return result


def _result(store: Store, query: Query, matches: Sequence[Match]) -> QueryResult:
    shots = store.shots.take([match.row for match in matches]).to_pylist()
    return QueryResult(
        query=query.name,
        shots=[
            FoundShot(
                similarity=match.similarity,
                video=shot["video"],
                shot=shot["shot"],
                start_seconds=shot["start_seconds"],
                end_seconds=shot["end_seconds"],
                frame=match.frame,
                frame_seconds=store.frames_of_shot(match.row)[match.frame].seconds,
                query_seconds=query.seconds[match.vector],
            )
            for match, shot in zip(matches, shots, strict=True)
        ],
    )


def _jpegs(store: Store, matches: Sequence[Match]) -> Iterator[bytes]:
    for match in matches:
        yield from store.encoded(match.row, [match.frame])
