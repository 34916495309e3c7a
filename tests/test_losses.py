"""Each loss against its brute-force twin: plain loops over Python numbers."""

import math
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from footage import losses
from footage.errors import ConfigError

SHAPE = (3, 2, 3, 2)  # V S F A


def _unit(rows):
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]


def _squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _rows(embeddings):
    """Every shot of the batch is another."""
    videos, shots = embeddings.shape[:2]
    return torch.arange(videos * shots).view(videos, shots)


def _identity_of_each(shape, positives):
    videos, shots, frames, views = shape
    return [
        (v, s, f) if positives == "frame" else (v, s)
        for v in range(videos)
        for s in range(shots)
        for f in range(frames)
        for _ in range(views)
    ]


def triplet_twin(embeddings, identities, margin):
    """Schroff et al. 2015 with TensorFlow's rule for pairs that have no semi-hard negative."""
    points, terms = _unit(embeddings.tolist()), []
    identities = list(identities)
    for a, anchor in enumerate(points):
        for p, positive in enumerate(points):
            if a == p or identities[a] != identities[p]:
                continue
            to_positive = _squared_distance(anchor, positive)
            to_negatives = [
                _squared_distance(anchor, point)
                for n, point in enumerate(points)
                if identities[n] != identities[a]
            ]
            farther = [distance for distance in to_negatives if distance > to_positive]
            to_negative = min(farther) if farther else max(to_negatives)
            terms.append(max(0.0, margin + to_positive - to_negative))
    return sum(terms) / len(terms)


def batch_hard_twin(embeddings, identities, cost):
    """Hermans et al. 2017, equation 5, with squared distances."""
    points, terms = _unit(embeddings.tolist()), []
    for a, anchor in enumerate(points):
        apart = [
            (_squared_distance(anchor, point), identities[n]) for n, point in enumerate(points)
        ]
        mates = [d for n, (d, identity) in enumerate(apart) if n != a and identity == identities[a]]
        if mates:
            others = [distance for distance, identity in apart if identity != identities[a]]
            terms.append(cost(max(mates) - min(others)))
    return sum(terms) / len(terms)


def multi_positive_nce_twin(embeddings, positives, temperature):
    """Khosla et al. 2020, equation 2."""
    points = _unit(embeddings.flatten(0, 3).tolist())
    identities = _identity_of_each(embeddings.shape[:4], positives)
    total = 0.0
    for i, point in enumerate(points):
        others = [j for j in range(len(points)) if j != i]
        partition = sum(math.exp(_dot(point, points[j]) / temperature) for j in others)
        mates = [j for j in others if identities[j] == identities[i]]
        total -= sum(
            math.log(math.exp(_dot(point, points[p]) / temperature) / partition) for p in mates
        ) / len(mates)
    return total / len(points)


def future_shot_nce_twin(predictions, targets):
    """METHOD: the numerator over the mean, over all videos u, of exp g."""
    predictions, targets = predictions.tolist(), targets.tolist()
    total = 0.0
    for v, prediction in enumerate(predictions):
        exponentials = [math.exp(_dot(prediction, target)) for target in targets]
        total -= math.log(exponentials[v] / (sum(exponentials) / len(targets)))
    return total / len(predictions)


def shot_order_twin(logits, reversed):
    total = 0.0
    for logit, backward in zip(logits.tolist(), reversed.tolist(), strict=True):
        probability = 1 / (1 + math.exp(-logit))
        total -= math.log(probability if backward else 1 - probability)
    return total / len(logits)


def _embeddings(seed, dimension=5, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(*SHAPE[:2], 1, 1, dimension, generator=generator)
    return centres + spread * torch.randn(*SHAPE, dimension, generator=generator)


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("margin", [0.2, 0.5, 3.0])
def test_triplet_equals_its_twin(spread, margin):
    generator = torch.Generator().manual_seed(round(spread * 10))
    identities = torch.randint(0, 6, (25,), generator=generator)  # of unequal size, some alone
    embeddings = torch.randn(6, 4, generator=generator)[identities]
    embeddings = embeddings + spread * torch.randn(25, 4, generator=generator)
    expected = triplet_twin(embeddings, identities.tolist(), margin)
    assert losses.triplet(embeddings, identities, margin).item() == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_batch_hard_and_the_soft_hinge_equal_their_twin(spread):
    generator = torch.Generator().manual_seed(round(spread * 10))
    identities = torch.randint(0, 9, (25,), generator=generator)
    embeddings = torch.randn(9, 4, generator=generator)[identities]
    embeddings = embeddings + spread * torch.randn(25, 4, generator=generator)
    costs = {"margin": lambda x: max(0, 0.5 + x), "soft": lambda x: math.log(1 + math.exp(x))}
    for hinge, cost in costs.items():
        actual = losses.triplet(embeddings, identities, mining="batch-hard", hinge=hinge)
        expected = batch_hard_twin(embeddings, identities.tolist(), cost)
        assert actual.item() == pytest.approx(expected, abs=1e-5)


def test_the_soft_hinge_goes_with_semi_hard_mining():
    # one identity of two at 0 and 60 degrees, and one negative, 90 and 30 degrees away from them
    embeddings, identities = _on_circle(0, 60, 90), torch.tensor([0, 0, 1])
    terms = [math.log1p(math.exp(_chord(60) - to_negative)) for to_negative in (2, _chord(30))]
    loss = losses.triplet(embeddings, identities, hinge="soft")
    assert loss.item() == pytest.approx(sum(terms) / 2)


@pytest.mark.parametrize("positives", ["frame", "shot"])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_exemplar_equals_its_twin(positives, spread):
    embeddings = _embeddings(3, spread=spread)
    identities = _identity_of_each(SHAPE, positives)
    expected = triplet_twin(embeddings.flatten(0, 3), identities, 0.5)
    assert losses.exemplar(embeddings, _rows(embeddings), positives).item() == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("positives", ["frame", "shot"])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_multi_positive_nce_equals_its_twin(positives, temperature):
    embeddings = _embeddings(4)
    expected = multi_positive_nce_twin(embeddings, positives, temperature)
    actual = losses.multi_positive_nce(embeddings, _rows(embeddings), positives, temperature)
    assert actual.item() == pytest.approx(expected, abs=1e-5)


def test_future_shot_nce_equals_its_twin():
    predictions, targets = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(5))
    expected = future_shot_nce_twin(predictions, targets)
    actual = losses.future_shot_nce(predictions, targets)
    assert actual.item() == pytest.approx(expected, abs=1e-5)


def test_shot_order_equals_its_twin():
    generator = torch.Generator().manual_seed(6)
    logits = 3 * torch.randn(9, generator=generator)
    reversed = torch.rand(9, generator=generator) < 0.5
    expected = shot_order_twin(logits, reversed)
    assert losses.shot_order(logits, reversed).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("positives", ["frame", "shot"])
def test_identities_follow_the_order_of_the_axes(positives):
    identity = losses.identities(_rows(torch.empty(SHAPE)), *SHAPE[2:], positives).tolist()
    expected = _identity_of_each(SHAPE, positives)
    assert len(identity) == len(expected)
    for i, j in np.ndindex(len(identity), len(identity)):
        assert (identity[i] == identity[j]) == (expected[i] == expected[j])


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
    assert losses.triplet(embeddings, identities, 0.1).item() == pytest.approx(expected / 2)


def test_without_a_farther_negative_the_farthest_counts():
    embeddings = _on_circle(0, 180, 60, 120)
    identities = torch.tensor([0, 0, 1, 2])
    # from either end of the diameter the farthest negative is at 120 degrees
    expected = 0.5 + _chord(180) - _chord(120)
    assert losses.triplet(embeddings, identities, 0.5).item() == pytest.approx(expected)


def test_satisfied_pairs_count_in_the_mean():
    embeddings = _on_circle(0, 0, 180, 180, 90)
    identities = torch.tensor([0, 0, 1, 1, 2])
    # d(a, p) = 0 and the closest negative is at 90 degrees, squared distance 2
    assert losses.triplet(embeddings, identities, 0.5).item() == 0
    assert losses.triplet(embeddings, identities, 2.5).item() == pytest.approx(0.5)


def test_embeddings_at_one_point_pay_the_chance_value():
    embeddings = torch.ones(*SHAPE, 4)
    others, rows = math.prod(SHAPE) - 1, _rows(embeddings)
    assert losses.exemplar(embeddings, rows, margin=0.3).item() == pytest.approx(0.3)
    assert losses.exemplar(embeddings, rows, hinge="soft").item() == pytest.approx(math.log(2))
    assert losses.multi_positive_nce(embeddings, rows).item() == pytest.approx(math.log(others))
    alike = torch.ones(6, 4)
    assert losses.future_shot_nce(alike, alike).item() == pytest.approx(0, abs=1e-6)
    undecided = losses.shot_order(torch.zeros(4), torch.tensor([True, False, False, False]))
    assert undecided.item() == pytest.approx(math.log(2))


def test_a_perfect_prediction_reaches_minus_log_v():
    targets = 100 * torch.eye(8)
    assert losses.future_shot_nce(targets, targets).item() == pytest.approx(-math.log(8))


def test_perfect_shots_pay_the_log_of_their_size_in_nce():
    # two shots of 4 embeddings each at opposite poles: only the 3 shot-mates are in the partition
    embeddings = torch.stack([torch.ones(2), -torch.ones(2)]).view(1, 2, 1, 1, 2)
    embeddings = embeddings.expand(1, 2, 2, 2, 2)
    loss = losses.multi_positive_nce(embeddings, _rows(embeddings), temperature=0.01)
    assert loss.item() == pytest.approx(math.log(3), abs=1e-5)


@pytest.mark.parametrize("loss", [losses.exemplar, losses.multi_positive_nce])
def test_a_batch_without_pairs_or_negatives_is_refused(loss):
    with pytest.raises(ConfigError, match="no positive pair"):
        loss(torch.randn(3, 2, 4, 1, 5), torch.arange(6).view(3, 2), "frame")
    with pytest.raises(ConfigError, match="no negative"):
        loss(torch.randn(1, 1, 4, 2, 5), torch.zeros(1, 1, dtype=torch.int64), "shot")
    with pytest.raises(ConfigError, match="no negative"):
        loss(torch.randn(1, 3, 4, 2, 5), torch.zeros(1, 3, dtype=torch.int64), "shot")


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
        patch.setattr(losses, "CHUNK_ELEMENTS", chunk)
        actual = losses.triplet(embeddings, identities).item()
    expected = triplet_twin(embeddings, identities.tolist(), 0.5)
    assert actual == pytest.approx(expected, abs=1e-9)


MEASURE = """
import sys, torch
from pathlib import Path
from footage import losses
torch.set_num_threads(1)

def peak():  # kB; getrusage would begin at the peak of the process that started this one
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1])

embeddings = torch.randn(128, 4, 4, 2, 1000, requires_grad=True)
before = peak()
losses.LOSSES[sys.argv[1]](embeddings, torch.arange(512).view(128, 4)).backward()
print((peak() - before) / 1e6)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", ["exemplar", "multi_positive_nce"])
def test_4096_embeddings_of_8_per_identity_need_less_than_2_gigabytes(name):
    command = [sys.executable, "-c", textwrap.dedent(MEASURE), name]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert 0.01 < float(answer.stdout) < 2.0


def test_the_page_of_losses_is_up_to_date():
    docs = Path(__file__).parents[1] / "docs"
    page = runpy.run_path(str(docs / "generate_losses.py"))["page"]()
    assert (docs / "losses.md").read_text() == page, "run: python docs/generate_losses.py"


def test_the_benchmark_times_every_loss():
    path = Path(__file__).parents[1] / "benchmarks" / "losses.py"
    milliseconds = runpy.run_path(str(path))["timings"](64, 8, repeats=1)
    assert set(milliseconds) == {*losses.LOSSES, "similarity matrix"}
    assert all(taken > 0 for taken in milliseconds.values())
