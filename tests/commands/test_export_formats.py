"""Exports are used as their users use them: by the printed line, without footage."""

import json
import zipfile

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from footage._torchvision_compat import IMPORT_LINE
from footage.commands.export import Exported, export
from footage.errors import ConfigError
from footage.images.resize import resized
from footage.models import load as models
from footage.models import pixel_input
from footage.models.load import Model
from footage.models.preprocessing import normalise
from tests.support.clean_environment import CleanEnvironment

USERS = {
    "timm": ["timm"],
    "huggingface": ["timm"],
    "torch-export": ["torch", "numpy"],
    "onnx": ["onnxruntime", "numpy"],
}
"""What the user of a format has installed."""

SUFFIXES = {"torch-export": ".pt2", "onnx": ".onnx"}

SLOW_HUB = pytest.param("huggingface", marks=pytest.mark.slow)
"""The same files as in the timm format."""
SLOW_ONNX = pytest.param("onnx", marks=pytest.mark.slow)
"""Converting a network takes 20 s; tests/commands/test_export_onnx.py has a tiny one."""

ARCHITECTURES = [
    "test_resnet",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("test_vit", "test_convnext")),
]

IN_TORCH = """
import json, numpy, torch
if {has_modes}:
    network.eval()
with torch.no_grad(), numpy.load({images!r}) as images:
    print(json.dumps([network(torch.from_numpy(each)).tolist() for each in images.values()]))
"""
IN_ONNXRUNTIME = """
import json, numpy
name = session.get_inputs()[0].name
with numpy.load({images!r}) as images:
    print(json.dumps([session.run(None, {{name: each}})[0].tolist() for each in images.values()]))
"""


@pytest.fixture(scope="session")
def environments(tmp_path_factory) -> dict[str, CleanEnvironment]:
    return {
        to: CleanEnvironment(tmp_path_factory.mktemp("site"), *names) for to, names in USERS.items()
    }


def images_of(model: Model, count: int) -> np.ndarray:
    size = model.preprocessing.size
    return np.random.default_rng(1).normal(size=(count, 3, size, size)).astype(np.float32)


def pixels_of(height: int, width: int) -> np.ndarray:
    """Smooth pictures with some noise."""
    generator = np.random.default_rng(2)
    coarse = generator.integers(0, 256, (3, 7, 5, 3), dtype=np.uint8)
    smooth = np.stack([cv2.resize(one, (width, height)) for one in coarse]).astype(np.int16)
    return np.clip(smooth + generator.integers(-9, 9, smooth.shape), 0, 255).astype(np.uint8)


def features_of(model: Model, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.backbone(torch.from_numpy(images)).numpy()


def used(environment: CleanEnvironment, exported: Exported, *batches: np.ndarray):
    """The features that the printed line and a call per batch give in a clean environment."""
    images = exported.path.parent / "images.npz"
    np.savez(images, *batches)
    template = IN_ONNXRUNTIME if exported.to == "onnx" else IN_TORCH
    calls = template.format(
        images=str(images), has_modes="network" in exported.usage and exported.to != "torch-export"
    )
    found = environment.run(exported.usage.removeprefix(IMPORT_LINE) + calls)
    return [np.array(features) for features in found]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("to", ["timm", SLOW_HUB, "torch-export", SLOW_ONNX])
def test_the_printed_line_gives_the_features_without_footage(
    architecture, to, environments, tmp_path
):
    exported = export(architecture, to=to, out=tmp_path / f"it's an export{SUFFIXES.get(to, '')}")
    model = models.load(architecture)
    batches = [images_of(model, count) for count in (1, 3)]
    found = used(environments[to], exported, *batches)
    for images, features in zip(batches, found, strict=True):
        np.testing.assert_allclose(features, features_of(model, images), rtol=0, atol=5e-6)


def test_a_timm_folder_states_its_preprocessing(environments, tmp_path):
    out = tmp_path / "folder"
    usage = export("test_resnet", to="timm", out=out).usage.removeprefix(IMPORT_LINE)
    found = environments["timm"].run(
        f"{usage}\nimport json; print(json.dumps(timm.data.resolve_model_data_config(network)))"
    )
    size = models.load("test_resnet").preprocessing.size
    assert found == {
        "input_size": [3, size, size], "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5], "crop_pct": 1.0, "crop_mode": "squash",
    }  # fmt: skip
    assert json.loads((out / "config.json").read_text())["num_classes"] == 0


def test_a_program_contains_neither_its_example_images_nor_local_paths(tmp_path):
    path = export("test_resnet", to="torch-export", out=tmp_path / "a.pt2").path
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        assert not any(b".py" in archive.read(name) for name in sizes)
    assert max(size for name, size in sizes.items() if "sample_inputs" in name) < 2000


# --- metadata -----------------------------------------------------------------------------------


def of_torch_export(path):
    stated = {"evidence": ""}
    torch.export.load(path, extra_files=stated)
    return stated["evidence"]


def of_onnx(path):
    import onnx

    return {one.key: one.value for one in onnx.load(path).metadata_props}["evidence"]


def of_safetensors(path):
    with safe_open(path, "pt") as file:
        return file.metadata()["evidence"]


@pytest.mark.parametrize(
    ("to", "architecture", "read"),
    [
        ("torch-export", "test_resnet", of_torch_export),
        ("torchvision", "mobilenetv2_100", of_safetensors),
        pytest.param("onnx", "test_resnet", of_onnx, marks=pytest.mark.slow),
    ],
)
def test_results_and_warnings_of_a_run_stay_with_the_file(
    to, architecture, read, monkeypatch, tmp_path
):
    evidence = {"warnings": ["3 of 24 test images were seen in training."], "results": []}
    model = models.load(architecture)._replace(evidence=evidence)
    monkeypatch.setattr(models, "load", lambda _name: model)
    path = export("run", to=to, out=tmp_path / f"a{SUFFIXES.get(to, '.safetensors')}").path
    assert json.loads(read(path)) == evidence


# --- with preprocessing --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (75, 131), (90, 20), (20, 47), (9, 11), (33, 31)])
def test_the_resize_in_torch_is_that_of_footage(size):
    pixels = pixels_of(*size)
    expected = np.stack([resized(image, 32) for image in pixels]).astype(int)
    found = pixel_input.resized(torch.from_numpy(pixels), 32).numpy().astype(int)
    assert np.abs(found - expected).max() <= 1
    is_shrunk_and_enlarged = (size[0] > 32) != (size[1] > 32)  # OpenCV rounds in between
    assert (found != expected).mean() < (0.25 if is_shrunk_and_enlarged else 0.01)


def features_of_pixels(model: Model, pixels: np.ndarray) -> np.ndarray:
    preprocessing = model.preprocessing
    squares = np.stack([resized(image, preprocessing.size) for image in pixels])
    images = normalise(
        torch.from_numpy(squares), preprocessing.mean, preprocessing.std, torch.device("cpu")
    )
    return features_of(model, images.numpy())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("to", ["torch-export", SLOW_ONNX])
def test_an_export_with_preprocessing_takes_pixels_of_any_size(
    architecture, to, environments, tmp_path
):
    out = tmp_path / f"a{SUFFIXES[to]}"
    exported = export(architecture, to=to, out=out, with_preprocessing=True)
    model = models.load(architecture)
    size = model.preprocessing.size
    tolerances = {(size, size): 1e-5, (300, 201): 2e-3, (60, 90): 2e-3}
    batches = [pixels_of(*shape) for shape in tolerances]
    found = used(environments[to], exported, *batches)
    for pixels, features, tolerance in zip(batches, found, tolerances.values(), strict=True):
        expected = features_of_pixels(model, pixels)
        assert np.abs(features - expected).max() <= tolerance * np.abs(expected).max()


def test_a_format_without_operations_cannot_include_preprocessing(tmp_path):
    with pytest.raises(ConfigError, match="--to timm cannot include preprocessing") as refused:
        export("test_resnet", to="timm", out=tmp_path / "a", with_preprocessing=True)
    assert "--to onnx or torch-export" in refused.value.hint
