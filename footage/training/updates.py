"""Update the weights after each step, unless the loss or the gradient is not finite.

    every step   the host reads whether both are finite, then updates
    guarded      the device decides: after a step that is not finite, this and all later updates
                 change nothing, until the host fetches the values of several steps at once

In the guarded mode the host never waits for the device between two fetches. It needs memory for a
second copy of the weights, averages, buffers and moments of the optimiser.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from footage import distributed
from footage.data.sampling import BatchPlan
from footage.training.config import TrainConfig
from footage.training.module import TrainState

GPU_FETCH_STEPS = 50
"""Steps between two fetches on a GPU, if the number is chosen automatically [ours]."""


class Step(NamedTuple):
    """What a training step measured; the values are in host memory."""

    batch: int
    """Index of the batch, from 0."""
    plan: BatchPlan | None
    """Origin of the views of this process."""
    is_finite: bool
    """Whether loss and gradient of this and of all earlier steps are finite on all processes."""
    loss: float
    gradient_norm: float
    levels: dict[str, float]
    learning_rate: float
    wait_seconds: float
    """Seconds that the loop waited for the batch."""
    compute_seconds: float


class Updates:
    """Takes optimiser steps and remembers what they measured until it is fetched.

    Args:
        state: The training state.
        every: Steps between two fetches; with 1, each step is checked before its update.
    """

    def __init__(self, state: TrainState, every: int) -> None:
        self._state = state
        self.every = every
        self._guard = _Guard(state) if every > 1 else None
        self._waiting: list[tuple[Step, Tensor]] = []

    def before_forward(self) -> None:
        """Remember what the forward pass and the update change."""
        if self._guard is None:
            self._state.remember_buffers()
        else:
            self._guard.remember()

    def update(self, loss: Tensor, norm: Tensor, rate: float, *, teacher_decay: float) -> Tensor:
        """Take an optimiser step if all numbers are finite.

        Returns:
            Whether this and all earlier steps are finite, as a number on the device: 1 or 0.
        """
        if self._guard is not None:
            return self._guard.update(loss, norm, rate, teacher_decay)
        is_finite = distributed.all_finite(loss, norm)
        if is_finite:
            self._state.update(rate, teacher_decay=teacher_decay)
        else:
            self._state.restore_buffers()
        return loss.new_tensor(float(is_finite))

    def tensors(self) -> list[Tensor]:
        """Return averages, the optimiser's moments, and the copies of the guarded mode."""
        return [*_tensors(self._state), *(self._guard.kept if self._guard else [])]

    def add(self, step: Step, finite: Tensor, loss: Tensor, norm: Tensor) -> None:
        """Keep a step's values on the device; `step` has 0 where they belong."""
        values = [finite, loss, norm, *step.levels.values()]
        on_device = [torch.as_tensor(value, device=loss.device).double() for value in values]
        self._waiting.append((step, torch.stack(on_device)))

    def fetch(self) -> list[Step]:
        """Return the waiting steps in order, with the one copy to the host of them all.

        After a step that is not finite the state is that of the step before it, and later
        steps are left out: they changed nothing.
        """
        if not self._waiting:
            return []
        steps = [step for step, _ in self._waiting]
        rows = torch.stack([values for _, values in self._waiting]).tolist()
        self._waiting.clear()
        fetched = []
        for number, (step, (finite, loss, norm, *levels)) in enumerate(
            zip(steps, rows, strict=True)
        ):
            values = dict(zip(step.levels, levels, strict=True))
            is_finite = bool(finite)
            step = step._replace(is_finite=is_finite, loss=loss, gradient_norm=norm, levels=values)
            fetched.append(step)
            if not is_finite:
                if self._guard is not None:
                    self._guard.forget(len(steps) - number, is_first=number == 0)
                break
        else:
            if self._guard is not None:
                self._guard.has_moments = True
        return fetched


class _Guard:
    """Makes updates without effect from the first step on that is not finite."""

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self.kept: list[Tensor] = []
        self._alive = torch.ones((), dtype=torch.bool, device=_tensors(state)[0].device)
        self.has_moments = bool(state.optimizer.state)
        """Whether the optimiser had moments at the last fetch."""

    def remember(self) -> None:
        """Copy everything that a step changes."""
        live = _tensors(self._state)
        self.kept += [torch.empty_like(tensor) for tensor in live[len(self.kept) :]]
        torch._foreach_copy_(self.kept, live)

    def update(self, loss: Tensor, norm: Tensor, rate: float, teacher_decay: float) -> Tensor:
        """Take a step, and undo it if this or an earlier step is not finite."""
        finite = torch.isfinite(loss) & torch.isfinite(norm)
        self._alive = self._alive & distributed.on_every_rank(finite)
        self._state.update(rate, teacher_decay=teacher_decay)
        live = _tensors(self._state)
        for tensor, kept in zip(live, self.kept, strict=False):
            tensor.copy_(torch.where(self._alive, tensor, kept))
        for moment in live[len(self.kept) :]:  # the first step of a run makes them
            moment.copy_(torch.where(self._alive, moment, torch.zeros_like(moment)))
        return self._alive

    def forget(self, count: int, *, is_first: bool) -> None:
        """Subtract steps without effect from the optimiser's counters, which are on the host.

        Args:
            count: Number of these steps.
            is_first: Whether no step since the last fetch came before them.
        """
        for moments in self._state.optimizer.state.values():
            if "step" in moments:
                moments["step"] -= count
        if is_first and not self.has_moments:
            self._state.optimizer.state.clear()


def fetch_steps(config: TrainConfig, device: torch.device) -> int:
    """Return the number of steps between two copies of loss values to the host."""
    automatic = GPU_FETCH_STEPS if device.type == "cuda" else 1
    return config.compute.fetch_every or automatic


def _tensors(state: TrainState) -> list[Tensor]:
    """Return all tensors that a step changes, the optimiser's last; they share their memory."""
    learner = state.learner
    moments = [
        value
        for of_parameter in state.optimizer.state.values()
        for name, value in of_parameter.items()
        if isinstance(value, Tensor) and name != "step"
    ]
    live = [*learner.parameters(), *learner.buffers(), *state.average.values(), *moments]
    return [tensor.detach() for tensor in live]
