import contextlib
import json
import logging
import subprocess
import sys
import threading

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from footage.errors import MachineError
from footage.runs import layout
from footage.training.log import TrainingLog
from footage.training.loggers import guarded
from footage.training.loggers.base import LOGGERS, register_logger, saved_id
from footage.training.loggers.guarded import GuardedLoggers, require_loggers

RECORD = {
    "recipe": "vivi-ex4-tiny",
    "config": {"steps": 4, "optimizer": {"learning_rate": 0.1}},
    "store": "s3://me:hunter2@bucket/store",
    "held_out": ["a", "b"],
}
VALUES = {
    "learning_rate": 0.03,
    "gradient_norm": 1.5,
    "images_per_second": 200.0,
    "data_wait": 0.25,
}
PICTURE = np.arange(32 * 48 * 3, dtype=np.uint8).reshape(32, 48, 3)


@contextlib.contextmanager
def registered_logger(name, body):
    len(LOGGERS)  # the built-in ones are registered
    register_logger(name)(type("Plugin", (), body))
    try:
        yield
    finally:
        del LOGGERS._entries[name]


def logged(run, *names, steps=(1, 2, 3, 4), first_step=0, ends=True):
    """Log what training logs."""
    run.mkdir(exist_ok=True)
    with TrainingLog(
        run, first_step=first_step, total_steps=4, active=True, loggers=names
    ) as training_log:
        training_log.config(RECORD)
        for step in steps:
            values = {**VALUES, "loss": 1 / step}
            training_log.step(step, {"shot/exemplar": step / 4}, **values)
        training_log.probe(steps[-1], {"rankme": 3.0}, [])
        training_log.images(steps[-1], {"views": PICTURE, "neighbours": PICTURE})
        if ends:
            training_log.summary(steps[-1])
    return run


def read_lines(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def warnings_of(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_json_lines_contain_everything_and_a_resumed_run_repeats_nothing(tmp_path):
    run = logged(tmp_path / "run", "jsonl", steps=(1, 2, 3), ends=False)
    logged(run, "jsonl", steps=(3, 4), first_step=2)
    lines = read_lines(run)
    steps = [line["step"] for line in lines if "loss" in line.get("values", {})]
    assert steps == [1, 2, 3, 4]
    assert lines[0]["config"]["config"] == RECORD["config"]
    assert "held_out" not in lines[0]["config"]
    first = next(line["values"] for line in lines if "values" in line)
    assert first["level/shot/exemplar"] == 0.25
    assert 0.01 < first["system/memory_gib"] < 100
    (pictures,) = (line["images"] for line in lines if "images" in line)
    assert (run / pictures["neighbours"]).read_bytes()[:2] == b"\xff\xd8"
    assert lines[-1]["summary"]["final/loss"] == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert lines[-1]["summary"]["final/probe/rankme"] == 3.0


def test_no_logger_receives_the_secrets_of_urls(tmp_path):
    run = logged(tmp_path / "run", "jsonl")
    assert "hunter2" not in (run / "log.jsonl").read_text()
    assert read_lines(run)[0]["config"]["store"] == "s3://***@bucket/store"


def test_tensorboard_shows_pictures_configuration_and_results(tmp_path):
    run = logged(tmp_path / "run", "tensorboard")
    events = EventAccumulator(str(run / layout.TENSORBOARD)).Reload()
    assert [one.value for one in events.Scalars("loss")] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    (picture,) = events.Images("views")
    assert (picture.step, picture.height, picture.width) == (4, 32, 48)
    (text,) = events.Tensors("run")
    assert "vivi-ex4-tiny" in text.tensor_proto.string_val[0].decode()
    (summary,) = events.Tensors("summary")
    assert "final/probe/rankme" in summary.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize("method", ["__init__", "config", "log", "images", "summary", "close"])
@pytest.mark.parametrize("error", [ValueError("away"), SystemExit(3)])
def test_a_failing_logger_is_reported_once_and_the_others_receive_everything(
    method, error, tmp_path, caplog
):
    def fail(*_):
        raise error

    body = {name: lambda *_: None for name in ("config", "log", "images", "flush", "close")}
    with registered_logger("broken", {**body, "__init__": lambda *_: None, method: fail}):
        run = logged(tmp_path / "run", "broken", "jsonl")
    assert read_lines(run)[-1]["summary"]["steps"] == 4
    (warning,) = warnings_of(caplog)
    assert warning.startswith("logger 'broken' ")
    assert warning.endswith("; training continues without it")
    assert type(error).__name__ in warning


def test_secrets_are_removed_from_the_report_of_a_failure(tmp_path, caplog):
    def fail(*_):
        raise ConnectionError("cannot reach https://me:hunter2@example.org/api")

    with registered_logger("broken", {"__init__": fail}):
        logged(tmp_path / "run", "broken")
    assert "hunter2" not in caplog.text
    assert "https://***@example.org/api" in caplog.text


@pytest.mark.parametrize("method", ["__init__", "log", "flush", "close"])
def test_a_blocked_logger_is_disabled_and_training_continues(method, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(guarded, "PATIENCE_SECONDS", 0.3)
    released = threading.Event()
    body = {name: lambda *_: None for name in ("__init__", "log", "flush", "close")}
    with registered_logger("blocked", {**body, method: lambda *_: released.wait(60) and None}):
        loggers = GuardedLoggers(["blocked", "jsonl"], tmp_path, 0)
        loggers.log(1, {"loss": 1.0})
        loggers.flush()
        loggers.log(2, {"loss": 0.5})
        loggers.close()
    released.set()
    assert [line["step"] for line in read_lines(tmp_path)] == [1, 2]
    assert caplog.text.count("logger 'blocked' has not finished within 0 s") == 1


def test_a_blocked_logger_does_not_keep_the_process_from_ending(tmp_path):
    code = """
import sys, threading
from pathlib import Path
from footage.training.loggers import guarded
from footage.training.loggers.base import register_logger

register_logger("blocked")(lambda *_: threading.Event().wait())
guarded.PATIENCE_SECONDS = 0.1
guarded.GuardedLoggers(["blocked"], Path(sys.argv[1]), 0).close()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr == (
        "logger 'blocked' has not finished within 0 s; training continues without it\n"
    )


def test_a_logger_that_is_much_slower_than_training_does_not_fill_the_memory(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(guarded, "MOST_WAITING", 5)
    released = threading.Event()
    body = {name: lambda *_: None for name in ("__init__", "flush", "close")}
    with registered_logger("slow", {**body, "log": lambda *_: released.wait(60) and None}):
        loggers = GuardedLoggers(["slow"], tmp_path, 0)
        for step in range(20):
            loggers.log(step, {"loss": 1.0})
        released.set()
        loggers.close()
    assert caplog.text.count("logger 'slow' is slower than training") == 1


def test_a_missing_library_is_an_error_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for name in ("wandb", "mlflow", "trackio"):
        with pytest.raises(MachineError, match=f"needs the package {name}") as error:
            require_loggers([name])
        assert error.value.hint == f"pip install 'footage[{name}]'"


def test_weights_and_biases_reads_back_what_was_logged_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    from tests.support import wandb_files

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = logged(tmp_path / "run", "wandb", steps=(1, 2, 3), ends=False)
    logged(run, "wandb", steps=(3, 4), first_step=2)
    first, second = sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime)
    before, after = wandb_files.read(first), wandb_files.read(second)
    assert before["id"] == after["id"] == saved_id(run, "wandb")
    assert after["project"] == "footage"
    assert before["config"]["config"]["optimizer"]["learning_rate"] == 0.1
    assert [before["history"][step]["loss"] for step in (1, 2, 3)] == [1, 1 / 2, 1 / 3]
    assert before["history"][3]["probe/rankme"] == 3.0
    assert "system/memory_gib" in before["history"][1]
    assert after["history"][4]["views._type"] == "image-file"
    assert (second.parent / "files" / after["history"][4]["views.path"]).exists()
    assert after["summary"]["final/probe/rankme"] == 3.0


def test_weights_and_biases_without_a_key_is_one_warning(tmp_path, monkeypatch, caplog):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "online")
    logged(tmp_path / "run", "wandb")
    assert warnings_of(caplog) == [
        "logger 'wandb' cannot be created: no API key of Weights & Biases is configured (run `wandb"
        " login`, or set WANDB_MODE=offline); training continues without it"
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_mlflow_server_that_cannot_be_reached_is_one_warning(tmp_path, monkeypatch, caplog):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    logged(tmp_path / "run", "mlflow")
    (warning,) = warnings_of(caplog)
    assert warning.startswith("logger 'mlflow' cannot be created: MlflowException: ")


@pytest.mark.parametrize(
    "store",
    [
        pytest.param("file://{}/mlruns", id="files"),
        pytest.param("sqlite:///{}/mlflow.db", id="database", marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_reads_back_what_was_logged_to_a_local_store(store, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.format(tmp_path))
    run = logged(tmp_path / "run", "mlflow", steps=(1, 2, 3), ends=False)
    client, known = MlflowClient(), saved_id(run, "mlflow")
    assert client.get_run(known).info.status == "KILLED"
    logged(run, "mlflow", steps=(3, 4), first_step=2)
    found = client.get_run(known)
    assert saved_id(run, "mlflow") == known
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["config.optimizer.learning_rate"] == "0.1"
    history = client.get_metric_history(known, "loss")
    assert [(one.step, one.value) for one in history] == [(n, 1 / n) for n in (1, 2, 3, 4)]
    assert found.data.metrics["final/probe/rankme"] == 3.0
    assert "system/memory_gib" in found.data.metrics
    pictures = [one.path for one in client.list_artifacts(known, "images")]
    assert any("neighbours" in path for path in pictures)


def test_trackio_reads_back_what_was_logged_to_its_local_database(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="the extra trackio is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setenv("TRACKIO_PROJECT", "footage-test")
    run = logged(tmp_path / "run", "trackio", steps=(1, 2, 3), ends=False)
    logged(run, "trackio", steps=(3, 4), first_step=2)
    known = saved_id(run, "trackio")
    assert SQLiteStorage.get_runs("footage-test") == [known]
    rows = SQLiteStorage.get_logs("footage-test", known)
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    assert losses == [(n, 1 / n) for n in (1, 2, 3, 4)]
    config = SQLiteStorage.get_run_config("footage-test", known)
    assert config["config.optimizer.learning_rate"] == 0.1
    assert any("neighbours" in row for row in rows)
    assert any(row.get("final/probe/rankme") == 3.0 for row in rows)
