"""The equivariance level in training: its inputs, and that nothing else changes."""

import dataclasses

import pytest
import torch

from footage.commands.train import train
from footage.errors import ConfigError
from footage.models.backbone import Backbone
from footage.models.config import BackboneConfig
from footage.objectives.config import EquivarianceConfig
from footage.objectives.levels.equivariance import pooled
from footage.runs import layout
from footage.training.config import ComputeConfig
from footage.training.module import TrainModule
from tests.support.learners import SIZE, batch, gradients, learner, small_config, step
from tests.support.training import smallest
from tests.training.test_compute_settings import checkpointed, fails_to_open, no_compiler

TIGHT = {"rtol": 1e-9, "atol": 1e-12}


def with_level(config, **changes):
    level = EquivarianceConfig(**{"weight": 0.5, "embedding_dim": 8, "hidden_dim": 16, **changes})
    return dataclasses.replace(
        config, objective=dataclasses.replace(config.objective, equivariance=level)
    )


def outcome(whole, one):
    return *step(whole, one), gradients(whole)


def test_the_level_reads_a_feature_map_of_the_views_and_their_crops():
    config = with_level(small_config("vivi-ex4-co", "test_resnet"))
    whole, one = learner(config, double=False), batch(config)
    seen = {}
    whole.objective.register_forward_pre_hook(lambda _, given: seen.update(given[0]._asdict()))
    whole(one)
    images = whole._pixels(one.views)
    ((found),) = whole.backbone.network.forward_intermediates(
        images, indices=[3], intermediates_only=True
    )
    assert found.shape[1:] == (192, 2, 2)  # a sixteenth of 32 pixels
    torch.testing.assert_close(seen["maps"].flatten(0, 3), pooled(found))
    assert torch.equal(seen["crops"], one.crops)


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
@pytest.mark.parametrize("method", ["vivi-ex4-co", "frames-as-images", "vivi-full"])
def test_the_values_of_the_other_levels_do_not_change(architecture, method):
    config = small_config(method, architecture)
    one = batch(config)
    off, on = learner(config, double=False), learner(with_level(config), double=False)
    extra = on.state_dict().keys() - off.state_dict().keys()
    assert extra
    assert all(name.startswith("objective.levels.equivariance.") for name in extra)
    _, before = off(one)
    _, after = on(one)
    assert after.keys() - before.keys() == {"frame/equivariance"}
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("method", ["vivi-ex4-co", "vivi-dino"])
@pytest.mark.parametrize("joint", [False, True])
def test_micro_batches_have_the_loss_and_gradient_of_the_whole_batch(method, joint):
    config = with_level(small_config(method))
    if joint:
        labelled = dataclasses.replace(config.labelled, statistics="joint")
        config = dataclasses.replace(config, labelled=labelled)
    one = batch(config)
    whole = outcome(learner(config), one)
    assert whole[2]["objective.levels.equivariance.embed.1.weight"].any()
    torch.testing.assert_close(outcome(learner(config, accumulate=3), one), whole, **TIGHT)


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
def test_checkpointing_leaves_the_gradients_unchanged(architecture):
    config = with_level(small_config("vivi-ex4", architecture))
    plain, again = checkpointed(config)
    one = batch(config)
    torch.testing.assert_close(outcome(again, one), outcome(plain, one), **TIGHT)


@no_compiler
@fails_to_open
@pytest.mark.slow
def test_a_compiled_backbone_has_the_same_gradients():
    config = with_level(small_config("vivi-ex4", "test_resnet"))
    one = batch(config)
    plain = learner(config, double=False)
    again = learner(config, double=False)
    whole = TrainModule(again.backbone, again.objective, bf16=False, compile=True).train()
    torch.testing.assert_close(outcome(whole, one), outcome(plain, one), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "max_stride", "shape"),
    [
        ("test_resnet", 16, (192, 4, 4)),
        ("test_resnet", 8, (48, 8, 8)),
        ("test_resnet", 100, (96, 2, 2)),
        ("test_vit", 16, (64, 4, 4)),
        ("convnext_atto", 16, (160, 4, 4)),
        ("regnetx_002", 16, (152, 4, 4)),
    ],
)
def test_a_map_comes_with_the_features_of_a_forward_pass(architecture, max_stride, shape):
    backbone = Backbone(architecture, size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features, found = backbone.features_and_map(images, max_stride)
        assert torch.equal(features, backbone(images))
    assert found.shape[1:] == shape
    assert backbone.map_dim(max_stride) == shape[0]


def test_the_map_of_a_vit_is_at_three_quarters_of_its_depth():
    backbone = Backbone("test_vit", size=64).eval()
    kept = []
    backbone.network.blocks[4].register_forward_hook(lambda *given: kept.append(given[2]))
    with torch.no_grad():
        _, found = backbone.features_and_map(torch.randn(2, 3, 64, 64), 16)
    assert len(backbone.network.blocks) == 6
    patches = kept[0][:, backbone.network.num_prefix_tokens :]
    assert torch.equal(found.flatten(2).transpose(1, 2), patches)


def test_map_dim_leaves_the_network_unchanged():
    backbone = Backbone("test_resnet", size=SIZE).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.map_dim(16)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_the_error_names_a_network_without_such_a_map(tiny_store, tmp_path):
    vit = with_level(smallest(backbone=BackboneConfig(architecture="test_vit")), max_stride=8)
    with pytest.raises(ConfigError, match=r"at most 8 pixels, but test_vit has .* \[16\]"):
        train(vit, store=tiny_store.path, out=tmp_path / "run")
    plain = Backbone.from_module(torch.nn.Conv2d(3, 8, 4), size=SIZE, feature_dim=8, name="plain")
    with pytest.raises(ConfigError, match="plain has none"):
        plain.map_dim(16)


def test_a_run_with_the_level_is_the_same_with_any_number_of_workers(tiny_store, tmp_path):
    levels = []
    for workers in (1, 2):
        config = smallest(steps=3, compute=ComputeConfig(workers=workers, threads=1))
        run = train(with_level(config), store=tiny_store.path, out=tmp_path / str(workers))
        levels.append([one["levels"] for one in layout.read_metrics(run) if "loss" in one])
    assert levels[0] == levels[1]
    assert all("frame/equivariance" in one for one in levels[0])
    chance = layout.read_record(run)["chance"]["frame/equivariance"]
    assert levels[0][0]["frame/equivariance"] == pytest.approx(chance, abs=0.5)
