"""The letters of tensor axes, used in every shape annotation.

    V   videos in a batch                      D   embedding dimension
    S   shots per video                        C   classes
    F   frames per shot                        B   a flat batch of images
    A   views (augmentations) per frame        N   a flat set of embeddings
    H W pixels                                 3   red, green, blue

Frame losses contrast along A, shot losses along F, video losses along S.

`Tensor` stands for `torch.Tensor` in annotations, without importing torch: jaxtyping checks shape
and element type of the array that is passed.
"""

from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int, UInt8

if TYPE_CHECKING:
    from torch import Tensor as Tensor
else:
    Tensor = Any

Views = UInt8[Tensor, "V S F A H W 3"]
"""Output of the loader: augmented pixels, one byte each, channels last."""

Images = Float[Tensor, "B 3 H W"]
"""Input of a backbone: normalised pixels."""

Features = Float[Tensor, "B D"]
"""Output of a backbone: one pooled vector per image, before any head."""

Embeddings = Float[Tensor, "V S F A D"]
"""Input of a loss: head outputs, laid out along the hierarchy of video."""

ShotEmbeddings = Float[Tensor, "V S D"]
"""Embeddings pooled over the frames and views of each shot, in temporal order."""

ShotRows = Int[Tensor, "V S"]
"""Row of each shot in the store; a shot that was split into parts occurs more than once."""

FlatEmbeddings = Float[Tensor, "N D"]
"""Embeddings without their hierarchy; identities are passed separately."""

Identities = Int[Tensor, " N"]
"""Equal numbers mark views of the same frame or shot, which are positive pairs."""

Scalar = Float[Tensor, ""]
"""Value of a loss."""
