r"""Which change makes video structure pay off? One change at a time, also for the controls.

    python -m experiments.interventions RESULTS.jsonl --store STORE --suite POCKET \
        --video-suite POCKET-VIDEO --masks POCKET-VIDEO/propagation --seeds 0
    python -m experiments.interventions RESULTS.jsonl --table

The setting is that of `video_tasks.py` with the learning rate that all its arms prefer. RESULTS
also contains that comparison, whose arms are the starting points. Two more changes replace the
store (`derived_store.py`), on which `video_tasks.py` itself is run.

- shared draws: the frames of a shot share crop, flip, colours and blur, so that they differ only by
  what the video changed.
- shot classes: instead of the exemplar loss, a class for every shot of the store.
- relative crop: a level predicts how the next view of a shot is cropped, from a feature map in the
  middle of the network. Controls have it, too.
- told predictor: a level predicts the embedding of the next view of a shot, given its relative crop
  and distance in time. Controls have it, too.
- small crops: views of a shot hardly overlap and share less of the background. Controls have them,
  too.
"""

from experiments import shot_classes, transition
from experiments.compare import main
from experiments.levels import COMMON
from experiments.shipped import SHIPPED
from experiments.structure import GENTLE, rates

CHANGES = {
    "shared draws": "augment.draw_per=shot",
    "shot classes": "objective.frame_shot.weight=0,objective.extra_levels.shot_classes.weight=1.0,"
    "objective.extra_levels.shot_classes.num_classes=4096",
    "relative crop": "objective.equivariance.weight=0.5",
    "told predictor": "objective.extra_levels.transition.weight=0.5",
    "small crops": "augment.crop_scale_min=0.15,augment.crop_scale_max=0.35",
}
WITHOUT_SHOTS = ("relative crop", "told predictor", "small crops")
"""Changes that apply to the controls, too."""

RATE = 0.003
"""The best one of all arms in `video_tasks.py`."""


def arm(shipped: str, change: str) -> str:
    """Return a recipe or control with one of `CHANGES`."""
    recipe, label, settings = shipped.split(":")
    kept = settings.replace(f",{GENTLE}", "") if "crop_scale_min" in CHANGES[change] else settings
    (changed,) = rates(f"{recipe}:{label}, {change}:{kept},{CHANGES[change]}", (RATE,))
    return changed


CONTROLS = SHIPPED[2:]
ARMS = tuple(
    arm(each, change)
    for change in CHANGES
    for each in (*SHIPPED[:2], *(CONTROLS if change in WITHOUT_SHOTS else ()))
    # The frame level compares views by the loss of the shot level, which shot classes replace.
    if not (change == "shot classes" and each.startswith("vivi-full"))
)

if __name__ == "__main__":
    shot_classes.register()
    transition.register()
    main(__doc__ or "", ARMS, COMMON)
