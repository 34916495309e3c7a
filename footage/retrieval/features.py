"""Vectors of all frames of a store, computed once, cached by content and memory-mapped.

    CACHE/features/<key>/<part>.npy    one row of unit length per frame of a part, 16-bit floats

The key is a digest of what computes the vectors, such as the weights and the preprocessing of a
model. `<part>` is a digest of the content of a part of the store. After a store has grown, only its
new parts are computed, and an interrupted computation resumes at the last finished part.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from footage import configuration
from footage.data.views import decode, decode_resized
from footage.errors import CheckpointError
from footage.evaluation.digests import weights_digest
from footage.evaluation.features import BATCHES_AHEAD, batches, in_threads, model_extractor
from footage.images import descriptor
from footage.io import cache, files
from footage.models.load import Model
from footage.progress import progress_bar
from footage.store.columns import column
from footage.store.reader import Store
from footage.store.tables import FRAMES_PER_GROUP

log = logging.getLogger(__name__)

VERSION: Final = 1
"""Part of every key; a new value invalidates all cached vectors."""
SHOTS_AT_ONCE: Final = 16
"""Number of shots of a remote store that are requested together [ours]."""

Vectors = Float[np.ndarray, "N D"]


class Describer(NamedTuple):
    """A way to compute a vector of unit length for each frame."""

    key: str
    """Digest of everything that determines the vectors."""
    dim: int
    prepare: Callable[[bytes], Any]
    """Convert the JPEG bytes of one frame; called in threads."""
    describe: Callable[[Sequence[Any]], Vectors]
    """Compute the vectors of a batch of prepared frames."""


def of_model(model: Model, device: torch.device) -> Describer:
    """Describe frames by the features of a model, divided by their norms."""
    extractor = model_extractor(model, device)
    backbone = model.backbone
    settings = [backbone.architecture, backbone.options, configuration.to_dict(model.preprocessing)]
    text = json.dumps([VERSION, weights_digest(backbone), *settings], sort_keys=True)
    return Describer(
        key=hashlib.sha256(text.encode()).hexdigest()[:32],
        dim=backbone.feature_dim,
        prepare=lambda jpeg: decode_resized(jpeg, extractor.size),
        describe=lambda pixels: unit(extractor.function(np.stack(pixels)).numpy()),
    )


def of_descriptor() -> Describer:
    """Describe frames by their low spatial frequencies, which near-duplicates share."""
    text = json.dumps([VERSION, "near-duplicates", descriptor.SIZE, descriptor.DIM])
    return Describer(
        key=hashlib.sha256(text.encode()).hexdigest()[:32],
        dim=descriptor.DIM,
        prepare=lambda jpeg: descriptor.describe(decode(jpeg, descriptor.SIZE)),
        describe=np.stack,
    )


def unit(vectors: Vectors) -> Vectors:
    """Divide the features of a model by their norms; zeros stay zeros.

    Raises:
        CheckpointError: A feature is not finite.
    """
    if not np.isfinite(vectors).all():
        raise CheckpointError(
            "the model computes features that are not finite",
            "its weights are damaged, or its training diverged; choose another model",
        )
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = vectors / np.maximum(norms, 1e-12)
    return found


class Part(NamedTuple):
    """The vectors of one part of a store."""

    path: Path
    rows: Int[np.ndarray, " n"]
    """Row in `store.shots` of each shot of the part."""
    starts: Int[np.ndarray, " n"]
    """Position of the first frame of each shot."""
    num_frames: int

    def vectors(self) -> Vectors:
        """Memory-map the vectors of all frames."""
        found: Vectors = np.lib.format.open_memmap(self.path, mode="r")
        return found

    def number_of(self, frame: int) -> int:
        """Return the number, within the part, of the shot that contains a frame."""
        return int(np.searchsorted(self.starts, frame, side="right")) - 1

    def shot_of(self, frame: int) -> tuple[int, int]:
        """Return the row of the shot that contains a frame, and the frame's index in the shot."""
        number = self.number_of(frame)
        return int(self.rows[number]), frame - int(self.starts[number])


def describe_store(store: Store, describer: Describer, *, batch_size: int) -> list[Part]:
    """Return the vectors of all frames of a store; compute those that are not cached.

    Raises:
        OutputError: The cache cannot be written.
        StoreError: A part is missing or damaged.
    """
    folder = cache.folder() / "features" / describer.key
    cache.make_folder(folder)
    parts = _parts(store, folder)
    missing = [part for part in parts if not _is_complete(part, describer.dim)]
    count = sum(part.num_frames for part in missing)
    files.require_space(folder, 2 * describer.dim * count, "the features of the store")
    if missing:
        log.info("computing the features of %d frames once; they are cached in %s", count, folder)
    with progress_bar("features", total=count, unit="frames") as bar:
        for part in missing:
            _compute(part, store, describer, batch_size, bar.advance)
    return parts


def _parts(store: Store, folder: Path) -> list[Part]:
    columns = (column(store.shots, name) for name in ("part", "row_group", "num_frames"))
    part_of, group_of, length_of = (values.astype(np.int64) for values in columns)
    order = np.lexsort((group_of, part_of))
    bounds = np.searchsorted(part_of[order], np.arange(len(store.parts) + 1))
    found = []
    for number, (_, entry) in enumerate(store.parts.entries()):
        rows = order[bounds[number] : bounds[number + 1]]
        if not len(rows):
            continue
        ends = np.cumsum(length_of[rows])
        shots = np.stack([group_of[rows], length_of[rows]]).astype("<i8")
        name = hashlib.sha256(entry.sha256.encode() + shots.tobytes()).hexdigest()[:32]
        path = folder / f"{name}.npy"
        found.append(Part(path, rows, ends - length_of[rows], int(ends[-1])))
    return found


def _is_complete(part: Part, dim: int) -> bool:
    try:
        vectors = part.vectors()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        log.warning("%s cannot be used and is replaced: %s", part.path, error)
        return False
    return vectors.shape == (part.num_frames, dim) and vectors.dtype == np.float16


def _compute(
    part: Part,
    store: Store,
    describer: Describer,
    batch_size: int,
    advance: Callable[[int], None],
) -> None:
    prepared = in_threads(_jpegs(store, part), describer.prepare, ahead=BATCHES_AHEAD * batch_size)
    with files.atomic_write(part.path) as temporary:
        shape = (part.num_frames, describer.dim)
        written = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
        done = 0
        for batch in batches(prepared, batch_size):
            written[done : done + len(batch)] = describer.describe(batch)
            done += len(batch)
            advance(len(batch))
        written.flush()


def _jpegs(store: Store, part: Part) -> Iterator[bytes]:
    lengths = np.diff([*part.starts, part.num_frames]).tolist()
    shots = list(zip(part.rows.tolist(), map(range, lengths), strict=True))
    for group in batches(shots, SHOTS_AT_ONCE):
        store.prefetch(*zip(*group, strict=True))
        for row, frames in group:
            for some in batches(frames, FRAMES_PER_GROUP):
                yield from store.encoded(row, some)
    store.close()
