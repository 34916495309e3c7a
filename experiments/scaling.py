r"""Do more views and more hours of video help, with the structure of videos and without it?

    python -m experiments.scaling RESULTS.jsonl --store STORE --suite POCKET --seeds 0
    python -m experiments.scaling RESULTS.jsonl --table

`vivi-ex4` and `frames-as-images` run for 250, 500 and 2000 steps of 128 views; those of 1000 steps
are in `levels.py`, with the same network. At 2000 steps there is a third arm, `vivi-full`. Both
also run for 1000 steps on a half and on a quarter of the training videos, by holding out more.
Their held-out videos differ, so the retrievals of these arms are not comparable with others.
"""

from experiments.compare import main
from experiments.levels import COMMON

METHODS = ("vivi-ex4", "frames-as-images")
STEPS = (250, 500, 2000)
SHARES = {"half": 0.55, "a quarter": 0.775}
"""Fractions of held-out videos: normally 90 % are trained on, here 45 % and 22.5 %."""

ARMS = (
    *(
        f"{method}-tiny:{method}, {steps} steps:steps={steps}"
        for steps in STEPS
        for method in METHODS
    ),
    "vivi-full-tiny:vivi-full, 2000 steps:steps=2000",
    *(
        f"{method}-tiny:{method}, {words} of the videos:held_out_fraction={share}"
        for words, share in SHARES.items()
        for method in METHODS
    ),
)

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON, equal_views=False)
