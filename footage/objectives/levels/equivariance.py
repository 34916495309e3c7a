"""The equivariance level: predict how the next view of a shot is cropped, from feature maps."""

from math import log
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from footage import distributed
from footage.objectives.config import EquivarianceConfig
from footage.objectives.inputs import LevelInput, Shape
from footage.objectives.losses.relative_crop import relative_crop, relative_crops
from footage.shapes import Scalar

GRID: Final = 4
"""Number of rows and columns of cells to which a feature map is pooled [ours]."""

CONSTANT_LOSS: Final = 0.425
"""Expected smooth L1 loss of predicting 0 for standard normal targets."""


class EquivarianceLevel(nn.Module):
    """Predict the crop of the next view of a shot relative to the current view [ours].

    The other levels make views agree, so the features may discard the position and size of objects
    in the frame. This level reads a feature map from the middle of the network, which must then
    keep both. Each view is compared with the next one of its shot, in the order of frames and
    views; the last one is compared with the first.

    The head maps each cell to a small embedding. An MLP then reads the cosine similarities between
    all cells of one view and all cells of the other, which show what moved where. It does not read
    the embeddings themselves: an MLP that has to compare them learns far more slowly.
    """

    name = "frame/equivariance"

    def __init__(self, map_dim: int, config: EquivarianceConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.embed = nn.Sequential(nn.LayerNorm(map_dim), nn.Linear(map_dim, config.embedding_dim))
        self.predict = nn.Sequential(
            nn.Linear(GRID**4, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 5),
        )

    def forward(self, batch: LevelInput) -> Scalar:
        """Compute the loss, before weighting."""
        assert batch.maps is not None
        assert batch.crops is not None
        cells = normalize(self.embed(batch.maps).flatten(2, 3), dim=-1)
        cosines = cells @ cells.roll(-1, dims=2).transpose(-1, -2)
        predictions = distributed.gather(self.predict(cosines.flatten(3)))
        crops = distributed.gather(batch.crops.to(predictions.dtype)).flatten(2, 3)
        relations = relative_crops(crops, crops.roll(-1, dims=2))
        return relative_crop(predictions.flatten(0, 2), relations.flatten(0, 2))

    def chance(self, shape: Shape) -> float:  # noqa: ARG002  (the same for every batch)
        """Return the expected loss of predicting 0 for normally distributed targets."""
        return 2 * CONSTANT_LOSS + log(2)


def pooled(maps: Float[Tensor, "B D h w"]) -> Float[Tensor, "B G D"]:
    """Pool feature maps to the cells that the level reads, in row-major order."""
    return adaptive_avg_pool2d(maps, GRID).flatten(2).transpose(1, 2)
