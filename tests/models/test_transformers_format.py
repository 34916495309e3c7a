"""Folders in the transformers format yield the features that transformers computes."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import footage._torchvision_compat  # noqa: F401  (must come before transformers)
from footage.commands.export import export
from footage.commands.train import train
from footage.errors import CheckpointError, ConfigError
from footage.evaluation.training_data import training_data
from footage.models.backbone import Backbone, timm
from footage.models.load import load, read_evidence
from footage.models.transformers_config import (
    CONFIG,
    FAMILIES,
    INDEX,
    PREPROCESSOR,
    WEIGHTS,
    counterpart,
)
from footage.models.transformers_format import NAMES
from tests.support.training import smallest

transformers = pytest.importorskip("transformers", reason="transformers comes with peft")

SIZE = 32
VIT = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIZE,
    "patch_size": 8,
}
CONVNEXT = {"hidden_sizes": [40, 80, 160, 320], "depths": [2, 2, 6, 2], "image_size": SIZE}
BASIC = {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}

NETWORKS = {
    "vit": ("ViTForImageClassification", {"intermediate_size": 100, **VIT}),
    "vit-changed": (
        "ViTModel",
        {"layer_norm_eps": 0.1, "qkv_bias": False, "hidden_act": "gelu_pytorch_tanh", **VIT},
    ),
    "deit": ("DeiTForImageClassificationWithTeacher", VIT),
    "dinov2": ("Dinov2Model", {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-3, **VIT}),
    "dinov2-swiglu": ("Dinov2ForImageClassification", {"use_swiglu_ffn": True, **VIT}),
    "dinov2-registers": ("Dinov2WithRegistersModel", VIT),
    "dinov2-registers-swiglu": (
        "Dinov2WithRegistersModel",
        {"use_swiglu_ffn": True, "num_register_tokens": 2, **VIT},
    ),
    "dinov3": ("DINOv3ViTModel", {"intermediate_size": 100, "num_register_tokens": 4, **VIT}),
    "dinov3-gated": (
        "DINOv3ViTModel",
        {"use_gated_mlp": True, "hidden_act": "silu", "query_bias": False, **VIT}
        | {"intermediate_size": 96, "layer_norm_eps": 1e-2},
    ),
    "convnext": ("ConvNextForImageClassification", {"layer_norm_eps": 0.1, **CONVNEXT}),
    "convnextv2": ("ConvNextV2Model", CONVNEXT),
    "resnet-basic": ("ResNetForImageClassification", BASIC),
    "resnet-bottleneck": ("ResNetModel", {"depths": [2, 2, 2, 2]}),
}
SLOW = ["dinov2-registers-swiglu", "resnet-bottleneck", "convnextv2"]


def network_of(kind):
    """A transformers network in which no tensor has values that could hide a wrong name."""
    name, settings = NETWORKS[kind]
    cls = getattr(transformers, name)
    network = cls(cls.config_class(**settings)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            drawn = torch.randn(value.shape, generator=generator)
            if key.endswith("running_var"):
                value.copy_(0.5 + drawn.abs())
            elif value.ndim >= 2 and "embeddings.cls" not in key and "position" not in key:
                value.copy_(1.5 * drawn / value[0].numel() ** 0.5)
            elif value.is_floating_point():
                value.copy_(0.3 * drawn + 0.7 * key.endswith(("weight", "lambda1", "parameter")))
    return network


def features_of(network, images):
    """The features of a transformers network: its class token, or its pooled map."""
    base = network.base_model if hasattr(network, network.base_model_prefix) else network
    base = network if network.config.model_type == "dinov3_vit" else base
    resized = {"interpolate_pos_encoding": True}
    more = resized if network.config.model_type in ("vit", "deit") else {}
    with torch.no_grad():
        out = base(images, **more)
    if network.config.model_type in ("convnext", "convnextv2", "resnet"):
        return out.pooler_output.flatten(1)
    return out.last_hidden_state[:, 0]


def saved(kind, folder):
    network = network_of(kind)
    network.save_pretrained(folder)
    return network


def change(folder, file=CONFIG, **fields):
    """Change fields of a JSON file of the folder."""
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | fields))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A folder with a ViT; read only."""
    folder = tmp_path_factory.mktemp("vit")
    saved("vit", folder)
    return folder


@pytest.fixture
def copy(vit, tmp_path):
    """A copy of the folder to change."""
    return shutil.copytree(vit, tmp_path / "copy")


# --- features ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in NETWORKS],
)
def test_features_equal_those_of_transformers_at_the_native_and_another_size(kind, tmp_path):
    network = saved(kind, tmp_path)
    smaller = [SIZE // 2] * (getattr(network.config, "patch_size", 0) == 8)
    for size in (SIZE, 2 * SIZE, *smaller):
        model = load(tmp_path, size=size)
        assert model.preprocessing.size == size
        images = torch.randn(2, 3, size, size)
        with torch.no_grad():
            found = model.backbone(images)
        torch.testing.assert_close(found, features_of(network, images), rtol=1e-5, atol=1e-5)


def test_positions_for_another_size_differ_from_those_that_timm_interpolates(tmp_path):
    """timm smooths before it samples, transformers does not; docs/reference/models.md states it."""
    saved("dinov2", tmp_path)
    positions = load_file(tmp_path / WEIGHTS)["embeddings.position_embeddings"]
    found = load(tmp_path, size=SIZE // 2).backbone.network.pos_embed
    as_timm = timm.layers.resample_abs_pos_embed(positions, [2, 2], num_prefix_tokens=1)
    assert torch.equal(found[:, 0], positions[:, 0])
    assert (found - as_timm).abs().max() > 0.01


@pytest.mark.parametrize(
    ("settings", "architecture", "options"),
    [
        ({"model_type": "vit", "layer_norm_eps": 1e-6}, "vit_base_patch16_224", {}),
        ({"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6},
         "vit_small_patch14_dinov2", {}),
        ({"model_type": "dinov2", "hidden_size": 1536, "num_hidden_layers": 40,
          "num_attention_heads": 24, "use_swiglu_ffn": True}, "vit_giant_patch14_dinov2", {}),
        ({"model_type": "dinov2_with_registers", "patch_size": 14},
         "vit_base_patch14_reg4_dinov2", {}),
        ({"model_type": "dinov3_vit", "num_register_tokens": 4}, "vit_small_patch16_dinov3",
         {"global_pool": "token", "qkv_bias": True}),
        ({"model_type": "convnext", "layer_norm_eps": 1e-6}, "convnext_tiny", {}),
        ({"model_type": "resnet"}, "resnet50", {}),
    ],
)  # fmt: skip
def test_published_sizes_have_timm_names(settings, architecture, options, tmp_path):
    path = tmp_path / CONFIG
    path.write_text(json.dumps(settings))
    found = counterpart(settings["model_type"], path)
    assert (found.architecture, found.options) == (architecture, options)


def test_weights_in_half_precision_and_in_several_files_are_read(vit, copy):
    named = load_file(copy / WEIGHTS)
    (copy / WEIGHTS).unlink()
    shards = {name: f"model-0000{1 + number % 2}.safetensors" for number, name in enumerate(named)}
    for file in set(shards.values()):
        part = {name: named[name].half() for name in named if shards[name] == file}
        save_file(part, copy / file)
    (copy / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    found, expected = load(copy).backbone.network, load(vit).backbone.network
    for name, value in expected.state_dict().items():
        assert found.state_dict()[name].dtype == torch.float32
        torch.testing.assert_close(found.state_dict()[name], value, rtol=1e-3, atol=1e-3)
    change(copy, INDEX, weight_map={"x": "../x.safetensors"})
    with pytest.raises(CheckpointError, match="cannot be read as the index of the weights"):
        load(copy)


def test_a_trained_and_exported_network_keeps_the_epsilon(tiny_store, vit, tmp_path, caplog):
    run = train(smallest(init=str(vit), steps=1), store=tiny_store.path, out=tmp_path / "run")
    model = load(run)
    assert model.backbone.options["layer_norm_eps"] == 1e-12
    assert model.weights_origin.endswith(f"initialised from weights of {vit}")
    assert str(vit) in str(training_data(str(run)).unchecked)
    done = export(run, to="timm", out=tmp_path / "timm")
    assert "timm has no argument for layer_norm_eps = 1e-12" in caplog.text
    again = load(done.path)
    assert again.backbone.options == model.backbone.options
    assert {norm.eps for norm in norms(again.backbone)} == {1e-12}
    images = torch.randn(2, 3, *[again.preprocessing.size] * 2)
    with torch.no_grad():
        assert torch.equal(again.backbone(images), model.backbone(images))
    in_timm = timm.create_model(f"local-dir:{done.path}", pretrained=True, num_classes=0)
    assert {norm.eps for norm in norms(in_timm)} == {1e-6}


def norms(network):
    return [each for each in network.modules() if isinstance(each, torch.nn.LayerNorm)]


def test_an_epsilon_for_a_network_without_layer_norms_is_refused():
    with pytest.raises(ConfigError, match="it has no layer norm"):
        Backbone("test_resnet", size=SIZE, options={"layer_norm_eps": 1e-5})


def test_a_folder_has_no_evidence(vit):
    assert read_evidence(vit) == {}
    assert load(vit).evidence == {}
    assert FAMILIES.keys() == NAMES.keys()


# --- preprocessing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "size", "mean", "std"),
    [
        ({"size": 40}, 40, 0.5, 0.5),
        ({"size": {"height": 40, "width": 40}, "image_mean": 0.25}, 40, 0.25, 0.5),
        ({"size": {"shortest_edge": 64}, "crop_size": 48, "do_center_crop": True}, 48, 0.5, 0.5),
        ({"size": {"shortest_edge": 64}, "crop_size": 48, "do_center_crop": False}, 64, 0.5, 0.5),
        ({"do_normalize": False}, SIZE, 0.0, 1.0),
        ({"rescale_factor": 2 / 255, "image_mean": [1, 1, 1]}, SIZE, 0.5, 0.25),
        ({"rescale_factor": 0.00392156862745098, "image_std": [0.3] * 3}, SIZE, 0.5, 0.3),
    ],
)  # fmt: skip
def test_preprocessing_comes_from_the_folder(copy, fields, size, mean, std):
    change(copy, PREPROCESSOR, **fields)
    found = load(copy).preprocessing
    assert (found.size, found.mean, found.std) == (size, (mean,) * 3, (std,) * 3)


def test_without_preprocessing_the_usual_values_are_used_and_logged(vit, tmp_path, caplog):
    assert load(vit).preprocessing.mean == (0.5, 0.5, 0.5)
    assert f"has no {PREPROCESSOR}: using {SIZE} pixels, mean (0.5" in caplog.text
    saved("dinov2", tmp_path)
    assert load(tmp_path).preprocessing.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": {"height": 40, "width": 48}}, "which is not a square"),
        ({"image_mean": [0.5, 0.5]}, "cannot be read as the preprocessing"),
        ({"image_std": 0}, "std must be three numbers"),
    ],
)
def test_preprocessing_that_is_impossible_is_refused(copy, fields, message):
    change(copy, PREPROCESSOR, **fields)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        load(copy)


# --- what cannot be converted --------------------------------------------------------------------


def test_another_model_type_is_refused_with_a_search_in_timm(copy):
    change(copy, model_type="swinv2")
    with pytest.raises(ConfigError, match="of type 'swinv2'; footage converts vit, deit"):
        load(copy)
    with pytest.raises(ConfigError) as caught:
        load(copy)
    assert "timm.list_models('*swinv2*', pretrained=True)" in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_act": "mish"}, "hidden_act = 'mish'"),
        ({"num_channels": 1}, "num_channels = 1"),
        ({"patch_size": [8, 16]}, r"patch_size = \[8, 16\]"),
        ({"hidden_size": "48"}, "cannot be read as the configuration of a transformers model"),
        ({"hidden_size": 0}, "cannot be read as the configuration of a transformers model"),
        ({"num_attention_heads": 7}, "timm cannot create"),
        ({"num_hidden_layers": 1}, "tensors that its config.json does not describe"),
        ({"num_hidden_layers": 3}, "do not fit vit_base_patch16_224"),
        ({"model_type": "dinov3_vit", "key_bias": True}, "key_bias = True"),
        ({"model_type": "dinov3_vit", "rope_theta": 10}, "rope_theta = 10.0"),
        ({"model_type": "dinov3_vit", "proj_bias": False}, "proj_bias = False"),
        ({"model_type": "dinov3_vit", "use_gated_mlp": True}, "hidden_act = 'gelu'"),
        ({"model_type": "resnet", "hidden_act": "relu", "downsample_in_bottleneck": True},
         "downsample_in_bottleneck = True"),
        ({"model_type": "resnet", "hidden_act": "silu"}, "hidden_act = 'silu'"),
        ({"model_type": "resnet", "hidden_act": "relu", "depths": [1, 1]},
         "layer_type and depths"),
        ({"model_type": "convnext", "depths": [1, 1, 1, 1]}, "depths and hidden_sizes"),
        ({"model_type": "convnext", "layer_scale_init_value": 0}, "layer_scale_init_value = 0"),
    ],
)  # fmt: skip
def test_what_timm_cannot_express_is_refused(copy, fields, message):
    change(copy, **fields)
    with pytest.raises((ConfigError, CheckpointError), match=message):
        load(copy)


def test_every_tensor_is_used_or_known_to_be_unused(copy):
    named = load_file(copy / WEIGHTS)
    save_file({**named, "vit.pooler.dense.weight": torch.zeros(1)}, copy / WEIGHTS)
    load(copy)
    save_file({**named, "vit.adapter.weight": torch.zeros(1)}, copy / WEIGHTS)
    with pytest.raises(ConfigError, match=r"1 tensors that .* such as 'vit\.adapter\.weight'"):
        load(copy)
    name = "vit.encoder.layer.1.attention.attention.key.weight"
    save_file({key: value for key, value in named.items() if key != name}, copy / WEIGHTS)
    with pytest.raises(ConfigError, match=r"does not describe|do not fit"):
        load(copy)


def test_a_folder_without_safetensors_is_refused(copy):
    (copy / WEIGHTS).rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="contains neither model"):
        load(copy)
