"""The examples of docs/extending/ are run as they stand."""

import contextlib
import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from footage import cli, registry
from footage.objectives.inputs import LevelInput
from footage.objectives.losses.base import LOSSES
from footage.runs import layout
from footage.store.reader import Store
from tests.support import plugins
from tests.support.hand_made_runs import hand_made_run
from tests.support.training import AS_OPTIONS

PAGES = Path(__file__).parents[2] / "docs" / "extending"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Writes the module of a page, and returns the words of its command."""
    monkeypatch.chdir(tmp_path)
    plugins.forget_at_end(monkeypatch)

    def read(name, number=0):
        text = (PAGES / f"{name}.md").read_text("utf-8")
        blocks = re.findall(r'```python title="(\w+\.py)"\n(.*?)```', text, re.S)
        title, module = blocks[number]
        Path(title).write_text(module)
        monkeypatch.delitem(sys.modules, title.removesuffix(".py"), raising=False)
        commands = re.findall(r"```sh\n(.*?)```", text, re.S)
        command = commands[number].replace("\\\n", " ") if commands else ""
        return shlex.split(command)[1:]

    return read


def run(words):
    with contextlib.suppress(SystemExit):
        assert cli.main(words) == 0


def metrics_of(name):
    return [line for line in layout.read_metrics(Path("runs") / name) if "loss" in line]


@pytest.mark.parametrize(
    ("name", "number", "run_name", "level"),
    [
        ("loss", 0, "alignment", "shot/alignment"),
        ("loss", 1, "barlow", "shot/barlow"),
        ("level", 0, "position", "video/position"),
        ("logger", 0, "logged", "shot/exemplar"),
    ],
)
def test_training_uses_what_the_page_adds(name, number, run_name, level, page, tiny_store):
    words = page(name, number)
    words[words.index("store")] = str(tiny_store.path)
    run([*words, *AS_OPTIONS, "--steps", "2"])
    lines = metrics_of(run_name)
    assert [line["step"] for line in lines] == [1, 2]
    assert level in lines[0]["levels"]
    if name == "logger":
        rows = (Path("runs") / run_name / "metrics.csv").read_text()
        assert f"2,loss,{lines[1]['loss']}" in rows.splitlines()


def test_training_uses_the_backbone_of_the_page(page, tiny_store):
    words = page("backbone")
    words[words.index("store")] = str(tiny_store.path)
    given = dict(zip(AS_OPTIONS[::2], AS_OPTIONS[1::2], strict=True))
    del given["--backbone.architecture"]
    run([*words, *(word for pair in given.items() for word in pair), "--steps", "2"])
    record = layout.read_record(Path("runs/cnn"))
    assert record["model"]["architecture"] == "tiny_cnn"
    assert record["model"]["options"] == {"width": 24}
    run(["export", "runs/cnn", "--to", "safetensors"])
    assert Path("runs/cnn/exports/backbone.safetensors").is_file()


@pytest.mark.parametrize("name", ["detector", "executor"])
def test_ingest_uses_what_the_page_adds(name, page, video_folder):
    words = page(name)
    words[words.index("videos")] = str(video_folder)
    run([*words, "--workers", "1"])
    store = Store.open(Path(words[words.index("--out") + 1]))
    assert store.videos["status"].to_pylist() == ["ok"] * 6
    if name == "detector":
        assert store.description.settings["detector"] == "brightness"


def test_export_uses_the_format_of_the_page(page, capsys):
    words = page("exporter")
    hand_made_run(Path("runs/first"))
    run(words)
    assert capsys.readouterr().out.strip() == "runs/first/exports/backbone.npz"


def test_a_run_whose_plugin_is_missing_names_what_is_unknown(page, tiny_store, capsys):
    words = page("loss")
    words[words.index("store")] = str(tiny_store.path)
    words = [word for word in words if word not in ("--plugin", "my_loss.py")]
    assert cli.main(words) == 2
    assert "unknown loss 'alignment'" in capsys.readouterr().err


def test_the_two_view_loss_of_the_page_compares_positives(page):
    page("loss", 1)
    registry.load_plugins(["two_views.py"])
    loss, rows = LOSSES["barlow"](), torch.arange(16).view(8, 2)
    batch = LevelInput(features=None, rows=rows, step=0, seed=0)
    alike = torch.randn(8, 2, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    random = torch.randn(8, 2, 2, 2, 4, generator=torch.Generator().manual_seed(1))
    assert loss.loss(alike.expand(8, 2, 2, 2, 4), batch, "shot") < 0.05
    assert loss.loss(random, batch, "shot") > 0.7


def test_the_built_in_loss_of_the_page_satisfies_the_contract(page):
    page("index")
    registry.load_plugins(["attraction.py"])
    function = sys.modules["attraction"].attraction
    assert "\nFormula: " in inspect.getdoc(function)
    assert "\nSource: " in inspect.getdoc(function)
    assert "Not part of VIVI" in inspect.getdoc(function)
    shots = torch.arange(2).view(2, 1)
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 1, 1, 2, 2).expand(2, 1, 1, 2, 2)
    assert function(embeddings, shots).item() == pytest.approx(2)
