"""Measure time and memory of planning, of the manifest and of opening a store, by its videos.

    python -m benchmarks.scale --videos 1000 10000 100000 1000000 --out results.json

Nothing is decoded: every unit of 64 videos has a synthetic record of ten shots per video, and its
part is a link to one small file. `plan` makes all tasks of a first ingest, and `plan_again` finds
that nothing changed; listing the sources takes no part in either. Each measurement runs in a
process of its own, which gives its own peak memory. The exponent is the slope of log(seconds) over
log(videos), between the two largest sizes.
"""

import argparse
import hashlib
import json
import math
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import simplejpeg

from benchmarks.provenance import provenance
from footage.ingestion.config import IngestConfig
from footage.ingestion.source_table import Source, SourceTable
from footage.ingestion.tasks import left_to_do
from footage.store import manifest
from footage.store.parts import part_name
from footage.store.places import place_of
from footage.store.reader import Store
from footage.store.records import ShotRecord, Stamp, Unit, VideoRecord, read_unit, write_unit
from footage.store.units import UnitWriter

VIDEOS_PER_UNIT = 64
SHOTS_PER_VIDEO = 10
TASKS = ("plan", "manifest", "open", "plan_again")
ABOUT = manifest.Settings({"frames_per_second": 2.0}, {}, {})


def name_of(number: int) -> str:
    """Name of a synthetic source."""
    return f"folder{number // 1000:05d}/video{number:08d}.mp4"


def stamp_of(number: int) -> str:
    """Stamp of a synthetic source."""
    return f"{10**7} bytes of {number} ns"


def listed(num_videos: int) -> SourceTable:
    """Sources of different sizes, so that none is read to look for duplicates."""
    return SourceTable.of(
        Source(name_of(n), f"/data/videos/{name_of(n)}", "", 10**7 + n, stamp_of(n))
        for n in range(num_videos)
    )


def write_records(store: Path, num_videos: int) -> None:
    """Write the records of all units; their parts are links to one file."""
    jpeg = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8))
    frames_per_unit = VIDEOS_PER_UNIT * SHOTS_PER_VIDEO
    with UnitWriter(store) as writer:
        frames = writer.frames_of("all")
        for shot in range(frames_per_unit):
            frames.add(shot, 0, float(shot), jpeg)
        record = VideoRecord(
            video="all", path="all", content_hash="0" * 64, num_bytes=1,
            num_shots=frames_per_unit, num_frames=frames_per_unit,
        )  # fmt: skip
        shots = [ShotRecord(float(n), n + 1.0, 1.0, 1) for n in range(frames_per_unit)]
        writer.add(record, shots, frames)
        writer.finish({}, [])
    (own,) = (store / ".work/records").glob("*/*.arrow")
    part = read_unit(own).unit.part
    own.unlink()
    for first in range(0, num_videos, VIDEOS_PER_UNIT):
        rows, stamps = [], []
        for number in range(first, min(first + VIDEOS_PER_UNIT, num_videos)):
            name = name_of(number)
            video = f"{name}#{number:016x}"
            record = VideoRecord(
                video=video, path=name, content_hash=f"{number:064x}", num_bytes=10**7,
                container="mov,mp4", codec="h264", pixel_format="yuv420p", width=1920, height=1080,
                fps=30.0, declared_seconds=60.0, decoded_seconds=60.0, decoded_frames=1800,
                num_shots=SHOTS_PER_VIDEO, num_frames=SHOTS_PER_VIDEO,
            )  # fmt: skip
            shots = [ShotRecord(6.0 * n, 6.0 * n + 6, 1.0, 1) for n in range(SHOTS_PER_VIDEO)]
            place = (number - first) * SHOTS_PER_VIDEO
            rows.append((record, shots, range(place, place + SHOTS_PER_VIDEO)))
            stamps.append(Stamp(name, stamp_of(number), video))
        sha256 = hashlib.sha256(str(first).encode()).hexdigest()
        path = store / part_name(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(store / part_name(part.sha256), path)
        write_unit(store, Unit(msgspec.structs.replace(part, sha256=sha256), {}, stamps), rows)


def memory() -> dict[str, float]:
    """Return peak and present memory of this process in MB; shared is memory-mapped files."""
    text = Path("/proc/self/status").read_text()
    fields = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if "kB" in line}
    return {
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "private_mb": int(fields["RssAnon"]) / 1e3,
        "shared_mb": int(fields["RssFile"]) / 1e3,
    }


def planned(task: str, store: Path, num_videos: int) -> dict[str, float]:
    """Plan an ingest, and make all its tasks."""
    sources = listed(num_videos)
    start = time.perf_counter()
    existing = Store.open(store) if task == "plan_again" else None
    plan = left_to_do(place_of(store), existing, sources, IngestConfig())
    num_tasks = sum(1 for _ in plan.tasks())
    return {"seconds": time.perf_counter() - start, **memory(), "tasks": num_tasks}


def measure(task: str, store: Path, num_videos: int) -> dict[str, float]:
    """Run one task in this process."""
    if task.startswith("plan"):
        return planned(task, store, num_videos)
    start = time.perf_counter()
    if task == "manifest":
        manifest.commit(store, ABOUT)
    else:
        opened = Store.open(store)
    result = {"seconds": time.perf_counter() - start, **memory()}
    if task == "open":
        result["bytes_to_a_worker"] = float(len(pickle.dumps(opened)))
        start = time.perf_counter()
        pickle.loads(pickle.dumps(opened))
        result["seconds_in_a_worker"] = time.perf_counter() - start
    return result


def measured(num_videos: int, folder: Path) -> dict[str, Any]:
    """Measure a store of some videos, each task in a fresh process."""
    store = folder / f"store{num_videos}"
    write_records(store, num_videos)
    results: dict[str, Any] = {"videos": num_videos, "shots": num_videos * SHOTS_PER_VIDEO}
    for task in TASKS:
        place = folder / "empty" if task == "plan" else store
        measured_task = [task, str(place), str(num_videos)]
        command = [sys.executable, "-m", "benchmarks.scale", "--measure", *measured_task]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results[task] = json.loads(done.stdout)
    shutil.rmtree(store)
    return results


def exponent(rows: list[dict[str, Any]], task: str) -> float:
    """Slope of log(seconds) over log(videos) between the two largest sizes."""
    first, last = rows[-2:]
    times = math.log(last[task]["seconds"] / first[task]["seconds"])
    return times / math.log(last["videos"] / first["videos"])


def main() -> None:
    """Measure all sizes and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--measure", nargs=3, metavar=("TASK", "STORE", "N"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.measure:
        task, store, number = options.measure
        print(json.dumps(measure(task, Path(store), int(number))))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(number, Path(folder)) for number in sorted(options.videos)]
    content = {
        **provenance(),
        "rows": rows,
        "exponents": {task: exponent(rows, task) for task in TASKS} if len(rows) > 1 else {},
    }
    text = json.dumps(content, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
