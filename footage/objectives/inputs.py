"""What the objective and its levels receive of a batch."""

from typing import NamedTuple

from jaxtyping import Float, Int

from footage.shapes import Embeddings, ShotEmbeddings, ShotRows, Tensor

Shape = tuple[int, int, int, int]
"""V, S, F and A of the global batch."""


class LabelledInput(NamedTuple):
    """Labelled images of this rank, for the supervised level."""

    features: Float[Tensor, "B D"]
    labels: Int[Tensor, " B"]
    """Class numbers."""


class LevelInput(NamedTuple):
    """Videos of a batch, for the levels that need no labels."""

    features: Embeddings
    """Features of this rank's videos."""

    rows: ShotRows
    """For each shot of the global batch: its row in the store, or the row that it is a part of."""

    step: int
    """Number of the batch; with the seed it decides what a level draws."""

    seed: int
    """Seed of the run."""

    shots: ShotEmbeddings | None = None
    """Features pooled over the frames and views of each shot, for the video levels."""

    teacher: Embeddings | None = None
    """The teacher's features of the same views, without gradient, for self-distillation."""

    rotations: Int[Tensor, "V S F A"] | None = None
    """Number of quarter turns by which each view of this rank was rotated."""


class ObjectiveInput(NamedTuple):
    """Output of the backbone for this rank's part of a batch; None for absent parts."""

    features: Embeddings | None
    """Features of the views of videos."""

    rows: ShotRows | None
    """For each shot of these videos: its row in the store, or the row that it is a part of."""

    teacher: Embeddings | None = None
    """The teacher's features of the same views."""

    rotations: Int[Tensor, "V S F A"] | None = None
    """The quarter turns that `Objective.rotations` returned."""

    labelled: LabelledInput | None = None
    """Features and classes of labelled images."""
