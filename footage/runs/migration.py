"""Convert records of earlier versions on reading, so that old runs still open."""

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = 2
"""Version of run.json whose settings have the present names."""

RENAMED: Final[Mapping[str, str]] = {
    "held_out_share": "held_out_fraction",
    "label_share": "label_fraction",
    "learn_from": "unlabelled_source",
    "probe_every": "metrics_every",
    "probe_frames": "metrics_frames",
    "sampling.few_shots": "sampling.short_video_policy",
    "sampling.few_frames": "sampling.short_shot_policy",
    "schedule.warmup_share": "schedule.warmup_fraction",
    "schedule.final_share": "schedule.final_fraction",
    "schedule.decay_shares": "schedule.decay_fractions",
    **{
        f"objective.frame_shot.{name}": f"objective.frame_shot.loss.{name}"
        for name in (
            "margin", "mining", "hinge", "temperature", "teacher_temperature", "teacher_decay",
            "centre_decay", "invariance", "variance", "covariance",
        )
    },
}  # fmt: skip
"""Present names of training settings by their dotted names in version 1."""

_LOSSES: Final[Mapping[str, tuple[str, ...]]] = {
    "exemplar": ("margin", "mining", "hinge"),
    "nce": ("temperature",),
    "vicreg": ("invariance", "variance", "covariance"),
    "distillation": ("temperature", "teacher_temperature", "teacher_decay", "centre_decay"),
    "rotation": (),
}
"""Settings that each loss of version 1 used; the others had no effect."""


def run_record(record: dict[str, Any]) -> dict[str, Any]:
    """Convert run.json; one with the present names is returned as it is."""
    changed: dict[str, Any] = {}
    model, config = record.get("model"), record.get("config")
    if isinstance(model, dict) and "start" in model:
        changed["model"] = described_model(model)
    if record.get("version", 1) == 1 and isinstance(config, dict):
        changed["config"] = migrated(config)
    return {**record, **changed} if changed else record


def described_model(model: dict[str, Any]) -> dict[str, Any]:
    """Convert the metadata of weights, whose `weights_origin` was called `start`."""
    if "start" not in model:
        return model
    others = {key: value for key, value in model.items() if key != "start"}
    return {**others, "weights_origin": model["start"]}


def migrated(config: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a training configuration of version 1 to the present names.

    Args:
        config: Plain JSON values, as in run.json.
    """
    result: dict[str, Any] = {}
    for name, value in config.items():
        if name == "objective" and isinstance(value, Mapping):
            value = {**value}
            if isinstance(value.get("frame_shot"), Mapping):
                value["frame_shot"] = _frame_shot(value["frame_shot"])
        elif isinstance(value, Mapping):
            value = {RENAMED.get(f"{name}.{key}", f".{key}").rpartition(".")[2]: item
                     for key, item in value.items()}  # fmt: skip
        result[RENAMED.get(name, name)] = value
    return result


def _frame_shot(level: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the flat settings for all losses by the chosen loss with its own settings."""
    name = level.get("loss", "exemplar")
    if not isinstance(name, str):
        return dict(level)
    every = {setting for settings in _LOSSES.values() for setting in settings}
    kept = {key: value for key, value in level.items() if key not in {*every, "loss"}}
    own = {key: level[key] for key in _LOSSES.get(name, ()) if key in level}
    return {"loss": {"name": name, **own}, **kept}
