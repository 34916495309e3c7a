"""The commands of the guide "Adapt pretrained weights" run as they stand, with a small network."""

import re
import shlex
from pathlib import Path

import pytest

from footage import cli
from footage.commands.export import export
from footage.models.load import load
from tests.support.training import AS_OPTIONS

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "adapt.md").read_text("utf-8")
SMALLER = [*AS_OPTIONS, "--steps", "2", "--metrics-every", "1", "--objective.future.steps", "1"]


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path, tiny_store, shapes_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").symlink_to(tiny_store.path)
    (tmp_path / "photos").symlink_to(shapes_folder)
    for name in ("test_resnet", "test_vit"):
        export(name, to="timm", out=tmp_path / name)
    return tmp_path


def smaller(words):
    """A command with weights that are on this machine, and little to do."""
    small = {
        "128": "32",
        "resnet50.a1_in1k": "./test_resnet",
        "vit_base_patch16_224.augreg_in21k": "./test_vit",
    }
    words = [small.get(word, word) for word in words]
    return [*words, *SMALLER] if words[0] == "train" else words


def test_all_commands_run(folder, capsys):
    assert [words[0] for words in commands()] == ["train", "mix", "evaluate", "train", "train"]
    for words in commands():
        assert cli.main(smaller(words)) == 0, capsys.readouterr().err
    assert (
        "x its initial weights"
        in load(folder / "runs/adapted/exports/mixed.safetensors").weights_origin
    )
    assert load(folder / "runs/lora").backbone.architecture == "test_vit"
    assert load(folder / "runs/student").backbone.architecture == "test_resnet"
