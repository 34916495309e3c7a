"""Arithmetic shared by the losses."""

from jaxtyping import Float

from footage.lazy import torch
from footage.shapes import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """Convert half precision to single: 8 bits cannot resolve distances of near neighbours."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def products(rows: Float[Tensor, "... N D"]) -> Float[Tensor, "... N N"]:
    """Return the inner product of every row with every row."""
    from footage.objectives.row_products import RowProducts  # its base class needs torch

    return RowProducts.apply(rows)  # type: ignore[no-any-return, no-untyped-call]
