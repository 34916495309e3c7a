"""Readable titles of levels and their losses, for reports."""

from typing import Final

from footage.objectives.levels.base import LEVELS
from footage.objectives.losses.base import LOSSES

_LEVELS: Final = {
    "frame": "Frame level",
    "shot": "Shot level",
    "other_frames": "Shot level, other frames",
    "video": "Video level",
    "teacher": "Frozen teacher",
    "supervised": "Labelled images (cross-entropy)",
}
_VIDEO: Final = {
    "future_nce": "future shots (InfoNCE)",
    "future_mse": "future shots (regression)",
    "order": "shot order (cross-entropy)",
}
_TEACHER: Final = {"cosine": "features (cosine)", "smooth_l1": "features (smooth L1)"}


def level_title(name: str) -> str:
    """Return the title of a level and its loss, such as "Shot level: VICReg" for "shot/vicreg".

    Unknown names are made readable: "scene/soft_rank" becomes "Scene level: soft rank".

    Args:
        name: Name of the level in metrics; the plugin that defined it need not be loaded.
    """
    level, _, loss = name.partition("/")
    title = _LEVELS.get(level) or f"{_words(level)[:1].upper()}{_words(level)[1:]} level"
    if not loss:
        return title
    for registry in (LOSSES, LEVELS):
        if loss in registry:
            return f"{title}: {registry[loss].title}"
    return f"{title}: {(_VIDEO | _TEACHER).get(loss) or _words(loss)}"


def _words(name: str) -> str:
    return name.replace("_", " ")
