"""Early ends of training, and a rerun of the same command afterwards."""

import json
import logging
import os
import resource
import shutil
import signal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from footage import cli
from footage.commands.train import train
from footage.errors import BusyError, ConfigError, FootageError, OutputError, StoppedError
from footage.io import files
from footage.optim.config import OptimizerConfig
from footage.optim.schedules import learning_rate
from footage.runs import checkpoint, layout
from tests.support.file_sizes import file_size_limit
from tests.support.training import (
    AS_OPTIONS,
    assert_same_run,
    assert_same_tensors,
    at_steps,
    lines,
    smallest,
    weights,
)

ALL_LINES = [
    (0, "probe"), (1, "step"), (2, "step"), (3, "step"), (3, "probe"), (4, "step"), (5, "step"),
    (6, "step"), (6, "probe"),
]  # fmt: skip


@pytest.fixture(scope="module")
def straight(tiny_store, tmp_path_factory):
    """A run that nothing stopped, with a checkpoint of each step."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    config = smallest(checkpoint_every=1, keep_checkpoints=9)
    return train(config, store=tiny_store.path, out=out)


def step_of(run, step):
    return checkpoint.load(run / layout.CHECKPOINTS / f"step-{step:08d}").tensors


def send(number, at=3):
    def action(step, _):
        if step == at:
            os.kill(os.getpid(), number)

    return at_steps(action)


# --- signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)]
)
def test_a_signal_saves_and_the_same_command_resumes(straight, tiny_store, tmp_path, number, code):
    with send(number), pytest.raises(StoppedError) as error:
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert error.value.exit_code == code
    assert checkpoint.steps(tmp_path / "run" / layout.CHECKPOINTS) == [2, 3]
    train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert_same_run(straight, tmp_path / "run")


@pytest.fixture
def logging_as_before():
    """`main` sets up logging for a program; tests want theirs back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("logging_as_before")
def test_the_command_line_exits_with_the_code_of_the_signal(tiny_store, tmp_path, capsys):
    command = [
        "train", "vivi-ex4-tiny", "--store", str(tiny_store.path), "--out", str(tmp_path / "run"),
        *AS_OPTIONS, "--compute.workers", "1", "--steps", "4",
    ]  # fmt: skip
    with send(signal.SIGTERM, at=2):
        assert cli.main(command) == 143
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: stopped by SIGTERM after step 2 of 4; the run is saved",
        "hint: rerun the same command to resume",
    ]
    assert cli.main(command) == 0


def test_a_signal_during_the_last_step_is_a_complete_run(straight, tiny_store, tmp_path):
    with send(signal.SIGTERM, at=6):
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert_same_run(straight, tmp_path / "run")


def test_a_second_interrupt_does_not_wait_for_the_step(tiny_store, tmp_path):
    def twice(step, _):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with at_steps(twice), pytest.raises(KeyboardInterrupt):
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")


# --- one process per folder --------------------------------------------------------------------


def test_a_second_training_in_the_same_folder_is_refused_and_names_the_first(tiny_store, tmp_path):
    found = []

    def again(step, _):
        if step == 2:
            with pytest.raises(BusyError) as error:
                train(smallest(), store=tiny_store.path, out=tmp_path / "run")
            found.append(error.value)

    with at_steps(again):
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert f"process {os.getpid()}" in found[0].message
    assert found[0].exit_code == 75
    assert lines(tmp_path / "run") == ALL_LINES
    assert not (tmp_path / "run" / ".lock").exists()


def test_the_lock_of_a_killed_training_is_no_obstacle(straight, tiny_store, tmp_path):
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "here", "command": "footage train"}')
    (tmp_path / ".run.json.999999999.partial").write_text("{")
    train(smallest(), store=tiny_store.path, out=tmp_path)
    assert_same_run(straight, tmp_path)


# --- runs that cannot begin --------------------------------------------------------------------


def test_a_run_that_fails_before_its_first_step_leaves_nothing(tiny_store, tmp_path):
    def fail(step, _):
        raise FootageError("it cannot be trained")

    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with at_steps(fail), pytest.raises(FootageError, match="cannot be trained"):
            train(smallest(), store=tiny_store.path, out=tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_run_that_fails_later_stays(tiny_store, tmp_path):
    def fail(step, _):
        if step == 2:
            raise FootageError("it fails")

    with at_steps(fail), pytest.raises(FootageError, match="it fails"):
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert lines(tmp_path / "run") == ALL_LINES[:2]


@pytest.mark.parametrize("out", ["file/run", "/proc/run"])
def test_a_place_that_cannot_be_written_is_one_error(tiny_store, tmp_path, out):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        train(smallest(), store=tiny_store.path, out=tmp_path / out)


def test_checkpoints_that_do_not_fit_are_refused_at_the_start(tiny_store, tmp_path):
    message = r"room for 3 checkpoints at .* needs .* MB"
    with file_size_limit(100_000), pytest.raises(OutputError, match=message) as error:
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert "files are limited to 0.1 MB" in error.value.message
    assert error.value.exit_code == 74
    assert list(tmp_path.iterdir()) == []


# --- disks that fill up ------------------------------------------------------------------------


def small_files_from(first, until):
    """Files cannot grow beyond some bytes from one step to another."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(step, _):
        if step in (first, until):
            size = 1000 if step == first else before[0]
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    return at_steps(limit)


def test_a_disk_that_is_full_for_a_while_costs_nothing(straight, tiny_store, tmp_path, caplog):
    with small_files_from(2, until=5):
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    warnings = [one for one in caplog.messages if one.startswith("WARNING")]
    assert len(warnings) == 2
    assert "all steps since step 0 are unsaved" in warnings[0]
    assert "this is failure 1" in warnings[0]
    assert_same_run(straight, tmp_path / "run")


def test_after_three_failed_checkpoints_training_stops_and_can_be_resumed(
    straight, tiny_store, tmp_path, caplog
):
    config = smallest(checkpoint_every=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with small_files_from(3, until=99), pytest.raises(OutputError) as error:
            train(config, store=tiny_store.path, out=tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "training stopped at step 5; the newest checkpoint is from step 2" in error.value.message
    assert error.value.exit_code == 74
    assert checkpoint.steps(tmp_path / "run" / layout.CHECKPOINTS) == [1, 2]
    train(config, store=tiny_store.path, out=tmp_path / "run")
    assert_same_run(straight, tmp_path / "run")


# --- more steps --------------------------------------------------------------------------------


def times(run):
    return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def test_a_complete_run_is_left_alone(straight, tiny_store, caplog):
    before = times(straight)
    caplog.set_level("INFO", "footage")
    config = smallest(checkpoint_every=1, keep_checkpoints=9)
    train(config, store=tiny_store.path, out=straight)
    assert "all 6 steps are done" in caplog.text
    assert "resuming" not in caplog.text
    assert before == {
        path: path.stat().st_mtime_ns for path in straight.rglob("*.*") if path.is_file()
    }


def test_more_steps_extend_a_run_by_the_schedule_of_the_longer_one(tiny_store, tmp_path, caplog):
    caplog.set_level("INFO", "footage")
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        train(smallest(), store=tiny_store.path, out=out)
    longer = smallest(steps=9)
    train(longer, store=tiny_store.path, out=one)
    with send(signal.SIGTERM, at=2), pytest.raises(StoppedError):
        train(longer, store=tiny_store.path, out=two)
    train(longer, store=tiny_store.path, out=two)
    assert_same_run(one, two)
    assert lines(one) == [*ALL_LINES, (7, "step"), (8, "step"), (9, "step"), (9, "probe")]
    for line in layout.read_metrics(one):
        if "loss" in line:
            total = 6 if line["step"] <= 6 else 9
            assert line["learning_rate"] == learning_rate(
                line["step"] - 1,
                longer.schedule,
                peak=longer.optimizer.learning_rate,
                total_steps=total,
            )
    record = layout.read_record(one)
    assert (record["config"]["steps"], record["extended_at"]) == (9, [6])
    assert "extending the run from 6 to 9 steps" in caplog.text


def test_fewer_steps_are_refused_with_what_to_do_instead(straight, tiny_store):
    fewer = smallest(checkpoint_every=1, keep_checkpoints=9, steps=4)
    with pytest.raises(ConfigError, match="contains a run of 6 steps, but --steps is 4") as error:
        train(fewer, store=tiny_store.path, out=straight)
    assert error.value.hint.startswith("use --steps 6 to resume it, a larger number to extend it")


# --- numbers that are not finite ---------------------------------------------------------------


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_nan_stops_the_run_with_the_weights_of_the_step_before(
    straight, tiny_store, tmp_path, where
):
    def spoil(step, output):
        loss, levels = output
        if step != 4:
            return None
        if where == "loss":
            return loss * float("nan"), levels
        loss.register_hook(lambda gradient: gradient * float("nan"))
        return None

    with at_steps(spoil), pytest.raises(FootageError, match=r"^step 4: loss .*step 3 are saved"):
        train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert checkpoint.steps(tmp_path / "run" / layout.CHECKPOINTS) == [2, 3]
    assert_same_tensors(weights(tmp_path / "run"), step_of(straight, 3))
    train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert_same_run(straight, tmp_path / "run")


def test_running_averages_that_a_bad_batch_spoilt_are_restored(straight, tiny_store, tmp_path):
    def spoil(module, inputs):
        if isinstance(module, torch.nn.BatchNorm2d) and module.training and spoil.left:
            spoil.left -= 1
            return (inputs[0] * float("inf"),)
        return None

    def arm(step, _):
        spoil.left = 1 if step == 3 else 0  # in the forward pass of step 4

    spoil.left = 0
    handle = torch.nn.modules.module.register_module_forward_pre_hook(spoil)
    try:
        with at_steps(arm), pytest.raises(FootageError, match="step 3 are saved"):
            train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    finally:
        handle.remove()
    assert_same_tensors(weights(tmp_path / "run"), step_of(straight, 3))


def test_weights_that_overflow_are_never_saved(tiny_store, tmp_path):
    config = smallest(
        optimizer=OptimizerConfig(name="sgd", learning_rate=1e30), gradient_clip=0.0, steps=30
    )
    with pytest.raises(FootageError, match=r"step \d+: loss .*learning-rate"):
        train(config, store=tiny_store.path, out=tmp_path / "run")
    found = checkpoint.newest(tmp_path / "run" / layout.CHECKPOINTS)
    for name, value in found.tensors["model"].items() if found else ():
        assert value.isfinite().all(), name


# --- run folders of earlier versions -----------------------------------------------------------


def without_checksums(run):
    """Rewrite a run as versions before checksums wrote it."""
    for path in [run / layout.RUN, *(run / layout.CHECKPOINTS).rglob("state.json")]:
        record = json.loads(path.read_text())
        record.pop("checksum", None)
        path.write_text(json.dumps(record, indent=1))
    records = [json.loads(line) for line in (run / layout.METRICS).read_text().splitlines()]
    text = "".join(
        json.dumps({k: v for k, v in one.items() if k != "checksum"}) + "\n" for one in records
    )
    (run / layout.METRICS).write_text(text)
    for path in (run / layout.CHECKPOINTS).rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file(tensors, path)
    for folder in (run / layout.CHECKPOINTS).iterdir():
        manifest = {
            path.name: {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
            for path in sorted(folder.iterdir())
            if path.name != "MANIFEST.json"
        }
        (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=1))


def test_a_run_folder_of_an_earlier_version_is_resumed(straight, tiny_store, tmp_path):
    run = tmp_path / "run"
    with send(signal.SIGTERM), pytest.raises(StoppedError):
        train(smallest(), store=tiny_store.path, out=run)
    without_checksums(run)
    assert b"checksum" not in b"".join(
        path.read_bytes() for path in run.rglob("*") if path.suffix in (".json", ".jsonl")
    )
    train(smallest(), store=tiny_store.path, out=run)
    assert_same_run(straight, run)


def test_when_the_newest_checkpoint_is_damaged_the_run_resumes_from_the_one_before(
    straight, tiny_store, tmp_path, caplog
):
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    for step in (4, 5, 6):
        victim = run / layout.CHECKPOINTS / f"step-{step:08d}" / "model.safetensors"
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    train(smallest(checkpoint_every=1, keep_checkpoints=9), store=tiny_store.path, out=run)
    assert sum("falling back" in message for message in caplog.messages) == 3
    assert_same_run(straight, run)
