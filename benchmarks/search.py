"""Compare indexes for shot search with exact search, on synthetic frame vectors.

    python -m benchmarks.search --count 100000 --out search.json

The frames of a shot are close to each other, and the shots of a video less so. Each candidate
runs in its own process, so that its memory can be measured. It builds an index of the same vectors
and saves it; another process opens the index and answers the same queries one by one. A candidate
proposes 320 frames per query, whose shots are compared exactly, as `footage search` does. Recall is
the fraction of the 20 nearest shots by exact search that is found. The width (number of lists or
nodes to visit) is the smallest of `WIDTHS` with a recall of 0.9. Time is CPU time of all threads,
which a busy machine affects less than elapsed time; it includes the exact comparison. The file is
written after each candidate; its earlier results are kept.

Needs faiss-cpu, hnswlib, usearch and lancedb; a candidate that cannot be imported is skipped.
"""

import argparse
import functools
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.provenance import provenance

DIM = 512
RANK = 64
"""Dimension of the subspace in which the shots lie."""
FRAMES_PER_SHOT = 8
SHOTS_PER_VIDEO = 10
QUERIES = 200
WANTED = 20
"""Number of shots to find, the default of `footage search`."""
PROPOSED = 16 * WANTED
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
RECALL = 0.9
ROWS_AT_ONCE = 200 * FRAMES_PER_SHOT * SHOTS_PER_VIDEO

Search = Callable[[np.ndarray], Any]
"""Returns the row numbers of the frames that are proposed for one query."""


class Candidate(NamedTuple):
    """A way to search."""

    package: str
    build: Callable[[np.ndarray, Path, int], None]
    """Build and save an index of vectors, with a number of threads."""
    open: Callable[[Path, int, int], Search]
    """Open a saved index, with a number of threads and a width."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Divide by the norms."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_vectors(folder: Path, count: int) -> None:
    """Write the vectors of videos, and queries near some of them."""
    random = np.random.default_rng(0)
    basis = random.normal(size=(RANK, DIM)).astype(np.float32) / np.sqrt(RANK)
    written = np.lib.format.open_memmap(
        folder / "vectors.npy", "w+", dtype=np.float16, shape=(count, DIM)
    )
    for start in range(0, count, ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, count - start)
        videos = random.normal(size=(rows // (FRAMES_PER_SHOT * SHOTS_PER_VIDEO), RANK))
        shots = random.normal(size=(rows // FRAMES_PER_SHOT, RANK))
        shots = (shots + videos.repeat(SHOTS_PER_VIDEO, 0)) / np.sqrt(2)
        centres = (shots.astype(np.float32) @ basis).repeat(FRAMES_PER_SHOT, 0)
        noise = random.normal(size=(rows, DIM)).astype(np.float32)
        written[start : start + rows] = unit(centres + 0.4 * noise)
    written.flush()
    some = np.float32(written[np.sort(random.choice(count, QUERIES, replace=False))])
    noise = random.normal(size=some.shape).astype(np.float32) / np.sqrt(DIM)
    queries = unit(some + 0.4 * noise).astype(np.float32)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "truth.npy", exact(queries, written))


def exact(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The nearest shots of each query."""
    best, shots = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), int)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        similar = queries @ np.float32(vectors[start : start + ROWS_AT_ONCE]).T
        similar = similar.reshape(len(queries), -1, FRAMES_PER_SHOT).max(2)
        here = start // FRAMES_PER_SHOT + np.arange(similar.shape[1])
        best = np.concatenate([best, similar], 1)
        shots = np.concatenate([shots, np.broadcast_to(here, similar.shape)], 1)
        order = np.argpartition(-best, WANTED - 1, axis=1)[:, :WANTED]
        best, shots = (np.take_along_axis(each, order, 1) for each in (best, shots))
    return shots


def nearest_shots(rows: np.ndarray, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The nearest of the shots that contain the proposed rows, compared exactly."""
    proposed = np.asarray(rows).astype(np.int64)
    shots = np.unique(proposed[proposed >= 0] // FRAMES_PER_SHOT)
    frames = shots[:, None] * FRAMES_PER_SHOT + np.arange(FRAMES_PER_SHOT)
    similar = (np.float32(vectors[frames.ravel()]) @ query).reshape(frames.shape).max(1)
    return shots[np.argsort(-similar)[:WANTED]]


def chunks(vectors: np.ndarray) -> Any:
    """The vectors as 32-bit floats, a few at a time."""
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        yield np.float32(vectors[start : start + ROWS_AT_ONCE])


# --- candidates ----------------------------------------------------------------------------------


def open_exact(path: Path, threads: int, width: int) -> Search:  # noqa: ARG001
    """No index."""
    vectors = np.load(path.parent / "vectors.npy", mmap_mode="r")
    return lambda query: FRAMES_PER_SHOT * exact(query[None], vectors)[0]


def build_faiss(kind: str, vectors: np.ndarray, path: Path, threads: int) -> None:
    """An inverted file of 16-bit or 8-bit vectors, or HNSW."""
    import faiss

    faiss.omp_set_num_threads(threads)
    lists = int(2 * np.sqrt(len(vectors)))
    index = faiss.index_factory(DIM, kind.format(lists=lists), faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        step = max(1, len(vectors) // (50 * lists))
        index.train(np.float32(vectors[::step]))
    for some in chunks(vectors):
        index.add(some)
    faiss.write_index(index, str(path))


def open_faiss(path: Path, threads: int, width: int) -> Search:
    """Memory-map the lists."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = width
    else:
        index.nprobe = width
    return lambda query: index.search(query[None], PROPOSED)[1][0]


def build_hnswlib(vectors: np.ndarray, path: Path, threads: int) -> None:
    """HNSW of 32-bit vectors."""
    import hnswlib

    index = hnswlib.Index("ip", DIM)
    index.init_index(len(vectors), M=16, ef_construction=128)
    index.set_num_threads(threads)
    for some in chunks(vectors):
        index.add_items(some)
    index.save_index(str(path))


def open_hnswlib(path: Path, threads: int, width: int) -> Search:
    """Read the whole index."""
    import hnswlib

    index = hnswlib.Index("ip", DIM)
    index.load_index(str(path))
    index.set_num_threads(threads)
    index.set_ef(width)
    return lambda query: index.knn_query(query, PROPOSED)[0][0]


def build_usearch(vectors: np.ndarray, path: Path, threads: int) -> None:
    """HNSW of 16-bit vectors."""
    from usearch.index import Index

    index = Index(ndim=DIM, metric="ip", dtype="f16", connectivity=16, expansion_add=128)
    for number, some in enumerate(chunks(vectors)):
        keys = ROWS_AT_ONCE * number + np.arange(len(some))
        index.add(keys, some.astype(np.float16), threads=threads)
    index.save(str(path))


def open_usearch(path: Path, threads: int, width: int) -> Search:
    """Memory-map the index."""
    from usearch.index import Index

    index = Index.restore(str(path), view=True)
    index.expansion_search = width
    return lambda query: index.search(query.astype(np.float16), PROPOSED, threads=threads).keys


def build_lancedb(vectors: np.ndarray, path: Path, threads: int) -> None:  # noqa: ARG001
    """IVF-PQ, the usual index of LanceDB."""
    import lancedb
    import pyarrow as pa

    def batches():
        for number, some in enumerate(chunks(vectors)):
            rows = pa.array(ROWS_AT_ONCE * number + np.arange(len(some)))
            flat = pa.array(some.astype(np.float32).ravel())
            yield pa.record_batch(
                [rows, pa.FixedSizeListArray.from_arrays(flat, DIM)], schema.names
            )

    schema = pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float32(), DIM))])
    table = lancedb.connect(str(path)).create_table("vectors", batches(), schema=schema)
    table.create_index(metric="dot", index_type="IVF_PQ", num_sub_vectors=DIM // 8)


def open_lancedb(path: Path, threads: int, width: int) -> Search:  # noqa: ARG001
    """Open the table; candidates are compared again with the whole vectors."""
    import lancedb

    table = lancedb.connect(str(path)).open_table("vectors")

    def search(query: np.ndarray) -> Any:
        found = table.search(query).distance_type("dot").nprobes(width).refine_factor(5)
        return found.limit(PROPOSED).select(["row"]).to_arrow()["row"].to_numpy()

    return search


def faiss_of(kind: str) -> Candidate:
    """A faiss candidate."""
    return Candidate("faiss-cpu", functools.partial(build_faiss, kind), open_faiss)


INDEXES = {
    "exact": Candidate("numpy", lambda *_: None, open_exact),
    "faiss IVF fp16": faiss_of("IVF{lists},SQfp16"),
    "faiss IVF 8-bit": faiss_of("IVF{lists},SQ8"),
    "faiss HNSW fp16": faiss_of("HNSW16_SQfp16"),
    "hnswlib": Candidate("hnswlib", build_hnswlib, open_hnswlib),
    "usearch": Candidate("usearch", build_usearch, open_usearch),
    "lancedb IVF-PQ": Candidate("lancedb", build_lancedb, open_lancedb),
}


# --- measurement ---------------------------------------------------------------------------------


def peak_megabytes() -> float:
    """Peak resident memory of this process, with the pages of mapped files that it has read."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[0]) / 1024


def num_bytes(path: Path) -> int:
    """Size of a file or folder."""
    every = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in every if each.is_file())


def measure_build(name: str, folder: Path, threads: int) -> dict[str, float]:
    """Build and save one index."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    start, wall = time.process_time(), time.monotonic()
    INDEXES[name].build(vectors, folder / name, threads)
    return {
        "build_cpu_seconds": time.process_time() - start,
        "build_seconds": time.monotonic() - wall,
        "build_peak_mb": peak_megabytes(),
    }


def measure_queries(name: str, folder: Path, threads: int) -> dict[str, float]:
    """Open one index and answer the queries one by one."""
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    for width in WIDTHS:
        start = time.process_time()
        search = INDEXES[name].open(folder / name, threads, width)
        search(queries[0])
        opened = time.process_time()
        asked = queries[: 10 if name == "exact" else QUERIES]
        found = [nearest_shots(search(query), query, vectors) for query in asked]
        cpu_seconds = time.process_time() - opened
        hits = [
            len(set(map(int, rows)) & set(true)) for rows, true in zip(found, truth, strict=False)
        ]
        recall = float(np.mean(hits)) / WANTED
        if recall >= RECALL:
            break
    return {
        "width": width,
        "recall_of_20_shots": recall,
        "query_cpu_milliseconds": 1000 * cpu_seconds / len(asked),
        "open_cpu_seconds": opened - start,
        "query_peak_mb": peak_megabytes(),
    }


def in_process(*words: str) -> dict[str, float]:
    """Measure in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.search", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, folder: Path, threads: int) -> dict[str, Any]:
    """All measurements of one candidate."""
    words = ["--data", str(folder), "--threads", str(threads), "--only", name, "--step"]
    package = INDEXES[name].package
    found = {"version": f"{package} {importlib.metadata.version(package)}"}
    found |= in_process(*words, "build")
    found |= in_process(*words, "queries")
    found["index_mb"] = num_bytes(folder / name) / 1e6 if (folder / name).exists() else 0.0
    return found


def is_installed(package: str) -> bool:
    """Whether a package can be measured."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="JSON file to write or to add to")
    parser.add_argument("--count", type=int, default=100_000, help="number of vectors")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(INDEXES), choices=list(INDEXES))
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=["build", "queries"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step = measure_build if options.step == "build" else measure_queries
        print(json.dumps(step(options.only[0], options.data, options.threads)))
        return
    if options.out is None:
        parser.error("--out is missing")
    if options.count % (FRAMES_PER_SHOT * SHOTS_PER_VIDEO):
        parser.error(f"--count is not a multiple of {FRAMES_PER_SHOT * SHOTS_PER_VIDEO}")
    every = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
    described = {
        "command": f"python -m benchmarks.search --count {options.count}"
        f" --threads {options.threads}",
        **provenance(),
        "results": every.get(str(options.count), {}).get("results", {}),
    }
    every[str(options.count)] = described
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_vectors(folder, options.count)
        for candidate in options.only:
            if is_installed(INDEXES[candidate].package):
                described["results"][candidate] = measure(candidate, folder, options.threads)
                print(candidate, described["results"][candidate], file=sys.stderr, flush=True)
                options.out.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
