"""Inputs of the objective and its levels."""

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
    """Row in the store of each shot of the global batch; parts of one shot share its row. They are
    in host memory on every device, so that what depends on them alone never waits for a GPU."""

    step: int
    """Index of the batch; together with the seed it determines a level's random draws."""

    seed: int
    """Seed of the run."""

    shots: ShotEmbeddings | None = None
    """Features pooled over the frames and views of each shot, for the video levels."""

    teacher: Embeddings | None = None
    """The teacher's features of the same views, detached, for self-distillation."""

    frozen_teacher: Embeddings | None = None
    """The frozen teacher's features of the same views, detached, for the teacher level."""

    rotations: Int[Tensor, "V S F A"] | None = None
    """Number of quarter rotations applied to each view of this rank."""


class ObjectiveInput(NamedTuple):
    """Output of the backbone for this rank's part of a batch; None for absent parts."""

    features: Embeddings | None
    """Features of the views of videos."""

    rows: ShotRows | None
    """Row in the store of each shot of the global batch, in host memory."""

    teacher: Embeddings | None = None
    """The teacher's features of the same views."""

    frozen_teacher: Embeddings | None = None
    """The frozen teacher's features of the same views."""

    rotations: Int[Tensor, "V S F A"] | None = None
    """Rotations that `Objective.rotations` returned."""

    labelled: LabelledInput | None = None
    """Features and classes of labelled images."""
