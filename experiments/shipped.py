r"""What does a user get? Recipes at the tiny scale as shipped, with their own network and length.

    python -m experiments.shipped RESULTS.jsonl --store STORE --suite POCKET --seeds 0 1
    python -m experiments.shipped RESULTS.jsonl --table

The default recipe, `vivi-ex4`, and the one with all three levels, `vivi-full`, are compared with
two controls, `ex-frame` and `frames-as-images`: a ResNet-18, 1000 steps and 128,000 views, with
nothing changed except what the machine needs. Batches are given in full, so that a later default
does not change the arms.

Further arms are `vivi-ex4` without its video level, with two views of each frame of half as many
videos, and with a video level that has five and 25 times the weight. The default and both controls
also run with a third of the learning rate and with three times as much. STORE contains the real
clips, nearly all of them one shot, or videos with cuts: films (`films.py`) and compilations of
those clips (`compilations.py`) in one folder. An arm takes 14 minutes on one core that computes in
bfloat16, and its evaluation 3.
"""

from experiments.compare import main
from experiments.structure import GENTLE, batch, rates

SHIPPED = (
    f"vivi-full-tiny:vivi-full:{batch(16, 2, 2, 2)},{GENTLE}",
    f"vivi-ex4-tiny:vivi-ex4:{batch(32, 2, 2)},{GENTLE}",
    f"frames-as-images-tiny:frames-as-images:{batch(32, 2, 1, 2)},{GENTLE}",
    f"ex-frame-tiny:ex-frame:{batch(32, 2, 1, 2)},{GENTLE}",
)
LAMBDAS = tuple(
    f"vivi-ex4-tiny:vivi-ex4, lambda {weight}:{batch(32, 2, 2)},{GENTLE},"
    f"objective.future.weight={weight},objective.order.weight={weight}"
    for weight in (0.2, 1.0)
)
"""Weight of the video level; 0.04 is the recipe's."""

RATES = tuple(arm for shipped in SHIPPED[1:] for arm in rates(shipped))
"""The default and both controls, tuned with the same budget; 0.001 is the recipes'."""

ARMS = (
    *SHIPPED,
    f"ex-shot-tiny:ex-shot:{batch(32, 2, 2)},{GENTLE}",
    f"vivi-ex4-tiny:vivi-ex4, 2 views of a frame:{batch(16, 2, 2, 2)},{GENTLE}",
    *LAMBDAS,
    *RATES,
)

if __name__ == "__main__":
    main(__doc__ or "", ARMS, "steps=1000,compute.workers=1,compute.threads=1")
