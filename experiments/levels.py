r"""What does each level of the loss teach? One network, equal views, the levels one by one.

    python -m experiments.levels RESULTS.jsonl --store STORE --suite POCKET --seeds 0 1 2
    python -m experiments.levels RESULTS.jsonl --table

The arms vary the levels of the paper's recipe, `vivi-ex4`: its video level with order or future
shots alone, rotation instead of exemplars, no video level, and no shot level. Further arms are
`frames-as-images`, which does not use the structure of videos, and `vivi-full`, which has all
levels.

Other arms use two views of each frame in addition to two frames of each shot, four views of one
frame instead of shots, one shot each of twice as many videos, a head with a hidden layer, or frames
of a shot that are further apart. The recipes and both controls also run with a third of the
learning rate, with three times as much, and with more and less colour jitter.

Every arm takes 1000 steps and 128,000 views at the tiny scale, in fp32 on every processor. The
network is a RegNetX of 200 MFLOP: it is four times as fast as the recipe's ResNet-18 on a CPU, and
all arms need three seeds. An arm takes 13 minutes on one core, and its evaluation 3.
"""

from experiments.compare import main
from experiments.structure import batch, rates

FOUR_VIEWS = f"{batch(16, 2, 1, 4)},objective.frame_shot.positives=frame"
"""Views of one frame instead of the frames of a shot."""

MLP = "objective.frame_shot.projection=mlp"
"""A projection head with a hidden layer."""

GAP = (
    f"ex-frame-tiny:ex-frame, 64 videos:{batch(64, 1, 1, 2)}",
    f"ex-shot-tiny:ex-shot, 64 videos:{batch(64, 1, 2)}",
    f"vivi-ex4-tiny:vivi-ex4, mlp:{MLP}",
    f"frames-as-images-tiny:frames-as-images, mlp:{MLP}",
    "vivi-ex4-tiny:vivi-ex4, stride 4:sampling.frame_stride=4",
)
"""Possible reasons why `frames-as-images` is ahead of arms with shots."""

RATES = tuple(
    arm
    for method in ("vivi-full", "vivi-ex4", "frames-as-images", "ex-frame")
    for arm in rates(f"{method}-tiny:{method}")
)
"""Both recipes and their controls, tuned with the same budget; 0.001 is the rate of all others."""

NOISE = {
    "strong colour": "augment.brightness=0.8,augment.contrast=0.8,augment.saturation=0.8,"
    "augment.hue=0.2",
    "gentle colour": "augment.brightness=0.2,augment.contrast=0.2,augment.saturation=0.1,"
    "augment.hue=0.05,augment.grey_probability=0.1",
}
"""Views with more colour variation, as strong as SimCLR's, and with half as much."""

COLOURS = tuple(
    f"{method}-tiny:{method}, {name}:{settings}"
    for method in ("vivi-ex4", "frames-as-images", "ex-frame")
    for name, settings in NOISE.items()
)
"""Test whether colours are a shortcut: frames of a shot share theirs, as views of a frame do."""

ARMS = (
    "vivi-ex4-tiny:vivi-ex4",
    "frames-as-images-tiny:frames-as-images",
    "ex-frame-tiny:ex-frame",
    "ex-shot-tiny:ex-shot",
    "vivi-ex4-tiny:vivi-ex4, future only:objective.order.weight=0.0",
    "vivi-ex4-tiny:vivi-ex4, order only:objective.future.weight=0.0",
    "vivi-rot-tiny:vivi-rot",
    f"vivi-ex4-tiny:vivi-ex4, 2 views of a frame:{batch(16, 2, 2, 2)}",
    f"ex-shot-tiny:ex-shot, 2 views of a frame:{batch(32, 1, 2, 2)}",
    f"vivi-ex4-tiny:vivi-ex4, 4 views of one frame:{FOUR_VIEWS}",
    "vivi-full-tiny:vivi-full",
    *GAP,
    *RATES,
    *COLOURS,
)
COMMON = (
    "backbone.architecture=regnetx_002,steps=1000,compute.workers=0,compute.threads=1,"
    "precision=fp32"
)

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
