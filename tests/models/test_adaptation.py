import pytest
import torch
from torch import nn

from footage.errors import ConfigError
from footage.models.adaptation import adapt, stages
from footage.models.backbone import Backbone
from footage.models.config import AdaptConfig

SIZE = 32


def trainable(backbone):
    return {
        name for name, parameter in backbone.network.named_parameters() if parameter.requires_grad
    }


def test_stages_are_counted_from_the_input():
    stage_of = stages(Backbone("resnet18", size=SIZE).network)
    assert stage_of["conv1.weight"] == 0
    assert stage_of["layer1.0.conv1.weight"] == 1
    assert stage_of["layer4.1.conv2.weight"] == max(stage_of.values()) == 4


@pytest.mark.parametrize(
    ("architecture", "fraction", "frozen"),
    [
        ("resnet18", 0.4, ("conv1", "bn1", "layer1")),
        ("resnet18", 0.19, ()),
        ("vit_tiny_patch16_224", 0.16, ("patch_embed", "cls_token", "pos_embed", "blocks.0.")),
    ],
)
def test_a_fraction_of_the_stages_is_frozen(architecture, fraction, frozen):
    backbone = Backbone(architecture, size=SIZE)
    every = trainable(backbone)
    adapt(backbone, AdaptConfig(frozen_fraction=fraction))
    expected = {name for name in every if not name.startswith(frozen)} if frozen else every
    assert trainable(backbone) == expected


def norms_in_training(backbone):
    return {
        name
        for name, module in backbone.network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.training
    }


def test_batch_norms_of_frozen_stages_keep_their_statistics():
    backbone = Backbone("resnet18", size=SIZE)
    adapt(backbone, AdaptConfig(frozen_fraction=0.4))
    before = backbone.network.bn1.running_mean.clone()
    moving = backbone.network.layer2[0].bn1.running_mean.clone()
    backbone.eval()
    backbone.train()
    backbone(torch.randn(4, 3, SIZE, SIZE))
    assert torch.equal(backbone.network.bn1.running_mean, before)
    assert not torch.equal(backbone.network.layer2[0].bn1.running_mean, moving)
    assert not any(name.startswith(("bn1", "layer1")) for name in norms_in_training(backbone))


def test_frozen_batch_norm_gives_the_same_features_in_training_and_in_evaluation():
    backbone = Backbone("resnet18", size=SIZE)
    adapt(backbone, AdaptConfig(batch_norm="frozen"))
    images = torch.randn(4, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(backbone.train()(images), backbone.eval()(images))
    assert "layer1.0.bn1.weight" in trainable(backbone), "scales and offsets are still trained"


def test_without_settings_nothing_changes():
    backbone = Backbone("resnet18", size=SIZE).train()
    adapt(backbone, AdaptConfig())
    assert backbone.constant_modules == ()
    assert all(module.training for module in backbone.modules())
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def test_a_network_without_stages_is_refused():
    backbone = Backbone.from_module(nn.Flatten(), size=SIZE, feature_dim=3 * SIZE * SIZE)
    with pytest.raises(ConfigError, match="does not define its stages"):
        adapt(backbone, AdaptConfig(layer_decay=0.75))


@pytest.mark.parametrize(
    "change", [{"frozen_fraction": 1.0}, {"layer_decay": 0.0}, {"lora_rank": -1}]
)
def test_impossible_settings_are_refused_by_name(change):
    with pytest.raises(ConfigError, match=f"adapt.{next(iter(change))}"):
        AdaptConfig(**change)
