"""The triplet losses, each rule of mining against its brute-force twin."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.errors import ConfigError
from footage.objectives import mining
from footage.objectives.losses.exemplar import exemplar, triplet
from tests.objectives import loss_twins as twins

SHAPE = (3, 2, 3, 2)  # V S F A
ROWS = torch.arange(6).view(3, 2)
"""Every shot of the batch is another."""


def _clusters(spread, num_identities, dtype=torch.float32):
    """25 embeddings of identities of unequal size, some of them alone."""
    generator = torch.Generator().manual_seed(round(spread * 10))
    identities = torch.randint(0, num_identities, (25,), generator=generator)
    embeddings = torch.randn(num_identities, 4, generator=generator)[identities]
    return (embeddings + spread * torch.randn(25, 4, generator=generator)).to(dtype), identities


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("margin", [0.2, 0.5, 3.0])
def test_triplet_equals_its_twin(spread, margin):
    embeddings, identities = _clusters(spread, 6)
    expected = twins.triplet(embeddings, identities.tolist(), margin)
    assert triplet(embeddings, identities, margin).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_batch_hard_and_the_soft_hinge_equal_their_twin(spread):
    embeddings, identities = _clusters(spread, 9)
    costs = {"margin": lambda x: max(0, 0.5 + x), "soft": lambda x: math.log(1 + math.exp(x))}
    for hinge, cost in costs.items():
        actual = triplet(embeddings, identities, mining="batch-hard", hinge=hinge)
        expected = twins.batch_hard(embeddings, identities.tolist(), cost)
        assert actual.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("chunk", [1, 37, 2**22])
def test_hardness_sampled_equals_its_twin(spread, chunk, monkeypatch):
    monkeypatch.setattr(mining, "CHUNK_ELEMENTS", chunk)
    embeddings, identities = _clusters(spread, 9)
    draws = torch.rand(25, 2, generator=torch.Generator().manual_seed(1))
    actual = triplet(embeddings, identities, 3.0, "hardness-sampled", draws=draws)
    expected = twins.hardness_sampled(embeddings, identities.tolist(), draws, 3.0)
    assert actual.item() == pytest.approx(expected, abs=1e-5)


def test_hardness_sampling_draws_by_the_softmax_of_distances():
    embeddings, identities = _clusters(1.0, 5, torch.float64)
    unit = torch.nn.functional.normalize(embeddings, dim=1)
    generator, times = torch.Generator().manual_seed(2), 2000
    drawn = torch.zeros(2, 25, 25, dtype=torch.int64)
    for _ in range(times):
        draws = torch.rand(25, 2, generator=generator, dtype=torch.float64)
        anchors, *chosen = mining.mine(unit, identities, "hardness-sampled", draws)
        for kind, rows in enumerate(chosen):
            drawn[kind, anchors, rows] += 1
    expected = twins.hardness_probabilities(embeddings, identities.tolist())
    assert sorted(expected) == drawn[0].any(dim=1).nonzero().squeeze(1).tolist()
    for anchor, kinds in expected.items():
        for kind, probabilities in enumerate(kinds):
            for candidate, count in enumerate(drawn[kind, anchor].tolist()):
                probability = probabilities.get(candidate, 0.0)
                five_sigma = 5 * math.sqrt(probability * (1 - probability) / times)
                assert abs(count / times - probability) <= five_sigma + 1e-12


def test_the_least_and_the_greatest_draw_take_the_first_and_the_last_candidate():
    embeddings = torch.nn.functional.normalize(
        torch.randn(7, 3, generator=torch.Generator().manual_seed(3)), dim=1
    )
    identities = torch.tensor([0, 1, 0, 1, 1, 0, 2])
    first = mining.mine(embeddings, identities, "hardness-sampled", torch.zeros(7, 2))
    assert [rows.tolist() for rows in first[1:]] == [[2, 3, 0, 1, 1, 0], [1, 0, 1, 0, 0, 1]]
    # also a draw that was rounded up to 1
    for greatest in (torch.tensor(1.0).nextafter(torch.tensor(0.0)), torch.tensor(1.0)):
        last = mining.mine(embeddings, identities, "hardness-sampled", greatest.expand(7, 2))
        assert [rows.tolist() for rows in last[1:]] == [[5, 4, 5, 4, 3, 2], [6] * 6]


def test_hardness_sampling_without_draws_is_refused():
    with pytest.raises(ConfigError, match="no draws were given"):
        exemplar(torch.randn(*SHAPE, 5), ROWS, mining="hardness-sampled")


def test_the_soft_hinge_goes_with_semi_hard_mining():
    # one identity of two at 0 and 60 degrees, and one negative, 90 and 30 degrees away from them
    embeddings, identities = _on_circle(0, 60, 90), torch.tensor([0, 0, 1])
    terms = [math.log1p(math.exp(_chord(60) - to_negative)) for to_negative in (2, _chord(30))]
    loss = triplet(embeddings, identities, hinge="soft")
    assert loss.item() == pytest.approx(sum(terms) / 2)


@pytest.mark.parametrize("positives", ["frame", "shot"])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_exemplar_equals_its_twin(positives, spread):
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(*SHAPE[:2], 1, 1, 5, generator=generator)
    embeddings = centres + spread * torch.randn(*SHAPE, 5, generator=generator)
    identities = twins.identity_of_each(SHAPE, positives)
    expected = twins.triplet(embeddings.flatten(0, 3), identities, 0.5)
    assert exemplar(embeddings, ROWS, positives).item() == pytest.approx(expected, abs=1e-5)
    draws = torch.rand(36, 2, generator=generator)
    sampled = exemplar(embeddings, ROWS, positives, mining="hardness-sampled", draws=draws)
    expected = twins.hardness_sampled(embeddings.flatten(0, 3), identities, draws, 0.5)
    assert sampled.item() == pytest.approx(expected, abs=1e-5)


# On a circle: the anchor at 0 degrees, its positive and its negatives at the angles given.
def _on_circle(*degrees):
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def _chord(degrees):
    return 2 - 2 * math.cos(math.radians(degrees))


def test_the_negative_is_the_closest_that_is_farther_than_the_positive():
    # The pair lies at 0 and 30 degrees, negatives at 20, 40 and 90. From 0 the one at 40 is chosen,
    # not 20 or 90; from 30, where 20 and 40 are only 10 away, the one at 90.
    embeddings = _on_circle(0, 30, 20, 40, 90)
    identities = torch.tensor([0, 0, 1, 2, 3])
    expected = sum(
        max(0, 0.1 + _chord(30) - to_negative) for to_negative in (_chord(40), _chord(60))
    )
    assert triplet(embeddings, identities, 0.1).item() == pytest.approx(expected / 2)


def test_without_a_farther_negative_the_farthest_counts():
    embeddings = _on_circle(0, 180, 60, 120)
    identities = torch.tensor([0, 0, 1, 2])
    # from either end of the diameter the farthest negative is at 120 degrees
    expected = 0.5 + _chord(180) - _chord(120)
    assert triplet(embeddings, identities, 0.5).item() == pytest.approx(expected)


def test_satisfied_pairs_count_in_the_mean():
    embeddings = _on_circle(0, 0, 180, 180, 90)
    identities = torch.tensor([0, 0, 1, 1, 2])
    # d(a, p) = 0 and the closest negative is at 90 degrees, squared distance 2
    assert triplet(embeddings, identities, 0.5).item() == 0
    assert triplet(embeddings, identities, 2.5).item() == pytest.approx(0.5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=6).filter(lambda x: max(x) > 1),
    seed=st.integers(0, 2**16),
    chunk=st.sampled_from([1, 37, 2**22]),
)
def test_triplet_equals_its_twin_for_any_identities_and_chunks(sizes, seed, chunk):
    generator = torch.Generator().manual_seed(seed)
    identities = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    identities = identities[torch.randperm(len(identities), generator=generator)]
    embeddings = torch.randn(len(identities), 3, dtype=torch.float64, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "CHUNK_ELEMENTS", chunk)
        actual = triplet(embeddings, identities).item()
    expected = twins.triplet(embeddings, identities.tolist(), 0.5)
    assert actual == pytest.approx(expected, abs=1e-9)
