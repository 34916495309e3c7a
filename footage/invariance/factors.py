"""Single-factor changes: their effect on the features, relative to that of another object.

In rendered scenes (`footage.synthetic.factors`), colour, contrast, lighting, orientation, distance
or background changes while everything else stays fixed. The ratio of a factor is its mean distance
from the anchor frame over that of other objects in the same position: 0 means invariance; above
1, the factor moves the features further than another object does. Intervals are over scenes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from footage.data.views import resized
from footage.evaluation.features import FeatureExtractor, RawImage, forward, in_threads, sizes_of
from footage.metrics.bootstrap import Estimate, divided, estimate, fraction, share
from footage.metrics.representation import paired_distances
from footage.synthetic.factors import (
    FACTORS,
    IDENTITY,
    MOVES,
    ControlledScene,
    SceneKey,
    controlled,
)

FRAME_SIZE = 96
"""Height and width of a rendered frame, in pixels; each model resizes it."""

SCENES_AHEAD = 2

SceneDistances = Mapping[str, Float[Tensor, "scenes steps"]]
"""Distance of each frame from its anchor, by factor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """Effect of one factor on the features."""

    ratio: Estimate
    """Mean distance relative to that of another object."""
    distance: Estimate
    """Mean distance from the anchor, 1 - cosine."""
    nearer: Estimate
    """Fraction of changed frames nearer to their anchor than another object; chance is 0.5."""
    steps: Sequence[float]
    """Mean distance at each step of the factor's range."""


def scene_distances(
    extractors: Mapping[str, FeatureExtractor],
    *,
    scenes: int,
    seed: int,
    batch_size: int = 64,
    frame_size: int = FRAME_SIZE,
) -> dict[str, SceneDistances]:
    """Render scenes and measure, by extractor, how far each factor moves the features.

    Args:
        extractors: The models.
        scenes: Number of scenes.
        seed: Seed of the scenes.
        batch_size: Images per forward pass.
        frame_size: Height and width of the rendered frames, in pixels.
    """
    sizes = sizes_of(extractors)

    def images() -> Iterator[dict[int, RawImage]]:
        keys = [SceneKey(seed, number, frame_size) for number in range(scenes)]
        for rendered in in_threads(keys, controlled, ahead=SCENES_AHEAD):
            for frame in _frames(rendered):
                yield {size: resized(frame, size) for size in sizes}

    features = forward(images(), extractors, batch_size=batch_size)
    return {
        name: _distances(found.reshape(scenes, -1, found.shape[1]))
        for name, found in features.items()
    }


def _frames(rendered: ControlledScene) -> Iterator[RawImage]:
    """Yield the anchor, then the frames of each factor in the order of `MOVES`."""
    yield rendered.anchor
    for name in MOVES:
        yield from rendered.shots[name]


def _distances(features: Float[Tensor, "scenes frames D"]) -> SceneDistances:
    scenes, _, dim = features.shape
    moved = features[:, 1:].reshape(scenes, len(MOVES), -1, dim)
    anchors = features[:, None, None, 0].expand_as(moved)
    return dict(zip(MOVES, paired_distances(anchors, moved).unbind(dim=1), strict=True))


def factors(distance: SceneDistances, *, seed: int) -> dict[str, Factor]:
    """Compare each factor with a change of identity.

    Args:
        distance: Distances by the names of `FACTORS`, and of identity.
        seed: Seed of the bootstrap.
    """
    others = distance[IDENTITY]
    return {name: _factor(distance[name], others, seed) for name in FACTORS}


def _factor(
    moved: Float[Tensor, "scenes steps"], others: Float[Tensor, "scenes objects"], seed: int
) -> Factor:
    units = len(moved)
    mine, theirs = moved.mean(dim=1).numpy(), others.mean(dim=1).numpy()
    nearer = moved[:, :, None] < others[:, None]
    ties = moved[:, :, None] == others[:, None]
    won = (nearer.double() + ties.double() / 2).mean(dim=(1, 2)).numpy()
    whole = np.ones(units)
    return Factor(
        ratio=estimate(lambda w: divided(w @ mine, w @ theirs), units, seed),
        distance=estimate(share(mine, whole), units, seed),
        nearer=fraction(won, whole, seed),
        steps=[float(value) for value in torch.mean(moved, dim=0)],
    )
