"""Inner products of all rows, with a backward pass that needs a single product."""

from typing import Any

import torch
from torch import Tensor


class RowProducts(torch.autograd.Function):
    """`rows @ rows.mT`; its gradient is symmetric, so one product does the work of two."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ANN401
        """Compute all inner products."""
        ctx.save_for_backward(rows)
        return rows @ rows.mT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        """Compute the gradient of the rows."""
        rows: Tensor = ctx.saved_tensors[0]
        return (gradients[0] + gradients[0].mT) @ rows
