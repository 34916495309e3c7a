import pytest

from footage import cli
from footage.cli import output
from footage.suites.vtab.tasks import TASKS
from tests.suites.vtab.folders import write_task


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setattr(output, "WIDTH", 400)


def test_the_doctor_of_an_empty_folder_says_where_all_nineteen_come_from(tmp_path, capsys):
    assert cli.main(["vtab", "doctor", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert all(task.name in told and task.builder in told for task in TASKS)
    assert "19 of 19 tasks are absent" in told
    assert "footage[vtab-export]" in told


def test_the_doctor_ends_with_an_error_where_something_is_damaged(tmp_path, capsys):
    write_task(tmp_path / "cifar")
    write_task(tmp_path / "bees")
    assert cli.main(["vtab", "doctor", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "lists 8 images, cifar has 800" in told.out
    layers, missing, error, *_ = told.err.splitlines()
    assert layers.startswith("decoder sandbox: ")
    assert missing.startswith("missing layers: ")
    assert error == "error: damaged: cifar"


def test_a_folder_that_is_not_there_is_an_error(tmp_path, capsys):
    assert cli.main(["vtab", "doctor", str(tmp_path / "nowhere")]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "--out", "o", "--tasks", "cifra"], "did you mean cifar?"),
        (["import-parquet", "p", "--task", "mnist", "--out", "o"], "choose from caltech101, "),
        (["doktor", "o"], "did you mean doctor?"),
        (["fix", "o"], "choose from doctor, export, import-parquet"),
        ([], "use footage vtab doctor or footage vtab export or footage vtab import-parquet"),
        (["--task", "mnist"], "error: footage vtab needs a command"),
    ],
)
def test_wrong_names_are_answered_with_right_ones(words, told, capsys):
    assert cli.main(["vtab", *words]) == 2
    assert told in capsys.readouterr().err


def test_export_leaves_alone_what_is_there(tmp_path, capsys):
    for name in ("kitti", "cifar"):
        (tmp_path / name).mkdir()
    words = ["vtab", "export", "--out", str(tmp_path), "--tasks", "kitti", "--tasks", "cifar"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "kitti"), str(tmp_path / "cifar")]
