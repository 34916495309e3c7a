import time

import pytest
import torch

from footage.errors import ConfigError
from footage.models import networks
from footage.models.backbone import timm, usual_size
from footage.models.config import BackboneConfig
from footage.models.options import OPTIONS, OWN_OPTIONS

FORBIDDEN = {
    "checkpoint_path": "/nowhere/x.pth",
    "pretrained": True,
    "pretrained_cfg": "a1_in1k",
    "pretrained_cfg_overlay": "x",
    "pretrained_strict": False,
    "pretrained_model_args": "x",
    "cache_dir": "/tmp",
    "features_only": True,
    "out_indices": 1,
    "feature_cls": "fx",
    "scriptable": True,
    "exportable": True,
    "no_jit": True,
    "pruned": True,
    "num_classes": 1000,
    "in_chans": 1,
    "img_size": 100_000,
    "block": "x",
    "model_name": "resnet50",
    "": 1,
    "x" * 10_000: 1,
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_an_option_that_is_not_listed_never_reaches_timm(name):
    with pytest.raises(ConfigError, match="not an option that footage passes to timm") as caught:
        BackboneConfig(architecture="test_resnet", options={name: FORBIDDEN[name]})
    assert caught.value.hint
    assert len(caught.value.message) < 300
    with pytest.raises(ConfigError, match="not an option"):
        networks.create("test_resnet", 32, {name: FORBIDDEN[name]})


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:timm/resnet50",
        "hf_hub:timm/resnet50",
        "local-dir:/nowhere/x",
        "timm/resnet50",
        "../resnet50",
        "resnet50/../../x",
        "resnet50.a1_in1k/../x",
        "resnet50.a1:b",
        "https://example.org/resnet50",
        "resnet50\n",
        "",
        ".",
        "resnet50.",
        "x" * 100_000,
    ],
)
def test_a_name_that_is_not_one_of_timm_is_refused(name):
    with pytest.raises(ConfigError, match="timm has no model") as caught:
        BackboneConfig(architecture=name)
    assert caught.value.hint
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("depth", 10**9, "a whole number from 1 to 256"),
        ("depth", 0, "a whole number from 1 to 256"),
        ("depth", 2.5, "a whole number from 1 to 256"),
        ("depth", True, "a whole number from 1 to 256"),
        ("width_factor", -1, "a number from 0.01 to 16.0"),
        ("width_factor", float("nan"), "a number from 0.01 to 16.0"),
        ("width_factor", float("inf"), "a number from 0.01 to 16.0"),
        ("width_factor", "3", "a number from 0.01 to 16.0"),
        ("qkv_bias", 1, "true or false"),
        ("qkv_bias", "yes", "true or false"),
        ("global_pool", "", "one of avg, avgmax, map, max, token"),
        ("global_pool", 3, "one of avg, avgmax, map, max, token"),
        ("drop_rate", 1.0, "a number from 0.0 to 0.99"),
    ],
)
def test_an_option_out_of_bounds_is_refused_with_its_bounds(option, value, wanted):
    with pytest.raises(ConfigError) as caught:
        networks.check("resnet18", {option: value})
    assert caught.value.message.startswith(f"backbone.options: {option} must be {wanted}, got ")


def test_every_listed_option_belongs_to_some_network_of_timm():
    """No entry for an option that does not exist."""
    import importlib
    import inspect

    modules = {timm.model_entrypoint(name).__module__ for name in timm.list_models()}
    known = {
        parameter
        for module in modules
        for value in vars(importlib.import_module(module)).values()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module)
        for parameter in inspect.signature(value.__init__).parameters
    }
    assert sorted(set(OPTIONS) - OWN_OPTIONS - known) == []


def test_options_change_the_network_as_timm_does():
    wide = networks.create("resnetv2_18", 32, {"width_factor": 2, "drop_path_rate": 0.1})
    assert wide.num_features == 1024
    pooled = networks.create("test_vit", 160, {"global_pool": "avg", "class_token": False})
    assert pooled.num_prefix_tokens == 0


@pytest.mark.parametrize(
    ("architecture", "size", "options"),
    [
        ("vit_tiny_patch16_224", 224, {"embed_dim": 16_384, "depth": 24, "num_heads": 64}),
        ("vit_tiny_patch16_224", 4096, {"patch_size": 1, "embed_dim": 6144}),
        ("resnetv2_152", 224, {"width_factor": 16}),
    ],
)
def test_a_network_that_does_not_fit_into_memory_is_refused_before_it_is_allocated(
    architecture, size, options, monkeypatch
):
    monkeypatch.setattr(networks, "_available_bytes", lambda: 10**9)
    began = time.process_time()
    with pytest.raises(ConfigError, match=r"needs [\d,.]+ GB for its weights, but only 1\.0 GB"):
        networks.create(architecture, size, options)
    assert time.process_time() - began < 60


def test_available_memory_is_a_number_of_bytes_of_this_machine():
    assert 2**26 < networks._available_bytes() < 2**50


@pytest.mark.parametrize("size", [0, -1, 100_000, 2**40])
def test_an_image_size_out_of_bounds_is_refused(size):
    with pytest.raises(ConfigError, match="image size must be from 1 to 4096 pixels"):
        networks.create("test_vit", size, {})


@pytest.mark.parametrize(
    "options",
    [{"num_heads": 7}, {"patch_size": 1000}, {"width_factor": 2}, {"embed_dim": 1}],
)
def test_options_that_do_not_suit_the_network_are_one_error(options):
    with pytest.raises(ConfigError, match="timm cannot create 'test_vit'") as caught:
        networks.create("test_vit", 64, options)
    assert "\n" not in caught.value.message


def test_the_check_of_memory_leaves_the_random_weights_alone():
    torch.manual_seed(3)
    ours = networks.create("test_resnet", 32, {})
    torch.manual_seed(3)
    theirs = timm.create_model("test_resnet", num_classes=0)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.slow
def test_a_network_of_every_family_of_timm_can_be_rehearsed():
    """None that timm can create may fail because it is created without memory first."""
    families: dict[str, str] = {}
    for name in timm.list_models():
        families.setdefault(timm.model_entrypoint(name).__module__, name)
    assert len(families) > 80
    for name in families.values():
        cfg = timm.get_pretrained_cfg(name)
        size = usual_size(name)
        fixed = {"img_size": size} if cfg is not None and cfg.fixed_input_size else {}
        networks._rehearse(name, size, {"num_classes": 0, **fixed})
