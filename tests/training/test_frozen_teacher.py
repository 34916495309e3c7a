import dataclasses
import signal

import pytest
import torch
from torch.nn import functional

from footage.commands.export import export
from footage.commands.train import train
from footage.errors import ConfigError, StoppedError
from footage.models.export.safetensors import write_file
from footage.models.load import load
from footage.models.preprocessing import normalise
from footage.objectives.config import ObjectiveConfig, TeacherConfig
from footage.objectives.titles import level_title
from footage.runs import layout
from footage.training.module import rotated
from tests.commands.test_train_stops import send
from tests.support.learners import batch, gradients, learner, small_config, step
from tests.support.training import assert_same_run, lines, smallest, weights

CPU = torch.device("cpu")


def test_the_teacher_sees_the_same_views_with_its_own_normalisation_and_size():
    config = small_config("vivi-distil")
    whole, one = learner(config), batch(config)
    seen = {}
    whole.objective.register_forward_pre_hook(
        lambda _, given: seen.update(frozen=given[0].frozen_teacher)
    )
    whole(one)
    teacher = whole.frozen_teacher
    cfg = teacher.preprocessing
    images = normalise(one.views, cfg.mean, cfg.std, CPU)
    small = functional.interpolate(images, (cfg.size, cfg.size), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = teacher.backbone(small)
    assert torch.equal(seen["frozen"].flatten(0, 3), expected)


def test_rotated_views_are_rotated_for_the_teacher():
    config = small_config("vivi-rot")
    objective = dataclasses.replace(config.objective, teacher=TeacherConfig(weight=1.0))
    config = dataclasses.replace(config, objective=objective)
    whole, one = learner(config), batch(config)
    seen = {}
    whole.objective.register_forward_pre_hook(
        lambda _, given: seen.update(frozen=given[0].frozen_teacher, turns=given[0].rotations)
    )
    whole(one)
    cfg = whole.frozen_teacher.preprocessing
    images = normalise(one.views, cfg.mean, cfg.std, CPU)
    with torch.no_grad():
        expected = whole.frozen_teacher(rotated(images, seen["turns"].flatten()))
    torch.testing.assert_close(seen["frozen"].flatten(0, 3), expected)


def test_the_teacher_is_no_part_of_the_module_and_gets_no_gradient():
    config = small_config("vivi-distil")
    whole = learner(config)
    plain = learner(small_config("vivi-ex4"))
    extra = whole.state_dict().keys() - plain.state_dict().keys()
    assert {name.rpartition(".layers")[0] for name in extra} == {
        "objective.levels.teacher.projection"
    }
    before = {k: v.clone() for k, v in whole.frozen_teacher.backbone.state_dict().items()}
    step(whole, batch(config))
    assert all(one.grad is None for one in whole.frozen_teacher.backbone.parameters())
    after = whole.frozen_teacher.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not whole.frozen_teacher.backbone.training


def test_micro_batches_give_the_loss_and_gradient_of_the_whole_batch():
    config = small_config("vivi-distil")
    whole, parts = learner(config), learner(config, accumulate=4)
    one = batch(config)
    loss, _ = step(whole, one)
    in_parts, _ = step(parts, one)
    torch.testing.assert_close(in_parts, loss)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(parts)[name], gradient)


def test_the_level_has_a_readable_title():
    assert level_title("teacher/cosine") == "Frozen teacher: features (cosine)"
    assert level_title("teacher/smooth_l1") == "Frozen teacher: features (smooth L1)"


@pytest.fixture(scope="module")
def teacher(tiny_store, tmp_path_factory):
    """A run whose backbone is the teacher of others."""
    out = tmp_path_factory.mktemp("teachers") / "teacher"
    return train(smallest(steps=2, metrics_every=2, seed=3), store=tiny_store.path, out=out)


def with_teacher(model, **changes):
    config = smallest(**changes)
    level = TeacherConfig(weight=1.0, model=str(model))
    objective: ObjectiveConfig = dataclasses.replace(config.objective, teacher=level)
    return dataclasses.replace(config, objective=objective)


def test_a_run_learns_from_its_teacher_and_stores_only_its_name_and_digest(
    tiny_store, teacher, tmp_path
):
    run = train(with_teacher(teacher, steps=12), store=tiny_store.path, out=tmp_path / "run")
    record = layout.read_record(run)
    assert record["teacher"]["name"] == str(teacher)
    assert len(record["teacher"]["digest"]) == 16
    losses = [one["levels"]["teacher/cosine"] for one in layout.read_metrics(run) if "loss" in one]
    assert losses[-1] < losses[0]
    assert record["chance"]["teacher/cosine"] == 1
    assert not any("frozen" in name for name in weights(run)["model"])
    assert lines(run)[-1] == (12, "probe")
    load(run)


def test_a_killed_run_resumes_to_the_same_bits_with_its_teacher_and_no_other(
    tiny_store, teacher, tmp_path
):
    file = tmp_path / "teacher.safetensors"
    export(teacher, to="safetensors", out=file)
    config = with_teacher(file)
    whole = train(config, store=tiny_store.path, out=tmp_path / "whole")
    parts = tmp_path / "parts"
    with send(signal.SIGTERM, at=4), pytest.raises(StoppedError):
        train(config, store=tiny_store.path, out=parts)
    train(config, store=tiny_store.path, out=parts)
    assert_same_run(whole, parts)
    other = load(teacher)
    with torch.no_grad():
        next(other.backbone.parameters()).add_(0.01)
    write_file(other, file)
    with pytest.raises(ConfigError, match="teacher_digest"):
        train(with_teacher(file, steps=8), store=tiny_store.path, out=whole)


def test_a_level_without_a_teacher_is_refused_with_the_option(tiny_store, tmp_path):
    with pytest.raises(ConfigError, match=r"no teacher is given.*--objective\.teacher\.model"):
        train(with_teacher(""), store=tiny_store.path, out=tmp_path / "run")


def test_a_teacher_with_random_weights_is_refused(tiny_store, tmp_path):
    with pytest.raises(ConfigError, match=r"objective\.teacher\.model = 'resnet18' does not name"):
        train(with_teacher("resnet18"), store=tiny_store.path, out=tmp_path / "run")
