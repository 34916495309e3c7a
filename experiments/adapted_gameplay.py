r"""Do hours of videos of one world improve a good pretrained network for that world?

    pocket-suite gameplay --out gameplay
    footage ingest gameplay --out STORE
    python -m experiments.adapted_gameplay RESULTS.jsonl --store STORE \
        --video-suite POCKET-VIDEO --masks POCKET-VIDEO/propagation --seeds 0
    python -m experiments.adapted_gameplay RESULTS.jsonl --table

EfficientNet-Lite0 pretrained on ImageNet, written to the working folder by
`benchmarks/reference_weights.py`, is adapted to gameplay by the recipe `vivi-ex4-adapt` at the tiny
scale, with and without shared draws (`interventions.py`). Two controls, `ex-frame` and
`frames-as-images`, have the same settings but do not use shots and videos. Each arm runs with three
learning rates for 200 steps (12,800 views) and keeps the weights that early stopping selects.
"""

from experiments.compare import main
from experiments.structure import batch, rates

SHUFFLED = "sampling.structure=shuffled"

ADAPTED = (
    f"vivi-ex4-adapt-tiny:vivi-ex4, adapted:{batch(16, 2, 2)}",
    f"ex-frame-adapt-tiny:frames-as-images, adapted:{batch(16, 2, 1, 2)},{SHUFFLED}",
    f"ex-frame-adapt-tiny:ex-frame, adapted:{batch(16, 2, 1, 2)}",
    f"vivi-ex4-adapt-tiny:vivi-ex4, adapted, shared draws:{batch(16, 2, 2)},augment.draw_per=shot",
)
COMMON = "init=efficientnet-lite0.safetensors,compute.workers=1,compute.threads=1,precision=fp32"

RATES = (0.00003, 0.0003)
"""A third of the recipe's learning rate, and three times as much."""

ARMS = (*ADAPTED, *(arm for adapted in ADAPTED for arm in rates(adapted, RATES)))

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
