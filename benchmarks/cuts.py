"""Count the hard cuts that the adaptive detector finds in real clips spliced one after another.

    python benchmarks/cuts.py CLIPS... [--clips 60] [--per-video 6] [--seed 0]

CLIPS are single-shot videos, or folders of them; a cut found inside a clip counts as false. Frame
times assume 25 frames per second. Prints JSON for two cases: the detector sees repeated frames, or
skips them, as it does by default.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from footage.ingestion.sources import find
from footage.runs.environment import environment
from footage.video.decode import Video
from footage.video.detectors.adaptive import AdaptiveCuts
from footage.video.scaling import TinyFrames
from footage.video.shots import ShotBuilder

RATE = 25.0
TOLERANCE_SECONDS = 0.1


def spliced_cuts(clips: Sequence[Path]) -> tuple[list[float], list[float]]:
    """Return the times of detected and of true cuts, in seconds."""
    detector, tiny, builder = AdaptiveCuts(), TinyFrames(), ShotBuilder(0.0, 0.5, 0.25)
    frames, starts = 0, []
    for clip in clips:
        starts.append(frames / RATE)
        with Video(clip, 10**8) as video:
            for frame in video.frames():
                builder.add(detector.push(tiny(frame.picture), frames / RATE))
                frames += 1
    builder.add(detector.finish())
    _, shots = builder.finish(frames / RATE)
    return [shot.start_seconds for shot in shots[1:]], starts[1:]


def score(videos: Sequence[Sequence[Path]]) -> dict[str, int]:
    """Count detected, missed and false cuts over all spliced videos."""
    counts = {"found": 0, "missed": 0, "false": 0}
    for clips in videos:
        found, true = spliced_cuts(clips)
        hits = sum(any(abs(one - cut) < TOLERANCE_SECONDS for one in found) for cut in true)
        right = sum(any(abs(one - cut) < TOLERANCE_SECONDS for cut in true) for one in found)
        counts["found"] += hits
        counts["missed"] += len(true) - hits
        counts["false"] += len(found) - right
    return counts


def main() -> None:
    """Splice the clips, detect cuts and count them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips_from", nargs="+", metavar="CLIPS")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--per-video", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips = [Path(source.location) for source in find(options.clips_from)]
    random.Random(options.seed).shuffle(clips)
    clips = clips[: options.clips]
    videos = [
        clips[first : first + options.per_video]
        for first in range(0, len(clips), options.per_video)
    ]
    shipped = AdaptiveCuts.REPEATED
    results = {"repeated frames left out": score(videos)}
    AdaptiveCuts.REPEATED = -1.0
    results["every frame shown"] = score(videos)
    print(json.dumps({"threshold": shipped, **results, **environment()}, indent=1))


if __name__ == "__main__":
    main()
