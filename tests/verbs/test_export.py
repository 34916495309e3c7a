import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from footage import model as models
from footage.errors import CheckpointError, ConfigError
from footage.evaluation.features import model_column
from footage.verbs import export as export_module
from footage.verbs.export import Target, export

LOAD_WITH_TIMM_ALONE = """
import sys, torch
import footage.torchvision_compatibility  # timm itself cannot be imported beside a CUDA torchvision
import timm
network = timm.create_model("local-dir:" + sys.argv[1], pretrained=True, num_classes=0).eval()
images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
torch.set_printoptions(precision=9)
print(network(images).sum(1).tolist())
print(timm.data.resolve_model_data_config(network))
"""


def test_a_timm_folder_gives_the_same_features_in_another_process(tmp_path: Path) -> None:
    exported = export("test_resnet", to="timm", out=tmp_path / "folder")
    assert exported.largest_difference <= 1e-5
    found = subprocess.run(
        [sys.executable, "-c", LOAD_WITH_TIMM_ALONE, str(exported.path)],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    model = models.load("test_resnet")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = model.backbone(images).sum(1)
    np.testing.assert_allclose(json.loads(found[0]), expected.numpy(), rtol=1e-5)
    assert "'crop_pct': 1.0, 'crop_mode': 'squash'" in found[1]
    assert f"'input_size': (3, {model.preprocessing.size}" in found[1].replace("[", "(")


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_an_export_is_a_model_again_with_its_preprocessing(
    tmp_path: Path, architecture: str, to: Target
) -> None:
    name = "folder" if to == "timm" else "backbone.safetensors"
    exported = export(architecture, to=to, out=tmp_path / name)
    original, again = models.load(architecture), models.load(str(exported.path))
    assert again.preprocessing == original.preprocessing
    size = original.preprocessing.size
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    cpu = torch.device("cpu")
    ours, theirs = (model_column(model, cpu).function(pixels) for model in (original, again))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_the_header_of_the_single_file_tells_architecture_and_preprocessing(tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match=r"holds other files, such as thesis\.tex"):
        export("test_resnet", to="timm", out=tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_export_that_does_not_agree_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = export_module._weights

    def damaged(model: models.Model) -> dict[str, torch.Tensor]:
        weights = original(model)
        name = next(name for name in weights if name.endswith("weight"))
        weights[name] = weights[name] + 0.1
        return weights

    monkeypatch.setattr(export_module, "_weights", damaged)
    with pytest.raises(CheckpointError, match="differs from the original by"):
        export("test_resnet", to="safetensors", out=tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "safetensors", "out": ""}, "no usual place"),
        ({"to": "safetensors", "out": "weights.bin"}, r"must end in \.safetensors"),
        ({"to": "safetensors", "out": "."}, "is a folder"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        export("test_resnet", **arguments)
