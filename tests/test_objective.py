import copy
import dataclasses
import math

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from footage import distributed, losses
from footage.errors import ConfigError
from footage.objective import (
    FrameShotConfig,
    FutureConfig,
    Objective,
    ObjectiveConfig,
    OrderConfig,
)
from tests.processes import in_processes

V, S, F, A, D = 4, 4, 2, 2, 10
SMALL = ObjectiveConfig(
    frame_shot=FrameShotConfig(embedding_dim=8, weight=1.0),
    future=FutureConfig(embedding_dim=6, hidden_dim=5, weight=0.5),
    order=OrderConfig(hidden_dim=5, weight=0.25),
)
MODERN = ObjectiveConfig(
    frame_shot=FrameShotConfig(loss="nce", projection="mlp", embedding_dim=8),
    future=FutureConfig(critic="inner_product", embedding_dim=6, hidden_dim=5, weight=0.5),
    order=OrderConfig(predictor="lstm", hidden_dim=5, weight=0.25),
    pooling="attention",
)
CONFIGS = {"paper": SMALL, "modern": MODERN}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: threads that wait for each other cost ten times the work on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def objective(config=SMALL, dtype=torch.float32):
    torch.manual_seed(0)
    return Objective(D, config, S).to(dtype)


def features(dtype=torch.float32, videos=V, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(videos, S, F, A, D, generator=generator, dtype=dtype)


ROWS = torch.arange(V * S).view(V, S)
"""Every shot of the batch is another."""


def test_the_total_is_the_weighted_sum_of_the_levels():
    total, values = objective()(features(), ROWS, step=3, seed=7)
    assert list(values) == ["shot/exemplar", "video/future_nce", "video/order"]
    expected = (
        values["shot/exemplar"] + 0.5 * values["video/future_nce"] + 0.25 * values["video/order"]
    )
    torch.testing.assert_close(total, expected)
    assert total.requires_grad
    assert not any(value.requires_grad for value in values.values())


def test_each_level_is_its_loss_over_its_head():
    whole, seen = objective(), features()
    _, values = whole(seen, ROWS, step=3, seed=7)
    embeddings = whole.levels["frame_shot"].projection(seen)
    torch.testing.assert_close(
        values["shot/exemplar"], losses.exemplar(embeddings, ROWS, "shot", 0.5)
    )

    shots = seen.mean(dim=(2, 3))
    future = 0.0
    predictor = whole.levels["future"].predictor
    mapped = predictor.embed(shots)
    for ahead in (1, 2, 3):
        places = []
        for read in range(1, S - ahead + 1):
            state = predictor.read(mapped[:, :read].relu())[0][:, -1]
            prediction = predictor.critic(predictor.predict[ahead - 1](state))
            # the target of the shot at 1-based place read + ahead
            places.append(losses.future_shot_nce(prediction, mapped[:, read + ahead - 1]))
        future += sum(places) / len(places)
    torch.testing.assert_close(values["video/future_nce"], future)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_and_feature_gets_a_gradient(name):
    whole, seen = objective(CONFIGS[name]), features().requires_grad_()
    whole(seen, ROWS, step=0, seed=0)[0].backward()
    assert seen.grad.abs().amax(dim=-1).gt(0).all()
    for key, parameter in whole.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


def _with_weights(frame_shot, future, order):
    return ObjectiveConfig(
        frame_shot=FrameShotConfig(embedding_dim=8, weight=frame_shot),
        future=FutureConfig(embedding_dim=6, hidden_dim=5, weight=future),
        order=OrderConfig(hidden_dim=5, weight=order),
    )


@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1)])
def test_a_level_that_is_off_has_no_parameters_and_leaves_the_others_alone(weights):
    whole = objective()
    every = whole(features(), ROWS, step=3, seed=7)[1]
    part = objective(_with_weights(*(float(weight) for weight in weights)))
    part.load_state_dict(
        {key: value for key, value in whole.state_dict().items() if key in part.state_dict()}
    )
    values = part(features(), ROWS, step=3, seed=7)[1]
    on = [name for name, weight in zip(every, weights, strict=True) if weight]
    assert list(values) == on
    assert all(torch.equal(values[name], every[name]) for name in on)
    assert len(list(part.levels)) == len(on)
    assert list(part.chance(64)) == on


def test_pooling_without_a_video_level_has_no_parameters():
    frames_only = dataclasses.replace(_with_weights(1.0, 0.0, 0.0), pooling="attention")
    assert not list(objective(frames_only).pooling.parameters())
    assert list(objective(MODERN).pooling.parameters())


def test_the_level_is_named_after_its_positives_and_loss():
    config = ObjectiveConfig(frame_shot=FrameShotConfig(positives="frame", loss="nce"))
    assert next(iter(objective(config)(features(), ROWS, 0, 0)[1])) == "frame/nce"


@pytest.mark.parametrize("name", CONFIGS)
def test_features_that_say_nothing_pay_the_chance_value(name):
    whole = objective(CONFIGS[name])
    collapsed = torch.ones(V, S, F, A, D)
    values = whole(collapsed, ROWS, step=0, seed=0)[1]
    chance = whole.chance(num_embeddings=V * S * F * A)
    assert list(chance) == list(values)
    for level in list(chance)[:2]:
        assert values[level].item() == pytest.approx(chance[level], abs=1e-5)
    # the order head may lean to one side, and can only lose by that
    assert chance["video/order"] == math.log(2)
    # two shown forward, two backward: the best it can do is to be undecided
    steps = [step for step in range(50) if sum(_reversed(step, 0)) == V // 2]
    leaning = whole(collapsed, ROWS, step=steps[0], seed=0)[1]["video/order"]
    assert leaning.item() >= chance["video/order"] - 1e-6


def test_the_parts_of_one_shot_are_positives_and_never_negatives():
    whole, seen = objective(), features()
    one_shot_a_video = torch.arange(V)[:, None].expand(V, S)
    _, values = whole(seen, one_shot_a_video, step=0, seed=0)
    embeddings = whole.levels["frame_shot"].projection(seen)
    joined = embeddings.reshape(V, 1, S * F, A, -1)
    expected = losses.exemplar(joined, torch.arange(V)[:, None], "shot", 0.5)
    torch.testing.assert_close(values["shot/exemplar"], expected)


def test_the_soft_hinge_has_a_chance_value_of_its_own():
    config = ObjectiveConfig(frame_shot=FrameShotConfig(hinge="soft", mining="batch-hard"))
    whole = objective(config)
    value = whole(torch.ones(V, S, F, A, D), ROWS, step=0, seed=0)[1]["shot/exemplar"]
    assert value.item() == pytest.approx(whole.chance(V * S * F * A)["shot/exemplar"])


def _reversed(step, seed, videos=V):
    """Which videos the objective turns round, seen through a predictor of the first shot's sign."""
    config = _with_weights(0.0, 0.0, 1.0)
    probe = Objective(1, config, 2)
    answers = []

    class Spy(torch.nn.Module):
        def forward(self, shots, reversed):
            answers.extend(reversed.tolist())
            return shots[:, 0, 0]

    probe.levels["order"].predictor = Spy()
    probe(torch.ones(videos, 2, 1, 1, 1), torch.arange(videos * 2).view(videos, 2), step, seed)
    return answers


def test_reversal_is_a_pure_function_of_seed_step_and_place():
    torch.manual_seed(1)
    first = _reversed(5, 9, videos=64)
    torch.manual_seed(2)
    assert _reversed(5, 9, videos=64) == first
    assert _reversed(5, 9, videos=16) == first[:16]
    assert _reversed(6, 9, videos=64) != first
    assert _reversed(5, 10, videos=64) != first
    assert 800 < sum(_reversed(5, 9, videos=2000)) < 1200


def test_nothing_is_drawn_from_the_global_generator():
    whole = objective()
    before = torch.get_rng_state()
    whole(features(), ROWS, step=0, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_heads_and_losses_ignore_autocast():
    whole = objective()
    expected = whole(features(), ROWS, step=0, seed=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, values = whole(features(), ROWS, step=0, seed=0)
    assert torch.equal(total, expected[0])
    assert all(torch.equal(values[name], expected[1][name]) for name in values)


def test_features_in_half_precision_are_taken():
    total, _ = objective()(features(torch.bfloat16), ROWS, step=0, seed=0)
    assert total.dtype == torch.float32


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"objective.order.weight must be >= 0, got -1"):
        OrderConfig(weight=-1.0)


@pytest.mark.parametrize(
    ("config", "field"),
    [(FutureConfig, "steps"), (FrameShotConfig, "embedding_dim"), (OrderConfig, "hidden_dim")],
)
def test_a_size_of_zero_is_refused_by_name(config, field):
    with pytest.raises(ConfigError, match=rf"{field} must be > 0, got 0"):
        config(**{field: 0})


def test_an_objective_without_levels_is_refused():
    with pytest.raises(ConfigError, match="every level"):
        _with_weights(0.0, 0.0, 0.0)


def test_too_few_shots_are_refused_by_the_name_of_the_field():
    with pytest.raises(ConfigError, match=r"objective.future.steps = 3 .* 3 shots"):
        Objective(D, SMALL, shots_per_video=3)
    with pytest.raises(ConfigError, match=r"objective.order.weight"):
        Objective(D, _with_weights(0.0, 0.0, 1.0), shots_per_video=1)
    Objective(D, _with_weights(1.0, 0.0, 0.0), shots_per_video=1)


def test_batches_without_a_positive_pair_are_refused_by_the_name_of_the_field():
    views_of_a_frame = ObjectiveConfig(frame_shot=FrameShotConfig(positives="frame"))
    with pytest.raises(ConfigError, match=r"objective.frame_shot.positives = frame"):
        views_of_a_frame.check(shots_per_video=4, frames_per_shot=4, views_per_frame=1)
    views_of_a_frame.check(shots_per_video=4, frames_per_shot=1, views_per_frame=2)
    SMALL.check(shots_per_video=4, frames_per_shot=4, views_per_frame=1)
    with pytest.raises(ConfigError, match=r"1 frames a shot and 1 views"):
        SMALL.check(shots_per_video=4, frames_per_shot=1, views_per_frame=1)


@pytest.mark.parametrize("name", CONFIGS)
def test_training_on_separable_features_brings_every_level_below_chance(name):
    generator = torch.Generator().manual_seed(0)
    videos = 3 * torch.randn(V, 1, 1, 1, D, generator=generator)
    place = torch.randn(S, 1, 1, D, generator=generator)  # what makes the order visible
    seen = videos + place + 0.1 * features()
    whole = objective(CONFIGS[name])
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.02)
    for step in range(60):
        optimizer.zero_grad()
        total, values = whole(seen, ROWS, step, seed=0)
        total.backward()
        optimizer.step()
    chance = whole.chance(V * S * F * A)
    for level, value in values.items():
        assert value.item() < chance[level] - 0.1, level


def _on_this_rank() -> dict:
    return {name: _answer(name) for name in CONFIGS}


def _answer(name) -> dict:
    """The objective over this rank's videos, by DistributedDataParallel."""
    rank, world = distributed.rank(), distributed.world_size()
    whole = objective(CONFIGS[name], torch.float64)
    wrapped = DistributedDataParallel(copy.deepcopy(whole))
    own = features(torch.float64)[rank::world].clone().requires_grad_()
    total, values = whole(own, ROWS[rank::world], step=3, seed=7)
    total.backward()
    wrapped(own.detach(), ROWS[rank::world], step=3, seed=7)[0].backward()
    return {
        "total": total.detach(),
        "values": values,
        "features": own.grad / world,
        "wrapped": {key: parameter.grad for key, parameter in wrapped.module.named_parameters()},
    }


@pytest.fixture(scope="module")
def ranks():
    return in_processes(_on_this_rank)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_find_the_value_and_gradient_of_one(name, ranks):
    whole = objective(CONFIGS[name], torch.float64)
    seen = features(torch.float64).requires_grad_()
    total, values = whole(seen, ROWS, step=3, seed=7)
    total.backward()
    for rank, answers in enumerate(ranks):
        answer = answers[name]
        torch.testing.assert_close(answer["total"], total.detach())
        torch.testing.assert_close(answer["values"], values)
        torch.testing.assert_close(answer["features"], seen.grad[rank::2])
        for key, parameter in whole.named_parameters():
            torch.testing.assert_close(answer["wrapped"][key], parameter.grad)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CONFIGS)
def test_a_gpu_finds_the_value_of_the_cpu_also_under_autocast(name):
    whole = objective(CONFIGS[name], torch.float64)
    _, values = whole(features(torch.float64), ROWS, step=3, seed=7)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        _, there = whole.cuda()(features(torch.float64).cuda(), ROWS.cuda(), step=3, seed=7)
    for level, value in values.items():
        torch.testing.assert_close(there[level].cpu(), value)
