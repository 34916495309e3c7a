"""Run a backbone over a batch in micro-batches, with the activations of only one in memory.

    forward     each micro-batch, without keeping activations --> features of the whole batch
    objective   on the features of the whole batch            --> loss, gradients of the features
    backward    each micro-batch again, from the gradients of its features

So the loss and its gradient are those of the whole batch, for losses that compare all its views,
too. This is gradient caching (Gao et al. 2021, https://arxiv.org/abs/2101.06983), written as one
activation checkpoint per micro-batch: torch replays the random state, so dropout repeats itself.

Batch norm takes its statistics from each micro-batch, as it does from each of several processes.
Running averages change once per step, by the mean of what each micro-batch would change.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Run = Callable[..., tuple[Tensor | None, ...]]
"""Maps parts of a batch, or None for absent ones, to the features of each, or None."""


def in_micro_batches(
    run: Run,
    parts: Iterable[Tensor | None],
    count: int,
    modules: Iterable[nn.Module | None],
    *,
    gradient: bool = True,
) -> tuple[Tensor | None, ...]:
    """Run a function over micro-batches and concatenate what it returns.

    Args:
        run: Maps each part of a micro-batch to its features.
        parts: Tensors that are split along their first axis; None for absent ones.
        count: Number of micro-batches, at most the length of the shortest part.
        modules: Modules whose buffers `run` may change.
        gradient: Whether the result has a gradient; without it, nothing is computed again.
    """
    pieces = [[None] * count if part is None else torch.tensor_split(part, count) for part in parts]
    outputs = []
    buffers = _MeanBuffers(module for module in modules if module is not None)
    for piece in zip(*pieces, strict=True):
        with buffers.one():
            outputs.append(
                checkpoint(run, *piece, use_reentrant=False) if gradient else run(*piece)
            )
    buffers.finish()
    return tuple(None if one[0] is None else torch.cat(one) for one in zip(*outputs, strict=True))


@contextmanager
def kept_buffers(module: nn.Module) -> Iterator[None]:
    """Undo changes of buffers inside: computing activations again must not count twice."""
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()]
    yield
    for buffer, value in kept:
        buffer.copy_(value)


class _MeanBuffers:
    """Start every micro-batch from the same buffers; leave the mean of their changes."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._buffers = [buffer for module in modules for buffer in module.buffers()]
        self._start = [buffer.clone() for buffer in self._buffers]
        self._change: list[Any] = [0] * len(self._buffers)
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        for buffer, start in zip(self._buffers, self._start, strict=True):
            buffer.copy_(start)
        yield
        self._count += 1
        for place, (buffer, start) in enumerate(zip(self._buffers, self._start, strict=True)):
            self._change[place] = self._change[place] + (buffer - start)

    def finish(self) -> None:
        for buffer, start, change in zip(self._buffers, self._start, self._change, strict=True):
            buffer.copy_(start + change / self._count)
