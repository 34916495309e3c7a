"""Each loss against its brute-force twin, and where its value is known in closed form."""

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from footage.errors import ConfigError
from footage.objectives.losses.catalogue import functions
from footage.objectives.losses.classification import classification, shot_order
from footage.objectives.losses.distillation import self_distillation
from footage.objectives.losses.exemplar import exemplar
from footage.objectives.losses.future_shots import future_shot_mse, future_shot_nce
from footage.objectives.losses.nce import multi_positive_nce
from footage.objectives.losses.vicreg import vicreg
from footage.objectives.positives import identities, index_pairs, pairs
from tests.objectives import loss_twins as twins

FUNCTIONS = functions()

SHAPE = (3, 2, 3, 2)  # V S F A
ROWS = torch.arange(6).view(3, 2)
"""Every shot of the batch is another."""
PARTS = torch.tensor([[7, 7], [2, 9], [4, 4]])
"""Two of the videos are one shot in two parts."""
PAIR_POSITIVES = ["frame", "shot", "other_frames"]
ROOT = Path(__file__).parents[2]


def _embeddings(seed, dimension=5, spread=1.0, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(*shape[:2], 1, 1, dimension, generator=generator)
    return centres + spread * torch.randn(*shape, dimension, generator=generator)


@pytest.mark.parametrize("shots", [ROWS, PARTS], ids=["whole", "parts"])
@pytest.mark.parametrize("positives", PAIR_POSITIVES)
def test_the_indices_of_pairs_are_those_that_share_an_identity(shots, positives):
    _, _, frames, views = SHAPE
    found = pairs(shots, frames, views, positives)
    first, second = index_pairs(found)
    same, excluded = found.same_identity.tolist(), found.excluded.tolist()
    every = range(len(same))
    expected = [
        (i, j) for i in every for j in every
        if i < j and same[i] == same[j] and excluded[i] != excluded[j]
    ]  # fmt: skip
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    with pytest.raises(TypeError):
        _, _ = found


@pytest.mark.parametrize("shots", [ROWS, PARTS], ids=["whole", "parts"])
@pytest.mark.parametrize("positives", PAIR_POSITIVES)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_multi_positive_nce_equals_its_twin(shots, positives, temperature):
    embeddings = _embeddings(4)
    expected = twins.multi_positive_nce(embeddings, shots, positives, temperature)
    actual = multi_positive_nce(embeddings, shots, positives, temperature)
    assert actual.item() == pytest.approx(expected, abs=1e-5)


def test_nce_is_a_mean_over_those_that_have_a_positive():
    # one frame a shot, one view a frame: only the parts of one shot belong together
    embeddings = _embeddings(5, shape=(3, 2, 1, 1))
    expected = twins.multi_positive_nce(embeddings, PARTS, "shot", 0.1)
    actual = multi_positive_nce(embeddings, PARTS)
    assert actual.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shots", [ROWS, PARTS], ids=["whole", "parts"])
@pytest.mark.parametrize("positives", PAIR_POSITIVES)
@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("dimension", [5, 9])  # fewer and more than the shots of a slot
def test_vicreg_equals_its_twin(shots, positives, weights, dimension):
    embeddings = 0.5 * _embeddings(6, dimension)
    expected = twins.vicreg(embeddings, shots, positives, *weights)
    actual = vicreg(embeddings, shots, positives, *weights)
    assert actual.item() == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_vicreg_keeps_small_distances_far_from_the_origin():
    near = _embeddings(7, spread=0.01).double()
    embeddings = (near + 100).float()
    expected = twins.vicreg(embeddings.double(), ROWS, "shot", 1.0, 0.0, 0.0)
    actual = vicreg(embeddings, ROWS, "shot", 1.0, 0.0, 0.0)
    assert actual.item() == pytest.approx(expected, rel=1e-5)


def test_vicreg_of_two_views_is_equation_6():
    one, other = torch.randn(2, 12, 4, generator=torch.Generator().manual_seed(8))
    stacked = torch.stack([one, other], dim=1).view(12, 1, 1, 2, 4)
    total = 25 * (one - other).square().mean()
    for z in (one, other):
        matrix = z.T.cov()
        total = total + 25 * (1 - (matrix.diagonal() + 1e-4).sqrt()).relu().mean()
        total = total + (matrix - matrix.diagonal().diag()).square().sum() / 4
    rows = torch.arange(12).view(12, 1)
    for positives in ("frame", "shot"):
        torch.testing.assert_close(vicreg(stacked, rows, positives), total)


def test_vicreg_wants_nothing_of_spread_uncorrelated_pairs_that_agree():
    # the corners of a square of side 4, each seen twice
    corners = torch.tensor([[2.0, 2], [2, -2], [-2, 2], [-2, -2]])
    embeddings = corners[:, None, None, None].expand(4, 1, 1, 2, 2)
    loss = vicreg(embeddings, torch.arange(4).view(4, 1))
    assert loss.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shots", [ROWS, PARTS], ids=["whole", "parts"])
@pytest.mark.parametrize("positives", PAIR_POSITIVES)
@pytest.mark.parametrize("temperatures", [(0.1, 0.04), (1.0, 0.5)])
def test_self_distillation_equals_its_twin(shots, positives, temperatures):
    students, teachers, centre = _embeddings(9), _embeddings(10), _embeddings(11)[0, 0, 0, 0]
    students, teachers = students / 5, teachers / 5
    expected = twins.self_distillation(students, teachers, shots, centre, positives, temperatures)
    actual = self_distillation(students, teachers, shots, centre, positives, *temperatures)
    assert actual.item() == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_no_view_is_taught_by_itself():
    # two views that say opposite things with certainty: the teacher of each is the other
    logits = torch.tensor([[5.0, -5], [-5, 5]]).view(1, 1, 1, 2, 2)
    shots, centre = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(2)
    wrong = self_distillation(logits, logits, shots, centre)
    assert wrong.item() == pytest.approx(10 / 0.1)
    right = self_distillation(logits, logits.flip(3), shots, centre)
    assert right.item() == pytest.approx(0, abs=1e-6)


def test_future_shot_losses_equal_their_twins():
    predictions, targets = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(5))
    for name in ("future_shot_nce", "future_shot_mse"):
        expected = getattr(twins, name)(predictions, targets)
        actual = FUNCTIONS[name](predictions, targets)
        assert actual.item() == pytest.approx(expected, abs=1e-5)


def test_mse_does_not_depend_on_the_scale_and_place_of_the_targets():
    predictions, targets = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(5)).double()
    expected = future_shot_mse(predictions, targets)
    moved = future_shot_mse(predictions, 1 + targets * torch.arange(2, 7))
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-4)


def test_predicting_the_mean_pays_1_and_targets_that_are_one_point_are_no_challenge():
    targets = 3 + torch.randn(6, 4, generator=torch.Generator().manual_seed(6))
    nothing = torch.zeros(6, 4)
    assert future_shot_mse(nothing, targets).item() == pytest.approx(1, abs=1e-4)
    assert future_shot_mse(nothing, torch.ones(6, 4)).item() == 0
    with pytest.raises(ConfigError, match="only one"):
        future_shot_mse(torch.ones(1, 4), torch.ones(1, 4))


@pytest.mark.parametrize("name", ["feature_cosine", "feature_smooth_l1"])
def test_feature_distillation_equals_its_twin(name):
    students, teachers = 1.5 * _embeddings(7), 3 + _embeddings(8)
    expected = getattr(twins, name)(students, teachers)
    assert FUNCTIONS[name](students, teachers).item() == pytest.approx(expected, abs=1e-5)


def test_a_constant_prediction_of_a_teacher_is_worth_nothing():
    teachers = 3 + torch.randn(16, 4, 4, 2, 64, generator=torch.Generator().manual_seed(9))
    constant = torch.randn(64, generator=torch.Generator().manual_seed(10)).expand_as(teachers)
    assert FUNCTIONS["feature_cosine"](constant, teachers).item() == pytest.approx(1, abs=0.02)
    zero = torch.zeros_like(teachers)
    assert 0.4 < FUNCTIONS["feature_smooth_l1"](zero, teachers).item() <= 0.5
    with pytest.raises(ConfigError, match="only one"):
        FUNCTIONS["feature_cosine"](zero[:1, :1, :1, :1], teachers[:1, :1, :1, :1])


def test_shot_order_equals_its_twin():
    generator = torch.Generator().manual_seed(6)
    logits = 3 * torch.randn(9, generator=generator)
    reversed = torch.rand(9, generator=generator) < 0.5
    expected = twins.shot_order(logits, reversed)
    assert shot_order(logits, reversed).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_classification_equals_its_twin(label_smoothing):
    generator = torch.Generator().manual_seed(7)
    logits = 3 * torch.randn(9, 4, generator=generator)
    labels = torch.randint(0, 4, (9,), generator=generator)
    expected = twins.classification(logits, labels, label_smoothing)
    actual = classification(logits, labels, label_smoothing)
    assert actual.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("positives", ["frame", "shot"])
def test_identities_follow_the_order_of_the_axes(positives):
    identity = identities(ROWS, *SHAPE[2:], positives).tolist()
    expected = twins.identity_of_each(SHAPE, positives)
    assert len(identity) == len(expected)
    for i, j in np.ndindex(len(identity), len(identity)):
        assert (identity[i] == identity[j]) == (expected[i] == expected[j])


def test_embeddings_at_one_point_pay_the_chance_value():
    embeddings = torch.ones(*SHAPE, 4)
    videos, shots, frames, views = SHAPE
    num_embeddings = videos * shots * frames * views
    assert exemplar(embeddings, ROWS, margin=0.3).item() == pytest.approx(0.3)
    assert exemplar(embeddings, ROWS, hinge="soft").item() == pytest.approx(math.log(2))
    for positives, others in (("frame", 1), ("shot", 1), ("other_frames", views)):
        loss = multi_positive_nce(embeddings, ROWS, positives)
        assert loss.item() == pytest.approx(math.log(num_embeddings - others))
        assert vicreg(embeddings, ROWS, positives).item() == pytest.approx(2 * 25 * 0.99)
        teachers = _embeddings(12, dimension=4)
        loss = self_distillation(embeddings, teachers, ROWS, torch.ones(4), positives)
        assert loss.item() == pytest.approx(math.log(4))
    alike = torch.ones(6, 4)
    assert future_shot_nce(alike, alike).item() == pytest.approx(0, abs=1e-6)
    undecided = shot_order(torch.zeros(4), torch.tensor([True, False, False, False]))
    assert undecided.item() == pytest.approx(math.log(2))
    unsure = classification(alike, torch.arange(6) % 4, label_smoothing=0.1)
    assert unsure.item() == pytest.approx(math.log(4))


def test_a_perfect_prediction_reaches_minus_log_v():
    targets = 100 * torch.eye(8)
    assert future_shot_nce(targets, targets).item() == pytest.approx(-math.log(8))


@pytest.mark.parametrize(("positives", "num_mates"), [("shot", 3), ("other_frames", 2)])
def test_perfect_shots_pay_the_log_of_their_size_in_nce(positives, num_mates):
    # two shots of 4 embeddings each at opposite poles: only shot-mates are in the partition
    embeddings = torch.stack([torch.ones(2), -torch.ones(2)]).view(1, 2, 1, 1, 2)
    embeddings = embeddings.expand(1, 2, 2, 2, 2)
    rows = torch.tensor([[0, 1]])
    loss = multi_positive_nce(embeddings, rows, positives, temperature=0.01)
    assert loss.item() == pytest.approx(math.log(num_mates), abs=1e-5)


@pytest.mark.parametrize("name", ["exemplar", "multi_positive_nce", "vicreg"])
def test_a_batch_without_pairs_or_negatives_is_refused(name):
    loss = FUNCTIONS[name]
    with pytest.raises(ConfigError, match="no positive pair"):
        loss(torch.randn(3, 2, 4, 1, 5), ROWS, "frame")
    with pytest.raises(ConfigError, match="no negative"):
        loss(torch.randn(1, 1, 4, 2, 5), torch.zeros(1, 1, dtype=torch.int64), "shot")
    with pytest.raises(ConfigError, match="no negative"):
        loss(torch.randn(1, 3, 4, 2, 5), torch.zeros(1, 3, dtype=torch.int64), "shot")


def test_other_frames_want_another_frame():
    one_frame = torch.randn(3, 2, 1, 4, 5)
    with pytest.raises(ConfigError, match="no positive pair"):
        multi_positive_nce(one_frame, ROWS, "other_frames")
    with pytest.raises(ConfigError, match="no positive pair"):
        self_distillation(one_frame, one_frame, ROWS, torch.zeros(5), "other_frames")


def test_the_benchmark_times_every_loss():
    path = ROOT / "benchmarks" / "losses.py"
    milliseconds = runpy.run_path(str(path))["timings"](64, 8, repeats=1)
    assert set(milliseconds) == {*FUNCTIONS, "similarity matrix"}
    assert all(taken > 0 for taken in milliseconds.values())
