"""The training data of a model, as far as its run records it, for comparison with test images.

A run names its store and its labelled images, and lists the labels it used. A run that was
initialised from another one was trained on that one's data, too. Exported files and timm names do
not record their data; random weights have none.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from footage.errors import FootageError
from footage.images.dataset import LabelledImages, open_images
from footage.io import documents
from footage.models.load import TIMM_CONFIG, read_evidence
from footage.runs import layout
from footage.store.reader import Store

MOST_RUNS: Final = 20
"""Maximum length of a chain of runs, each initialised from the next."""


class Source(NamedTuple):
    """Encoded images that a model was trained on."""

    name: str
    are_frames: bool
    """Whether they are frames of videos rather than image files."""
    encoded: Callable[[], Iterator[bytes]]
    digest: str
    """Digest of the images."""


class TrainingData(NamedTuple):
    """All training data of a model."""

    sources: tuple[Source, ...] = ()
    paths: frozenset[str] = frozenset()
    """Absolute paths of image files, from the lists that the runs keep."""
    videos: frozenset[str] = frozenset()
    """Ids of videos."""
    unchecked: tuple[str, ...] = ()
    """Data that is unknown or cannot be read, one sentence each."""
    num_labels: int = 0
    """Number of labels."""

    def joined(self, other: "TrainingData") -> "TrainingData":
        """This data and other data together."""
        return TrainingData(
            self.sources + other.sources,
            self.paths | other.paths,
            self.videos | other.videos,
            self.unchecked + other.unchecked,
            self.num_labels + other.num_labels,
        )


NOTHING: Final = TrainingData()
"""The training data of networks with random weights, and of raw pixels."""


def training_data(spec: str) -> TrainingData:
    """Return the training data of a MODEL argument, read from the folders that its run names."""
    return _of_model(spec, 0)


def unknown(spec: str) -> TrainingData:
    """Training data of a model that does not record any."""
    return TrainingData(unchecked=(f"the training data of {spec} is not recorded",))


def _of_model(spec: str, depth: int) -> TrainingData:
    path = Path(spec)
    if (path / layout.RUN).is_file():
        return _of_run(path, depth)
    if path.is_file() or (path / TIMM_CONFIG).is_file():
        return _of_export(path, spec)
    has_weights = path.exists() or "." in spec or "/" in spec
    return unknown(spec) if has_weights else NOTHING


def _of_export(path: Path, spec: str) -> TrainingData:
    """Training data of exported weights, which name it but do not contain it."""
    data = read_evidence(path).get("training_data")
    if not isinstance(data, dict):
        return unknown(spec)
    named = [str(data[name]) for name in ("store", "images") if data.get(name)]
    reason = f"{spec} was exported without its training data ({', '.join(named)})"
    labels = data.get("labels")
    return TrainingData(unchecked=(reason,), num_labels=labels if isinstance(labels, int) else 0)


def _of_run(run: Path, depth: int) -> TrainingData:
    record = layout.read_record(run)
    found = TrainingData(num_labels=int(record.get("labels_used", 0)))
    if record.get("images"):
        found = found.joined(_of_images(run, record))
    if record.get("store"):
        found = found.joined(_of_store(run, record))
    init = str(record["config"].get("init", ""))
    if not init:
        return found
    if depth == MOST_RUNS:
        return found.joined(unknown(init))
    return found.joined(_of_model(init, depth + 1))


# --- labelled images -----------------------------------------------------------------------------


def _of_images(run: Path, record: Mapping[str, Any]) -> TrainingData:
    """Labelled images: those of the run's list, or all if the run was trained without labels."""
    place = str(record["images"])
    used = _listed(run)
    if record["config"].get("unlabelled_source") == "images":
        used = None
    folder = Path(place)
    homes = [folder, *folder.glob("[Tt]rain*")] if folder.is_dir() else [folder, folder.parent]
    paths = frozenset(str(home / name) for name in used or () for home in homes)
    try:
        images = open_images(place)
    except FootageError as error:
        reason = f"the labelled images of {run} cannot be read: {error.message}"
        return TrainingData(paths=paths, unchecked=(reason,))
    if used is None:
        paths = frozenset(str(home / name) for name in images.names for home in homes)
    unchecked: tuple[str, ...] = ()
    if images.content_hash != record.get("images_hash"):
        unchecked = (f"the labelled images of {run} have changed since it was trained",)

    def encoded() -> Iterator[bytes]:
        return _images(images, used)

    digest = _digest(images.content_hash, images.names if used is None else used)
    source = Source(f"the labelled images of {run}", False, encoded, digest)
    return TrainingData((source,), paths, unchecked=unchecked)


def _listed(run: Path) -> frozenset[str] | None:
    """Names in the run's list of labels; None without a list."""
    try:
        lines = documents.read_list(run / layout.LABELS, 2**32)
    except OSError:
        return None
    return frozenset(line.rpartition("\t")[0] for line in lines)


def _images(images: LabelledImages, used: frozenset[str] | None) -> Iterator[bytes]:
    for row in range(len(images)):
        if used is None or images.name(row) in used:
            yield images.encoded(row)


def _digest(content: str, names: Iterable[str]) -> str:
    """Digest of the images, or of the frames of the videos, of these names."""
    text = "\n".join([content, *sorted(names)])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


# --- videos --------------------------------------------------------------------------------------


def _of_store(run: Path, record: Mapping[str, Any]) -> TrainingData:
    """Frames of all videos of the run's store that it did not hold out."""
    try:
        store = Store.open(str(record["store"]))
    except FootageError as error:
        return TrainingData(unchecked=(f"the store of {run} cannot be read: {error.message}",))
    held_out = frozenset(record.get("held_out", []))
    names = store.shots["video"].to_pylist()
    unchecked: tuple[str, ...] = ()
    if store.content_hash != record.get("store_hash"):
        unchecked = (f"the store of {run} has changed since it was trained",)

    def encoded() -> Iterator[bytes]:
        for row, name in enumerate(names):
            if name not in held_out:
                yield from (frame.jpeg for frame in store.frames_of_shot(row))

    videos = frozenset(names) - held_out
    digest = _digest(store.content_hash, videos)
    source = Source(f"frames of the store of {run}", True, encoded, digest)
    return TrainingData((source,), videos=videos, unchecked=unchecked)
