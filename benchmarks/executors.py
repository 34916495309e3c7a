"""Compare the CPU time of `footage ingest` with Ray and with local processes, in turn.

    python -m benchmarks.executors --out executors.json

Each run is the command as a user calls it, on the same short clips, with a new store. The CPU time
is that of all its processes: driver, workers, decoders, and for Ray also its daemons, which are
started and stopped within the run. `--count 8` shows the fixed part of it. All stores must be
equal, byte for byte.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.provenance import provenance

EXECUTORS = ("local", "ray")


def write_clips(folder: Path, count: int) -> None:
    """Encode clips of eight seconds, 320x240, with a cut in the middle."""
    import av

    for seed in range(count):
        random = np.random.default_rng(seed)
        with av.open(str(folder / f"{seed:04}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for number in range(200):
                if number % 100 == 0:
                    coarse = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
                    ground = cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)
                shift = number % 60
                frame = np.ascontiguousarray(ground[shift : shift + 240, shift : shift + 320])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())


def cpu_group() -> Path:
    """Create a control group that counts the CPU time of all processes in it; needs root."""
    for parent in (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")):
        if (parent / "cgroup.procs").exists():
            group = parent / f"footage-benchmark-{os.getpid()}-{time.monotonic_ns()}"
            group.mkdir()
            return group
    raise SystemExit("there are no control groups to measure CPU time with")


def cpu_seconds(group: Path) -> float:
    """CPU time of all processes that were ever in a group."""
    first_version = group / "cpuacct.usage"
    if first_version.exists():
        return int(first_version.read_text()) / 1e9
    found = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(found["usage_usec"]) / 1e6


def measure(executor: str, clips: Path, store: Path, workers: int) -> dict[str, float]:
    """One run of the command."""
    command = [sys.executable, "-m", "footage", "ingest", str(clips), "--out", str(store)]
    command += ["--executor", executor, "--workers", str(workers)]
    group = cpu_group()
    join = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    start = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", join, "bash", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    wall_seconds = time.monotonic() - start
    while (group / "cgroup.procs").read_text():  # daemons of Ray that are still ending
        time.sleep(0.1)
    used = {"cpu_seconds": cpu_seconds(group), "wall_seconds": wall_seconds}
    group.rmdir()
    return used


def digest(store: Path) -> str:
    """Digest of all files of a store."""
    hashed = hashlib.sha256()
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        hashed.update(str(path.relative_to(store)).encode() + path.read_bytes())
    return hashed.hexdigest()


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500, help="number of clips")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    os.environ.pop("RAY_ADDRESS", None)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in EXECUTORS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        write_clips(folder / "clips", options.count)
        digests = set()
        for number in range(options.rounds):
            for executor in EXECUTORS if number % 2 == 0 else EXECUTORS[::-1]:
                store = folder / f"{executor}-{number}"
                runs[executor].append(measure(executor, folder / "clips", store, options.workers))
                digests.add(digest(store))
                print(executor, runs[executor][-1], file=sys.stderr, flush=True)
        assert len(digests) == 1, "the stores differ"
    ratios = [
        ray["cpu_seconds"] / local["cpu_seconds"]
        for ray, local in zip(runs["ray"], runs["local"], strict=True)
    ]
    result = {
        "command": f"python -m benchmarks.executors --count {options.count}"
        f" --rounds {options.rounds} --workers {options.workers}",
        **provenance(),
        "clips": options.count,
        "cpu_ratio": statistics.median(ratios),
        "cpu_ratios": ratios,
        "runs": runs,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["cpu_ratio"]))


if __name__ == "__main__":
    main()
