"""Readable titles of the levels' losses, for reports and logs."""

from typing import Final

from footage.objectives.levels.base import LEVELS
from footage.objectives.losses.base import LOSSES

_POSITIVES: Final = {
    "frame": "Frame level",
    "shot": "Shot level",
    "other_frames": "Shot level, other frames only",
}
_VIDEO: Final = {
    "future_nce": "Video level: future shots (InfoNCE)",
    "future_mse": "Video level: future shots (regression)",
    "order": "Video level: shot order",
}


def level_title(name: str) -> str:
    """The title of a level, such as "Shot level: VICReg" for "shot/vicreg".

    Args:
        name: Name of the level in metrics, also one that this installation does not know.
    """
    group, _, loss = name.partition("/")
    if name == "supervised":
        return "Supervised level"
    if group == "video" and loss in _VIDEO:
        return _VIDEO[loss]
    title = LOSSES[loss].title if loss in LOSSES else loss.replace("_", " ")
    if group in _POSITIVES and loss:
        return f"{_POSITIVES[group]}: {title}"
    if loss in LEVELS:
        return LEVELS[loss].title
    return name.replace("_", " ")
