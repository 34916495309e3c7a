"""The command `footage duplicates`: near-duplicate shots in the videos of a store."""

from collections.abc import Sequence
from typing import Any

from footage import arguments
from footage.arguments import Location
from footage.errors import ConfigError
from footage.images import descriptor
from footage.io.copies import on_local_copies, with_urls
from footage.keywords import configured
from footage.models import load as models
from footage.progress import progress_bar
from footage.reporting import output
from footage.reporting.duplicates_page import SHOTS_PER_GROUP, duplicates_page
from footage.reporting.thumbnails import ShownFrame
from footage.retrieval import features
from footage.retrieval.config import DuplicatesConfig as DuplicatesConfig
from footage.retrieval.config import is_approximate
from footage.retrieval.index import require_faiss
from footage.retrieval.near_duplicates import Duplicate, find_groups
from footage.retrieval.results import DuplicateShot, DuplicatesResult
from footage.store.columns import column
from footage.store.reader import Store


@on_local_copies("model", "html")
def duplicates(
    store: Location,
    *,
    model: Location = "",
    html: Location = "",
    config: DuplicatesConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> DuplicatesResult:
    """Find groups of near-duplicate shots in different videos of a store.

    Two shots are near-duplicates if the cosine similarity between any of their frames reaches the
    threshold. By default, frames are described by their low spatial frequencies, which copies with
    a different size, compression or brightness share. The descriptors are kept in the cache.

    Args:
        store: The frame store.
        model: A run folder, an exported file or folder, or a timm name, to compare its features
            instead; empty for the descriptor.
        html: An HTML page to write, with pictures of the shots; empty for none.
        config: Threshold and sizes; the defaults when omitted.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: A threshold is missing, or `html` exists and is not a page of this command.
        OutputError: The page or the cache cannot be written.
        StoreError: The store does not exist or is damaged.
    """
    config = configured(config, DuplicatesConfig, options, duplicates)
    name = arguments.location(model, "model")
    if name and not config.threshold:
        raise ConfigError(
            "threshold is missing: similarities depend on the model, so there is no default",
            "add --threshold 0.9, for example, and check the result",
        )
    page = arguments.path(html, "html") if html else None
    if page:
        output.check_target(page, "duplicates", "--html")
    opened = Store.open(arguments.location(store, "store"))
    approximate = is_approximate(config.method, opened.totals["frames"])
    if approximate:
        require_faiss()
    describer = _describer(name, config)
    parts = features.describe_store(opened, describer, batch_size=config.batch_size)
    num_frames = sum(part.num_frames for part in parts)
    threshold = config.threshold or descriptor.THRESHOLD
    with progress_bar("duplicates", total=num_frames, unit="frames") as bar:
        groups = find_groups(
            parts,
            column(opened.shots, "video"),
            threshold,
            within_videos=config.within_videos,
            approximate=approximate,
            advance=bar.advance,
        )
    result = DuplicatesResult(
        store=opened.location,
        model=with_urls(name),
        threshold=threshold,
        num_shots=opened.shots.num_rows,
        num_frames=num_frames,
        groups=[_group(opened, group) for group in groups],
        num_shown=config.top,
        page=page,
    )
    if page:
        pictures = (
            (_frame(opened, found) for found in group[:SHOTS_PER_GROUP])
            for group in groups[: config.top]
        )
        output.write(page, duplicates_page(result, pictures))
    return result


def _describer(model: str, config: DuplicatesConfig) -> features.Describer:
    if not model:
        return features.of_descriptor()
    return features.of_model(models.load(model, size=config.size), models.best_device())


def _group(store: Store, group: Sequence[Duplicate]) -> list[DuplicateShot]:
    columns = ["video", "shot", "start_seconds", "end_seconds"]
    shots = store.shots.select(columns).take([found.row for found in group]).to_pylist()
    return [
        DuplicateShot(**shot, similarity=found.similarity, frame=found.frame)
        for found, shot in zip(group, shots, strict=True)
    ]


def _frame(store: Store, found: Duplicate) -> ShownFrame:
    (shot,) = store.shots.slice(found.row, 1).to_pylist()
    frame = store.frames_of_shot(found.row)[found.frame]
    return ShownFrame(shot["video"], shot["shot"], frame.seconds, frame.jpeg)
