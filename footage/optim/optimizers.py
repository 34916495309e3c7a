"""Optimisers: SGD and AdamW from torch, LARS from timm, by name.

Weight decay and LARS scaling apply to matrices and filters, not to biases, norm scales and
other one-dimensional parameters.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from footage.optim.config import OptimizerConfig


def build(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimiser with two groups of parameters: with and without weight decay."""
    groups = _groups(parameters, config)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    if config.name == "adamw":
        betas = (config.beta1, config.beta2)
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas)
    return _lars(groups, config)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def _groups(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> list[dict[str, Any]]:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    plain = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


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
