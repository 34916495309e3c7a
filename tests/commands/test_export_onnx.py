"""Export a tiny network to ONNX; test_export_formats.py uses real ones outside footage."""

import sys

import pytest
import torch
from torch import nn

from footage.commands.export import export
from footage.errors import CheckpointError, ConfigError
from footage.evaluation import onnx as evaluated
from footage.evaluation.models import UNKNOWN
from footage.models import load as models
from footage.models.export import onnx as exporter
from footage.models.options import register_backbone
from tests.support import plugins

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


class Tiny(nn.Module):
    """A convolution with a normalisation; then a last step."""

    num_features = 8

    def __init__(self, last):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8))
        self.last = last

    def forward(self, images):
        return self.last(self.layers(images).mean((2, 3)))


@pytest.fixture(autouse=True)
def _backbones(monkeypatch):
    plugins.forget_at_end(monkeypatch)
    register_backbone("tiny")(lambda _size: Tiny(torch.relu))
    register_backbone("tiny_exotic")(lambda _size: Tiny(torch.special.i1))


def test_an_onnx_file_has_named_axes_and_its_preprocessing_and_no_local_paths(tmp_path):
    exported = export("tiny", to="onnx", out=tmp_path / "tiny.onnx")
    assert exported.largest_difference < 1e-6
    assert exported.usage == (
        f"import onnxruntime; session = onnxruntime.InferenceSession({str(exported.path)!r},"
        " providers=['CPUExecutionProvider'])"
    )
    file = onnx.load(exported.path)
    onnx.checker.check_model(file, full_check=True)
    assert [(one.domain, one.version) for one in file.opset_import] == [("", 18)]
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*file.graph.input, *file.graph.output)
    }
    assert shapes == {"images": ["batch", 3, 224, 224], "features": ["batch", 8]}
    assert file.doc_string.startswith("tiny: ")
    assert [one.key for one in file.metadata_props] == ["footage"]  # evidence is that of runs
    assert b".py" not in exported.path.read_bytes()

    original, again = models.load("tiny"), evaluated.open_file(exported.path, UNKNOWN, 0)
    assert again.preprocessing == original.preprocessing
    images = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = original.backbone(images)
    torch.testing.assert_close(again.function(images), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_an_onnx_file_with_preprocessing_is_refused_by_evaluate(tmp_path):
    path = export("tiny", to="onnx", out=tmp_path / "a.onnx", with_preprocessing=True).path
    (value,) = onnx.load(path).graph.input
    axes = value.type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in axes] == ["batch", "height", "width", 3]
    with pytest.raises(CheckpointError, match=r"is tensor\(uint8\)") as refused:
        evaluated.open_file(path, UNKNOWN, 0)
    assert "without preprocessing" in refused.value.hint


@pytest.mark.parametrize("name", exporter.PACKAGES)
def test_a_missing_package_is_named_before_anything_is_written(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"--to onnx needs {name}, which is not") as refused:
        export("tiny", to="onnx", out=tmp_path / "a.onnx")
    assert refused.value.hint == "pip install 'footage[onnx]'"
    assert list(tmp_path.iterdir()) == []


def test_weights_above_the_limit_of_the_format_are_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "MAX_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"tiny has .* GB of weights, and an ONNX file contains"):
        export("tiny", to="onnx", out=tmp_path / "a.onnx")


def test_an_operation_that_onnx_does_not_have_is_one_error(tmp_path):
    with pytest.raises(ConfigError, match=r"torch\.onnx cannot convert tiny_exotic: ") as refused:
        export("tiny_exotic", to="onnx", out=tmp_path / "a.onnx")
    assert "bessel_i1" in refused.value.message
    assert list(tmp_path.iterdir()) == []
