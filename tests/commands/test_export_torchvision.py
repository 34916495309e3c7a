"""The weights of timm's networks in those of torchvision."""

import json

import numpy as np
import pytest
import torch

from footage._torchvision_compat import IMPORT_LINE
from footage.commands.export import export
from footage.errors import CheckpointError, ConfigError
from footage.io import tensors
from footage.models import load as models
from footage.models.export.torchvision import COUNTERPARTS, TorchvisionExporter
from footage.models.parity import verified_difference
from tests.support.clean_environment import CleanEnvironment

CALL = """
import json, numpy
network.eval()
with torch.no_grad():
    print(json.dumps(network(torch.from_numpy(numpy.load({images!r}))).tolist()))
"""


def randomised(name, size=64):
    """A model whose normalisation layers differ from their initial state, and from each other."""
    model = models.load(name, size=size)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part, tensor in model.backbone.network.state_dict().items():
            if part.endswith("running_mean") or part.endswith("bias"):
                tensor.normal_(0, 0.1, generator=generator)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5, generator=generator)
    return model


@pytest.mark.parametrize(
    "name",
    [
        name if name == "mobilenetv2_100" else pytest.param(name, marks=pytest.mark.slow)
        for name in COUNTERPARTS
    ],
)
def test_every_counterpart_computes_the_same_features(name, tmp_path):
    model, exporter = randomised(name), TorchvisionExporter()
    exporter.write(model, tmp_path / "a.safetensors")
    difference = verified_difference(model, exporter, tmp_path / "a.safetensors")
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        scale = max(1.0, float(model.backbone(images).abs().max()))
    assert difference <= (1e-5 * scale if name.startswith("vgg") else 0)


@pytest.mark.parametrize(
    "name",
    ["resnet18", *(pytest.param(n, marks=pytest.mark.slow) for n in ("vgg11", "densenet121"))],
)
def test_the_printed_line_gives_the_features_without_footage(name, tmp_path, tmp_path_factory):
    environment = CleanEnvironment(tmp_path_factory.mktemp("site"), "torchvision", "safetensors")
    exported = export(name, to="torchvision", out=tmp_path / "it's.safetensors")
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    line = exported.usage.removeprefix(IMPORT_LINE)
    found = environment.run(line + CALL.format(images=str(tmp_path / "images.npy")))
    with torch.no_grad():
        expected = models.load(name).backbone(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(np.array(found), expected, rtol=0, atol=1e-5)
    metadata = tensors.read(exported.path).metadata
    assert metadata["architecture"] == f"torchvision.models.{name}"
    assert set(json.loads(metadata["preprocessing"])) == {"size", "mean", "std"}
    with pytest.raises(CheckpointError, match="does not name its architecture"):
        models.load(str(exported.path))


def test_what_torchvision_does_not_have_is_refused(tmp_path):
    out = tmp_path / "a.safetensors"
    with pytest.raises(ConfigError, match="has no network equal to 'test_resnet' of timm"):
        export("test_resnet", to="torchvision", out=out)
    model = models.load("resnet18", size=32)
    model.backbone.options = {"drop_path_rate": 0.1, "global_pool": "max"}
    with pytest.raises(ConfigError, match="has no resnet18 with the option 'global_pool' of timm"):
        TorchvisionExporter().write(model, out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_large_images_for_a_vgg_are_refused_where_the_libraries_differ(tmp_path):
    TorchvisionExporter().write(models.load("vgg11", size=255), tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match="differ for images of 256 pixels"):
        TorchvisionExporter().write(models.load("vgg11", size=256), tmp_path / "a.safetensors")
