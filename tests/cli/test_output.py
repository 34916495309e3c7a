"""`--json` prints one document, `--quiet` only warnings, and `--log-file` keeps the whole log."""

import json
import logging
import re
import subprocess
import sys

import pytest

from footage import cli
from footage.cli import logs
from tests.suites.vtab.folders import write_task

RUN = [sys.executable, "-m", "footage"]


@pytest.fixture(autouse=True)
def _restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def document(words, capsys, code=0):
    """The only thing on standard output, as JSON."""
    assert cli.main([*words, "--json"]) == code
    found = capsys.readouterr()
    return json.loads(found.out), found.err


def test_the_recipes_as_json(capsys):
    listed, _ = document(["recipes"], capsys)
    assert "vivi-ex4-tiny" in [one["name"] for one in listed["recipes"]]
    one, _ = document(["recipes", "vivi-ex4-co-tiny"], capsys)
    assert [each["name"] for each in one["recipes"]] == ["vivi-ex4-co-tiny"]
    assert "Cost:" in one["recipes"][0]["notes"]


def test_ingest_train_report_and_verify_as_json(video_folder, tmp_path, capsys):
    store, run = str(tmp_path / "store"), str(tmp_path / "run")
    report, log = document(["ingest", str(video_folder), "--out", store], capsys)
    assert report["store"] == store
    assert report["totals"]["seen"] == report["new_videos"] == 6
    assert "next: footage train" in log

    words = ["train", "vivi-ex4-tiny", "--store", store, "--out", run, "--steps", "2"]
    words += ["--sampling.videos-per-batch", "4", "--compute.workers", "1"]
    result, _ = document(words, capsys)
    assert (result["path"], result["recipe"], result["step"]) == (run, "vivi-ex4-tiny", 2)
    assert result["loss"] > 0
    assert result["online_metrics"]

    page, _ = document(["report", run, "--out", str(tmp_path / "r.html")], capsys)
    assert page == {"path": str(tmp_path / "r.html")}

    checked, _ = document(["store", "verify", store], capsys)
    assert checked["is_sound"]
    assert checked["damaged"] == []
    needed, _ = document([*words, "--dry-run"], capsys)
    assert {row["quantity"] for row in needed["requirements"]} >= {"memory", "disk", "steps"}


def test_the_document_of_a_failed_command_is_complete_and_the_error_is_separate(tmp_path, capsys):
    (tmp_path / "a\x1b.mp4").write_bytes(b"not a video")
    words = ["ingest", str(tmp_path), "--out", str(tmp_path / "store")]
    report, log = document(words, capsys, code=1)
    assert [one["status"] for one in report["rejected"]] == ["quarantined"]
    assert "\x1b" in report["rejected"][0]["video"]
    assert [line.partition(":")[0] for line in log.splitlines()[-2:]] == ["error", "hint"]

    write_task(tmp_path / "vtab" / "cifar")
    found, log = document(["vtab", "doctor", str(tmp_path / "vtab")], capsys, code=1)
    states = {task["name"]: task["state"] for task in found["tasks"]}
    assert states["cifar"] == "damaged"
    assert "error: damaged: cifar" in log


def test_an_error_leaves_standard_output_empty(capsys):
    assert cli.main(["--json", "trian"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("error: unknown command 'trian'")


def test_evaluate_and_profile_as_json(shapes_folder, tmp_path, capsys):
    words = ["evaluate", "test_resnet", "--labels", str(shapes_folder), "--size", "32"]
    found, _ = document([*words, "--out", str(tmp_path / "r.json")], capsys)
    assert {row["baseline"] for row in found["rows"]} == {"", "chance", "pixels", "untrained"}
    assert all(0 <= row["interval"][0] <= row["value"] for row in found["rows"])
    assert found["files"] == [str(tmp_path / "r.json")]
    words = ["profile", "test_resnet", "--out", str(tmp_path), "--size", "32", "--scenes", "1"]
    found, _ = document(words, capsys)
    assert "test_resnet" in [model["name"] for model in found["models"]]


def test_quiet_shows_only_the_result_and_warnings(video_folder, tmp_path):
    words = [*RUN, "ingest", str(video_folder), "--out", str(tmp_path / "s"), "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith("files")


def test_the_log_file_has_everything_with_the_time_and_without_secrets(tmp_path):
    log = tmp_path / "footage.log"
    url = "http://somebody:hunter2@127.0.0.1:9/a.mp4"
    words = ["ingest", url, "--out", str(tmp_path / "s"), "--log-file", str(log), "--quiet"]
    done = subprocess.run([*RUN, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = log.read_text().splitlines()
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} [A-Z]+ \S+: ", one) for one in lines
    )
    assert "footage ingest" in lines[0]
    assert "error: " in lines[-2]
    assert "hint: " in lines[-1]
    assert "hunter2" not in log.read_text()
    subprocess.run([*RUN, "recipes", f"--log-file={log}"], capture_output=True, check=True)
    assert log.read_text().splitlines()[: len(lines)] == lines
    assert log.read_text().endswith(f"footage recipes --log-file={log}\n")


def test_messages_of_storage_clients_are_shown_once_and_without_tracebacks(capsys, tmp_path):
    file = tmp_path / "log"
    handlers = logs.opened([str(file)])
    logs.to_stderr(quiet=True)
    with logs.to_files(handlers, ["footage"]):
        for name in ("gcsfs", "azure.identity", "a_plugin"):
            for _ in range(2):
                logging.getLogger(name).warning("%s: no type\nTried:\n\tone", name)
            try:
                raise OSError(f"denied to {name}")
            except OSError:
                logging.getLogger(name).exception("retry failed")
    shown = capsys.readouterr().err
    assert shown.count("gcsfs: no type") == shown.count("azure.identity: no type") == 1
    assert shown.count("a_plugin: no type") == shown.count("Tried:") == 2
    assert "OSError: denied to a_plugin" in shown
    assert "denied to gcsfs" not in shown
    assert file.read_text("utf-8").count("OSError: denied to") == 3


def test_a_log_file_that_cannot_be_written_is_one_error(tmp_path, capsys):
    for path in (str(tmp_path), str(tmp_path / "none" / "a.log"), ""):
        assert cli.main(["recipes", "--log-file", path]) == 74
        found = capsys.readouterr()
        assert found.out == ""
        assert [line.partition(":")[0] for line in found.err.splitlines()] == ["error", "hint"]


def test_a_log_file_that_grows_too_large_is_one_warning(tmp_path):
    limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", *RUN]
    words = [*limited, "recipes", "trian", "--log-file", str(tmp_path / "a.log")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("a.log cannot be written: ") == 1
