"""Measure which known cuts and dissolves an ingest detects, and what it keeps of each source.

    python -m experiments.cuts_found --videos OUT --store STORE --result RESULT.json
        [--side train] [--detector adaptive]

OUT is the output of `compilations`, or any folder with such a truth.json. Its videos are ingested
into STORE unless they are already there. A boundary is correct within TOLERANCE_SECONDS of a hard
cut, or of the interval from the first mixed frame of a dissolve to the first frame after it; each
boundary and transition is matched at most once. Only videos with known cuts are evaluated.
"""

import argparse
import collections
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footage.commands.ingest import IngestConfig, ingest
from footage.runs.environment import environment
from footage.store.reader import Store

TOLERANCE_SECONDS = 0.25


def matched(found: Sequence[float], transitions: Sequence[dict[str, Any]]) -> list[int]:
    """Return, for each true transition, the index of its matching boundary, or -1."""
    free = dict(enumerate(found))
    taken = []
    for one in transitions:
        begin = one["start_seconds"] - TOLERANCE_SECONDS
        end = one["end_seconds"] + TOLERANCE_SECONDS
        middle = (begin + end) / 2
        near = [number for number, seconds in free.items() if begin <= seconds <= end]
        best = min(near, key=lambda number: abs(free[number] - middle), default=-1)
        taken.append(best)
        free.pop(best, None)
    return taken


def boundaries(store: Store) -> dict[str, list[float]]:
    """Return the start of each shot except the first, by file, in seconds from the first frame."""
    found: dict[str, list[float]] = {}
    for row in store.shots.to_pylist():
        found.setdefault(_path(row["video"]), []).append(row["start_seconds"])
    return {path: [start - starts[0] for start in starts[1:]] for path, starts in found.items()}


def evaluated(truth: dict[str, Any], found: dict[str, list[float]]) -> dict[str, Any]:
    """Compute the recall of each kind, the precision, and the positions of false boundaries."""
    there: collections.Counter[str] = collections.Counter()
    hits: collections.Counter[str] = collections.Counter()
    num_found, false = 0, {}
    for path in sorted(set(found) & set(truth)):
        if not truth[path]["is_known"]:
            continue
        transitions = truth[path]["transitions"]
        taken = matched(found[path], transitions)
        num_found += len(found[path])
        for one, number in zip(transitions, taken, strict=True):
            there[one["kind"]] += 1
            hits[one["kind"]] += number >= 0
        wrong = [time for number, time in enumerate(found[path]) if number not in taken]
        if wrong:
            false[path] = [round(seconds, 2) for seconds in wrong]
    right = sum(hits.values())
    return {
        "tolerance_seconds": TOLERANCE_SECONDS,
        "recall": {
            kind: {"found": hits[kind], "of": there[kind], "share": _share(hits[kind], there[kind])}
            for kind in sorted(there)
        },
        "precision": {"right": right, "of": num_found, "share": _share(right, num_found)},
        "false_boundaries_seconds": false,
    }


def kept(truth: dict[str, Any], store: Store) -> dict[str, Any]:
    """Count videos, hours, shots and frames of each theme and overall, and what was discarded."""
    fps = store.settings["frames_per_second"]
    rows = store.videos.to_pylist()
    themes: dict[str, collections.Counter[str]] = {}
    for row in rows:
        one = truth[_path(row["video"])]
        theme = "single clips" if one["theme"].startswith("whole/") else one["theme"]
        counts = themes.setdefault(theme, collections.Counter())
        counts.update(
            videos=1,
            seconds=row["decoded_seconds"] or 0.0,
            shots=row["num_shots"],
            frames=row["num_frames"],
        )
    total = sum(themes.values(), collections.Counter())
    return {
        "total": _rounded(total),
        "status": dict(collections.Counter(row["status"] for row in rows)),
        "reasons": [f"{row['path']}: {row['reason']}" for row in rows if row["reason"]],
        "black_frames": sum(row["black_frames"] for row in rows),
        "static_frames": sum(row["static_frames"] for row in rows),
        "frames_near_boundaries_not_kept": round(total["seconds"] * fps) - total["frames"],
        "themes": {theme: _rounded(counts) for theme, counts in sorted(themes.items())},
    }


def _rounded(counts: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in counts.items()}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _path(video: str) -> str:
    return video.rsplit("#", 1)[0]


def measure(videos: Path, store: Path, side: str, config: IngestConfig) -> dict[str, Any]:
    """Ingest the videos of one side and compare."""
    written = json.loads((videos / "truth.json").read_text("utf-8"))["videos"]
    prefix = f"{side}/" if side else ""
    truth = {name[len(prefix) :]: one for name, one in written.items() if name.startswith(prefix)}
    ingest([str(videos / side)], store, config)
    opened = Store.open(store)
    return {
        "side": side,
        "detector": config.detector,
        "cuts": evaluated(truth, boundaries(opened)),
        "kept": kept(truth, opened),
        **environment(),
    }


def main() -> None:
    """Ingest, compare and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=Path, required=True, help="folder with truth.json")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--side", default="", help="subfolder of --videos")
    parser.add_argument("--detector", default="adaptive", choices=("adaptive", "transnet"))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    config = IngestConfig(detector=options.detector, workers=options.workers)
    result = measure(options.videos, options.store, options.side, config)
    options.result.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result["cuts"], indent=1))


if __name__ == "__main__":
    main()
