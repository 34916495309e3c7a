import dataclasses
import logging

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from footage.errors import ConfigError
from footage.models.backbone import timm
from footage.models.config import BackboneConfig
from footage.models.initial_weights import initial_weights, load_heads

NETWORK = BackboneConfig(architecture="test_resnet")


def test_without_init_the_weights_are_random_and_say_so():
    initial = initial_weights(NETWORK, "", size=32, seed=3)
    assert initial.description == "random weights, seed 3"
    assert initial.heads == {}
    again = initial_weights(NETWORK, "", size=32, seed=3).backbone.state_dict()
    assert all(
        torch.equal(value, again[key]) for key, value in initial.backbone.state_dict().items()
    )


def test_a_timm_tag_brings_its_weights_and_its_architecture(tmp_path, monkeypatch, caplog):
    # timm's own loading, from a file instead of the hub
    given = timm.create_model("test_convnext", num_classes=1000)
    save_file(given.state_dict(), tmp_path / "hub.safetensors")
    tags = timm.models._registry._model_pretrained_cfgs
    tag = "test_convnext.r160_in1k"
    local = {"file": str(tmp_path / "hub.safetensors"), "hf_hub_id": None, "url": ""}
    monkeypatch.setitem(tags, tag, dataclasses.replace(tags[tag], **local))
    caplog.set_level(logging.INFO, logger="footage")
    initial = initial_weights(NETWORK, tag, size=32, seed=0)
    assert initial.description == f"timm weights of {tag}"
    replaced = "training test_convnext, the network of the initial weights, instead of the recipe's"
    assert f"{replaced} test_resnet" in caplog.text
    for name, value in initial.backbone.network.state_dict().items():
        assert torch.equal(value, given.state_dict()[name]), name
    assert initial.backbone.training


def test_a_name_without_weights_is_refused_with_its_cure():
    with pytest.raises(
        ConfigError, match=r"'resnet18' does not name any weights.*resnet18\.a1_in1k"
    ):
        initial_weights(NETWORK, "resnet18", size=32, seed=0)


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="do not fit test_resnet"):
        initial_weights(NETWORK, str(tmp_path / "other.safetensors"), size=32, seed=0)


def test_heads_are_taken_whole_or_not_at_all():
    class Heads(nn.Module):
        def __init__(self, width):
            super().__init__()
            one = nn.Linear(2, 3)
            self.levels = nn.ModuleDict({"fits": one, "differs": nn.Linear(2, width)})

    there, here = Heads(width=4), Heads(width=5)
    before = {name: value.clone() for name, value in here.state_dict().items()}
    load_heads(here, there.state_dict())
    for name, value in here.state_dict().items():
        source = there.state_dict() if "fits" in name else before
        assert torch.equal(value, source[name]), name
