import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from footage import configuration
from footage.errors import CheckpointError, FootageError
from footage.evaluation import onnx as onnx_files
from footage.evaluation.models import UNKNOWN
from tests.support.mutations import mutations

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

PREPROCESSING = {"size": 8, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def write(path, metadata="", shape=("batch", 3, 8, 8), weights=None):
    """An ONNX file whose features are the mean colours, plus `weights` if there are any."""
    make = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0)]
    last = "Add" if weights else "Identity"
    nodes.append(onnx.helper.make_node(last, ["m", *(["w"] if weights else [])], ["y"]))
    graph = onnx.helper.make_graph(
        nodes, "mean", [make("x", 1, shape)], [make("y", 1, ["batch", 3])],
        initializer=[weights] if weights else [],
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    )
    if metadata:
        model.metadata_props.add(key="footage", value=metadata)
    path.write_bytes(model.SerializeToString())
    return path


def elsewhere(location):
    """Weights of three numbers in another file."""
    tensor = onnx.TensorProto(
        name="w", data_type=1, dims=[3], data_location=onnx.TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_every_mutation_of_the_metadata_is_one_error_or_is_read_as_written(tmp_path):
    for what, data in mutations(PREPROCESSING):
        text = data.decode("utf-8", "replace").replace("\0", "x")
        if not text:
            continue
        path = write(tmp_path / "a.onnx", text)
        try:
            found = configuration.to_dict(onnx_files.open_file(path, UNKNOWN, 0).preprocessing)
        except CheckpointError as error:
            found = str(error)
        assert found == json.loads(text) if isinstance(found, dict) else "\n" not in found, what


@pytest.mark.parametrize("location", ["../secret.bin", "ABSOLUTE", "link"])
def test_weights_in_other_folders_are_not_read(tmp_path, location):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(3, dtype=np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    place = str(secret) if location == "ABSOLUTE" else location
    path = write(folder / "a.onnx", json.dumps(PREPROCESSING), weights=elsewhere(place))
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        onnx_files.open_file(path, UNKNOWN, 0)


def test_a_file_that_takes_pixels_is_refused(tmp_path):
    pixels = onnx.TensorProto.UINT8
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Cast", ["x"], ["y"], to=1)], "cast",
        [value("x", pixels, ("batch", 8, 8, 3))], [value("y", 1, ("batch", 8, 8, 3))],
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    )
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"is tensor\(uint8\)") as refused:
        onnx_files.open_file(path, UNKNOWN, 0)
    assert "without preprocessing" in refused.value.hint


def test_weights_next_to_the_file_are_read(tmp_path):
    (tmp_path / "w.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    path = write(tmp_path / "a.onnx", json.dumps(PREPROCESSING), weights=elsewhere("w.bin"))
    found = onnx_files.open_file(path, UNKNOWN, 0).function(torch.zeros(1, 3, 8, 8))
    assert found.tolist() == [[0.0, 1.0, 2.0]]


def test_a_file_whose_input_is_not_images_is_refused(tmp_path):
    path = write(tmp_path / "a.onnx", json.dumps(PREPROCESSING), shape=("batch", 3))
    with pytest.raises(FootageError, match="cannot be"):
        onnx_files.open_file(path, UNKNOWN, 0)


def test_a_file_that_fails_to_run_is_one_error_and_nothing_else_on_stderr(tmp_path):
    path = write(tmp_path / "a.onnx", json.dumps(PREPROCESSING | {"size": 16}))
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from footage.evaluation import onnx as onnx_files\n"
        "from footage.evaluation.models import UNKNOWN\n"
        "from footage.errors import CheckpointError\n"
        "opened = onnx_files.open_file(Path(sys.argv[1]), UNKNOWN, 0)\n"
        "try: opened.function(torch.zeros(1, 3, 16, 16))\n"
        "except CheckpointError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True,
        env=os.environ,
    )  # fmt: skip
    assert "a.onnx' cannot run: " in done.stdout
    assert done.stderr == ""
