import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import footage
from footage.commands import export as export_module
from footage.commands.export import export
from footage.errors import BusyError, CheckpointError, ConfigError, OutputError
from footage.evaluation.features import model_extractor
from footage.io import files, tensors
from footage.models import load as models
from footage.models.export import safetensors
from tests.support.file_sizes import file_size_limit
from tests.support.hand_made_runs import hand_made_run


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_an_export_is_a_model_again_with_its_preprocessing(
    tmp_path: Path, architecture: str, to: str
) -> None:
    name = "folder" if to == "timm" else "backbone.safetensors"
    exported = export(architecture, to=to, out=tmp_path / name)
    original, again = models.load(architecture), models.load(str(exported.path))
    assert again.preprocessing == original.preprocessing
    size = original.preprocessing.size
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    cpu = torch.device("cpu")
    ours, theirs = (model_extractor(model, cpu).function(pixels) for model in (original, again))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_the_header_of_the_single_file_has_architecture_and_preprocessing(tmp_path: Path) -> None:
    path = export("test_resnet", to="safetensors", out=tmp_path / "a.safetensors").path
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["footage"])
    assert header["architecture"] == "test_resnet"
    assert set(header["preprocessing"]) == {"size", "mean", "std"}


def test_exporting_twice_replaces_the_first_export(tmp_path: Path) -> None:
    for _ in range(2):
        path = export("test_resnet", to="timm", out=tmp_path / "folder").path
    assert sorted(entry.name for entry in path.iterdir()) == ["config.json", "model.safetensors"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"contains other files, such as 'thesis\.tex'"):
        export("test_resnet", to="timm", out=tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_export_that_does_not_agree_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = safetensors.weights

    def damaged(model: models.Model) -> dict[str, torch.Tensor]:
        weights = dict(original(model))
        name = next(name for name in weights if name.endswith("weight"))
        weights[name] = weights[name] + 0.1
        return weights

    monkeypatch.setattr(safetensors, "weights", damaged)
    with pytest.raises(CheckpointError, match="differs from the original by"):
        export("test_resnet", to="safetensors", out=tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "safetensors", "out": ""}, "so --out is required"),
        ({"to": "safetensors", "out": "weights.bin"}, r"must end in \.safetensors"),
        ({"to": "safetensors", "out": "."}, "is a folder"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        export("test_resnet", **arguments)


CHECK_USAGE = """
import torch
images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
is_timm = "network" in dir()
network = (network if is_timm else model.backbone).eval()
print(network(images).sum(1).tolist())
if is_timm:
    print(timm.data.resolve_model_data_config(network))
"""


@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_the_printed_usage_line_works_as_it_is_printed(tmp_path: Path, to: str) -> None:
    name = "it's a folder" if to == "timm" else 'a "file".safetensors'
    exported = export("test_resnet", to=to, out=tmp_path / name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{exported.usage}\n{CHECK_USAGE}"],
        capture_output=True, text=True, check=False, cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(Path(footage.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = models.load("test_resnet").backbone(images).sum(1)
    features, *config = done.stdout.splitlines()
    np.testing.assert_allclose(json.loads(features), expected.numpy(), rtol=1e-5)
    if to == "timm":
        assert "'crop_pct': 1.0, 'crop_mode': 'squash'" in config[0]
        assert "'input_size': (3, 160" in config[0].replace("[", "(")


@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_the_umask_decides_the_modes(tmp_path: Path, to: str) -> None:
    before = os.umask(0o027)
    try:
        export("test_resnet", to=to, out=tmp_path / "new" / "a.safetensors")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o640}


@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_space_is_checked_before_anything_is_written(tmp_path: Path, to: str) -> None:
    with file_size_limit(200_000), pytest.raises(OutputError, match=r"an export at .* needs"):
        export("test_resnet", to=to, out=tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_a_disk_that_fills_up_is_one_error_and_keeps_the_earlier_export(
    tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.safetensors"
    export("test_resnet", to=to, out=out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(export_module.files, "require_space", lambda *_: None)
    with file_size_limit(200_000), pytest.raises(OutputError, match="cannot be written: File too"):
        export("test_vit", to=to, out=out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("place", ["file/below/a.safetensors", "/proc/a.safetensors"])
@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path, place: str, to: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        export("test_resnet", to=to, out=tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_exports_to_one_place_do_not_mix(tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    lock = tmp_path / ".a.safetensors.lock"
    with files.exclusive(lock, out), pytest.raises(BusyError, match="is being written by process"):
        export("test_resnet", to="safetensors", out=out)
    assert list(tmp_path.iterdir()) == []
    export("test_resnet", to="safetensors", out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        export("test_resnet", to="timm", out=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]
    assert (tmp_path / "real" / "model.safetensors").is_file()


def test_weights_that_are_not_finite_are_not_exported(tmp_path: Path) -> None:
    path = export("test_resnet", to="safetensors", out=tmp_path / "a.safetensors").path
    found = tensors.read(path)
    name = next(name for name in found.tensors if name.endswith("weight"))
    found.tensors[name].fill_(float("nan"))
    tensors.write(tmp_path / "b.safetensors", found.tensors, found.metadata)
    with pytest.raises(CheckpointError, match="differs from the original by nan") as caught:
        export(str(tmp_path / "b.safetensors"), to="timm", out=tmp_path / "out")
    assert "not finite" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_folder_for_the_hub_has_a_card_and_the_licence_and_no_local_paths(tmp_path: Path) -> None:
    run = hand_made_run(tmp_path / "first")
    exported = export(run, to="huggingface", license="cc-by-4.0")
    assert exported.path == run / "exports" / "huggingface"
    assert sorted(path.name for path in exported.path.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    card, config = ((exported.path / name).read_text() for name in ("README.md", "config.json"))
    assert "\nlicense: cc-by-4.0\n" in card
    assert json.loads(config)["pretrained_cfg"]["license"] == "cc-by-4.0"
    assert str(tmp_path) not in card + config
    assert footage.load(exported.path).backbone.feature_dim == 96
    again = export(run, to="huggingface")
    assert "\nlicense: unknown\n" in (again.path / "README.md").read_text()


def test_a_licence_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--to onnx cannot store a licence") as refused:
        export("test_resnet", to="onnx", out=tmp_path / "a.onnx", license="mit")
    assert refused.value.hint == "leave out --license, or use --to huggingface or timm"
    with pytest.raises(ConfigError, match="'My own' is not a licence identifier"):
        export("test_resnet", to="timm", out=tmp_path / "a", license="My own")
