"""Arithmetic that losses share."""

from jaxtyping import Float

from footage.lazy import torch
from footage.shapes import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """Half precision becomes single: distances of near neighbours do not survive in 8 bits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def products(rows: Float[Tensor, "... N D"]) -> Float[Tensor, "... N N"]:
    """The inner product of every row with every row."""
    from footage.objectives.row_products import RowProducts  # its base class needs torch

    return RowProducts.apply(rows)  # type: ignore[no-any-return, no-untyped-call]
