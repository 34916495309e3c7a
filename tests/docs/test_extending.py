"""The examples of docs/extending/ are run as they stand."""

import contextlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from footage import cli
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

    def read(name):
        text = (PAGES / f"{name}.md").read_text("utf-8")
        title, module = re.search(r'```python title="(\w+\.py)"\n(.*?)```', text, re.S).groups()
        Path(title).write_text(module)
        monkeypatch.delitem(sys.modules, title.removesuffix(".py"), raising=False)
        command = re.search(r"```sh\n(.*?)```", text, re.S)[1].replace("\\\n", " ")
        return shlex.split(command)[1:]

    return read


def run(words):
    with contextlib.suppress(SystemExit):
        assert cli.main(words) == 0


def metrics_of(name):
    return [line for line in layout.read_metrics(Path("runs") / name) if "loss" in line]


@pytest.mark.parametrize(
    ("name", "run_name", "level"),
    [
        ("loss", "alignment", "shot/alignment"),
        ("level", "position", "video/position"),
        ("logger", "logged", "shot/exemplar"),
    ],
)
def test_training_uses_what_the_page_adds(name, run_name, level, page, tiny_store):
    words = page(name)
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
    assert capsys.readouterr().out.strip() == "runs/first/exports/backbone.pt2"


def test_a_run_whose_plugin_is_missing_names_what_is_unknown(page, tiny_store, capsys):
    words = page("loss")
    words[words.index("store")] = str(tiny_store.path)
    words = [word for word in words if word not in ("--plugin", "my_loss.py")]
    assert cli.main(words) == 2
    assert "unknown loss 'alignment'" in capsys.readouterr().err
