"""No file that describes a model makes timm unpickle, fetch or open anything."""

import contextlib
import json
import logging
import pickle

import pytest
import torch
from safetensors.torch import save_file

from footage import cli
from footage.commands.export import export
from footage.models.backbone import timm
from footage.runs import layout
from tests.support.hand_made_runs import hand_made_run, record_of, write_pickle_that_marks

HOSTILE = {
    "checkpoint_path": "{evil}",
    "pretrained": True,
    "cache_dir": "{folder}",
    "features_only": True,
}
NESTED = {
    "pretrained_cfg_overlay": {"file": "{evil}", "custom_load": False},
    "pretrained_cfg": {"file": "{evil}", "state_dict": {"x": 1}},
}


@pytest.fixture
def trap(tmp_path):
    """A pickle that leaves a marker, and the place of the marker."""
    marker = tmp_path / "marker"
    return write_pickle_that_marks(tmp_path / "evil" / "pytorch_model.bin", marker), marker


@pytest.fixture(autouse=True)
def _quiet_root():
    """`main` sets up logging for a program; tests want theirs back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def hostile_options(evil, *names):
    text = json.dumps({name: {**HOSTILE, **NESTED}[name] for name in names or HOSTILE})
    return json.loads(text.replace("{evil}", str(evil)).replace("{folder}", str(evil.parent)))


def hostile_run(folder, evil, *names):
    """A run whose record passes options to timm that open files or fetch weights."""
    run = hand_made_run(folder)
    record = record_of(run)
    options = hostile_options(evil, *names)
    record["model"]["options"] = options
    record["config"]["backbone"]["options"] = options
    (run / layout.RUN).write_text(json.dumps(record))
    return run


def hostile_file(path, evil, *names):
    """An exported file with such options in its header."""
    header = {
        "architecture": "test_resnet",
        "options": hostile_options(evil, *names),
        "feature_dim": 128,
        "preprocessing": {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        "weights_origin": "random weights",
    }
    weights = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(weights, path, {"footage": json.dumps(header)})
    return path


def hostile_folder(folder, evil, *names):
    """A timm folder with such arguments in its config.json, and the pickle next to it."""
    export("test_resnet", to="timm", out=folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("checksum", None)
    config["model_args"] = hostile_options(evil, *names)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "pytorch_model.bin").write_bytes(evil.read_bytes())
    return folder


MAKERS = {"run": hostile_run, "file.safetensors": hostile_file, "folder": hostile_folder}

COMMANDS = {
    "export": ["export", "MODEL", "--to", "timm", "--out", "OUT"],
    "init": [
        "train", "vivi-ex4-tiny", "--init", "MODEL", "--store", "STORE", "--out", "OUT",
        "--backbone.architecture", "test_resnet", "--augment.size", "32",
        "--compute.workers", "1", "--sampling.videos-per-batch", "3",
    ],
    "evaluate": ["evaluate", "MODEL", "--labels", "SHAPES"],
    "embed": ["embed", "MODEL", "SHAPES", "--out", "OUT.parquet"],
    "profile": ["profile", "MODEL", "--store", "STORE", "--out", "OUT"],
}  # fmt: skip


def test_the_pickle_of_these_tests_leaves_its_marker_when_it_is_read(trap):
    evil, marker = trap
    with evil.open("rb") as file:
        pickle.load(file)
    assert marker.is_dir()
    marker.rmdir()
    with contextlib.suppress(RuntimeError):  # what it returns is not a checkpoint
        torch.load(evil, weights_only=False)
    assert marker.is_dir()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("door", MAKERS)
def test_no_command_lets_a_model_file_pass_options_that_open_files(
    tmp_path, trap, door, command, tiny_store, shapes_folder, capsys
):
    evil, marker = trap
    model = MAKERS[door](tmp_path / door, evil)
    places = {
        "MODEL": str(model), "OUT": str(tmp_path / "out"),
        "OUT.parquet": str(tmp_path / "out.parquet"),
        "STORE": str(tiny_store.path), "SHAPES": str(shapes_folder),
    }  # fmt: skip
    assert cli.main([places.get(word, word) for word in COMMANDS[command]]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines[-2:]] == ["error", "hint"]
    assert "error: backbone.options: 'checkpoint_path' is not an option" in lines[-2]
    assert not marker.exists()
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("door", MAKERS)
def test_options_that_are_not_numbers_or_text_are_refused(tmp_path, trap, door, name, capsys):
    evil, marker = trap
    model = MAKERS[door](tmp_path / door, evil, name)
    assert cli.main(["export", str(model), "--to", "timm", "--out", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_a_run_json_that_is_trained_from_cannot_pass_them_either(
    tmp_path, trap, tiny_store, capsys
):
    evil, marker = trap
    record = hostile_run(tmp_path / "run", evil, "checkpoint_path") / layout.RUN
    words = ["train", "--from", str(record), "--store", str(tiny_store.path)]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 1
    assert "'checkpoint_path' is not an option" in capsys.readouterr().err
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_the_command_line_cannot_pass_them_either(tmp_path, trap, tiny_store, capsys):
    evil, marker = trap
    words = [
        "train",
        "vivi-ex4-tiny",
        "--store",
        str(tiny_store.path),
        "--out",
        str(tmp_path / "o"),
    ]
    options = ["--backbone.options", "checkpoint_path", str(evil)]
    assert cli.main([*words, *options]) == 2
    assert "'checkpoint_path' is not an option" in capsys.readouterr().err
    assert not marker.exists()


@pytest.mark.parametrize("name", ["hf-hub:timm/test_resnet", "local-dir:EVIL"])
@pytest.mark.parametrize("door", MAKERS)
def test_an_architecture_that_names_a_place_is_refused(tmp_path, trap, door, name, capsys):
    evil, marker = trap
    architecture = name.replace("EVIL", str(evil.parent))
    model = MAKERS[door](tmp_path / door, evil, "pretrained")
    if door == "run":
        record = json.loads((model / layout.RUN).read_text())
        record["model"] |= {"architecture": architecture, "options": {}}
        (model / layout.RUN).write_text(json.dumps(record))
    elif door == "folder":
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(
            json.dumps(config | {"architecture": architecture, "model_args": {}})
        )
    else:
        header = {
            "architecture": architecture, "options": {}, "feature_dim": 1, "weights_origin": "",
            "preprocessing": {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        }  # fmt: skip
        save_file({"x": torch.zeros(1)}, model, {"footage": json.dumps(header)})
    assert cli.main(["export", str(model), "--to", "timm", "--out", str(tmp_path / "o")]) == 1
    assert "error: timm has no model" in capsys.readouterr().err
    assert not marker.exists()


def test_what_a_timm_folder_names_as_the_source_of_its_weights_is_ignored(tmp_path, trap):
    evil, marker = trap
    folder = hostile_folder(tmp_path / "folder", evil, "pretrained")
    config = json.loads((folder / "config.json").read_text())
    config["model_args"] = {}
    config["pretrained_cfg"] |= {
        "file": str(evil), "url": "http://127.0.0.1:9/x.pth", "hf_hub_id": "nobody/nothing",
        "custom_load": True, "source": "local-dir", "state_dict": {"x": 1},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    again = export(str(folder), to="timm", out=tmp_path / "again")
    written = json.loads((again.path / "config.json").read_text())
    assert not {"file", "url", "hf_hub_id", "state_dict"} & set(written["pretrained_cfg"])
    assert not marker.exists()
