r"""Do modern losses learn more from video than the paper's, and does the video level help them?

    python -m experiments.modern RESULTS.jsonl --store STORE --suite POCKET --seeds 0 1 2
    python -m experiments.modern RESULTS.jsonl --table

Multi-positive InfoNCE, VICReg and self-distillation over the frames of a shot, each with and
without future-shot prediction by a transformer. Network, steps and views are those of `levels.py`,
with whose first arms they are compared. Further arms train the shipped recipe and its two controls
with a small ViT with patches of 16 pixels, at three times the cost of the other arms, with their
learning rate; the recipe and `frames-as-images` also with a third of it.
"""

from experiments.compare import main
from experiments.levels import COMMON

ALONE = "objective.future.weight=0.0"
VIT = "backbone.architecture=vit_tiny_patch16_224"
SLOWER = "optimizer.learning_rate=0.0003"

TRANSFORMERS = (
    f"vivi-ex4-tiny:vivi-ex4, ViT-Ti/16:{VIT}",
    f"frames-as-images-tiny:frames-as-images, ViT-Ti/16:{VIT}",
    f"ex-frame-tiny:ex-frame, ViT-Ti/16:{VIT}",
    f"vivi-ex4-tiny:vivi-ex4, ViT-Ti/16, slower:{VIT},{SLOWER}",
    f"frames-as-images-tiny:frames-as-images, ViT-Ti/16, slower:{VIT},{SLOWER}",
)
"""The default recipe and its controls with another kind of network."""

ARMS = (
    "vivi-nce-tiny:vivi-nce",
    f"vivi-nce-tiny:vivi-nce, no video level:{ALONE}",
    "vivi-vicreg-tiny:vivi-vicreg",
    f"vivi-vicreg-tiny:vivi-vicreg, no video level:{ALONE}",
    "vivi-dino-tiny:vivi-dino",
    f"vivi-dino-tiny:vivi-dino, no video level:{ALONE}",
    *TRANSFORMERS,
)

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
