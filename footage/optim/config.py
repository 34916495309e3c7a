"""Settings of the optimiser. This module does not import torch."""

from dataclasses import dataclass
from typing import Literal

from footage.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Optimiser settings."""

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    """Optimiser. Recalled: SGD with momentum [.25-.5]. LARS suits batches of thousands, AdamW suits
    transformers.
    """

    learning_rate: float = 0.03
    """Peak learning rate. As in BiT of the same lab, which uses 0.03 per 256 images."""

    weight_decay: float = 1e-4
    """Weight decay, for matrices and filters only. As in BiT. For AdamW it is decoupled; use about
    0.05.
    """

    momentum: float = 0.9
    """Momentum of SGD and LARS, as in BiT of the same lab [paper]."""

    beta1: float = 0.9
    """AdamW: decay rate of the first moment."""

    beta2: float = 0.999
    """AdamW: decay rate of the second moment."""

    trust_coefficient: float = 0.001
    """LARS: norm of a step as a fraction of the norm of the weights, before the learning rate."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        for name in ("learning_rate", "trust_coefficient"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"optimizer.{name} must be > 0, got {getattr(self, name)}",
                    "use a small positive number",
                )
        if not self.weight_decay >= 0:
            raise ConfigError(
                f"optimizer.weight_decay must be >= 0, got {self.weight_decay}",
                "use 0 to switch it off",
            )
        for name in ("momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"optimizer.{name} must lie in [0, 1), got {getattr(self, name)}",
                    "use a fraction such as 0.9",
                )
