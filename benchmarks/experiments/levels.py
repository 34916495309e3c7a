r"""What does each level of the loss teach? One network, equal views, the levels one by one.

    python -m benchmarks.experiments.levels RESULTS.jsonl --store STORE --suite POCKET --seeds 0 1 2
    python -m benchmarks.experiments.levels RESULTS.jsonl --table

The shipped recipe `vivi-ex4`, its video level with order or future shots alone, rotation instead of
exemplars, no video level, no shot level, `frames-as-images`, which does not know the videos at all,
and two views of each frame beside two frames of each shot. Every arm takes 1000 steps and 128,000
views at the tiny scale, with a RegNetX of 200 MFLOP, for it is five times as fast as the recipe's
ResNet-18 on a CPU and nine arms want three seeds. An arm takes 8 minutes of one core, and its
evaluation 3.
"""

from benchmarks.compare import main

TWO_VIEWS = "sampling.views_per_frame=2,sampling.videos_per_batch"
"""Each frame twice, so the frame level stands beside the shot level; then fewer videos a batch."""

ARMS = (
    "vivi-ex4-tiny:vivi-ex4",
    "frames-as-images-tiny:frames-as-images",
    "ex-frame-tiny:ex-frame",
    "ex-shot-tiny:ex-shot",
    "vivi-ex4-tiny:vivi-ex4, future only:objective.order.weight=0.0",
    "vivi-ex4-tiny:vivi-ex4, order only:objective.future.weight=0.0",
    "vivi-rot-tiny:vivi-rot",
    f"vivi-ex4-tiny:vivi-ex4, 2 views of a frame:{TWO_VIEWS}=16",
    f"ex-shot-tiny:ex-shot, 2 views of a frame:{TWO_VIEWS}=32,sampling.shots_per_video=1",
)
COMMON = "backbone.architecture=regnetx_002,steps=1000,compute.workers=0,compute.threads=1"

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
