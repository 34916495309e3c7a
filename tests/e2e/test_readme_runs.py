"""The commands and the Python of the README run in order, on a small store and a small network."""

import re
import shlex
import shutil

import footage
from footage import cli
from footage.commands import api
from tests.e2e.test_readme import ROOT
from tests.support.training import AS_OPTIONS, smallest

WEIGHTS = "resnet50.a1_in1k"
"""Weights that are not on this machine; a small network replaces them."""

README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words and words[0] == "footage"]


def test_all_commands_and_then_the_script_run(
    tmp_path, video_folder, shapes_folder, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").symlink_to(video_folder)
    (tmp_path / "photos").symlink_to(shapes_folder)
    assert [words[0] for words in commands()] == [
        "doctor", "ingest", "train", "evaluate", "export", "report", "train",
    ]  # fmt: skip
    footage.export("test_resnet", to="timm", out="weights")
    for command, *given in commands():
        words = [word.replace(WEIGHTS, "./weights") for word in given]
        smaller = [*AS_OPTIONS, "--steps", "2"] if command == "train" else []
        allowed = (0, 1) if command == "doctor" else (0,)  # doctor's depends on the machine
        assert cli.main([command, *words, *smaller]) in allowed, capsys.readouterr().err
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")
    monkeypatch.setattr(api, "recipe_named", lambda _: smallest(steps=2))
    photo = next(path for path in shapes_folder.rglob("*") if path.is_file())
    shutil.copy(photo, "photo.jpg")
    (script,) = blocks("python")
    exec(compile(script, "README.md", "exec"), {})
    assert (tmp_path / "runs" / "second" / "run.json").exists()
    assert "<model 'runs/second': test_resnet, " in capsys.readouterr().out
