"""The table of the pocket-video suite: small tasks where learning from videos should help.

    instances     an object from sides that no labelled image shows
    robustness    tasks of the pocket suite with corrupted test images
    in-domain     places, objects and distances in the world of `pocket-suite gameplay`
    propagation   clips with masks, for `footage evaluate --masks`; not a task with labels

Like the pocket suite, it is not VTAB. Use `N-shot` protocols for the few labels of a typical user.
"""

from typing import Final

from footage.suites.pocket import BUILD_HINT as POCKET_HINT
from footage.suites.pocket import WALLPAPERS, PocketRow, row

NAME: Final = "pocket-video"

BUILD_HINT: Final = f"{POCKET_HINT} --suite {NAME}"
"""Instructions for getting the images of the suite."""

CORRUPTED: Final = ("clipart", "object-instance", "scene-digits", "landcover", "vehicle-distance")
"""Tasks of the pocket suite that have a version with corrupted test images."""


def corrupted_name(name: str) -> str:
    """Return the name of the version of a task with corrupted test images."""
    return f"{name}-corrupted"


def _corrupted(clean: PocketRow) -> PocketRow:
    return PocketRow(
        name=corrupted_name(clean.name),
        group="robustness",
        num_classes=clean.num_classes,
        num_test=clean.num_test,
        mirrors=clean.mirrors,
        needs=clean.needs,
    )


TASKS: Final = (
    PocketRow(
        name="instance",
        group="instances",
        num_classes=40,
        mirrors="",
        needs=("sweethome3d-furniture", *WALLPAPERS),
    ),
    *(_corrupted(row(name)) for name in CORRUPTED),
    PocketRow(name="doom-place", group="in-domain", num_classes=12, mirrors="", needs=("vizdoom",)),
    PocketRow(name="doom-item", group="in-domain", num_classes=8, mirrors="", needs=("vizdoom",)),
    PocketRow(name="doom-depth", group="in-domain", num_classes=6, mirrors="", needs=("vizdoom",)),
)

CLIPS: Final = PocketRow(
    name="propagation",
    group="other",
    num_classes=1,
    num_test=30,
    num_train=0,
    num_val=0,
    mirrors="",
    needs=("sweethome3d-furniture", *WALLPAPERS),
)
"""The clips with masks; they are built with the suite, but are not a task of its table."""
