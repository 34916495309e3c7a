"""Measure the cost of verifying frames: loading from a store, compared with unverified readers.

One of those reads as footage 0.1 did, the other is the current one without its checks. All readers
take the same frames of the same shots and turn them into views, one shot at a time and in
alternating order, so that a machine whose speed drifts slows all alike. CPU time of the process is
compared; the median of several rounds is reported.

    python -m benchmarks.store_integrity --out results.json
"""

import argparse
import dataclasses
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

from benchmarks.loading import drawn_frames
from benchmarks.provenance import commit
from footage.data.config import AugmentConfig
from footage.data.views import augment_jpeg
from footage.seeding import generator
from footage.store.reader import Store
from footage.store.tables import FRAMES_PER_GROUP
from tests.support.stores import write_store

VIDEOS = 40
FRAMES_TAKEN = 4
"""Frames per shot in a batch, as in the default recipe."""


class UnverifiedReader:
    """Read frames as footage 0.1 did: without verifying footers and frames."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: dict[int, pq.ParquetFile] = {}

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """Return the JPEG bytes of some frames of a shot."""
        shots = self._store.shots
        part, first = shots["part"][row].as_py(), shots["row_group"][row].as_py()
        if part not in self._parts:
            self._parts[part] = pq.ParquetFile(self._store.path / self._store.parts.name(part))
        groups = {
            group: self._parts[part].read_row_group(
                first + group, columns=["seconds", "jpeg"], use_threads=False
            )
            for group in sorted({index // FRAMES_PER_GROUP for index in indices})
        }
        frames = []
        for index in indices:
            table = groups[index // FRAMES_PER_GROUP]
            place = index % FRAMES_PER_GROUP
            frames.append((table["seconds"][place].as_py(), table["jpeg"][place].as_py()))
        return [jpeg for _, jpeg in frames]


def drawn_store(path: Path, frames_per_shot: int) -> Store:
    """Create a store of videos with three shots each and frames of realistic size."""
    jpegs = drawn_frames()
    videos = []
    for number in range(VIDEOS):
        shots = [
            [jpegs[(number + 7 * shot + index) % len(jpegs)] for index in range(frames_per_shot)]
            for shot in range(3)
        ]
        videos.append((f"folder/video{number:04d}.mp4#{number:016x}", shots))
    return write_store(path, videos, shot_seconds=100.0)


def cpu_seconds(
    read: Callable[[int, Sequence[int]], list[bytes]], row: int, length: int, size: int
) -> float:
    """Return the CPU time of loading a few frames of a shot; 0 pixels only reads them."""
    places = np.linspace(0, length - 1, FRAMES_TAKEN).astype(int).tolist()
    config = AugmentConfig(size=size or 224)
    began = time.process_time()
    for place, jpeg in enumerate(read(row, places)):
        if size:
            augment_jpeg(jpeg, [generator("benchmark", row, place)], config)
    return time.process_time() - began


def reading_otherwise(store: Store, *, every_page: bool) -> Store:
    """Open the same store with its one part unverified, or verified by Parquet's checksums."""
    store.encoded(0, [0])
    other = Store.open(store.path)
    file = pq.ParquetFile(
        store.path / store.parts.name(0), pre_buffer=False, page_checksum_verification=every_page
    )
    other._parts._open[0] = dataclasses.replace(store._parts._open[0], file=file, checksums=None)
    return other


def ratios(store: Store, size: int, rounds: int) -> dict[str, float]:
    """Return times of loading all shots, as ratios of two readers each."""
    readers = {
        "verified": store.encoded,
        "footage 0.1": UnverifiedReader(store).encoded,
        "without checks": reading_otherwise(store, every_page=False).encoded,
        "page checksums": reading_otherwise(store, every_page=True).encoded,
    }
    lengths = store.shots["num_frames"].to_pylist()
    for reader in readers.values():
        reader(0, [0])  # opens the part
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        sums = dict.fromkeys(readers, 0.0)
        for row, length in enumerate(lengths):
            for name in list(readers)[:: 1 if (row + number) % 2 else -1]:
                sums[name] += cpu_seconds(readers[name], row, length, size)
        milliseconds = 1000 * sums["verified"] / len(lengths)
        found.setdefault("verified, milliseconds per shot", []).append(milliseconds)
        for one, other in (
            ("verified", "without checks"),
            ("verified", "footage 0.1"),
            ("page checksums", "without checks"),
        ):
            found.setdefault(f"{one} / {other}", []).append(sums[one] / sums[other])
    return {name: round(statistics.median(values), 4) for name, values in found.items()}


def opening(store: Store, rounds: int) -> dict[str, float]:
    """Return milliseconds for opening a part with and without verification of its footer."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds * 10):
        began = time.process_time()
        UnverifiedReader(store).encoded(0, [0])
        times[0].append(time.process_time() - began)
        store.close()
        began = time.process_time()
        store.encoded(0, [0])
        times[1].append(time.process_time() - began)
    without, with_checks = (1000 * statistics.median(one) for one in times)
    return {"footage 0.1": round(without, 3), "verified": round(with_checks, 3)}


def main() -> None:
    """Measure shots of two lengths, for reading alone and for views of two sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    results: dict[str, object] = {
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.processor() or platform.machine()}, {platform.platform()}",
    }
    for frames in (9, 64):
        with tempfile.TemporaryDirectory() as folder:
            store = drawn_store(Path(folder), frames)
            for name, size in {"read only": 0, "64 px": 64, "224 px": 224}.items():
                key = f"shots of {frames} frames, {name}"
                results[key] = ratios(store, size, options.rounds)
                print(key, results[key], flush=True)
            key = f"shots of {frames} frames, part opened for one frame, milliseconds"
            results[key] = opening(store, options.rounds)
            print(key, results[key], flush=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
