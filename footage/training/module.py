"""The training module and its state: network, heads, optimiser and averaged weights.

views  --rotated, where asked--> backbone ---> features ----------.
   |                             teacher ----> its features -------+--> objective --> loss
   +---------------------> frozen teacher ---> its features -------|
images ------------------------> backbone ---> image features ----'
"""

import contextlib
import copy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from footage import distributed
from footage.errors import CheckpointError
from footage.models.backbone import Backbone
from footage.models.config import Preprocessing
from footage.models.frozen_teacher import FrozenTeacher
from footage.models.preprocessing import normalise
from footage.objectives.inputs import LabelledInput, ObjectiveInput
from footage.objectives.objective import Objective
from footage.optim import optimizers
from footage.optim.config import OptimizerConfig
from footage.runs import checkpoint
from footage.runs.checkpoint import Checkpoint
from footage.shapes import Features, Images, Scalar
from footage.training.compiled import compiled
from footage.training.config import Statistics
from footage.training.loader import Batch
from footage.training.micro_batches import in_micro_batches, kept_buffers

TeacherFeatures = tuple[Float[Tensor, "N D"] | None, Float[Tensor, "N E"] | None]
"""Features of the teacher that is an average of the student, and of the frozen one."""


class TrainModule(nn.Module):
    """Backbone and objective as one module: map a batch to its loss and the value of each level.

    Args:
        backbone: Runs under autocast if `bf16` is set.
        objective: Always runs in single precision.
        bf16: Whether the backbone runs in bfloat16.
        statistics: Batch norm statistics of views and labelled images. Not stated in the paper;
            separate by default [ours]. The running averages follow both in either case.
        accumulate: Micro-batches into which the backbone's batch is split; see `micro_batches`.
        checkpointing: Whether the backbone recomputes its activations in the backward pass.
        compile: Whether to compile the backbone for training.
        frozen_teacher: The teacher of the teacher level; it is no part of this module's weights.

    Raises:
        ConfigError: The backbone does not support checkpointing.
    """

    def __init__(
        self,
        backbone: Backbone,
        objective: Objective,
        *,
        bf16: bool,
        statistics: Statistics = "separate",
        accumulate: int = 1,
        checkpointing: bool = False,
        compile: bool = False,
        frozen_teacher: FrozenTeacher | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen_teacher = frozen_teacher
        self.objective = objective
        self.bf16 = bf16
        self.statistics = statistics
        self.accumulate = accumulate
        self.teacher: Backbone | None = None
        if objective.config.has_teacher:
            self.teacher = copy.deepcopy(backbone).requires_grad_(False)
        if checkpointing:
            backbone.checkpoint_activations()
        self._recomputes = checkpointing or accumulate > 1
        self._compiled = compiled(backbone) if compile else None

    def forward(self, batch: Batch) -> tuple[Scalar, dict[str, Tensor]]:
        """Return the loss of one batch, and the value of each level by name."""
        rotations = None
        if batch.views is not None and self.objective.config.rotates_views:
            rotations = self._rotations(batch)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.bf16):
            (teacher, frozen), of_views, of_images = self._all_features(batch, rotations)
        inputs = ObjectiveInput(
            features=_as_hierarchy(of_views, batch),
            rows=batch.rows,
            teacher=_as_hierarchy(teacher, batch),
            frozen_teacher=_as_hierarchy(frozen, batch),
            rotations=None if rotations is None else self._moved(rotations),
            labelled=_labelled(of_images, batch),
        )
        total, levels = self.objective(inputs, batch.step)
        return total, levels

    def backward(self, loss: Scalar) -> None:
        """Compute the gradients of a loss that `forward` returned.

        Activations that are computed again leave the buffers as the forward pass left them.
        """
        with kept_buffers(self) if self._recomputes else contextlib.nullcontext():
            loss.backward()  # type: ignore[no-untyped-call]

    def follow(self, decay: float) -> None:
        """Update the teacher towards the student after a step; do nothing without a teacher."""
        heads = self.objective.teaching()
        if self.teacher is None or heads is None:
            return
        with torch.no_grad():
            for student, teacher in ((self.backbone, self.teacher), heads):
                for ours, average in zip(student.parameters(), teacher.parameters(), strict=True):
                    average.lerp_(ours, 1 - decay)

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _moved(self, tensor: Tensor) -> Tensor:
        """Copy to the device without waiting for it."""
        return tensor.to(self._device, non_blocking=True)

    def _all_features(
        self, batch: Batch, rotations: Tensor | None
    ) -> tuple[TeacherFeatures, Float[Tensor, "N D"] | None, Float[Tensor, "B D"] | None]:
        """Return the teachers' features of the views, and features of views and of images."""
        turns = None if rotations is None else rotations.flatten()
        if self.accumulate == 1:
            views, images = self._views(batch.views, turns), self._pixels(batch.images)
            frozen = self._frozen_features(batch.views, turns)
            return (self._teacher_features(views), frozen), *self._features(views, images)
        pixels = None if batch.views is None else batch.views.flatten(0, 3)
        parts = [None if pixels is None else self._moved(pixels), turns]
        labelled = None if batch.images is None else self._moved(batch.images)
        teacher, frozen = in_micro_batches(
            lambda views, turns: (
                self._teacher_features(self._views(views, turns)),
                self._frozen_features(views, turns),
            ),
            parts, self.accumulate, [self.teacher], gradient=False,
        )  # fmt: skip
        of_views, of_images = in_micro_batches(
            lambda views, turns, images: self._features(
                self._views(views, turns), self._pixels(images)
            ),
            [*parts, labelled], self.accumulate, [self.backbone],
        )  # fmt: skip
        return (teacher, frozen), of_views, of_images

    def _views(
        self,
        pixels: Tensor | None,
        turns: Int[Tensor, " B"] | None,
        cfg: Preprocessing | None = None,
    ) -> Images | None:
        views = self._pixels(pixels, cfg)
        return views if views is None or turns is None else rotated(views, turns)

    def _pixels(self, pixels: Tensor | None, cfg: Preprocessing | None = None) -> Images | None:
        if pixels is None:
            return None
        cfg = cfg or self.backbone.preprocessing
        return normalise(pixels, cfg.mean, cfg.std, self._device)

    def _rotations(self, batch: Batch) -> Tensor:
        assert batch.views is not None
        videos, shots, frames, views = batch.views.shape[:4]
        whole = (videos * distributed.world_size(), shots, frames, views)
        return self.objective.rotations(whole, batch.step)

    def _teacher_features(self, views: Images | None) -> Features | None:
        if self.teacher is None or views is None:
            return None
        with torch.no_grad():
            features: Tensor = self.teacher(views)
        return features

    def _frozen_features(
        self, pixels: Tensor | None, turns: Int[Tensor, " B"] | None
    ) -> Float[Tensor, "N E"] | None:
        if self.frozen_teacher is None:
            return None
        views = self._views(pixels, turns, self.frozen_teacher.preprocessing)
        return None if views is None else self.frozen_teacher(views)

    def _features(
        self, views: Float[Tensor, "N 3 H W"] | None, images: Images | None
    ) -> tuple[Float[Tensor, "N D"] | None, Features | None]:
        """Run one forward pass over both with joint statistics, else one pass each."""
        if views is not None and images is not None and self.statistics == "joint":
            both = self._student(torch.cat([views, images]))
            return both[: len(views)], both[len(views) :]
        of_images = None if images is None else self._student(images)
        return None if views is None else self._student(views), of_images

    def _student(self, images: Images) -> Features:
        run = self._compiled or self.backbone
        features: Tensor = run(images)
        return features


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; without them it is many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def rotated(images: Images, rotations: Int[Tensor, " B"]) -> Images:
    """Rotate each image counter-clockwise by its number of quarter rotations.

    Rotations in host memory never make the host wait for a GPU.
    """
    turned = images.clone()
    for turn in (1, 2, 3):
        chosen = (rotations == turn).nonzero().squeeze(1).to(images.device, non_blocking=True)
        turned[chosen] = torch.rot90(images[chosen], turn, dims=(2, 3))
    return turned


def _as_hierarchy(features: Features | None, batch: Batch) -> Float[Tensor, "V S F A D"] | None:
    if features is None or batch.views is None:
        return None
    return features.view(*batch.views.shape[:4], -1)


def _labelled(features: Features | None, batch: Batch) -> LabelledInput | None:
    if features is None or batch.labels is None:
        return None
    return LabelledInput(features, batch.labels.to(features.device, non_blocking=True))


class TrainState:
    """A module with everything that a checkpoint needs for an exact resume.

    Args:
        learner: The module, already on its device and in its memory format.
        config: Settings of the optimiser.
        ema_decay: EMA decay per step for averaged weights; 0 disables EMA.
        layer_decay: Layer-wise learning rate decay of the backbone; 1 disables it.
        keeps_best: Whether to keep the weights that `remember_best` saw last, at first the initial
            ones, next to the current ones.
    """

    def __init__(
        self,
        learner: TrainModule,
        config: OptimizerConfig,
        *,
        ema_decay: float,
        layer_decay: int | float = 1.0,
        keeps_best: bool = False,
    ) -> None:
        self.learner = learner
        self.optimizer = optimizers.build(
            learner.parameters(),
            config,
            network=learner.backbone.network,
            layer_decay=layer_decay,
        )
        self.best: dict[str, Tensor] = {}
        self.best_step: int | None = None
        """Step of the weights in `best`; None without any, and after resuming a run of an earlier
        version, which did not record it."""
        if keeps_best:
            self.remember_best(0)
        self.ema_decay = ema_decay
        weights = learner.state_dict() if ema_decay else {}
        self.average = {name: value.clone() for name, value in weights.items()}
        self._buffers = [(buffer, buffer.clone()) for buffer in learner.buffers()]

    def remember_buffers(self) -> None:
        """Save what a forward pass changes, such as running averages, for `restore_buffers`."""
        for buffer, kept in self._buffers:
            kept.copy_(buffer)

    def restore_buffers(self) -> None:
        """Undo the changes of the forward pass since `remember_buffers`."""
        for buffer, kept in self._buffers:
            buffer.copy_(kept)

    def remember_best(self, step: int) -> None:
        """Copy the weights of backbone and heads, which are those after `step`, into `best`."""
        self.best_step = step
        self.best = {name: value.clone() for name, value in self.learner.state_dict().items()}

    def is_finite(self) -> bool:
        """Whether all weights and buffers are finite."""
        return all(bool(value.isfinite().all()) for value in self.learner.state_dict().values())

    def update(self, learning_rate: float, *, teacher_decay: float) -> None:
        """Take one optimiser step, then update the teacher and the averaged weights."""
        optimizers.set_learning_rate(self.optimizer, learning_rate)
        self.optimizer.step()
        self.learner.follow(teacher_decay)
        for name, value in self.learner.state_dict().items() if self.average else ():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - self.ema_decay)
            else:
                self.average[name].copy_(value)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return weights and averages by their names in a checkpoint, without the optimiser."""
        groups = {"model": self.learner.state_dict(), "ema": self.average, "best": self.best}
        return {name: tensors for name, tensors in groups.items() if tensors}

    def checkpoint_bytes(self) -> int:
        """Return the size of a checkpoint in bytes, even before the optimiser has its moments."""
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        moments = 2 if isinstance(self.optimizer, torch.optim.AdamW) else 1
        own = {
            f"{number}.{place}": p for number in range(moments) for place, p in enumerate(trained)
        }
        return checkpoint.num_bytes({**self.tensors(), "optimizer": own})

    def save(
        self, folder: Path, step: int, *, keep: int, seed: int, config: dict[str, Any]
    ) -> None:
        """Write a checkpoint of the state after `step` steps.

        Raises:
            OutputError: It cannot be written.
        """
        moments, optimizer = checkpoint.pack_optimizer(self.optimizer)
        random = checkpoint.Randomness(seed, step)
        state = checkpoint.State(step, optimizer, random, config, self.best_step)
        checkpoint.save(folder, {**self.tensors(), "optimizer": moments}, state, keep=keep)

    def restore(self, found: Checkpoint) -> None:
        """Restore everything that `save` wrote.

        Raises:
            CheckpointError: The checkpoint belongs to another network, optimiser or version.
        """
        try:
            self.learner.load_state_dict(found.tensors["model"])
            checkpoint.unpack_optimizer(
                self.optimizer, found.tensors["optimizer"], found.state.optimizer
            )
            for group, kept in (("ema", self.average), ("best", self.best)):
                for name, value in kept.items():
                    value.copy_(found.tensors[group][name])
            self.best_step = found.state.best_step
        except (KeyError, ValueError, RuntimeError) as error:
            problem = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"checkpoint {str(found.path)!r} does not fit this run: {problem}",
                "use the version of footage and timm that wrote it, or choose another --out",
            ) from error
