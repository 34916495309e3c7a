import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from footage.commands.export import export
from footage.errors import CheckpointError, ConfigError, FootageError
from footage.io.documents import CHECKSUM
from footage.models.backbone import timm
from footage.models.load import describe, load, untrained
from footage.runs import layout
from tests.support.hand_made_runs import hand_made_run, record_of
from tests.support.mutations import bit_flips, mutations, states


def test_a_bare_timm_name_has_random_weights_and_is_described_so():
    model = load("test_resnet", size=32, seed=4)
    assert model.weights_origin == "random weights, seed 4"
    assert model.preprocessing.size == 32
    assert not model.backbone.training
    again = load("test_resnet", size=32, seed=4)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.backbone(images), again.backbone(images))


def test_size_comes_from_timm_when_none_is_given():
    assert load("test_vit").preprocessing.size == 160


def test_untrained_is_the_same_architecture_and_preprocessing_with_other_weights():
    model = load("test_resnet", size=32, seed=1)
    other = untrained(model, seed=2)
    assert other.backbone.architecture == "test_resnet"
    assert other.preprocessing == model.preprocessing
    images = torch.rand(2, 3, 32, 32)
    assert not torch.equal(model.backbone(images), other.backbone(images))


def test_a_path_that_does_not_exist_is_not_taken_for_a_timm_name():
    with pytest.raises(CheckpointError, match="not a run, an exported file, or a timm folder"):
        load("runs/nothing")
    with pytest.raises(CheckpointError, match="not a run, an exported file, or a timm folder"):
        load("lost.safetensors")


def test_a_name_that_timm_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="no model 'resnett'"):
        load("resnett")


def test_a_safetensors_file_without_a_description_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="does not name its architecture"):
        load(str(tmp_path / "x.safetensors"))


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    shutil.rmtree(hand_made_run(tmp_path) / "checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        load(str(tmp_path))


# --- damaged and hostile files -----------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; read only."""
    return hand_made_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def exported_file(run, tmp_path_factory):
    """The same as one safetensors file; read only."""
    return export(str(run), to="safetensors", out=tmp_path_factory.mktemp("out") / "a.safetensors")


@pytest.fixture(scope="module")
def exported_folder(run, tmp_path_factory):
    """The same as a folder for timm; read only."""
    return export(str(run), to="timm", out=tmp_path_factory.mktemp("out") / "timm")


def outcome(path):
    """The result of loading: the description of the model and its weights, or an error."""
    found = None
    try:
        model = load(str(path))
    except FootageError as error:
        found = error
    if isinstance(found, FootageError):
        assert found.hint, found.message
        assert "\n" not in found.message + found.hint
        return found
    return describe(model) | {"weights_origin": ""}, model.backbone.state_dict()


def is_same(found, sound):
    return found[0] == sound[0] and all(
        torch.equal(value, sound[1][name]) for name, value in found[1].items()
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, r"Expected `int` >= 1 - at `\$.model.preprocessing.size`"),
        ({"size": -224}, r"Expected `int` >= 1"),
        ({"size": 100_000}, r"Expected `int` <= 4096"),
        ({"std": [0.2, 0.0, 0.2]}, r"Expected `float` >= 0.0001 - at `\$.model.preprocessing.std"),
        ({"std": [0.2, 0.2]}, "length 3"),
        ({"mean": [0.5, 0.5, 1e30]}, r"Expected `float` <= 10000.0"),
        ({"mean": "grey"}, r"Expected `array`, got `str`"),
    ],
)
def test_preprocessing_out_of_bounds_is_one_error(tmp_path, run, changes, message):
    shutil.copytree(run, tmp_path / "run")
    record = record_of(run)
    record["model"]["preprocessing"] |= changes
    (tmp_path / "run" / layout.RUN).write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=message) as caught:
        load(str(tmp_path / "run"))
    assert caught.value.hint


def test_every_mutation_of_a_header_is_one_error_or_is_read_as_written(tmp_path, exported_file):
    with safe_open(exported_file.path, "pt") as file:
        header = json.loads(file.metadata()["footage"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header[CHECKSUM]
    path = tmp_path / "a.safetensors"
    for what, data in mutations(header):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue  # metadata is text
        save_file(tensors, path, {"footage": text})
        found = outcome(path)
        if not isinstance(found, FootageError):
            given = {"weights_origin": "", "feature_dim": 0, **json.loads(text)}
            given |= {"weights_origin": "", "feature_dim": found[0]["feature_dim"]}
            assert states(found[0], given), what


IGNORED_BY_FOOTAGE = [
    ("num_classes",), ("num_features",),
    *(("footage", key) for key in (
        "architecture", "options", "feature_dim", "preprocessing", "weights_origin",
    )),
    *(("pretrained_cfg", key) for key in (
        "num_classes", "fixed_input_size", "interpolation", "crop_mode", "crop_pct", "first_conv",
        "classifier", "license",
    )),
]  # fmt: skip


def test_every_mutation_of_a_timm_configuration_is_one_error_or_changes_nothing(
    tmp_path, exported_folder
):
    folder = shutil.copytree(exported_folder.path, tmp_path / "timm")
    config = json.loads((folder / "config.json").read_text())
    del config[CHECKSUM]
    sound = outcome(folder)
    for what, data in mutations(config, skip=IGNORED_BY_FOOTAGE):
        (folder / "config.json").write_bytes(data)
        found = outcome(folder)
        if not isinstance(found, FootageError):
            cfg = json.loads(data)["pretrained_cfg"]
            assert found[0]["preprocessing"] == {
                "size": cfg["input_size"][-1], "mean": cfg["mean"], "std": cfg["std"]
            }, what  # fmt: skip
            assert found[0]["architecture"] == sound[0]["architecture"], what


@pytest.mark.parametrize("name", ["a.safetensors", "timm/config.json", "timm/model.safetensors"])
def test_no_flipped_bit_in_an_export_goes_unnoticed(tmp_path, exported_file, exported_folder, name):
    shutil.copy(exported_file.path, tmp_path / "a.safetensors")
    shutil.copytree(exported_folder.path, tmp_path / "timm")
    path = tmp_path / name
    model = tmp_path / name.partition("/")[0]
    sound, noticed = outcome(model), 0
    for place, data in bit_flips(path.read_bytes(), 30):
        path.write_bytes(data)
        found = outcome(model)
        if isinstance(found, FootageError):
            noticed += 1
        else:
            assert is_same(found, sound), place
    assert noticed > 18


def test_weights_of_another_export_are_noticed(tmp_path, exported_folder):
    folder = shutil.copytree(exported_folder.path, tmp_path / "timm")
    other = export("test_resnet", to="timm", out=tmp_path / "other")
    shutil.copy(other.path / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"is not the file that config\.json was written"):
        load(str(folder))


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("test_resnet", {"num_classes": 7}),
        ("test_vit", {"img_size": 64, "num_classes": 0}),
        ("test_vit", {"img_size": (64, 64), "in_chans": 3, "qkv_bias": False}),
    ],
)
def test_a_folder_that_timm_saved_is_read(tmp_path, architecture, arguments):
    network = timm.create_model(architecture, **arguments)
    timm.models.save_for_hf(network, tmp_path, safe_serialization=True)
    model = load(str(tmp_path))
    assert model.preprocessing.size == (64 if "img_size" in arguments else 160)
    assert model.backbone.options.keys() - {"global_pool"} == arguments.keys() & {"qkv_bias"}
    for name, value in model.backbone.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name


def test_a_folder_with_nothing_but_a_pickle_is_refused(tmp_path):
    timm.models.save_for_hf(timm.create_model("test_resnet"), tmp_path, safe_serialization=False)
    assert (tmp_path / "pytorch_model.bin").is_file()
    with pytest.raises(
        CheckpointError, match="the only file of weights that footage reads"
    ) as caught:
        load(str(tmp_path))
    assert "safe_serialization=True" in caught.value.hint


@pytest.mark.parametrize(
    "arguments", [{"in_chans": 1}, {"img_size": [64, 32]}, {"img_size": 0}, {"img_size": "64"}]
)
def test_arguments_of_another_input_are_refused(tmp_path, exported_folder, arguments):
    folder = shutil.copytree(exported_folder.path, tmp_path / "timm")
    config = json.loads((folder / "config.json").read_text())
    del config[CHECKSUM]
    (folder / "config.json").write_text(json.dumps(config | {"model_args": arguments}))
    with pytest.raises(CheckpointError, match="cannot be read as the configuration of a timm"):
        load(str(folder))


@pytest.mark.parametrize("size", [-1, 100_000])
def test_a_size_out_of_bounds_is_one_error(run, exported_file, exported_folder, size):
    for model in (run, exported_file.path, exported_folder.path, "test_resnet"):
        with pytest.raises(ConfigError, match="image size must be from 1 to 4096 pixels"):
            load(str(model), size=size)
