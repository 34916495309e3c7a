"""Compare the CPU time of `footage ingest` with that of only decoding the same files.

    python -m benchmarks.ingest [VIDEOS...] [--repeats 5] > ingest.json

Both sides use PyAV with one thread. Each runs in its own process and they alternate, so that a
noisy machine affects both. Without VIDEOS it renders a set of 360p H.264 clips with textured,
moving shots and film grain, at a bit rate typical of web video.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.provenance import commit

DECODE_ONLY = """
import sys, av
for path in sys.argv[1:]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            pass
"""
INGEST = """
import sys
from footage.cli.ingest import run
run([*sys.argv[2:], "--out", sys.argv[1], "--workers", "1"])
"""
IMPORTS = {
    "decode": "import av",
    "ingest": "import footage.cli.ingest, footage.commands.ingest, subprocess, sys\n"
    "subprocess.run([sys.executable, '-c', 'import footage.ingestion.worker'], check=True)",
}
FPS, SIZE = 30, (640, 360)


def render(path: Path, seed: int, seconds: float) -> None:
    """Render a clip of a few shots: octaves of noise that pan and zoom, discs, grain."""
    random = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        options = {"preset": "medium", "b": "700k", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.bit_rate = 700_000
        stream.codec_context.time_base = Fraction(1, FPS)
        left = round(seconds * FPS)
        while left:
            length = min(left, round(random.uniform(2, 8) * FPS))
            left -= length
            for image in shot(random, length):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def shot(random: np.random.Generator, length: int):
    """Yield the RGB frames of one rendered shot."""
    width, height = SIZE
    ground = np.zeros((2 * height, 2 * width, 3), np.float32)
    for octave in range(2, 9):
        noise = random.normal(0, 200 / 2**octave, (2**octave, 2**octave, 3)).astype(np.float32)
        ground += cv2.resize(noise, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    ground = np.clip(ground + random.uniform(60, 190, 3), 0, 255).astype(np.uint8)
    drift, zoom = random.uniform(-1, 1, 2), random.uniform(-0.002, 0.002)
    grain = random.normal(0, 3, (8, height, width, 1)).astype(np.float32)
    for number in range(length):
        scale = 0.8 + zoom * number
        matrix = np.float32(
            [[scale, 0, width / 3 + drift[0] * number], [0, scale, height / 3 + drift[1] * number]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(ground, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REFLECT)
        place = (int(width / 2 + 200 * np.sin(number / 20)), int(height / 2))
        cv2.circle(image, place, 50, (200, 180, 150), -1, cv2.LINE_AA)
        yield np.clip(image + grain[number % 8], 0, 255).astype(np.uint8)


def cpu_seconds(program: str, *words: str) -> float:
    """Return the CPU time of a Python program and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    root = str(Path(__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", program, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(videos: list[str], repeats: int) -> dict[str, object]:
    """Run both sides in turn; report times with and without the start-up."""
    times: dict[str, list[float]] = {
        name: [] for name in ("decode", "ingest", *map(_start, IMPORTS))
    }
    for _ in range(repeats):
        for name, program in IMPORTS.items():
            times[_start(name)].append(cpu_seconds(program))
        times["decode"].append(cpu_seconds(DECODE_ONLY, *videos))
        with tempfile.TemporaryDirectory() as folder:
            times["ingest"].append(cpu_seconds(INGEST, f"{folder}/store", *videos))
    median = {name: statistics.median(values) for name, values in times.items()}
    pairs = zip(times["ingest"], times["decode"], strict=True)
    work = {name: median[name] - median[_start(name)] for name in IMPORTS}
    return {
        "cpu_seconds": {
            name: [round(value, 3) for value in values] for name, values in times.items()
        },
        "ratio_whole_processes": round(statistics.median(a / b for a, b in pairs), 3),
        "ratio_without_start": round(work["ingest"] / work["decode"], 3),
    }


def _start(name: str) -> str:
    return f"start of {name}"


def describe(videos: list[str]) -> dict[str, object]:
    """Describe the measurement and its environment."""
    frames, pixels = 0, set()
    for path in videos:
        with av.open(path) as container:
            stream = container.streams.video[0]
            frames += stream.frames
            pixels.add(f"{stream.codec_context.name} {stream.width}x{stream.height}")
    return {
        "videos": len(videos),
        "frames": frames,
        "kinds": sorted(pixels)[:10],
        "bytes": sum(Path(path).stat().st_size for path in videos),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "python": platform.python_version(),
        "av": av.__version__,
        "commit": commit(),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", help="files to measure instead of rendered ones")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clips", type=int, default=4, help="rendered clips")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a rendered clip")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos
        if not videos:
            videos = [f"{folder}/clip{number}.mp4" for number in range(options.clips)]
            for number, path in enumerate(videos):
                render(Path(path), number, options.seconds)
        result = describe(videos) | measure(videos, options.repeats)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
