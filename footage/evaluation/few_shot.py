"""Few-shot classification with frozen features: a few labelled images per class, drawn repeatedly.

    5-shot    five labelled images per class from the training part, ten draws, their mean accuracy

Every model gets the same draws, and the images of a smaller number are among those of a larger one.
The validation part is not used, because nothing is selected.
"""

from typing import Final

import torch

from footage.errors import ConfigError
from footage.evaluation.probes import Examples, FeatureRows, Fitted, Labels
from footage.images.common import some
from footage.seeding import generator

DRAWS: Final = 10
"""Number of draws of the labelled images."""

MOST_SHOTS: Final = 999


def drawn(train: Examples, shots: int, seed: int, name: str) -> Examples:
    """Draw the labelled images of one draw, sorted by class.

    Args:
        train: The training part.
        shots: Number of images per class.
        seed: Number of the draw.
        name: Name of the task, for errors.

    Raises:
        ConfigError: A class of the training part has fewer images.
    """
    counts = torch.bincount(train.labels).tolist()
    small = [f"{label} ({count})" for label, count in enumerate(counts) if 0 < count < shots]
    if small:
        raise ConfigError(
            f"{shots}-shot needs {shots} training images per class, but {name} has fewer of the"
            f" classes {some(small)}",
            "use a smaller number of shots, or add images",
        )
    chosen = [
        place
        for label in range(len(counts))
        for place in _some_of(torch.nonzero(train.labels == label)[:, 0].tolist(), shots, seed)
    ]
    return Examples(train.features[chosen], train.labels[chosen])


def _some_of(places: list[int], shots: int, seed: int) -> list[int]:
    """Draw images of one class; a smaller number gives the first of a larger one."""
    if not places:
        return []
    order = generator("few shot", seed, places[0]).permutation(len(places))
    return [places[int(index)] for index in order[:shots]]


def nearest_mean(labelled: Examples, val: Examples) -> Fitted:
    """Predict the class whose mean feature is nearest, after centring and normalising.

    SimpleShot with CL2N features (Wang et al. 2019, https://arxiv.org/abs/1911.04623). Deviation:
    features are centred on the mean of the labelled images, because there are no base classes.

    Args:
        labelled: The labelled images.
        val: Images to report an accuracy on, which is not used for selection.
    """
    centre = labelled.features.double().mean(0)
    classes = torch.unique(labelled.labels)
    features = _normalised(labelled.features, centre)
    means = torch.stack([features[labelled.labels == label].mean(0) for label in classes])

    def predict(features: FeatureRows) -> Labels:
        nearest = torch.cdist(_normalised(features, centre), means).argmin(1)
        predicted: Labels = classes[nearest]
        return predicted

    on_validation = float((predict(val.features) == val.labels).double().mean())
    return Fitted(predict, {}, on_validation)


def _normalised(features: FeatureRows, centre: torch.Tensor) -> FeatureRows:
    moved: FeatureRows = torch.nn.functional.normalize(features.double() - centre, dim=1)
    return moved
