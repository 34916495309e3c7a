import pytest
import torch

from footage.errors import ConfigError
from footage.objectives.inputs import ObjectiveInput
from footage.objectives.objective import Objective
from tests.support.objectives import SMALL, D, V, with_weights


def reversals(step, seed, videos=V):
    """Which videos the objective reverses, read from a predictor of the first shot's sign."""
    probe = Objective(1, with_weights(0.0, 0.0, 1.0), 2, seed=seed)
    answers = []

    class Spy(torch.nn.Module):
        def forward(self, shots, reversed):
            answers.extend(reversed.tolist())
            return shots[:, 0, 0]

    probe.levels["order"].predictor = Spy()
    probe.parameter = torch.nn.Parameter(torch.zeros(1))
    rows = torch.arange(videos * 2).view(videos, 2)
    probe(ObjectiveInput(torch.ones(videos, 2, 1, 1, 1), rows), step)
    return answers


def test_reversal_is_a_pure_function_of_seed_step_and_place():
    torch.manual_seed(1)
    first = reversals(5, 9, videos=64)
    torch.manual_seed(2)
    assert reversals(5, 9, videos=64) == first
    assert reversals(5, 9, videos=16) == first[:16]
    assert reversals(6, 9, videos=64) != first
    assert reversals(5, 10, videos=64) != first
    assert 800 < sum(reversals(5, 9, videos=2000)) < 1200


def test_too_few_shots_are_refused_by_the_name_of_the_field():
    with pytest.raises(ConfigError, match=r"objective.future.steps = 3 .* got 3"):
        Objective(D, SMALL, shots_per_video=3)
    with pytest.raises(ConfigError, match=r"objective.order.weight"):
        Objective(D, with_weights(0.0, 0.0, 1.0), shots_per_video=1)
    Objective(D, with_weights(1.0, 0.0, 0.0), shots_per_video=1)
