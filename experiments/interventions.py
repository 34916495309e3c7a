r"""Which change makes video structure pay off? One change at a time, also for the controls.

    python -m experiments.interventions RESULTS.jsonl --store STORE --suite POCKET \
        --video-suite POCKET-VIDEO --masks POCKET-VIDEO/propagation --seeds 0
    python -m experiments.interventions RESULTS.jsonl --table

The setting is that of `video_tasks.py` with its middle learning rate. RESULTS also contains that
comparison, whose arms are the starting points.

- shared draws: the frames of a shot share crop, flip, colours and blur, so that they differ only by
  what the video changed.
- shot classes: instead of the exemplar loss, a class for every shot of the store.
- relative crop: a level predicts how the next view of a shot is cropped, from a feature map in the
  middle of the network. Controls have it, too.
- small crops: views of a shot hardly overlap and share less of the background. Controls have them,
  too.
"""

from experiments import shot_classes
from experiments.compare import main
from experiments.levels import COMMON
from experiments.shipped import SHIPPED
from experiments.structure import GENTLE

CHANGES = {
    "shared draws": "augment.draw_per=shot",
    "shot classes": "objective.frame_shot.weight=0,objective.extra_levels.shot_classes.weight=1.0",
    "relative crop": "objective.equivariance.weight=0.5",
    "small crops": "augment.crop_scale_min=0.15,augment.crop_scale_max=0.35",
}
WITHOUT_SHOTS = ("relative crop", "small crops")
"""Changes that apply to the controls, too."""


def arm(shipped: str, change: str) -> str:
    """Return a recipe or control with one of `CHANGES`."""
    recipe, label, settings = shipped.split(":")
    kept = settings.replace(f",{GENTLE}", "") if "crop_scale_min" in CHANGES[change] else settings
    return f"{recipe}:{label}, {change}:{kept},{CHANGES[change]}"


RECIPES, CONTROLS = SHIPPED[:2], SHIPPED[2:]
ARMS = tuple(
    arm(each, change)
    for change in CHANGES
    for each in (*RECIPES, *(CONTROLS if change in WITHOUT_SHOTS else ()))
    # The frame level compares views by the loss of the shot level, which shot classes replace.
    if not (change == "shot classes" and each.startswith("vivi-full"))
)

if __name__ == "__main__":
    shot_classes.register()
    main(__doc__ or "", ARMS, COMMON)
