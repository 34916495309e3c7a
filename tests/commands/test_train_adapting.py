import dataclasses
import shutil
import signal

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from footage.cli.train import _log_following
from footage.commands.export import export
from footage.commands.train import train
from footage.errors import ConfigError, StoppedError
from footage.models.backbone import Backbone
from footage.models.config import AdaptConfig
from footage.models.load import load
from footage.runs import checkpoint, layout
from footage.runs.results import read_result
from footage.training import stopping
from tests.commands.test_train_stops import send
from tests.support.training import (
    assert_same_run,
    in_two_processes,
    lines,
    smallest,
    weights,
    write_initial_weights,
)

ADAPT = AdaptConfig(frozen_fraction=0.4, layer_decay=0.75, batch_norm="frozen")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights of the network that `smallest` trains."""
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    write_initial_weights(path)
    return path


def scores(monkeypatch, *values):
    """Let each computation of the online metrics give one of these scores."""
    left = iter(values)
    monkeypatch.setattr(stopping, "score", lambda _: next(left))


def test_frozen_stages_and_statistics_keep_the_values_of_init(tiny_store, start, tmp_path):
    run = train(smallest(init=str(start), adapt=ADAPT), store=tiny_store.path, out=tmp_path / "run")
    before = Backbone("test_resnet", size=32)
    before.network.load_state_dict(load_file(start))
    after = load(run).backbone.network.state_dict()
    kept = {
        name
        for name, value in before.network.state_dict().items()
        if torch.equal(value, after[name])
    }
    trained = before.network.state_dict().keys() - kept
    assert all(name in kept for name in after if "running" in name)
    assert {name.partition(".")[0] for name in trained} == {"layer2", "layer3", "layer4"}


def test_adapting_without_weights_is_refused_with_the_option(tiny_store, tmp_path):
    with pytest.raises(ConfigError, match=r"none are given.*--init WEIGHTS"):
        train(smallest(adapt=ADAPT), store=tiny_store.path, out=tmp_path / "run")


def test_training_stops_early_and_keeps_the_best_weights(tiny_store, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "footage")
    config = smallest(patience=2, steps=30, metrics_every=2, checkpoint_every=2, keep_checkpoints=9)
    scores(monkeypatch, 0.3, 0.5, 0.4, 0.4)
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    assert lines(run)[-1] == (6, "probe")
    recorded = layout.read_record(run)["stopping"]
    assert recorded == {
        "first_score": 0.3,
        "best_score": 0.5,
        "best_step": 2,
        "last_step": 6,
        "stopped_early": True,
    }
    assert "stopped early after step 6 of 30: retrieval in held-out videos was best" in caplog.text
    result = read_result(run)
    probes = {line["step"]: line["probe"] for line in layout.read_metrics(run) if "probe" in line}
    assert (result.step, result.kept_step) == (6, 2)
    assert result.online_metrics == probes[2] != probes[6]
    assert "online metrics of  step 2, kept by early stopping" in repr(result)
    origin = f"of {run}, initialised from random weights, seed 0"
    assert load(run).weights_origin == f"step 2 {origin}"
    forget_best_step(run)
    assert load(run).weights_origin == f"step 2 {origin}"
    layout.write_record(run, layout.read_record(run) | {"stopping": {}})
    assert load(run).weights_origin == f"best of the first 6 steps {origin}"
    layout.write_record(run, layout.read_record(run) | {"stopping": recorded})
    tensors = weights(run)
    of_step_2 = weights_of(run, 2)
    assert all(torch.equal(value, of_step_2[name]) for name, value in tensors["best"].items())
    network = load(run).backbone.network.state_dict()
    assert all(
        torch.equal(value, of_step_2[f"backbone.network.{name}"]) for name, value in network.items()
    )
    caplog.clear()
    train(config, store=tiny_store.path, out=run)
    assert "training stopped early after step 6; a larger --steps extends the run" in caplog.text
    assert lines(run)[-1] == (6, "probe")


def forget_best_step(run):
    """Rewrite the newest checkpoint as earlier versions wrote it."""
    found = checkpoint.newest(run / layout.CHECKPOINTS)
    shutil.rmtree(found.path)
    state = msgspec.structs.replace(found.state, best_step=None)
    checkpoint.save(run / layout.CHECKPOINTS, found.tensors, state, keep=9)


def weights_of(run, step):
    return checkpoint.load(run / layout.CHECKPOINTS / f"step-{step:08d}").tensors["model"]


def test_a_run_that_stopped_early_can_be_extended(tiny_store, tmp_path, monkeypatch):
    config = smallest(patience=1, steps=30, metrics_every=2)
    scores(monkeypatch, 0.3, 0.2, 0.4, 0.1)
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    assert lines(run)[-1] == (2, "probe")
    monkeypatch.undo()
    real = stopping.score
    monkeypatch.setattr(stopping, "score", lambda values: real(values))
    train(dataclasses.replace(config, steps=32), store=tiny_store.path, out=run)
    record = layout.read_record(run)
    assert record["extended_at"] == [2]
    assert record["stopping"]["last_step"] > 2


def test_if_nothing_helps_the_run_keeps_the_initial_weights(
    tiny_store, start, tmp_path, monkeypatch, caplog
):
    scores(monkeypatch, 0.3, 0.2, 0.1)
    config = smallest(init=str(start), patience=2, steps=30, metrics_every=2)
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    assert layout.read_record(run)["stopping"]["best_step"] == 0
    kept = f"initial weights of {run}, which early stopping kept: weights of start.safetensors"
    assert load(run).weights_origin.startswith(kept)
    assert "the initial weights, kept by early stopping" in repr(read_result(run))
    caplog.set_level("INFO", "footage")
    _log_following(run)
    assert "next: train again with a lower --optimizer.learning-rate" in caplog.text
    assert "next: footage evaluate" not in caplog.text
    after = load(run).backbone.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in load_file(start).items())


@pytest.mark.parametrize(("metrics_every", "is_warned"), [(4, True), (2, False)])
def test_a_run_that_is_too_short_to_be_stopped_logs_a_warning(
    tiny_store, start, tmp_path, caplog, metrics_every, is_warned
):
    config = smallest(init=str(start), patience=2, steps=5, metrics_every=metrics_every)
    train(config, store=tiny_store.path, out=tmp_path / "run")
    words = "early stopping cannot end this run: it needs 2 measurements before the last step"
    assert any(f"{words}, but there are 1" in line for line in caplog.messages) == is_warned


def test_a_stopped_run_resumes_to_the_same_bits(tiny_store, start, tmp_path):
    config = smallest(init=str(start), adapt=ADAPT, patience=5)
    whole = train(config, store=tiny_store.path, out=tmp_path / "whole")
    parts = tmp_path / "parts"
    with send(signal.SIGTERM, at=4), pytest.raises(StoppedError):
        train(config, store=tiny_store.path, out=parts)
    train(config, store=tiny_store.path, out=parts)
    assert_same_run(whole, parts)


def test_two_processes_stop_together_and_learn_from_one_teacher(tiny_store, start, tmp_path):
    run, teacher = tmp_path / "run", tmp_path / "teacher"
    export("test_vit", to="timm", out=teacher)
    in_two_processes(
        [
            "train", "vivi-ex4-tiny", "--store", str(tiny_store.path), "--out", str(run),
            "--backbone.architecture", "test_resnet", "--augment.size", "32",
            "--sampling.videos-per-batch", "4", "--held-out-fraction", "0.3",
            "--compute.workers", "1", "--compute.threads", "1", "--compute.accumulate", "2",
            "--init", str(start), "--adapt.frozen-fraction", "0.4", "--adapt.layer-decay", "0.75",
            "--adapt.batch-norm", "frozen", "--patience", "1", "--metrics-every", "1",
            "--optimizer.learning-rate", "1e-9", "--steps", "30",
            "--objective.teacher.weight", "1", "--objective.teacher.model", str(teacher),
        ]
    )  # fmt: skip
    stopping = layout.read_record(run)["stopping"]
    assert stopping["stopped_early"]
    assert stopping["best_step"] == 0
    assert stopping["last_step"] < 30
    step = next(line for line in layout.read_metrics(run) if "loss" in line)
    assert set(step["levels"]) > {"teacher/cosine"}
