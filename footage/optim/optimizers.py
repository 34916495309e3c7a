"""Optimisers: SGD and AdamW from torch, LARS from timm, by name.

Weight decay and LARS scaling apply to matrices and filters, not to biases, norm scales and
other one-dimensional parameters.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from footage.optim.config import OptimizerConfig

SCALE = "lr_scale"
"""timm's name for the factor of a group's learning rate."""


def build(
    parameters: Iterable[nn.Parameter],
    config: OptimizerConfig,
    *,
    network: nn.Module | None = None,
    layer_decay: int | float = 1.0,
) -> torch.optim.Optimizer:
    """Build the optimiser with two groups of parameters: with and without weight decay.

    Args:
        parameters: All parameters; frozen ones are left out.
        config: The optimiser's settings.
        network: The timm network to which some of the parameters belong; only `layer_decay` needs
            it.
        layer_decay: Factor from the learning rate of a layer of the network to that of the layer
            before it, as in BEiT (Bao et al. 2022); each layer then has two groups of its own.
    """
    if network is None or layer_decay == 1:
        groups = _groups(parameters, config)
    else:
        in_network = {id(parameter) for parameter in network.parameters()}
        others = [each for each in parameters if id(each) not in in_network]
        groups = [*_groups_of_layers(network, config, layer_decay), *_groups(others, config)]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    if config.name == "adamw":
        betas = (config.beta1, config.beta2)
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas)
    return _lars(groups, config)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every group, scaled for its layer if there is a layer decay."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get(SCALE, 1.0)


def _groups(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> list[dict[str, Any]]:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    plain = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _groups_of_layers(
    network: nn.Module, config: OptimizerConfig, layer_decay: float
) -> list[dict[str, Any]]:
    import footage._torchvision_compat  # noqa: F401, I001
    import timm.optim  # imported here for the reason in `_lars`

    groups: list[dict[str, Any]] = timm.optim.param_groups_layer_decay(  # type: ignore[attr-defined]
        network, weight_decay=config.weight_decay, layer_decay=layer_decay
    )
    return groups


def _lars(groups: list[dict[str, Any]], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build LARS (You et al. 2017, equation 6) from timm."""
    # Import here because it takes seconds: only LARS comes from timm, which imports torchvision.
    import footage._torchvision_compat  # noqa: F401, I001
    from timm.optim.lars import Lars

    for group in groups:
        # timm scales a group's steps only if it has weight decay; scale matrices in any case.
        group["always_adapt"] = all(parameter.ndim > 1 for parameter in group["params"])
    optimizer: torch.optim.Optimizer = Lars(
        groups,
        lr=config.learning_rate,
        momentum=config.momentum,
        trust_coeff=config.trust_coefficient,
    )
    return optimizer
