r"""Do 10 % of the labels and unlabelled video beat all of the labels? On CIFAR-10's 50,000.

    python -m experiments.cifar10 --out cifar10
    python -m experiments.cotraining RESULTS.jsonl --store STORE --images cifar10 \\
        --suite POCKET --seeds 0 1 2
    python -m experiments.cotraining RESULTS.jsonl --table

CIFAR-10's photographs come from another domain than the videos, and no task of the pocket suite
contains any. The arms are supervision on all labels and on 10 %; the same 10 % with exemplars on
all images (`semi-ex`); the same 10 %, and all, with `vivi-ex4` on videos. Every arm takes 1000
steps of 64 labelled images at the tiny scale; those with an unlabelled level use 128 more views
per step. Supervision on all labels therefore also runs with 192 labelled images per step, as many
as co-training uses in all. That is 13 epochs over 10 % of the labels, too few for their number to
matter, so the claim is also tested at 4000 steps, which are 51 epochs. The network is that of
`levels.py`. An arm of 1000 steps takes up to 13 minutes on one core.
"""

from experiments.compare import main
from experiments.levels import COMMON

SHORT = (
    "sup-tiny:sup 100 %",
    "sup-tiny:sup 10 %:label_fraction=0.1",
    "vivi-ex4-co-tiny:vivi-ex4-co 10 %:label_fraction=0.1",
    "vivi-ex4-co-tiny:vivi-ex4-co 100 %",
    "semi-ex-tiny:semi-ex 10 %",
    "sup-tiny:sup 100 %, 3 x images:labelled.images_per_batch=192",
)
LONGER = (
    "sup-tiny:sup 100 %, 4000 steps:steps=4000",
    "sup-tiny:sup 10 %, 4000 steps:steps=4000,label_fraction=0.1",
    "vivi-ex4-co-tiny:vivi-ex4-co 10 %, 4000 steps:steps=4000,label_fraction=0.1",
    "vivi-ex4-tiny:vivi-ex4, 4000 steps:steps=4000",
)
"""Long enough that 10 % of the labels are seen often."""

ARMS = SHORT + LONGER

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON, equal_views=False)
