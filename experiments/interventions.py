r"""Which change makes video structure pay off? One change at a time, in recipes and controls.

    python -m experiments.interventions RESULTS.jsonl --store STORE --suite POCKET \
        --video-suite POCKET-VIDEO --masks POCKET-VIDEO/propagation --seeds 0
    python -m experiments.interventions RESULTS.jsonl --table

The setting is that of `video_tasks.py`, with the learning rate that is best for all of its arms.
RESULTS also contains that comparison, and its arms are the reference for each change. Two further
changes replace the store (`derived_store.py`) and are run with `video_tasks.py`.

- shared draws: the frames of a shot share crop, flip, colours and blur, so that they differ only by
  what changes in the video.
- shot classes: classification with one class per shot of the store replaces the exemplar loss.
- shot classes and shared draws: both of these changes, which passed.
- small crops: the views of a shot hardly overlap and share less of the background. Also applied to
  the controls.
- weak draws: larger crops, and fewer changes of colour and blur. They test whether shared draws
  gain from weaker augmentation alone. Also applied to the controls.

Further changes in RESULTS did not help and were removed: the relative crop and the conditioned
predictor (commit 25de560 has their code), and shared draws of crop and flip alone, or of colours
and blur alone (0aa54d0).
"""

from experiments import shot_classes
from experiments.compare import main
from experiments.levels import COMMON
from experiments.shipped import SHIPPED
from experiments.structure import GENTLE, rates

CHANGES = {
    "shared draws": "augment.draw_per=shot",
    "shot classes": "objective.frame_shot.weight=0,objective.extra_levels.shot_classes.weight=1.0,"
    "objective.extra_levels.shot_classes.num_classes=4096",
    "shot classes and shared draws": "augment.draw_per=shot,objective.frame_shot.weight=0,"
    "objective.extra_levels.shot_classes.weight=1.0,"
    "objective.extra_levels.shot_classes.num_classes=4096",
    "small crops": "augment.crop_scale_min=0.15,augment.crop_scale_max=0.35",
    "weak draws": "augment.crop_scale_min=0.8,augment.colour_probability=0.4,"
    "augment.grey_probability=0.05,augment.blur_probability=0.1",
}
WITHOUT_SHOTS = ("small crops", "weak draws")
"""Changes that also apply to the controls."""
NOT_WITH_FULL = ("shot classes", "shot classes and shared draws", "weak draws")
"""Changes that are not run with `vivi-full`. Its frame level uses the loss of the shot level, which
shot classes replace; weak draws explain a result of `vivi-ex4`."""

RATE = 0.003
"""The best learning rate of every arm in `video_tasks.py`."""


def arm(shipped: str, change: str, rate: float = RATE) -> str:
    """Return a recipe or control with one of `CHANGES`."""
    recipe, label, settings = shipped.split(":")
    kept = settings.replace(f",{GENTLE}", "") if "crop_scale_min" in CHANGES[change] else settings
    (changed,) = rates(f"{recipe}:{label}, {change}:{kept},{CHANGES[change]}", (rate,))
    return changed


CONTROLS = SHIPPED[2:]
SCREENED = tuple(
    arm(each, change)
    for change in CHANGES
    for each in (*SHIPPED[:2], *(CONTROLS if change in WITHOUT_SHOTS else ()))
    if not (change in NOT_WITH_FULL and each.startswith("vivi-full"))
)
FRAME_EXEMPLARS = "objective.frame.weight=0,objective.frame_shot.positives=frame"
FULL_WITH_CLASSES = rates(
    f"{SHIPPED[0].replace(':vivi-full:', ':vivi-full, shot classes:')},{FRAME_EXEMPLARS},"
    f"{CHANGES['shot classes'].partition(',')[2]}",
    (RATE,),
)
"""`vivi-full` with exemplars for frames, as before, and classes for shots."""
PASSED = (
    arm(SHIPPED[1], "shared draws", 0.001),
    arm(SHIPPED[1], "shared draws", 0.01),
    arm(SHIPPED[1], "shot classes", 0.001),
    arm(SHIPPED[1], "shot classes", 0.01),
    arm(SHIPPED[1], "shot classes and shared draws", 0.01),
)
"""Further learning rates of the changes that passed the screening."""
ARMS = (*SCREENED, *FULL_WITH_CLASSES, *PASSED)

if __name__ == "__main__":
    shot_classes.register()
    main(__doc__ or "", ARMS, COMMON)
