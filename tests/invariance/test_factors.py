import numpy as np
import pytest
import torch

from footage.evaluation.features import FeatureExtractor, pixel_extractor
from footage.invariance.factors import factors, scene_distances
from footage.synthetic.factors import FACTORS, MOVES, SceneKey, controlled

SCENES = 5
SIZE = 32


def known(**of_factor):
    """Distances of 1 for other objects, and as given for the factors."""
    flat = {name: torch.full((SCENES, 4), 0.25) for name in FACTORS}
    flat |= {name: torch.tensor(value).expand(SCENES, 4) for name, value in of_factor.items()}
    return flat | {"identity": torch.full((SCENES, 4), 1.0)}


def test_known_distances_give_known_ratios():
    found = factors(known(colour=0.0, lighting=2.0), seed=0)
    assert set(found) == set(FACTORS)
    for name, ratio, nearer in (
        ("colour", 0.0, 1.0),
        ("lighting", 2.0, 0.0),
        ("distance", 0.25, 1),
    ):
        assert found[name].ratio.value == pytest.approx(ratio)
        assert found[name].ratio.low == pytest.approx(found[name].ratio.high)
        assert found[name].nearer.value == nearer
    assert found["lighting"].steps == pytest.approx([2.0] * 4)


def test_ties_count_half_and_intervals_hold_the_value():
    distance = known()
    distance["contrast"] = torch.ones(SCENES, 4)
    distance["colour"] = torch.rand(SCENES, 4, generator=torch.Generator().manual_seed(0))
    found = factors(distance, seed=0)
    assert found["contrast"].nearer.value == 0.5
    assert found["colour"].ratio.low < found["colour"].ratio.value < found["colour"].ratio.high


def test_features_that_never_change_have_no_ratio():
    distance = {name: torch.zeros(SCENES, 4) for name in MOVES}
    assert np.isnan(factors(distance, seed=0)["colour"].ratio.value)


def test_distances_are_those_of_the_rendered_frames():
    extractors = {"pixels": pixel_extractor(SIZE), "coarse": pixel_extractor(8)}
    found = scene_distances(extractors, scenes=2, seed=3, batch_size=7, frame_size=SIZE)
    shots = controlled(SceneKey(3, 1, SIZE))
    assert set(found) == set(extractors)
    pixels = extractors["pixels"].function
    for name in MOVES:
        assert found["coarse"][name].shape == (2, len(shots.shots[name]))
        expected = torch.nn.functional.cosine_similarity(
            pixels(shots.anchor[None]).double(), pixels(shots.shots[name]).double()
        )
        assert torch.allclose(found["pixels"][name][1], 1 - expected, atol=1e-6)


def test_features_that_know_no_scale_are_invariant_to_contrast_alone():
    """Distances from the mean, compared by their cosine: a constant factor is not seen."""
    luma = torch.tensor([0.299, 0.587, 0.114])

    def grey(pixels: np.ndarray) -> torch.Tensor:
        means = (torch.from_numpy(pixels).float() @ luma).flatten(1)
        return means - means.mean(dim=1, keepdim=True)

    measured = scene_distances(
        {"grey": FeatureExtractor(24, grey)}, scenes=3, seed=0, frame_size=SIZE
    )
    found = factors(measured["grey"], seed=0)
    assert found["contrast"].ratio.value < 0.2
    assert found["contrast"].ratio.value < found["background"].ratio.value / 5
    assert found["background"].nearer.value < 0.5
