"""Measure the cost of the decoder sandbox for images, by running with and without it in turn.

    python -m benchmarks.confined --out confined.json

Three sets of smooth, noisy images are in the page cache. "squares" decodes and resizes to 224 px,
"features" also runs a ResNet-18, and "views" makes a training view. CPU time is that of this
process and its decoders.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.provenance import commit
from footage.data.config import LabelledViewConfig
from footage.data.image_views import labelled_view_of
from footage.evaluation.features import Squares, forward, model_extractor, read_squares
from footage.images.confined import shared
from footage.images.decode import Encoded, read_image
from footage.images.opening import opened
from footage.images.resize import resized
from footage.models import load as models
from footage.sandbox.messages import cpu_seconds_of
from footage.seeding import generator

ROUNDS = 5
SIZE = 224
SETS = {"jpeg 500x375": ("JPEG", 500, 375, 70), "png 500x375": ("PNG", 500, 375, 35)}
SETS["png 64x64"] = ("PNG", 64, 64, 70)


def images(kind: str, width: int, height: int, count: int) -> list[bytes]:
    """Create files of about the size of photographs with these dimensions."""
    files = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        image = np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind)
        files.append(file.getvalue())
    return files


def squares_here(paths: list[Path]) -> Iterator[Squares]:
    """Yield squares decoded by this process, in one thread."""
    for path in paths:
        yield {SIZE: resized(read_image(path), SIZE)}


def processor_seconds() -> float:
    """Return the CPU time of this process and its confined decoders."""
    children = subprocess.run(
        ["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False
    ).stdout.split()
    return time.process_time() + sum(cpu_seconds_of(int(child)) for child in children)


def cost(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    began = processor_seconds()
    work()
    return processor_seconds() - began


def ratios(here: Callable[[], object], confined: Callable[[], object]) -> dict[str, float]:
    """Return the milliseconds of both, measured in turn, and the median of their ratios."""
    confined()  # starts the decoders
    pairs = [(cost(here), cost(confined)) for _ in range(ROUNDS)]
    return {
        "here": 1000 * statistics.median(first for first, _ in pairs),
        "confined": 1000 * statistics.median(second for _, second in pairs),
        "ratio": statistics.median(second / first for first, second in pairs),
    }


def measure(folder: Path, name: str) -> dict[str, dict[str, float]]:
    """Measure the three uses of one set, in milliseconds for all its images."""
    files = images(*SETS[name])
    paths = [folder / f"{number}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    extractors = {
        "model": model_extractor(models.load("resnet18", size=SIZE, seed=0), torch.device("cpu"))
    }
    config = LabelledViewConfig()

    def views(encoded: Iterator[Encoded]) -> None:
        for number, image in enumerate(encoded):
            labelled_view_of(image, generator("benchmark", number), config, SIZE)

    def confined() -> Iterator[Squares]:
        return read_squares(paths, [SIZE], ahead=128)

    named = [(str(number), data) for number, data in enumerate(files)]
    return {
        "squares": ratios(lambda: list(squares_here(paths)), lambda: list(confined())),
        "features": ratios(
            lambda: forward(squares_here(paths), extractors),
            lambda: forward(confined(), extractors),
        ),
        "views": ratios(
            lambda: views(Encoded(data, key) for key, data in named), lambda: views(opened(named))
        ),
    }


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("confined.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure(Path(folder), name)
        for use, found in results[name].items():
            count = SETS[name][3]
            print(
                f"{name:14} {use:9} {found['here'] / count:8.2f} ms here, "
                f"{found['confined'] / count:8.2f} ms confined, {found['ratio']:.2f}x"
            )
    shared().close()
    machine = {"system": platform.platform(), "cores": os.cpu_count()}
    arguments.out.write_text(
        json.dumps({"commit": commit(), "machine": machine, "milliseconds": results}, indent=1)
    )


if __name__ == "__main__":
    main()
