"""Measure the speed of making views: images per second per core, and through the loader.

All figures of a round are measured before the next round starts, so that a machine whose speed
drifts slows all of them alike. The median over rounds is reported, in CPU time where one process
does the work.

    python -m benchmarks.loading --out loading.json [--store STORE]

Without a store the frames are synthetic: smooth noise, 340 x 256 pixels, about 30 kB of JPEG each.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from benchmarks.provenance import commit
from footage.data.batches import VideoStream
from footage.data.config import AugmentConfig, SamplingConfig
from footage.data.sampling import BatchSampler, shot_table
from footage.data.views import augment, augment_jpeg, decode, decode_resized
from footage.seeding import generator
from footage.store.reader import Store
from footage.training.loader import LoadingConfig, batches

ROUNDS = 7
IMAGES = 120
WHOLE = 10_000


def drawn_frames(number: int = 32) -> list[bytes]:
    """Create frames with the dimensions and file sizes of stored video frames."""
    frames = []
    for seed in range(number):
        random = np.random.default_rng(seed)
        image = np.full((256, 340, 3), 128, dtype=np.float32)
        for cells in (8, 16, 32, 64, 128):
            noise = random.normal(size=(cells, cells * 4 // 3, 3)).astype(np.float32)
            enlarged = cv2.resize(noise, (340, 256), interpolation=cv2.INTER_CUBIC)
            image += enlarged * 40 / np.sqrt(cells / 8)
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        frames.append(simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling="420"))
    return frames


def stored_frames(store: Store, number: int = 32) -> list[bytes]:
    """Return the first frames of shots spread over a store."""
    rows = np.linspace(0, store.shots.num_rows - 1, number).astype(int)
    return [store.encoded(int(row), [0])[0] for row in rows]


def cases(jpegs: list[bytes]) -> dict[str, tuple[Callable[[int], object], int]]:
    """Return the timed cases: name -> (work on the n-th frame, number of images that it makes)."""

    def views(size: int, number: int) -> Callable[[int], object]:
        config = AugmentConfig(size=size)
        return lambda n: augment_jpeg(
            jpegs[n % len(jpegs)], [generator("benchmark", n, a) for a in range(number)], config
        )

    def whole(size: int) -> Callable[[int], object]:
        config = AugmentConfig(size=size)
        return lambda n: augment(
            decode(jpegs[n % len(jpegs)], WHOLE), generator("benchmark", n, 0), config
        )

    return {
        "decode only": (lambda n: decode(jpegs[n % len(jpegs)], WHOLE), 1),
        "224 px, 1 view a frame": (views(224, 1), 1),
        "224 px, 2 views a frame": (views(224, 2), 2),
        "224 px, 4 views a frame": (views(224, 4), 4),
        "64 px, 1 view a frame": (views(64, 1), 1),
        "64 px, 1 view, whole decode": (whole(64), 1),
        "64 px, 2 views a frame": (views(64, 2), 2),
        "64 px, no augmentation": (lambda n: decode_resized(jpegs[n % len(jpegs)], 64), 1),
    }


def per_core(jpegs: list[bytes]) -> dict[str, float]:
    """Return images per second of CPU time in one process, by case."""
    cv2.setNumThreads(0)
    rates: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        for name, (work, made) in cases(jpegs).items():
            began = time.process_time()
            for n in range(IMAGES):
                work(number * IMAGES + n)
            taken = time.process_time() - began
            rates.setdefault(name, []).append(IMAGES * made / taken)
    return {name: statistics.median(values) for name, values in rates.items()}


def through_loader(store: Store, size: int, workers: int, steps: int) -> dict[str, float]:
    """Return images per second of wall time after loading, and seconds to the first batch."""
    columns = (store.shots[name].to_pylist() for name in ("video", "num_frames"))
    config = SamplingConfig(videos_per_batch=8, shots_per_video=2)
    sampler = BatchSampler(shot_table(*columns), config, 0)
    began = time.perf_counter()
    iterator = batches(
        VideoStream(store, sampler, AugmentConfig(size=size)),
        None,
        seed=0,
        steps=range(steps + 1),
        loading=LoadingConfig(workers=workers),
    )
    next(iterator)
    first = time.perf_counter() - began
    count = sum(batch.views[..., 0, 0, 0].numel() for batch in iterator)
    return {
        "seconds_to_first_batch": first,
        "images_per_second": count / (time.perf_counter() - began - first),
    }


def machine() -> dict[str, object]:
    """Describe the machine and the version of the code."""
    return {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "commit": commit(),
    }


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("loading.json"))
    parser.add_argument("--store", type=Path, help="also measure the loader on this store")
    arguments = parser.parse_args()
    store = Store.open(arguments.store) if arguments.store else None
    jpegs = stored_frames(store) if store else drawn_frames()
    results: dict[str, object] = {
        "machine": machine(),
        "jpeg_kilobytes": statistics.mean(map(len, jpegs)) / 1e3,
        "images_per_second_and_core": per_core(jpegs),
    }
    if store:
        results["loader"] = {
            f"{size} px, {workers} workers": through_loader(store, size, workers, 20)
            for size in (64, 224)
            for workers in (0, 1, 2)
        }
    print(json.dumps(results, indent=2))
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
