"""All that can be judged: what it is stands in its description."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch

from footage.errors import CheckpointError, ConfigError
from footage.evaluation import models, onnx
from footage.evaluation.models import Contender
from footage.models.config import Preprocessing

CPU = torch.device("cpu")
TINY = Preprocessing(size=8, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    return images.mean((2, 3))


def test_a_function_sees_images_normalised_as_it_asks() -> None:
    frozen = models.frozen(Contender(model=mean_colour, preprocessing=TINY), CPU)
    white = torch.full((2, 8, 8, 3), 255, dtype=torch.uint8).numpy()
    assert torch.allclose(frozen.column.function(white), torch.full((2, 3), 2.0))
    assert frozen.described["model"] == "mean_colour"
    assert (frozen.described["size"], frozen.described["mean"]) == (8, [0.5, 0.5, 0.5])


def test_a_function_without_preprocessing_or_with_wrong_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="without its preprocessing"):
        models.frozen(Contender(model=mean_colour), CPU)
    frozen = models.frozen(Contender(model=lambda images: images, preprocessing=TINY), CPU)
    with pytest.raises(ConfigError, match="one vector an image") as refused:
        frozen.column.function(torch.zeros((2, 8, 8, 3), dtype=torch.uint8).numpy())
    assert "(2, 3, 8, 8)" in refused.value.message


@pytest.mark.parametrize("model", [mean_colour, "pixels", "net.onnx"])
def test_what_gives_features_only_cannot_be_fine_tuned(model: object) -> None:
    contender = Contender(model=model, preprocessing=TINY)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="only provides features and cannot be fine-tuned"):
        models.load(contender, seed=0)


def test_a_description_tells_weights_apart() -> None:
    def weights(**changes: object) -> str:
        contender = Contender(model="test_resnet", size=32)
        return models.describe(dataclasses.replace(contender, **changes))["weights"]  # type: ignore[arg-type]

    assert weights() == weights() == weights(size=64)
    assert weights() != weights(model="resnet18")
    assert Contender(model="a", untrained=True).name == "a untrained"


def test_an_onnx_file_without_onnxruntime_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="onnxruntime, which is not installed") as refused:
        models.describe(Contender(model=str(tmp_path / "a.onnx")))
    assert refused.value.hint == "pip install 'footage[onnx]'"


class Session:
    """As much of onnxruntime's session as is asked for."""

    def __init__(self, size: object, metadata: dict[str, str]) -> None:
        self.shape = ["batch", 3, size, size]
        self.custom_metadata_map = metadata
        self.name = "image"

    def get_modelmeta(self) -> "Session":
        return self

    def get_inputs(self) -> list["Session"]:
        return [self]


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (
            Session(
                "h", {"footage": json.dumps({"size": 8, "mean": [0.5] * 3, "std": [0.25] * 3})}
            ),
            TINY,
        ),
        (
            Session(96, {}),
            Preprocessing(size=96, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ),
    ],
)
def test_preprocessing_is_taken_from_the_file_where_it_says(
    session: Session, expected: Preprocessing
) -> None:
    found = onnx._preprocessing(session, Path("a.onnx"), models.UNKNOWN, 0)
    assert found == expected
    with pytest.raises(ConfigError, match="does not contain its input size"):
        onnx._preprocessing(Session("h", {}), Path("a.onnx"), models.UNKNOWN, 0)


def test_an_onnx_file_gives_the_features_of_its_network(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    helper = pytest.importorskip("onnx").helper
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)],
        "mean",
        [make("x", 1, ["batch", 3, 8, 8])],
        [make("y", 1, ["batch", 3])],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "mean.onnx").write_bytes(file.SerializeToString())
    contender = Contender(model=str(tmp_path / "mean.onnx"), preprocessing=TINY)
    frozen = models.frozen(contender, CPU)
    white = torch.full((2, 8, 8, 3), 255, dtype=torch.uint8).numpy()
    assert torch.allclose(frozen.column.function(white), torch.full((2, 3), 2.0))
    (tmp_path / "bad.onnx").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        models.describe(Contender(model=str(tmp_path / "bad.onnx")))
