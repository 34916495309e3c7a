"""Time the search for near-duplicates, and count the copies that the index misses.

    python -m benchmarks.duplicates --count 100000 --out duplicates.json
    python -m benchmarks.duplicates --count 1000000 --methods approximate --out duplicates.json

The vectors are synthetic: they have the dimension of the descriptor, the frames of a shot are close
to each other, and one shot in fifty is a copy of another. The frames of a copy have a similarity of
0.93 to 1 to those of the original. `found` is the fraction of these copies that are in a group with
their original. Time is CPU time of all threads, which a busy machine affects less than elapsed
time. Results for other counts and methods are kept in the file.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.provenance import provenance
from footage.images import descriptor
from footage.retrieval.features import Part, unit
from footage.retrieval.near_duplicates import find_groups

FRAMES_PER_SHOT = 8
COPIED = 50
"""One in this many shots is a copy."""


def write_vectors(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Write unit vectors; return the copies and their originals."""
    random = np.random.default_rng(0)
    shots = count // FRAMES_PER_SHOT
    size = (shots, FRAMES_PER_SHOT, descriptor.DIM)
    every = random.normal(size=(shots, 1, descriptor.DIM)).astype(np.float32)
    every = every + np.float32(0.3) * random.normal(size=size).astype(np.float32)
    chosen = random.permutation(shots)[: 2 * (shots // COPIED)]
    copies, originals = np.array_split(chosen, 2)
    similarity = random.uniform(0.93, 1, (len(copies), 1, 1)).astype(np.float32)
    noise = random.normal(size=(len(copies), *size[1:])).astype(np.float32)
    noise *= np.linalg.norm(every[originals], axis=2, keepdims=True) / np.sqrt(descriptor.DIM)
    every[copies] = every[originals] + noise * np.sqrt(1 / similarity**2 - 1)
    np.save(path, unit(every.reshape(count, -1)).astype(np.float16))
    return copies, originals


def measure(path: Path, count: int, copies: np.ndarray, originals: np.ndarray, method: str) -> dict:
    """Search once."""
    rows = np.arange(count // FRAMES_PER_SHOT)
    part = Part(path, rows, FRAMES_PER_SHOT * rows, count)
    cpu, wall = time.process_time(), time.monotonic()
    groups = find_groups(
        [part], rows, descriptor.THRESHOLD, within_videos=False, approximate=method == "approximate"
    )
    group_of = np.full(len(rows), -1)
    for number, group in enumerate(groups):
        group_of[[shot.row for shot in group]] = number
    is_found = (group_of[copies] >= 0) & (group_of[copies] == group_of[originals])
    return {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.monotonic() - wall,
        "found": float(is_found.mean()),
        "groups": len(groups),
        "shots": sum(map(len, groups)),
    }


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write or to add to")
    parser.add_argument("--count", type=int, default=100_000, help="number of vectors")
    methods = ["exact", "approximate"]
    parser.add_argument("--methods", nargs="*", default=methods, choices=methods)
    options = parser.parse_args()
    if options.count % FRAMES_PER_SHOT:
        parser.error(f"--count is not a multiple of {FRAMES_PER_SHOT}")
    every = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
    described = every.setdefault(str(options.count), {})
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "vectors.npy"
        copies, originals = write_vectors(path, options.count)
        for method in options.methods:
            described[method] = measure(path, options.count, copies, originals, method) | {
                "command": f"python -m benchmarks.duplicates --count {options.count}"
                f" --methods {method}",
                **provenance(),
            }
            print(method, described[method], flush=True)
            options.out.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
