"""Losses that are fetched every few steps: same run, no waiting, and nothing is destroyed."""

import pytest
import torch

from footage.commands.train import train
from footage.errors import ConfigError, FootageError
from footage.optim.config import OptimizerConfig
from footage.recipes.methods import METHODS, recipe
from footage.runs import checkpoint, layout
from footage.training.config import ComputeConfig
from footage.training.live_memory import tensors_of
from footage.training.module import TrainState
from footage.training.updates import Step, Updates, fetch_steps
from tests.support.host_reads import HostReads
from tests.support.learners import batch, learner, small_config
from tests.support.training import (
    assert_same_run,
    assert_same_tensors,
    at_steps,
    lines,
    losses,
    smallest,
    weights,
)

SGD = OptimizerConfig(name="sgd", learning_rate=0.1)


def config(every, **changes):
    compute = ComputeConfig(workers=1, threads=1, fetch_every=every)
    changes = {"metrics_every": 6, "checkpoint_every": 6, **changes}
    return smallest(compute=compute, **changes)


def test_fetching_every_few_steps_gives_the_same_run(tiny_store, tmp_path):
    runs = [
        train(config(every, ema_decay=0.9, metrics_every=3), store=tiny_store.path,
              out=tmp_path / str(every))
        for every in (1, 4)
    ]  # fmt: skip
    assert_same_run(*runs)
    rates = [line["images_per_second"] for line in layout.read_metrics(runs[1]) if "loss" in line]
    assert rates[0] == rates[1] == rates[2] != rates[3]  # fetched after steps 3, 4 and 6


@pytest.mark.parametrize(("where", "at"), [("loss", 2), ("gradient", 3)])
@pytest.mark.parametrize("kind", ["sgd", "distillation"])
def test_nan_ends_with_the_right_step_and_the_weights_before_it(
    tiny_store, tmp_path, where, at, kind
):
    changes = {"optimizer": SGD} if kind == "sgd" else {}
    if kind == "distillation":  # adamw, a teacher, its centre, and averaged weights
        changes = {"objective": recipe("vivi-dino-tiny").objective, "ema_decay": 0.9}
    seen = []

    def spoil(step, output):
        seen.append(step)
        loss, levels = output
        if step != at:
            return None
        if where == "loss":
            return loss * float("nan"), levels
        loss.register_hook(lambda gradient: gradient * float("nan"))
        return None

    messages = []
    for every in (1, 4):
        with at_steps(spoil), pytest.raises(FootageError) as error:
            train(config(every, **changes), store=tiny_store.path, out=tmp_path / str(every))
        messages.append(error.value.message)
    assert seen == [*range(1, at + 1), 1, 2, 3, 4]  # the second run went on until it fetched
    assert messages[0] == messages[1]
    assert messages[0].startswith(f"step {at}: loss ")
    one, two = tmp_path / "1", tmp_path / "4"
    assert checkpoint.steps(two / layout.CHECKPOINTS) == [at - 1]
    assert losses(one) == losses(two)
    assert lines(one) == lines(two)
    assert_same_tensors(weights(one), weights(two))


def _state(method):
    config = small_config(method, "test_resnet")
    whole = learner(config, double=False)
    return TrainState(whole, SGD, ema_decay=0.9), batch(config)


def _take(updates, state, one, spoil=1.0):
    updates.before_forward()
    loss, levels = state.learner(one)
    state.optimizer.zero_grad(set_to_none=True)
    state.learner.backward(loss * spoil)
    norm = torch.nn.utils.clip_grad_norm_(state.learner.parameters(), 1.0)
    finite = updates.update(loss.detach(), norm, 0.1, teacher_decay=0.99)
    updates.add(
        Step(one.step, one.plan, True, 0, 0, levels, 0.1, 1, 1), finite, loss.detach(), norm
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_host_reads_nothing_from_the_device_between_fetches(method):
    state, one = _state(method)
    pixels = [part for part in (one.views, one.images) if part is not None]
    updates = Updates(state, 3)
    with HostReads([*tensors_of(state.learner), *state.average.values(), *pixels]) as reads:
        for _ in range(3):
            _take(updates, state, one)
        assert reads.found == []
        steps = updates.fetch()
    assert len(reads.found) <= 3 * (3 + len(steps[0].levels))  # the values, in one tensor
    assert all(one.is_finite and one.loss > 0 for one in steps)


def test_a_read_of_the_device_would_be_found():
    state, one = _state("vivi-ex4")
    with HostReads(tensors_of(state.learner)) as reads:
        loss, _ = state.learner(one)
        assert reads.found == []
        loss.item()
        assert [name for name, _ in reads.found] == ["_local_scalar_dense"]
        (loss > 0).nonzero()
        torch.ones(3)[torch.ones(3) > loss.detach()]
    assert [name for name, _ in reads.found] == ["_local_scalar_dense", "nonzero", "index"]


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_no_step_on_a_gpu_waits_between_fetches(method):
    config = small_config(method, "test_resnet")
    state = TrainState(learner(config, double=False).cuda(), SGD, ema_decay=0.9)
    updates, one = Updates(state, 3), batch(config)
    _take(updates, state, one)  # the first step sets up libraries
    updates.fetch()
    torch.cuda.set_sync_debug_mode("error")
    try:
        _take(updates, state, one)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert updates.fetch()[0].is_finite


def test_the_number_of_steps_depends_on_the_device():
    automatic, fixed = config(0), config(7)
    assert fetch_steps(automatic, torch.device("cpu")) == 1
    assert fetch_steps(automatic, torch.device("cuda")) == 50
    assert fetch_steps(fixed, torch.device("cuda")) == 7
    with pytest.raises(ConfigError, match=r"compute\.fetch_every must be at least 0, got -1"):
        ComputeConfig(fetch_every=-1)


def test_every_later_step_is_without_effect():
    state, one = _state("vivi-dino")
    updates = Updates(state, 8)
    _take(updates, state, one)
    before = {name: value.clone() for name, value in state.learner.state_dict().items()}
    for spoil in (float("inf"), 1.0, 1.0):
        _take(updates, state, one, spoil)
    torch.testing.assert_close(state.learner.state_dict(), before, rtol=0, atol=0)
    assert [step.is_finite for step in updates.fetch()] == [True, False]
