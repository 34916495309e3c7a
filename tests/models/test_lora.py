import copy
import sys

import pytest
import torch
from safetensors.torch import save_file

from footage.commands.train import train
from footage.errors import ConfigError
from footage.models import lora
from footage.models.adaptation import adapt
from footage.models.backbone import Backbone
from footage.models.config import AdaptConfig, BackboneConfig
from footage.models.load import load
from tests.support.training import smallest, weights

SIZE = 32


def changed(architecture="test_vit", rank=2, **settings):
    """A network with updates that are not zero, and the one without them."""
    backbone = Backbone(architecture, size=SIZE).eval()
    plain = copy.deepcopy(backbone)
    adapt(backbone, AdaptConfig(lora_rank=rank, **settings), seed=3)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in backbone.network.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return backbone, plain


def test_updates_start_at_zero_and_only_they_are_trained():
    backbone = Backbone("test_vit", size=SIZE).eval()
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        before = backbone(images)
        adapt(backbone, AdaptConfig(lora_rank=2))
        assert torch.equal(backbone(images), before)
    trained = {name for name, one in backbone.network.named_parameters() if one.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)


def test_merged_weights_are_those_of_a_plain_network_with_the_same_features():
    backbone, plain = changed()
    tensors = lora.merged(backbone.network.state_dict())
    assert tensors.keys() == plain.network.state_dict().keys()
    plain.network.load_state_dict(tensors)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(plain(images), backbone(images), rtol=1e-4, atol=1e-5)


def test_merged_weights_are_those_that_peft_merges():
    backbone, _ = changed()
    tensors = lora.merged(backbone.network.state_dict())
    for name, module in backbone.network.named_modules():
        if hasattr(module, "lora_A"):
            module.merge()
            torch.testing.assert_close(tensors[f"{name}.weight"], module.base_layer.weight)


def test_frozen_stages_get_no_updates_to_train():
    backbone, _ = changed(frozen_fraction=0.5)
    trained = {name for name, one in backbone.network.named_parameters() if one.requires_grad}
    assert trained
    assert not any(name.startswith("blocks.0.") for name in trained)


def test_the_seed_decides_the_first_updates():
    first, again, other = (Backbone("test_vit", size=SIZE) for _ in range(3))
    for backbone, seed in ((first, 1), (again, 1), (other, 2)):
        adapt(backbone, AdaptConfig(lora_rank=2), seed=seed)
    key = next(name for name in first.network.state_dict() if "lora_A" in name)
    of = [each.network.state_dict()[key] for each in (first, again, other)]
    assert torch.equal(of[0], of[1])
    assert not torch.equal(of[0], of[2])


def test_without_peft_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"needs the package peft.*footage\[lora\]"):
        adapt(Backbone("test_vit", size=SIZE), AdaptConfig(lora_rank=2))


def test_a_network_without_linear_layers_is_refused():
    with pytest.raises(ConfigError, match="has no linear layers"):
        adapt(Backbone("test_resnet", size=SIZE), AdaptConfig(lora_rank=2))


def test_a_run_with_lora_loads_as_a_plain_network_and_resumes(tiny_store, tmp_path):
    start = tmp_path / "start.safetensors"
    save_file(Backbone("test_vit", size=SIZE).network.state_dict(), start)
    config = smallest(
        backbone=BackboneConfig(architecture="test_vit"),
        init=str(start),
        adapt=AdaptConfig(lora_rank=2, layer_decay=0.9),
        steps=4,
    )
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    kept = weights(run)["model"]
    assert any("lora_B" in name and value.abs().sum() > 0 for name, value in kept.items())
    model = load(run)
    before = Backbone("test_vit", size=SIZE).network.state_dict()
    assert model.backbone.network.state_dict().keys() == before.keys()
    longer = train(
        smallest(backbone=config.backbone, init=str(start), adapt=config.adapt, steps=6),
        store=tiny_store.path,
        out=run,
    )
    assert not torch.equal(
        load(longer).backbone.network.blocks[1].attn.qkv.weight,
        model.backbone.network.blocks[1].attn.qkv.weight,
    )
