"""Find test images that were also used to train the model or to fit the classifier.

Paths, bytes and decoded pixels are compared, so a copy with another name or in another lossless
format is found. Near-duplicates, such as neighbouring frames or other JPEG qualities, are found by
their descriptors, see `near_duplicates`. Anything that cannot be compared is listed with the
reason.
"""

import contextlib
import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from footage.errors import FootageError
from footage.evaluation.dataset import Part
from footage.evaluation.digests import UNREADABLE, TaskImages
from footage.evaluation.fields import Count, Record, Text
from footage.evaluation.near_duplicates import (
    Descriptors,
    NearDuplicates,
    TaskDescriptors,
    describe_source,
    near,
)
from footage.evaluation.training_data import Source, TrainingData
from footage.images.decode import Encoded, ImageError
from footage.images.descriptor import THRESHOLD
from footage.images.limits import MAX_FILE_BYTES
from footage.images.opening import open_one
from footage.io.documents import read_bytes

MOST_BYTES: Final = 20 * 10**9
"""Maximum number of bytes of training data to read; the rest is not compared."""
MOST_PIXELS: Final = 10**9
"""Maximum number of pixels to decode when images differ in their bytes; about half a minute."""


COLUMN: Final = "test images in training data"
"""Header of the column of these counts in tables."""

_JPEG: Final = b"\xff\xd8"


class Distinct(Record, frozen=True):
    """Test images that were found anywhere, each counted once."""

    exact: Count
    """With an exact copy in any place."""
    near: Count
    """Others, with a near-duplicate in any place."""


class Leakage(Record, frozen=True):
    """The number of test images that were also used elsewhere, as far as this was checked."""

    images: Count
    """Among the labelled images that the model was trained on."""
    frames: Count
    """Among the frames of videos that the model was trained on."""
    copies: Count
    """Also among the training or validation images of the task itself."""
    unchecked: tuple[Text, ...]
    """Data that could not be compared, with reasons."""
    near: NearDuplicates | None = None
    """Other test images with a near-duplicate there; None in results of earlier versions."""
    labels: Count = 0
    """Number of labels that the model was trained with, on any images."""
    distinct: Distinct | None = None
    """Test images in any of these places, each counted once; None in results of earlier versions,
    whose counts may overlap."""

    @property
    def num_exact(self) -> int:
        """Test images that are the same as other ones; a sum without `distinct`."""
        return self.distinct.exact if self.distinct else self.images + self.frames + self.copies

    @property
    def num_near(self) -> int:
        """Other test images that are similar to other ones; a sum without `distinct`."""
        if self.distinct:
            return self.distinct.near
        return self.near.images + self.near.frames + self.near.copies if self.near else 0

    @property
    def is_upper_bound(self) -> bool:
        """Whether the sums may count an image more than once: there are several places."""
        near = self.near or NearDuplicates(0, 0, 0, 0.0)
        places = (self.images + near.images, self.frames + near.frames, self.copies + near.copies)
        return self.distinct is None and sum(map(bool, places)) > 1


class Compared(NamedTuple):
    """A task whose test images are searched for in other data."""

    test: Part
    images: TaskImages


def leakage(
    tasks: Mapping[str, Compared],
    training: TrainingData,
    described: Mapping[str, TaskDescriptors] | None = None,
) -> dict[str, Leakage]:
    """Search the training data of a model for the test images of tasks.

    Args:
        tasks: Tasks by name.
        training: The training data of the model.
        described: Descriptors of the images of each task, to find near-duplicates, too.
    """
    search = _Search(tasks)
    search.by_path(training.paths)
    unchecked = list(training.unchecked)
    for source in training.sources:
        unchecked += search.compare(source)
    sources = []
    if described is not None:
        for source in training.sources:
            descriptors, problem = describe_source(source)
            sources.append((source, descriptors))
            unchecked += [problem] if problem else []
    found = {}
    for name, task in tasks.items():
        exact = _Places(search.images[name], search.frames[name], copies(task))
        similar = _near(described[name], sources) if described else _Places(set(), set(), set())
        found[name] = Leakage(
            **exact.counts(),
            unchecked=tuple(dict.fromkeys(unchecked)),
            near=NearDuplicates(**similar.counts(without=exact), threshold=THRESHOLD)
            if described
            else None,
            labels=training.num_labels,
            distinct=Distinct(len(exact.anywhere), len(similar.anywhere - exact.anywhere)),
        )
    return found


class _Places(NamedTuple):
    """Test images that were found in each place, as indices into the test part."""

    images: set[int]
    frames: set[int]
    copies: set[int]

    @property
    def anywhere(self) -> set[int]:
        """Those in any place."""
        return self.images | self.frames | self.copies

    def counts(self, without: "_Places | None" = None) -> dict[str, int]:
        """The number in each place, without those that are in the same place of another object."""
        left_out = without or _Places(set(), set(), set())
        return {
            name: len(own - other)
            for name, own, other in zip(self._fields, self, left_out, strict=True)
        }


def _near(described: TaskDescriptors, sources: Sequence[tuple[Source, Descriptors]]) -> _Places:
    """Find the near-duplicates of test images, including exact copies."""
    places = _Places(
        set(), set(), set(near(described.test, described.fitted).nonzero()[0].tolist())
    )
    for source, descriptors in sources:
        found = places.frames if source.are_frames else places.images
        found.update(near(described.test, descriptors).nonzero()[0].tolist())
    return places


def copies(task: Compared) -> set[int]:
    """Test images with the same bytes as a training or validation image."""
    fitted = set(task.images.fitted) - {UNREADABLE}
    return {place for place, file in enumerate(task.images.test) if file in fitted}


def short(*tasks: Leakage | None) -> str:
    """Format the number of distinct test images of tasks that were seen before, for a table."""
    found = [each for each in tasks if each is not None]
    if len(found) < len(tasks):
        return "not checked"
    exact, near = sum(each.num_exact for each in found), sum(each.num_near for each in found)
    if not exact + near:
        return "not known" if any(each.unchecked for each in found) else "0"
    most = "up to " * any(each.is_upper_bound for each in found)
    return f"{most}{exact}" + (f" + {near} similar" if near else "")


def is_clean(found: Leakage | None) -> bool:
    """Whether everything was compared, and no test image was seen before."""
    return found is not None and not was_seen(found) and not found.unchecked


def was_seen(found: Leakage | None) -> bool:
    """Whether some test images, or near-duplicates of them, are known to have been seen before."""
    return found is not None and bool(found.num_exact or found.num_near)


def sentences(name: str, found: Leakage | None, num_test: int) -> list[str]:
    """Warnings about one result; empty if everything was checked and nothing was found."""
    if found is None:
        return [
            f"{name}: test images were not compared with training data"
            " (results of an earlier version)."
        ]
    places = (
        (found.images, "are among the labelled images that the model was trained on"),
        (found.frames, "are frames of videos that the model was trained on"),
        (found.copies, "are also among the training or validation images of the task"),
    )
    warnings = [
        f"{name}: {count} of {num_test} test images {words}; the accuracy is too high."
        for count, words in places
        if count
    ]
    near = (found.near.images, found.near.frames, found.near.copies) if found.near else ()
    warnings += [
        f"{name}: near-duplicates of {count} of {num_test} test images {words}; the accuracy may be"
        " too high."
        for count, (_, words) in zip(near, places, strict=False)
        if count
    ]
    return warnings + [f"{name}: not checked: {reason}." for reason in found.unchecked]


class _Search:
    """The test images of several tasks, by path, by bytes and by pixels."""

    def __init__(self, tasks: Mapping[str, Compared]) -> None:
        self.images: dict[str, set[int]] = {name: set() for name in tasks}
        """The test images that were found, by task, as indices into its test part."""
        self.frames: dict[str, set[int]] = {name: set() for name in tasks}
        self._tasks = tasks
        self._sizes = {file.num_bytes for task in tasks.values() for file in task.images.test}
        self._by_bytes: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
        for name, task in tasks.items():
            for place, file in enumerate(task.images.test):
                if file != UNREADABLE:
                    self._by_bytes[file.sha256].append((name, place))
        self._by_pixels: dict[tuple[int, int], dict[bytes, list[tuple[str, int]]]] | None = None
        self._bytes_left, self._pixels_left = MOST_BYTES, MOST_PIXELS

    def by_path(self, paths: frozenset[str]) -> None:
        """Find test images that are the same files."""
        if paths:
            for name, task in self._tasks.items():
                for place, path in enumerate(task.test.paths):
                    if {os.path.abspath(path), os.path.realpath(path)} & paths:
                        self.images[name].add(place)

    def compare(self, source: Source) -> list[str]:
        """Find test images among those of a source; return why some were not compared."""
        into = self.frames if source.are_frames else self.images
        compared = 0
        try:
            for data in source.encoded():
                self._bytes_left -= len(data)
                if self._bytes_left < 0:
                    limit = f"more than {MOST_BYTES / 1e9:.0f} GB"
                    return [f"{source.name} after the first {compared:,} ({limit})"]
                for name, place in self._matches(data):
                    into[name].add(place)
                compared += 1
        except FootageError as error:
            return [f"{source.name} after the first {compared:,} ({error.message})"]
        if self._pixels_left < 0:
            return [f"copies of {source.name} in another file format (too many images)"]
        return []

    def _matches(self, data: bytes) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        if len(data) in self._sizes:
            found += self._by_bytes.get(hashlib.sha256(data).digest(), [])
        if self._pixels_left < 0:
            return found
        with contextlib.suppress(ImageError):  # training reports what it cannot decode
            image = self._opened(data)
            same_shape = self._pixels().get((image.height, image.width))
            if same_shape:
                found += same_shape.get(self._digest(image), [])
        return found

    def _pixels(self) -> dict[tuple[int, int], dict[bytes, list[tuple[str, int]]]]:
        """Test images by height and width, then by pixels; decoded once, on first use."""
        if self._by_pixels is None:
            self._by_pixels = defaultdict(lambda: defaultdict(list))
            for name, task in self._tasks.items():
                for place, path in enumerate(task.test.paths):
                    if self._pixels_left < 0:
                        break
                    with contextlib.suppress(OSError, ImageError):  # the decoder reports these
                        image = self._opened(read_bytes(path, MAX_FILE_BYTES))
                        same_shape = self._by_pixels[image.height, image.width]
                        same_shape[self._digest(image)].append((name, place))
        return self._by_pixels

    def _opened(self, data: bytes) -> Encoded:
        """Open an image; the size is known without decoding only for JPEG."""
        image = open_one("an image", data)
        if not data.startswith(_JPEG):
            self._pixels_left -= image.height * image.width
        return image

    def _digest(self, image: Encoded) -> bytes:
        self._pixels_left -= image.height * image.width
        return hashlib.sha256(image.pixels().tobytes()).digest()
