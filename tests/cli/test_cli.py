import importlib.metadata
import logging
import subprocess
import sys

import pytest

import footage
from footage import cli


@pytest.fixture(autouse=True)
def _quiet_root():
    """`main` sets up logging for a program; tests want theirs back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_help_names_every_command_and_imports_neither_torch_nor_a_decoder():
    code = (
        "import sys; from footage.cli import main; main(['--help'])\n"
        "assert not {'torch', 'av', 'cv2', 'pyarrow'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb in cli.COMMANDS:
        assert f"footage {verb}" in done.stdout


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_every_command_explains_its_options(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"footage {verb}" in capsys.readouterr().out


def test_an_unknown_command_is_a_usage_error_with_the_nearest(capsys):
    assert cli.main(["trian"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: unknown command 'trian'\nhint: did you mean train?\n"


def test_a_mistake_of_the_user_is_one_error_and_one_hint(capsys, tmp_path):
    words = [
        "train",
        "vivi-ex4-tiny",
        "--store",
        str(tmp_path / "none"),
        "--out",
        str(tmp_path / "run"),
    ]
    assert cli.main(words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert not (tmp_path / "run").exists()


def test_debug_shows_where_an_error_came_from(tmp_path):
    words = [
        "--debug",
        "train",
        "vivi-ex4-tiny",
        "--store",
        str(tmp_path),
        "--out",
        str(tmp_path / "run"),
    ]
    with pytest.raises(cli.FootageError):
        cli.main(words)


def test_a_head_that_does_not_fit_into_memory_is_one_error(tiny_store, tmp_path, capsys):
    words = [
        "train",
        "vivi-ex4-tiny",
        "--store",
        str(tiny_store.path),
        "--out",
        str(tmp_path / "a"),
    ]
    words += ["--steps", "1", "--sampling.videos-per-batch", "4", "--compute.workers", "1"]
    words += ["--objective.frame-shot.embedding-dim", "9000000000000"]
    assert cli.main(words) == 75
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "Traceback" in line] == []
    assert [line.partition(":")[0] for line in lines[-2:]] == ["error", "hint"]
    assert "out of memory" in lines[-2]


def test_debug_prints_no_password(tmp_path):
    url = "http://somebody:hunter2@127.0.0.1:9/a.mp4?token=s3cr3t"
    command = [sys.executable, "-P", "-m", "footage", "ingest", url, "--out", "x", "--debug"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last):\n  File" in done.stderr
    assert "127.0.0.1:9/a.mp4" in done.stderr
    assert "hunter2" not in done.stderr
    assert "s3cr3t" not in done.stderr


def test_the_recipes_are_listed_on_stdout(capsys):
    assert cli.main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert "ex-frame " in listed
    assert "METHOD-tiny" in listed


def test_a_recipe_tells_what_it_reproduces_and_where_it_departs(capsys):
    assert cli.main(["recipes", "vivi-ex4-co-tiny"]) == 0
    told = capsys.readouterr().out
    command = "footage train vivi-ex4-co-tiny --store STORE --labels DIR --out RUN"
    assert all(part in told for part in (command, "Recalled:", "Deviation:", "Cost:"))
    assert cli.main(["recipes", "vivi-ex5"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: unknown recipe 'vivi-ex5'",
        "hint: did you mean vivi-ex4? (`footage recipes` lists all)",
    ]


def test_train_without_a_recipe_says_what_is_missing(capsys):
    assert cli.main(["train", "--store", "s"]) == 2
    assert "footage recipes" in capsys.readouterr().err


def test_profile_prints_its_tables_and_the_names_of_its_files(tmp_path, capsys):
    words = ["profile", "test_resnet", "--out", str(tmp_path), "--size", "32", "--scenes", "1"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "another object" in printed
    assert printed.splitlines()[-2:] == [
        str(tmp_path / "profile.json"),
        str(tmp_path / "profile.svg"),
    ]


def test_the_version_is_that_of_the_installed_package_and_loads_nothing_heavy():
    code = (
        "import sys, footage; from footage.cli import main\n"
        "assert main(['--version']) == 0\n"
        "assert not {'torch', 'av', 'cv2', 'pyarrow', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"footage {importlib.metadata.version('footage')}\n"
    assert footage.__version__ == importlib.metadata.version("footage")
