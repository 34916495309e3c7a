import pytest
import torch
from safetensors.torch import save_file

from footage.errors import CheckpointError, ConfigError
from footage.model import load, untrained


def test_a_bare_timm_name_is_random_and_says_so():
    model = load("test_resnet", size=32, seed=4)
    assert model.start == "random weights, seed 4"
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


def test_a_path_that_is_not_there_is_not_taken_for_a_timm_name():
    with pytest.raises(CheckpointError, match="no run, exported file or timm folder"):
        load("runs/nothing")
    with pytest.raises(CheckpointError, match="no run, exported file or timm folder"):
        load("lost.safetensors")


def test_a_name_that_timm_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="no model 'resnett'"):
        load("resnett")


def test_a_safetensors_file_without_a_description_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="does not say of which architecture"):
        load(str(tmp_path / "x.safetensors"))


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"config": {}}')
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        load(str(tmp_path))
