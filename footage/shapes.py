"""The legend of axes. Every tensor of the project is described in these letters.

    V   videos in a batch                      D   embedding dimension
    S   shots per video                        C   classes
    F   frames per shot                        B   a flat batch of images
    A   views (augmentations) per frame        N   a flat set of embeddings
    H W pixels                                 3   red, green, blue

Frame losses contrast along A, shot losses along F, video losses along S.
"""

from jaxtyping import Float, Int, UInt8
from torch import Tensor

Views = UInt8[Tensor, "V S F A H W 3"]
"""What the loader delivers: augmented pixels, one byte each, channels last."""

Images = Float[Tensor, "B 3 H W"]
"""What a backbone takes: normalised pixels."""

Features = Float[Tensor, "B D"]
"""What a backbone gives: one pooled vector an image, before any head."""

Embeddings = Float[Tensor, "V S F A D"]
"""What every loss sees: head outputs, laid out along the hierarchy of video."""

ShotEmbeddings = Float[Tensor, "V S D"]
"""Embeddings pooled over the frames and views of each shot, in temporal order."""

ShotRows = Int[Tensor, "V S"]
"""Which shot of the store each is; a shot that was cut into parts comes more than once."""

FlatEmbeddings = Float[Tensor, "N D"]
"""Embeddings without their hierarchy; the identities are given beside them."""

Identities = Int[Tensor, " N"]
"""Equal numbers mean: the same thing seen differently, so a positive pair."""

Scalar = Float[Tensor, ""]
"""A loss."""
