"""Optimisers: SGD and AdamW from torch, LARS from timm, by name.

Matrices and filters decay; biases, norm scales and other one-axis parameters do not, and LARS
leaves their step length alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from footage.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Optimiser settings."""

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    """Optimiser. Recalled: SGD with momentum [.25-.5]. LARS suits batches of thousands, AdamW suits
    transformers."""

    learning_rate: float = 0.03
    """Peak learning rate. As in BiT of the same lab, which uses 0.03 per 256 images."""

    weight_decay: float = 1e-4
    """Weight decay, for matrices and filters only. As in BiT. For AdamW it is decoupled; use about
    0.05."""

    momentum: float = 0.9
    """Momentum of SGD and LARS, as in BiT of the same lab [paper]."""

    beta1: float = 0.9
    """AdamW: decay rate of the first moment."""

    beta2: float = 0.999
    """AdamW: decay rate of the second moment."""

    trust_coefficient: float = 0.001
    """LARS: norm of a step as a fraction of the norm of the weights, before the learning rate."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        for name in ("learning_rate", "trust_coefficient"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"optimizer.{name} must be > 0, got {getattr(self, name)}",
                    "Give a small positive number.",
                )
        if not self.weight_decay >= 0:
            raise ConfigError(
                f"optimizer.weight_decay must be >= 0, got {self.weight_decay}",
                "Give 0 to switch it off.",
            )
        for name in ("momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"optimizer.{name} must lie in [0, 1), got {getattr(self, name)}",
                    "Give a share such as 0.9.",
                )


def build(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser over all parameters that want a gradient, in two groups: decayed and not."""
    groups = _groups(parameters, config)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    if config.name == "adamw":
        betas = (config.beta1, config.beta2)
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas)
    return _lars(groups, config)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group the learning rate of this step."""
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
    """LARS as in You et al. 2017, equation 6, of timm."""
    # Seconds of import, needed by one optimiser of three; timm imports torchvision.
    import footage._torchvision_compat  # noqa: F401, I001
    from timm.optim.lars import Lars

    for group in groups:
        # timm scales a group's steps only if it decays; without decay the matrices still want it.
        group["always_adapt"] = all(parameter.ndim > 1 for parameter in group["params"])
    optimizer: torch.optim.Optimizer = Lars(
        groups,
        lr=config.learning_rate,
        momentum=config.momentum,
        trust_coeff=config.trust_coefficient,
    )
    return optimizer
