"""Measure the cost of opening labelled images and reading them at random, by layout.

    python -m benchmarks.images --out images.json

The images are smooth noise, 500 x 375 pixels. They are written to a temporary folder and read from
the page cache, so the figures compare the layouts and not the disk.
"""

import argparse
import io
import json
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from benchmarks.provenance import commit
from footage.data.config import LabelledViewConfig
from footage.data.image_views import labelled_view_of
from footage.images.dataset import open_images
from footage.images.opening import open_one
from footage.seeding import generator

IMAGES = 2000
READS = 200
ROUNDS = 5
CLASSES = 10


def drawn_images(number: int = 64) -> list[bytes]:
    """Create JPEG files of about the size of photographs with these dimensions."""
    files = []
    for seed in range(number):
        random = np.random.default_rng(seed)
        coarse = random.integers(0, 256, (47, 63, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC)
        image = np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        files.append(simplejpeg.encode_jpeg(image, quality=90, colorsubsampling="420"))
    return files


def write_layouts(root: Path, files: list[bytes]) -> dict[str, Path]:
    """Write the images as class folders, tar, saved Arrow and Parquet with three group sizes."""
    images = [files[number % len(files)] for number in range(IMAGES)]
    for number, image in enumerate(images):
        path = root / "folders" / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    with tarfile.open(root / "images.tar", "w:", format=tarfile.USTAR_FORMAT) as tar:
        for number, image in enumerate(images):
            members = {"cls": str(number % CLASSES).encode(), "jpg": image}
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{number:06}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    table = pa.table({"image": images, "label": [number % CLASSES for number in range(IMAGES)]})
    saved = root / "saved"
    saved.mkdir()
    with pa.ipc.new_stream(saved / "data.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=1000)
    (saved / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (saved / "dataset_info.json").write_text("{}")
    layouts = {"folders": root / "folders", "tar": root / "images.tar", "saved": saved}
    for rows in (10, 100, 1000):
        name = f"parquet, groups of {rows}"
        layouts[name] = root / f"{rows}.parquet"
        pq.write_table(table, layouts[name], row_group_size=rows, use_dictionary=False)
    return layouts


def milliseconds(work: Callable[[], object]) -> float:
    """Return the CPU time of some work, which other programs on the machine do not affect."""
    began = time.process_time()
    work()
    return 1e3 * (time.process_time() - began)


def measured(layouts: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return the median milliseconds per image over rounds; each round measures each layout."""
    opening: dict[str, list[float]] = {}
    reading: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        rows = generator("benchmark", number).permutation(IMAGES)[:READS].tolist()
        for name, path in layouts.items():
            opening.setdefault(name, []).append(milliseconds(lambda path=path: open_images(path)))
            images = open_images(path)
            reading.setdefault(name, []).append(
                milliseconds(lambda images=images, rows=rows: [images.encoded(r) for r in rows])
            )
    return {
        name: {
            "open": statistics.median(opening[name]) / IMAGES,
            "read": statistics.median(reading[name]) / READS,
        }
        for name in layouts
    }


def views(files: list[bytes]) -> dict[str, float]:
    """Return the milliseconds for a view of 224 px from an encoded image, by policy."""
    results = {}
    for policy in ("none", "randaugment", "autoaugment"):
        config = LabelledViewConfig(policy=policy)
        rounds = [
            milliseconds(
                lambda config=config: [
                    labelled_view_of(
                        open_one("image", data), generator("benchmark", n), config, 224
                    )
                    for n, data in enumerate(files)
                ]
            )
            for _ in range(ROUNDS)
        ]
        results[policy] = statistics.median(rounds) / len(files)
    return results


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("images.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    files = drawn_images()
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "commit": commit(),
            "processor": platform.processor() or platform.machine(),
            "jpeg_kilobytes": statistics.mean(map(len, files)) / 1e3,
            "milliseconds_an_image": measured(write_layouts(Path(folder), files)),
            "milliseconds_a_view": views(files),
        }
    print(json.dumps(results, indent=2))
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
