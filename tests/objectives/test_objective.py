import copy
import dataclasses
import math

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from footage import distributed
from footage.errors import ConfigError
from footage.objectives.inputs import LabelledInput, ObjectiveInput
from footage.objectives.losses.exemplar import exemplar
from footage.objectives.losses.future_shots import future_shot_nce
from tests.objectives.test_video import reversals
from tests.support.objectives import (
    CONFIGS,
    MODERN,
    ROWS,
    SHAPE,
    D,
    S,
    V,
    answer,
    features,
    inputs,
    objective,
    with_weights,
)
from tests.support.processes import in_processes


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: threads that wait for each other cost ten times the work on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_total_is_the_weighted_sum_of_the_levels():
    total, values = answer(objective(CONFIGS["co-training"]))
    weights = {"shot/exemplar": 1, "video/future_nce": 0.5, "video/order": 0.25, "supervised": 2}
    assert list(values) == list(weights)
    expected = sum(weights[name] * values[name] for name in weights)
    torch.testing.assert_close(total, expected)
    assert total.requires_grad
    assert not any(value.requires_grad for value in values.values())


def test_each_level_is_its_loss_over_its_head():
    whole, views = objective(CONFIGS["co-training"]), features()
    batch = inputs(whole, views)
    _, values = whole(batch, 3)
    embeddings = whole.levels["frame_shot"].projection(views)
    torch.testing.assert_close(values["shot/exemplar"], exemplar(embeddings, ROWS, "shot", 0.5))
    logits = whole.supervised.classify(batch.labelled.features)
    expected = torch.nn.functional.cross_entropy(logits, batch.labelled.labels)
    torch.testing.assert_close(values["supervised"], expected)

    shots = views.mean(dim=(2, 3))
    future = 0.0
    predictor = whole.levels["future"].predictor
    mapped = predictor.embed(shots)
    for ahead in (1, 2, 3):
        places = []
        for read in range(1, S - ahead + 1):
            state = predictor.read(mapped[:, :read].relu())[0][:, -1]
            prediction = predictor.critic(predictor.predict[ahead - 1](state))
            # the target of the shot at 1-based place read + ahead
            places.append(future_shot_nce(prediction, mapped[:, read + ahead - 1]))
        future += sum(places) / len(places)
    torch.testing.assert_close(values["video/future_nce"], future)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_and_feature_gets_a_gradient(name):
    whole, views = objective(CONFIGS[name]), features().requires_grad_()
    answer(whole, views, step=0)[0].backward()
    assert views.grad.abs().amax(dim=-1).gt(0).all()
    for key, parameter in whole.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize(
    "weights",
    [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 1, 0), (0, 1, 1, 1), (0, 0, 0, 1)],
)
def test_a_level_that_is_off_has_no_parameters_and_leaves_the_others_alone(weights):
    every = answer(objective(with_weights(1.0, 0.5, 0.25, 2.0)))[1]
    part = objective(with_weights(*(float(weight) for weight in weights)))
    values = answer(part)[1]
    on = [name for name, weight in zip(every, weights, strict=True) if weight]
    assert list(values) == on
    # without copying any weight: what a level begins with does not depend on the others
    assert all(torch.equal(values[name], every[name]) for name in on)
    assert {key.split(".")[1] for key in part.state_dict() if key.startswith("levels")} == {
        level for level, weight in zip(("frame_shot", "future", "order"), weights, strict=False)
        if weight
    }  # fmt: skip
    assert any(key.startswith("supervised") for key in part.state_dict()) == bool(weights[3])
    assert list(part.chance(SHAPE)) == on


def test_labels_alone_need_no_views():
    whole = objective(with_weights(0.0, 0.0, 0.0, 1.0))
    labelled = inputs(whole).labelled
    _, values = whole(ObjectiveInput(features=None, rows=None, labelled=labelled), 0)
    assert list(values) == ["supervised"]


def test_pooling_without_a_video_level_has_no_parameters_and_is_not_computed():
    frames_only = dataclasses.replace(with_weights(1.0, 0.0, 0.0), pooling="attention")
    whole = objective(frames_only)
    assert not list(whole.pooling.parameters())
    whole.pooling.forward = None  # would fail if it were called
    answer(whole)
    assert list(objective(MODERN).pooling.parameters())


@pytest.mark.parametrize("name", CONFIGS)
def test_features_that_say_nothing_pay_the_chance_value(name):
    whole = objective(CONFIGS[name])
    collapsed = torch.ones(*SHAPE, D)
    batch = inputs(whole, collapsed, step=0)
    if whole.config.has_teacher:  # and its centre has caught up
        batch = batch._replace(teacher=collapsed)
        level = whole.levels["frame_shot"]
        level.centre.copy_(level.teacher(collapsed).flatten(0, 3)[0].detach())
    values = whole(batch, 0)[1]
    chance = whole.chance(SHAPE)
    assert list(chance) == list(values)
    for level in list(chance)[:2]:
        if level in ("frame/rotation", "shot/distillation"):  # a head may lean, and lose by that
            assert values[level].item() >= chance[level] - 1e-5
        elif level != "video/future_mse":  # its targets cannot be standardised where all are alike
            assert values[level].item() == pytest.approx(chance[level], abs=1e-5)
    # the order head may lean to one side, and can only lose by that
    assert chance["video/order"] == math.log(2)
    # two shown forward, two backward: the best it can do is to be undecided
    steps = [step for step in range(50) if sum(reversals(step, 7)) == V // 2]
    leaning = answer(whole, collapsed, step=steps[0])[1]["video/order"]
    assert leaning.item() >= chance["video/order"] - 1e-6


@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_is_drawn_from_the_global_generator(name):
    before = torch.get_rng_state()
    answer(objective(CONFIGS[name]))
    assert torch.equal(before, torch.get_rng_state())


def test_seeds_give_different_heads():
    one, two = (objective(seed=seed).state_dict() for seed in (0, 1))
    name = "levels.future.predictor.embed.weight"
    assert not torch.equal(one[name], two[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_heads_and_losses_ignore_autocast(name):
    expected = answer(objective(CONFIGS[name]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, values = answer(objective(CONFIGS[name]))
    assert torch.equal(total, expected[0])
    assert all(torch.equal(values[level], expected[1][level]) for level in values)


@pytest.mark.parametrize("name", CONFIGS)
def test_features_in_half_precision_are_taken(name):
    total, _ = answer(objective(CONFIGS[name]), features(torch.bfloat16))
    assert total.dtype == torch.float32


def test_an_objective_without_levels_is_refused():
    with pytest.raises(ConfigError, match="every level"):
        with_weights(0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_training_on_separable_features_brings_every_level_below_chance(name):
    generator = torch.Generator().manual_seed(0)
    videos = 3 * torch.randn(V, 1, 1, 1, D, generator=generator)
    place = torch.randn(S, 1, 1, D, generator=generator)  # what makes the order visible
    turned = torch.randn(4, D, generator=generator)  # and which way is up
    whole = objective(CONFIGS[name])
    optimizer = torch.optim.Adam([p for p in whole.parameters() if p.requires_grad], lr=0.02)
    for step in range(80):
        views = videos + place + 0.1 * features()
        batch = inputs(whole, views, step=step)
        if batch.rotations is not None:
            batch = batch._replace(features=views + turned[batch.rotations])
        if batch.teacher is not None:
            batch = batch._replace(teacher=views)
        optimizer.zero_grad()
        total, values = whole(batch, step)
        total.backward()
        optimizer.step()
    chance = whole.chance(SHAPE)
    for level, value in values.items():
        assert value.item() < chance[level] - 0.1, level


def _on_this_rank() -> dict:
    return {name: _answer_by_ddp(name) for name in CONFIGS}


def _answer_by_ddp(name) -> dict:
    """The objective over this rank's videos, by DistributedDataParallel."""
    rank, world = distributed.rank(), distributed.world_size()
    whole = objective(CONFIGS[name], torch.float64)
    wrapped = DistributedDataParallel(copy.deepcopy(whole))
    own = features(torch.float64)[rank::world].clone().requires_grad_()
    batch = inputs(whole, own)
    total, values = whole(batch, 3)
    total.backward()
    wrapped(batch._replace(features=own.detach()), 3)[0].backward()
    parameters = wrapped.module.named_parameters()
    return {
        "total": total.detach(),
        "values": values,
        "features": own.grad / world,
        "buffers": dict(whole.named_buffers()),
        "wrapped": {key: value.grad for key, value in parameters if value.requires_grad},
    }


@pytest.fixture(scope="module")
def ranks():
    return in_processes(_on_this_rank)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_find_the_value_and_gradient_of_one(name, ranks):
    whole = objective(CONFIGS[name], torch.float64)
    views = features(torch.float64).requires_grad_()
    total, values = answer(whole, views)
    total.backward()
    for rank, answers in enumerate(ranks):
        there = answers[name]
        torch.testing.assert_close(there["total"], total.detach())
        torch.testing.assert_close(there["values"], values)
        torch.testing.assert_close(there["features"], views.grad[rank::2])
        torch.testing.assert_close(there["buffers"], dict(whole.named_buffers()))
        for key, parameter in whole.named_parameters():
            if parameter.requires_grad:
                torch.testing.assert_close(there["wrapped"][key], parameter.grad)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CONFIGS)
def test_a_gpu_finds_the_value_of_the_cpu_also_under_autocast(name):
    whole = objective(CONFIGS[name], torch.float64)
    batch = inputs(whole, features(torch.float64))
    # A copy: in training the centre of a teacher's outputs follows each batch.
    _, values = copy.deepcopy(whole)(batch, 3)
    there = [part.cuda() if isinstance(part, torch.Tensor) else part for part in batch]
    labelled = LabelledInput(*(part.cuda() for part in batch.labelled))
    with torch.autocast("cuda", dtype=torch.bfloat16):
        _, found = whole.cuda()(ObjectiveInput(*there)._replace(labelled=labelled), 3)
    for level, value in values.items():
        torch.testing.assert_close(found[level].cpu(), value)
