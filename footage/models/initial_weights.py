"""Initial weights of a run: random, or from earlier training."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from footage.errors import ConfigError
from footage.models import load
from footage.models.backbone import Backbone, build, load_weights
from footage.models.config import BackboneConfig
from footage.runs import checkpoint, layout

log = logging.getLogger(__name__)


class InitialWeights(NamedTuple):
    """A backbone before the first step."""

    backbone: Backbone
    description: str
    """Origin of the weights; printed and stored with the run."""
    heads: Mapping[str, Tensor]
    """Heads of the run that the weights come from, by their names in `Objective`."""


def initial_weights(
    config: BackboneConfig, init: str, *, size: int, seed: int, classes: Sequence[str] = ()
) -> InitialWeights:
    """Build the backbone that a run starts from.

    Args:
        config: The recipe's network; `init` can replace it.
        init: As in `TrainConfig.init`.
        size: Input height and width in pixels.
        seed: Seed of random weights.
        classes: Classes of the run's labelled images; a classifier for other classes is not loaded.

    Raises:
        ConfigError: The name has no weights, or the weights do not fit.
        CheckpointError: A run or file cannot be read.
    """
    if not init:
        backbone, description = build(config, size=size, seed=seed)
        return InitialWeights(backbone, description, {})
    path = Path(init)
    if path.is_file() and not load.describes_itself(path):
        backbone, _ = build(config, size=size, seed=seed)
        return InitialWeights(backbone, load_weights(backbone, path), {})
    require_weights(init, "init")
    initial = load.load(init, size=size)
    backbone = initial.backbone
    architecture = backbone.architecture.partition(".")[0]  # without the tag of its weights
    if (architecture, backbone.options) != (config.architecture, dict(config.options)):
        log.info(
            "training %s, the network of the initial weights, instead of the recipe's %s",
            architecture,
            config.architecture,
        )
    return InitialWeights(backbone.train(), initial.weights_origin, _heads(path, classes))


def require_weights(spec: str, setting: str) -> None:
    """Check that a MODEL argument is not a bare timm name, which has random weights.

    Args:
        spec: See `footage.models.load`.
        setting: Name of the setting, for the message.

    Raises:
        ConfigError: It is one.
    """
    if not Path(spec).exists() and "/" not in spec and "." not in spec:
        raise ConfigError(
            f"{setting} = {spec!r} does not name any weights",
            f"give a timm name with its tag (such as {spec}.a1_in1k), a run or a .safetensors file",
        )


def load_heads(objective: nn.Module, heads: Mapping[str, Tensor]) -> None:
    """Load the heads that fit completely and log them; the others keep their random weights."""
    wanted = objective.state_dict()
    parts = {_part(name) for name in wanted}
    fitting = {
        part
        for part in parts
        if all(
            name in heads and heads[name].shape == value.shape
            for name, value in wanted.items()
            if _part(name) == part
        )
    }
    with torch.no_grad():
        for name, value in wanted.items():
            if _part(name) in fitting:
                value.copy_(heads[name])
    if heads:
        log.info("loaded heads: %s", ", ".join(sorted(fitting)) or "none")
        if parts - fitting:
            log.info("reinitialised heads: %s", ", ".join(sorted(parts - fitting)))


def _heads(path: Path, classes: Sequence[str]) -> dict[str, Tensor]:
    """Return the heads of a run; other sources have none."""
    if not (path / layout.RUN).is_file():
        return {}
    found = checkpoint.newest(path / layout.CHECKPOINTS)
    assert found is not None  # the backbone was read from it
    weights = checkpoint.final_weights(found)
    prefix = "objective."
    heads = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if layout.read_record(path).get("classes") == list(classes):
        return heads
    return {name: value for name, value in heads.items() if _part(name) != "supervised"}


def _part(name: str) -> str:
    """Return the level that a tensor belongs to: `levels.future.x.y` belongs to `future`."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "levels" else first
