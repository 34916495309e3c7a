r"""Do a tenth of the labels and unlabelled video beat all of the labels? On CIFAR-10's 50,000.

    python -m experiments.cifar10 --out cifar10
    python -m experiments.cotraining RESULTS.jsonl --store STORE --images cifar10 \\
        --suite POCKET --seeds 0 1 2
    python -m experiments.cotraining RESULTS.jsonl --table

The photographs of CIFAR-10 are of another domain than the videos, and no task of the pocket suite
holds any. Supervision on all labels and on a tenth; the same tenth with exemplars on all images
(`semi-ex`); the same tenth, and all, with `vivi-ex4` on videos. Every arm takes 1000 steps of 64
labelled images at the tiny scale; those with an unlabelled level see 128 more views a step, so
supervision on all labels runs once more with 192 labelled images a step, as many as co-training
sees in all. That is 13 passes over a tenth of the labels, too few for their number to matter; so
the claim is put once more at 4000 steps, which are 51. The network is the one of `levels.py`. An
arm of 1000 steps takes up to 13 minutes of one core.
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
"""Long enough that a tenth of the labels is seen often."""

ARMS = SHORT + LONGER

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON, equal_views=False)
