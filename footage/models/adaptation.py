"""Limit what training may change in a pretrained network: frozen stages, batch norm, LoRA."""

import logging
import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import footage._torchvision_compat  # noqa: F401  (must come before timm)
from footage.errors import ConfigError
from footage.models.backbone import Backbone
from footage.models.config import AdaptConfig
from footage.models.lora import add_lora

from timm.models import group_parameters  # isort: skip

log = logging.getLogger(__name__)


def adapt(backbone: Backbone, config: AdaptConfig, *, seed: int = 0) -> None:
    """Freeze weights and batch norm statistics as configured; log what is frozen.

    Args:
        backbone: Changed in place.
        config: What training may change.
        seed: Seed of the initial weights of LoRA.

    Raises:
        ConfigError: The network, one of a plugin, does not define its stages; it has no layers for
            LoRA; LoRA is not installed.
    """
    network = backbone.network
    if config.frozen_fraction or config.layer_decay != 1:
        _require_stages(backbone)
    if config.lora_rank:
        add_lora(network, rank=config.lora_rank, seed=seed, name=backbone.architecture)
    if config.frozen_fraction:
        _freeze(network, config.frozen_fraction)
    backbone.constant_modules = tuple(
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and (config.batch_norm == "frozen" or _is_frozen(module))
    )
    backbone.train(backbone.training)
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    total = sum(each.numel() for each in network.parameters())
    if trained < total:
        log.info("training %s of %s weights; the others are frozen", f"{trained:,}", f"{total:,}")


def stages(network: nn.Module) -> dict[str, int]:
    """Return the stage of each parameter by name, from 0 at the input, as timm groups them."""
    groups: dict[str, int] = group_parameters(
        network,
        network.group_matcher(coarse=True),  # type: ignore[operator]
        reverse=True,
    )
    return groups


def _freeze(network: nn.Module, fraction: float) -> None:
    stage_of = stages(network)
    total = max(stage_of.values()) + 1
    frozen = math.floor(fraction * total + 1e-6)
    for name, parameter in network.named_parameters():
        if stage_of[name] < frozen:
            parameter.requires_grad_(False)
    log.info("frozen: the first %d of %d stages", frozen, total)


def _is_frozen(module: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)


def _require_stages(backbone: Backbone) -> None:
    if not hasattr(backbone.network, "group_matcher"):
        raise ConfigError(
            f"backbone {backbone.architecture!r} does not define its stages, so"
            " adapt.frozen_fraction and adapt.layer_decay cannot be used",
            "add a method group_matcher as in timm, or set them to 0 and 1",
        )
