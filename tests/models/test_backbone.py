import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from footage.errors import CheckpointError, ConfigError
from footage.models.backbone import Backbone, build, load_weights, timm
from footage.models.config import BackboneConfig


@pytest.mark.parametrize(
    ("architecture", "size"),
    [("resnet18", 64), ("test_vit", 64), ("test_convnext", 64), ("mobilenetv3_small_050", 64)],
)
def test_features_and_patches_have_the_promised_shapes(architecture, size):
    backbone, _ = build(BackboneConfig(architecture=architecture), size=size, seed=0)
    images = torch.rand(2, 3, size, size)
    assert backbone(images).shape == (2, backbone.feature_dim)
    patches = backbone.patch_features(images)
    assert patches.shape[0] == 2
    assert patches.shape[1] == patches.shape[2] > 1


def test_features_equal_those_of_timm_with_the_same_weights():
    backbone, _ = build(BackboneConfig(architecture="resnet18"), size=64, seed=0)
    network = timm.create_model("resnet18", num_classes=0)
    network.load_state_dict(backbone.network.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(backbone.eval()(images), network.eval()(images))


def test_the_patches_of_a_vit_are_its_grid_row_by_row():
    backbone, _ = build(BackboneConfig(architecture="test_vit"), size=64, seed=0)
    backbone.eval()
    images = torch.rand(1, 3, 64, 64)
    tokens = backbone.network.forward_features(images)[:, backbone.network.num_prefix_tokens :]
    patches = backbone.patch_features(images)
    assert torch.equal(patches[0, 1, 2], tokens[0, patches.shape[2] + 2])


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, start = build(BackboneConfig(architecture="test_resnet"), size=64, seed=1)
    assert torch.equal(torch.rand(3), expected)
    two, _ = build(BackboneConfig(architecture="test_resnet"), size=64, seed=1)
    other, _ = build(BackboneConfig(architecture="test_resnet"), size=64, seed=2)
    name = "conv1.0.weight" if "conv1.0.weight" in one.network.state_dict() else "stem.conv1.weight"
    assert start == "random weights, seed 1"
    assert torch.equal(one.network.state_dict()[name], two.network.state_dict()[name])
    assert not torch.equal(one.network.state_dict()[name], other.network.state_dict()[name])


def test_given_weights_are_loaded_and_named_in_the_start_state(tmp_path):
    source = timm.create_model("resnet18", num_classes=10)
    save_file(source.state_dict(), tmp_path / "given.safetensors")
    backbone, _ = build(BackboneConfig(architecture="resnet18"), size=64, seed=0)
    start = load_weights(backbone, tmp_path / "given.safetensors")
    assert torch.equal(backbone.network.conv1.weight, source.conv1.weight)
    assert start.startswith("weights of given.safetensors, sha256 ")


@pytest.mark.parametrize("architecture", ["test_vit", "test_vit3"])
def test_position_embeddings_are_interpolated_to_another_image_size_as_in_timm(
    architecture, tmp_path
):
    size, other = 96, 64
    network = timm.create_model(architecture, img_size=size, num_classes=0)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    backbone, _ = build(BackboneConfig(architecture=architecture), size=other, seed=0)
    load_weights(backbone, tmp_path / "weights.safetensors")
    network.set_input_size(img_size=other)
    images = torch.rand(2, 3, other, other)
    torch.testing.assert_close(backbone.eval()(images), network.eval()(images))


def test_options_reach_timm():
    wide = Backbone("resnetv2_50", size=32, options={"width_factor": 2})
    assert wide.feature_dim == 4096


def test_an_unknown_architecture_is_refused_with_the_nearest_names():
    with pytest.raises(ConfigError, match=r"no model 'resnet_18'.*resnet18"):
        build(BackboneConfig(architecture="resnet_18"), size=64, seed=0)


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "other.safetensors")
    backbone = Backbone("resnet18", size=64)
    with pytest.raises(ConfigError, match="do not fit resnet18"):
        load_weights(backbone, tmp_path / "other.safetensors")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_weights(Backbone("test_resnet", size=64), tmp_path / "x.safetensors")


def test_timm_imports_beside_this_torch_without_a_warning():
    code = "import footage._torchvision_compat, timm; print(timm.create_model('resnet18'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
