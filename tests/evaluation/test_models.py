"""Everything that can be evaluated, and its description."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch

from footage.errors import CheckpointError, ConfigError
from footage.evaluation import models, onnx
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.training_data import NOTHING
from footage.models.config import Preprocessing

CPU = torch.device("cpu")
TINY = Preprocessing(size=8, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    return images.mean((2, 3))


def test_a_function_sees_images_normalised_as_it_asks() -> None:
    frozen = models.frozen(EvaluatedModel(model=mean_colour, preprocessing=TINY), CPU)
    white = torch.full((2, 8, 8, 3), 255, dtype=torch.uint8).numpy()
    assert torch.allclose(frozen.extractor.function(white), torch.full((2, 3), 2.0))
    assert frozen.described["model"] == "mean_colour"
    assert (frozen.described["size"], frozen.described["mean"]) == (8, [0.5, 0.5, 0.5])


def test_a_function_without_preprocessing_or_with_wrong_features_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"preprocessing of the function .* is missing"):
        models.frozen(EvaluatedModel(model=mean_colour), CPU)
    frozen = models.frozen(EvaluatedModel(model=lambda images: images, preprocessing=TINY), CPU)
    with pytest.raises(ConfigError, match="one vector per image") as refused:
        frozen.extractor.function(torch.zeros((2, 8, 8, 3), dtype=torch.uint8).numpy())
    assert "(2, 3, 8, 8)" in refused.value.message


@pytest.mark.parametrize("model", [mean_colour, "pixels", "chance", "net.onnx"])
def test_what_gives_features_only_cannot_be_fine_tuned(model: object) -> None:
    evaluated = EvaluatedModel(model=model, preprocessing=TINY)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="only provides features and cannot be fine-tuned"):
        models.load(evaluated, seed=0)


def test_a_description_tells_weights_apart() -> None:
    def weights(**changes: object) -> str:
        evaluated = EvaluatedModel(model="test_resnet", size=32)
        return models.describe(dataclasses.replace(evaluated, **changes))["weights"]  # type: ignore[arg-type]

    assert weights() == weights() == weights(size=64)
    assert weights() != weights(model="resnet18")
    assert EvaluatedModel(model="a", untrained=True).name == "a untrained"


def test_the_baselines_of_a_model_are_evaluated_models_like_itself() -> None:
    model = EvaluatedModel(model="test_resnet", size=32, seed=3)
    compared = models.with_baselines(model)
    assert [each.baseline for each in compared] == ["chance", "pixels", "untrained", ""]
    assert [each.name for each in compared][1:] == [
        "pixels",
        "test_resnet untrained",
        "test_resnet",
    ]
    assert compared[2] == dataclasses.replace(model, untrained=True)
    function = EvaluatedModel(model=mean_colour, preprocessing=TINY)
    assert [each.baseline for each in models.with_baselines(function)] == ["chance", "pixels", ""]
    for baseline in compared[:3]:
        assert baseline.training_data == NOTHING
        with pytest.raises(ConfigError, match="is a baseline") as refused:
            models.with_baselines(baseline)
        assert refused.value.hint


def test_chance_sees_no_image() -> None:
    frozen = models.frozen(EvaluatedModel(model="chance"), CPU)
    images = torch.randint(0, 255, (3, 16, 16, 3), dtype=torch.uint8).numpy()
    assert frozen.extractor.function(images).tolist() == [[0.0]] * 3
    assert frozen.described["weights_origin"] == "most common class"


def test_an_onnx_file_without_onnxruntime_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="onnxruntime, which is not installed") as refused:
        models.describe(EvaluatedModel(model=str(tmp_path / "a.onnx")))
    assert refused.value.hint == "pip install 'footage[onnx]'"


class Session:
    """As much of onnxruntime's session as is asked for."""

    def __init__(self, size: object, metadata: dict[str, str]) -> None:
        self.shape = ["batch", 3, size, size]
        self.custom_metadata_map = metadata
        self.name = "image"
        self.type = "tensor(float)"

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
    evaluated = EvaluatedModel(model=str(tmp_path / "mean.onnx"), preprocessing=TINY)
    frozen = models.frozen(evaluated, CPU)
    white = torch.full((2, 8, 8, 3), 255, dtype=torch.uint8).numpy()
    assert torch.allclose(frozen.extractor.function(white), torch.full((2, 3), 2.0))
    (tmp_path / "bad.onnx").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        models.describe(EvaluatedModel(model=str(tmp_path / "bad.onnx")))
