"""What training moves: the network with its heads, the optimiser, the averaged weights."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from footage import checkpoint, optim
from footage.backbone import Backbone
from footage.checkpoint import Checkpoint
from footage.loading import normalise
from footage.objective import Objective
from footage.optim import OptimizerConfig
from footage.shapes import Scalar, ShotRows, Views


class Learner(nn.Module):
    """Backbone and objective as one module: views in, loss and the value of each level out.

    Args:
        backbone: Runs under autocast when `bf16` is set.
        objective: Runs in single precision always.
        seed: Seed of the run; with the step it decides what the objective draws.
        bf16: Whether the backbone runs in bfloat16.
    """

    def __init__(self, backbone: Backbone, objective: Objective, *, seed: int, bf16: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective = objective
        self.seed = seed
        self.bf16 = bf16

    def forward(self, views: Views, rows: ShotRows, step: int) -> tuple[Scalar, dict[str, Tensor]]:
        """Loss of one batch, and the value of each level by name.

        Args:
            views: Pixels of this rank's videos.
            rows: Which shot of the store each of their shots is, or is a part of.
            step: Number of the batch.
        """
        device = next(self.parameters()).device
        cfg = self.backbone.preprocessing
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            features = self.backbone(normalise(views, cfg.mean, cfg.std, device))
        total, levels = self.objective(features.view(*views.shape[:4], -1), rows, step, self.seed)
        return total, levels


class LearningState:
    """A learner with all that a checkpoint must hold to go on as if nothing had happened.

    Args:
        learner: Already on its device and in its memory format.
        config: The optimiser.
        ema_decay: Decay a step of the averaged weights; 0 keeps none.
    """

    def __init__(self, learner: Learner, config: OptimizerConfig, *, ema_decay: float) -> None:
        self.learner = learner
        self.optimizer = optim.build(learner.parameters(), config)
        self.ema_decay = ema_decay
        weights = learner.state_dict() if ema_decay else {}
        self.average = {name: value.clone() for name, value in weights.items()}

    def update(self, learning_rate: float) -> None:
        """One step of the optimiser; the average follows, counters are taken over."""
        optim.set_learning_rate(self.optimizer, learning_rate)
        self.optimizer.step()
        for name, value in self.learner.state_dict().items() if self.average else ():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - self.ema_decay)
            else:
                self.average[name].copy_(value)

    def save(self, folder: Path, step: int, *, keep: int, **more: Any) -> None:  # noqa: ANN401
        """Write a checkpoint; `more` goes into its state.json."""
        moments, state = checkpoint.pack_optimizer(self.optimizer)
        tensors = {"model": self.learner.state_dict(), "optimizer": moments}
        if self.average:
            tensors["ema"] = self.average
        checkpoint.save(folder, step, tensors, {"optimizer": state, **more}, keep=keep)

    def restore(self, found: Checkpoint) -> None:
        """Take over everything that `save` wrote."""
        self.learner.load_state_dict(found.tensors["model"])
        checkpoint.unpack_optimizer(
            self.optimizer, found.tensors["optimizer"], found.state["optimizer"]
        )
        for name, value in self.average.items():
            value.copy_(found.tensors["ema"][name])
