r"""Do the levels of the loss help more when training is longer and there are many shots?

    python -m experiments.longer RESULTS.jsonl --store STORE --suite POCKET
    python -m experiments.longer RESULTS.jsonl --table

The arms of `levels.py` with the network of the tiny scale, a ResNet-18, after 2000 steps and
256,000 views: twice the length of the recipe. `frames-as-images` has the batch that suited it best,
32 frames in 4 views. STORE may contain the real clips or the rendered films (`films.py`), whose
videos have four to five shots each. On a GPU with many cores most of the time goes into decoding,
so train arms in parallel: add `--processes 16`.
"""

from experiments.compare import main
from experiments.levels import FOUR_VIEWS
from experiments.structure import batch

ARMS = (
    "vivi-ex4-tiny:vivi-ex4",
    f"frames-as-images-tiny:frames-as-images:{batch(8, 4, 1, 4)}",
    "ex-frame-tiny:ex-frame",
    "ex-shot-tiny:ex-shot",
    f"vivi-ex4-tiny:vivi-ex4, 2 views of a frame:{batch(16, 2, 2, 2)}",
    f"vivi-ex4-tiny:vivi-ex4, 4 views of one frame:{FOUR_VIEWS}",
    "vivi-full-tiny:vivi-full",
    "vivi-ex4-tiny:vivi-ex4, future only:objective.order.weight=0.0",
    "vivi-ex4-tiny:vivi-ex4, order only:objective.future.weight=0.0",
    "vivi-rot-tiny:vivi-rot",
)
COMMON = "steps=2000,metrics_every=1000,checkpoint_every=1000,compute.workers=1,compute.threads=1"

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
