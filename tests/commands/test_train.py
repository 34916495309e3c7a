import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from footage import cli, configuration
from footage.commands.train import train
from footage.errors import CheckpointError, ConfigError
from footage.models.load import load
from footage.runs import layout
from footage.store.reader import Store
from footage.training.config import ComputeConfig, TrainConfig
from footage.training.datasets import with_earlier_cap
from footage.training.module import computes_in_bf16
from tests.support.stores import write_store
from tests.support.training import (
    AS_OPTIONS,
    assert_same_run,
    assert_same_tensors,
    in_two_processes,
    lines,
    losses,
    smallest,
    weights,
)


@pytest.fixture(scope="module")
def run(tiny_store, tmp_path_factory):
    return train(
        smallest(ema_decay=0.9),
        store=tiny_store.path,
        out=tmp_path_factory.mktemp("runs") / "run",
        recipe="vivi-ex4-tiny",
    )


def test_a_run_leaves_its_record_metrics_checkpoints_and_tensorboard(run, tiny_store):
    record = layout.read_record(run)
    assert record["recipe"] == "vivi-ex4-tiny"
    assert record["store_hash"] == tiny_store.content_hash
    assert record["model"]["weights_origin"] == "random weights, seed 0"
    assert record["versions"]["torch"] == torch.__version__
    assert len(record["held_out"]) == 2
    lines = layout.read_metrics(run)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if "probe" in line] == [0, 3, 6]
    assert set(lines[1]["levels"]) == {"shot/exemplar", "video/future_nce", "video/order"}
    assert 0 <= lines[1]["data_wait"] <= 1
    assert list((run / layout.TENSORBOARD).glob("events*"))
    assert sorted(p.name for p in (run / layout.CHECKPOINTS).iterdir()) == [
        "step-00000004", "step-00000006",
    ]  # fmt: skip


def test_training_moves_every_weight_and_the_average_follows(run):
    tensors = weights(run)
    start = load("test_resnet", size=32).backbone.network.state_dict()
    for name, value in start.items():
        trained = tensors["model"][f"backbone.network.{name}"]
        assert not torch.equal(trained, value), name
    name = "backbone.network." + next(name for name in start if name.endswith("weight"))
    assert not torch.equal(tensors["ema"][name], tensors["model"][name])


def test_the_trained_backbone_is_what_its_run_loads(run):
    model = load(str(run))
    weights = load_file(run / layout.CHECKPOINTS / "step-00000006" / "ema.safetensors")
    for name, value in model.backbone.network.state_dict().items():
        assert torch.equal(value, weights[f"backbone.network.{name}"])
    assert model.weights_origin.startswith("step 6 of")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_configuration_gives_the_same_run_with_any_number_of_workers(
    run, tiny_store, tmp_path, workers
):
    config = smallest(ema_decay=0.9, compute=ComputeConfig(workers=workers, threads=1))
    assert_same_run(run, train(config, store=tiny_store.path, out=tmp_path / "again"))


def test_another_run_in_the_same_place_is_refused_with_what_differs(run, tiny_store):
    with pytest.raises(ConfigError, match=r"ema_decay: 0.9 there, 0.0 here"):
        train(smallest(), store=tiny_store.path, out=run)


def test_the_precision_of_this_device_is_kept_and_another_device_does_not_change_it(
    run, tiny_store, monkeypatch
):
    here = computes_in_bf16(torch.device("cpu"))
    if (flags := Path("/proc/cpuinfo")).exists():
        assert here == ("avx512_bf16" in flags.read_text())
    assert layout.read_record(run)["config"]["precision"] == ("bf16" if here else "fp32")
    monkeypatch.setattr("footage.training.setup.computes_in_bf16", lambda _: not here)
    with pytest.raises(ConfigError, match=r"precision: '\w+' there, '\w+' here"):
        train(smallest(ema_decay=0.9), store=tiny_store.path, out=run)


def test_a_folder_with_other_files_is_refused(tiny_store, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="is not empty and is not a run folder"):
        train(smallest(), store=tiny_store.path, out=tmp_path)


def _of_forty(**changes):
    config = smallest(**changes)
    sampling = dataclasses.replace(config.sampling, videos_per_batch=40)
    return dataclasses.replace(config, sampling=sampling)


def test_a_batch_of_more_videos_than_there_are_is_capped_with_one_warning(
    tiny_store, tmp_path, caplog
):
    out = tmp_path / "run"
    train(_of_forty(steps=2), store=tiny_store.path, out=out)
    warnings = [one for one in caplog.messages if "videos_per_batch" in one and "40" in one]
    assert warnings == [
        "sampling.videos_per_batch is 40, but only 4 training videos can be used: a batch has 4;"
        " the learning rate stays the same"
    ]
    record = layout.read_record(out)
    assert record["config"]["sampling"]["videos_per_batch"] == 4
    assert record["capped"] == {"sampling.videos_per_batch": 40}
    caplog.clear()
    train(_of_forty(steps=2), store=tiny_store.path, out=out)  # the same command, again
    assert not any("40" in one for one in caplog.messages)
    again = configuration.from_dict(TrainConfig, record["config"])
    train(again, store=tiny_store.path, out=tmp_path / "from")
    assert_same_tensors(weights(out), weights(tmp_path / "from"))


def test_a_capped_batch_keeps_its_size_with_another_number_of_processes(tiny_store, tmp_path):
    assert with_earlier_cap(_of_forty(), tmp_path) == _of_forty()  # a new run
    train(_of_forty(steps=1), store=tiny_store.path, out=tmp_path / "run")
    record = layout.read_record(tmp_path / "run")
    record["config"]["sampling"]["videos_per_batch"] = 2  # as three processes would have capped
    layout.write_record(tmp_path / "run", record)
    assert with_earlier_cap(_of_forty(), tmp_path / "run").sampling.videos_per_batch == 2
    assert with_earlier_cap(smallest(), tmp_path / "run") == smallest()


def _command(store, out, steps, every):
    return [
        sys.executable, "-m", "footage", "train", "vivi-ex4-tiny",
        "--store", str(store), "--out", str(out),
        *AS_OPTIONS, "--steps", str(steps), "--checkpoint-every", str(every),
        "--metrics-every", "10",
    ]  # fmt: skip


def _finish(command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, timeout=300, capture_output=True)


def _kill(command, is_due):
    """Start a training and kill it with its workers when it is due; whether that was in time."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not is_due():
        time.sleep(0.005)
    in_time = process.poll() is None
    if in_time:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return in_time


def test_sigkill_at_random_moments_changes_nothing_to_the_last_bit(tiny_store, tmp_path):
    steps, draws = 24, random.Random(3)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    _finish(_command(tiny_store.path, straight, steps, 3))
    command = _command(tiny_store.path, killed, steps, 3)
    kills = 0
    for _ in range(2):
        target = min(len(losses(killed)) + 1 + draws.randrange(8), steps - 2)
        kills += _kill(command, lambda target=target: len(losses(killed)) >= target)
    _finish(command)
    assert kills == 2
    assert_same_run(straight, killed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_kills_at_any_moment_lose_and_repeat_no_line(tiny_store, tmp_path, trials):
    # A checkpoint at each step, so that most kills hit a save; some come before the first step.
    steps, draws = 60, random.Random(5)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    _finish(_command(tiny_store.path, straight, steps, 1))
    command = _command(tiny_store.path, killed, steps, 1)
    kills, begun = 0, killed / layout.METRICS
    for _ in range(30):
        before = begun.stat().st_mtime_ns if begun.exists() else 0
        end = []

        def is_due(before=before, end=end):
            if not end and begun.exists() and begun.stat().st_mtime_ns != before:
                end.append(time.monotonic() + draws.random() * 0.4)
            return bool(end) and time.monotonic() > end[0]

        kills += _kill(command, is_due)
        assert lines(killed) == lines(straight)[: len(lines(killed))]
    _finish(command)
    assert kills > 10
    assert_same_run(straight, killed)
    trials(kills)


def test_the_record_alone_repeats_a_run(run, tmp_path, capsys):
    source = str(run / layout.RUN)
    assert cli.main(["train", "--from", source, "--out", str(tmp_path / "again")]) == 0
    assert_same_run(run, tmp_path / "again")

    record = layout.read_record(run)
    record["config"]["sampling"]["shot_per_video"] = 3
    (tmp_path / "run.json").write_text(json.dumps(record))
    changed = str(tmp_path / "run.json")
    assert cli.main(["train", "--from", changed, "--out", str(tmp_path / "x")]) == 1
    errors = capsys.readouterr().err
    assert "unknown setting sampling.shot_per_video" in errors
    assert "did you mean sampling.shots_per_video?" in errors


def test_two_processes_train_as_one(tiny_store, tmp_path):
    # a network without batch norm, whose statistics are each process's own
    options = [
        "--backbone.architecture", "test_vit", "--sampling.videos-per-batch", "4", "--precision",
        "fp32", "--sampling.frames-per-shot", "2", "--augment.size", "32", "--compute.workers", "1",
        "--held-out-fraction", "0.3", "--compute.threads", "1", "--steps", "5",
        "--checkpoint-every", "3",
    ]  # fmt: skip
    command = ["train", "vivi-ex4-tiny", "--store", str(tiny_store.path), *options, "--out"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert cli.main([*command, str(one)]) == 0
    in_two_processes([*command, str(two), "--log", "jsonl"])
    logged = [json.loads(line) for line in (two / "log.jsonl").read_text().splitlines()]
    logged_losses = [line["values"]["loss"] for line in logged if "loss" in line.get("values", {})]
    lines = {
        out: [line for line in layout.read_metrics(out) if "loss" in line] for out in (one, two)
    }
    assert [line["step"] for line in lines[two]] == [1, 2, 3, 4, 5]
    assert logged_losses == [line["loss"] for line in lines[two]]  # only the first process logs
    for ours, theirs in zip(lines[one], lines[two], strict=True):
        assert theirs["levels"] == pytest.approx(ours["levels"], abs=1e-4)
    for name, value in weights(one)["model"].items():
        torch.testing.assert_close(weights(two)["model"][name], value, atol=1e-3, rtol=1e-3)


@pytest.fixture
def grown(tiny_store, run, tmp_path):
    """A store that has grown since a run was started, and the run, which lacks its last steps."""
    store = shutil.copytree(tiny_store.path, tmp_path / "store")
    frames = [[one.jpeg for one in tiny_store.frames_of_shot(row)] for row in range(3)]
    write_store(store, [("later.mp4#0000000000ff", frames)])
    unfinished = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(unfinished / layout.CHECKPOINTS / "step-00000006")
    return store, unfinished


def test_a_run_resumes_on_the_version_of_the_store_that_it_was_started_with(grown, run, caplog):
    store, unfinished = grown
    with caplog.at_level("INFO"):
        train(smallest(ema_decay=0.9), store=store, out=unfinished)
    assert "the store has grown since the run was started" in caplog.text
    assert_same_tensors(weights(unfinished), weights(run))
    assert layout.read_record(unfinished)["store_hash"] == layout.read_record(run)["store_hash"]


def test_a_run_can_switch_to_the_latest_version_of_its_store(grown, run):
    store, unfinished = grown
    train(smallest(ema_decay=0.9), store=store, out=unfinished, store_version="latest")
    record, before = layout.read_record(unfinished), layout.read_record(run)
    assert record["store_hash"] == Store.open(store).content_hash != before["store_hash"]
    assert record["videos_used"] == before["videos_used"] + 1
    assert all(losses(unfinished)[step] == losses(run)[step] for step in range(1, 5))
