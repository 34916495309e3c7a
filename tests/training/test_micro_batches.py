"""Micro-batches have the loss and the gradient of the whole batch, for every method."""

import dataclasses

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from footage.commands.train import train
from footage.errors import ConfigError
from footage.models.config import BackboneConfig
from footage.recipes.methods import METHODS
from footage.runs import layout
from footage.training import micro_batches
from footage.training.config import ComputeConfig
from footage.training.live_memory import peak_bytes, tensors_of
from tests.support.learners import batch, gradients, learner, small_config, step, with_dropout
from tests.support.processes import in_processes
from tests.support.training import smallest

TIGHT = {"rtol": 1e-9, "atol": 1e-12}


def assert_same_step(ours, theirs):
    """Loss, levels and all gradients agree; the value of a gradient that is missing is 0."""
    (loss, levels, gradient), (loss_2, levels_2, gradient_2) = ours, theirs
    torch.testing.assert_close(loss, loss_2, **TIGHT)
    torch.testing.assert_close(levels, levels_2, **TIGHT)
    assert gradient.keys() == gradient_2.keys()
    assert any(bool(one.abs().max() > 1e-6) for one in gradient.values())
    for name, value in gradient.items():
        torch.testing.assert_close(value, gradient_2[name], msg=name, **TIGHT)


def outcome(config, accumulate):
    whole = learner(config, accumulate=accumulate)
    loss, levels = step(whole, batch(config))
    return loss, levels, gradients(whole)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [2, 3])
def test_loss_and_gradient_of_every_method_are_those_of_the_whole_batch(method, count):
    config = small_config(method)
    assert_same_step(outcome(config, count), outcome(config, 1))


IN_PROCESSES = ["vivi-ex4-co", "vivi-nce", "vivi-dino", "vivi-rot"]


def _on_this_rank():
    return {method: _of_a_rank(method, 2) for method in IN_PROCESSES}


def _of_a_rank(method, accumulate):
    """Loss, levels and gradients on one of several processes."""
    config = small_config(method)
    whole = learner(config, accumulate=accumulate)
    wrapped = DistributedDataParallel(whole)
    torch.manual_seed(5)
    loss, levels = wrapped(batch(config))
    whole.backward(loss)
    return {"loss": loss.detach(), "levels": levels, "gradients": gradients(whole)}


@pytest.fixture(scope="module")
def ranks():
    return in_processes(_on_this_rank)


@pytest.mark.parametrize("method", IN_PROCESSES)
def test_two_processes_with_two_micro_batches_have_those_of_one_process(method, ranks):
    alone = outcome(small_config(method), 1)
    for answers in ranks:
        answer = answers[method]
        assert_same_step((answer["loss"], answer["levels"], answer["gradients"]), alone)


def test_dropout_is_the_same_when_activations_are_computed_again(monkeypatch):
    config = small_config("vivi-ex4-co")
    one = batch(config)
    replayed = learner(config, accumulate=2, backbone=with_dropout())
    kept = learner(config, accumulate=2, backbone=with_dropout())
    kept.load_state_dict(replayed.state_dict())
    ours = (*step(replayed, one), gradients(replayed))
    with monkeypatch.context() as patched:  # the same micro-batches, with all activations kept
        patched.setattr(micro_batches, "checkpoint", lambda run, *parts, **_: run(*parts))
        theirs = (*step(kept, one), gradients(kept))
    assert_same_step(ours, theirs)
    again = learner(config, accumulate=2, backbone=with_dropout())
    again.load_state_dict(replayed.state_dict())
    assert step(again, one, seed=6)[0] != ours[0]  # dropout is at work


@pytest.mark.parametrize("method", ["vivi-ex4-co", "vivi-dino"])
def test_running_averages_change_once_by_the_mean_of_the_micro_batches(method):
    config = small_config(method, "test_resnet")
    one = batch(config)
    whole = learner(config, accumulate=2)
    halves = [learner(config) for _ in range(2)]
    for number, half in enumerate(halves):
        parts = [
            part if part is None else torch.tensor_split(part, 2)[number]
            for part in (one.views.flatten(0, 3), one.images)
        ]
        half._features(*(half._pixels(part) for part in parts))
        half._teacher_features(half._pixels(parts[0]))
    step(whole, one)
    for module in ("backbone", "teacher"):
        if getattr(whole, module) is None:
            continue
        buffers = [dict(getattr(each, module).named_buffers()) for each in (whole, *halves)]
        for name, value in buffers[0].items():
            expected = sum(each[name].double() for each in buffers[1:]) / 2
            torch.testing.assert_close(value.double(), expected, msg=name)
    assert int(whole.backbone.network.bn1.num_batches_tracked) == (
        2 if one.images is not None else 1
    )


def test_micro_batches_need_less_memory():
    config = small_config("vivi-ex4")
    sampling = dataclasses.replace(config.sampling, videos_per_batch=64)
    config = dataclasses.replace(config, sampling=sampling)
    one = batch(config)
    peaks = {}
    for count in (1, 2, 8):
        whole = learner(config, accumulate=count, double=False)
        fixed = tensors_of(whole)
        before = sum(value.untyped_storage().nbytes() for value in fixed)
        peaks[count] = peak_bytes(lambda whole=whole: step(whole, one), fixed) - before
    assert peaks[2] < 0.75 * peaks[1]
    assert peaks[8] < 0.75 * peaks[2]


def test_more_micro_batches_than_images_are_refused(tiny_store, tmp_path):
    config = smallest(compute=ComputeConfig(workers=1, threads=1, accumulate=25))
    with pytest.raises(ConfigError, match="a step of one process has only 24 views"):
        train(config, store=tiny_store.path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_in_micro_batches_has_the_same_losses(tiny_store, tmp_path):
    runs = []
    for count in (1, 2):
        config = smallest(
            backbone=BackboneConfig(architecture="test_vit"), precision="fp32",
            compute=ComputeConfig(workers=1, threads=1, accumulate=count),
        )  # fmt: skip
        runs.append(train(config, store=tiny_store.path, out=tmp_path / str(count)))
    for ours, theirs in zip(*(layout.read_metrics(run) for run in runs), strict=True):
        if "loss" in ours:
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4), ours["step"]


def test_a_number_below_one_is_refused():
    with pytest.raises(ConfigError, match=r"compute\.accumulate must be at least 1, got 0"):
        ComputeConfig(accumulate=0)
