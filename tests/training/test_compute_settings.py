"""Activation checkpointing and torch.compile change memory and speed, not the result."""

import shutil

import pytest
import torch

from footage.commands.train import train
from footage.errors import ConfigError
from footage.models.backbone import Backbone, build
from footage.models.config import BackboneConfig
from footage.runs import layout
from footage.training.compiled import compiled
from footage.training.config import ComputeConfig
from footage.training.live_memory import peak_bytes, tensors_of
from footage.training.module import TrainModule
from tests.support.learners import SIZE, batch, gradients, learner, small_config, step
from tests.support.training import smallest

no_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs C++"
)
fails_to_open = pytest.mark.filterwarnings("ignore")  # inductor's own deprecations


def checkpointed(config, **changes):
    plain = learner(config, **changes)
    again = learner(config, **changes)
    again.backbone.checkpoint_activations()
    again._recomputes = True
    return plain, again


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_checkpointing_has_the_same_gradients_and_buffers(architecture, accumulate):
    config = small_config("vivi-ex4-co", architecture)
    one = batch(config)
    plain, again = checkpointed(config, accumulate=accumulate)
    for ours, theirs in (
        (step(plain, one), step(again, one)),
        (gradients(plain), gradients(again)),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(dict(plain.named_buffers()), dict(again.named_buffers()))


def saved_bytes(whole, one):
    """Bytes of activations that the backbone's forward pass keeps for the backward pass."""
    sizes, fixed = {}, {one.untyped_storage().data_ptr() for one in tensors_of(whole)}

    def pack(tensor):
        if (storage := tensor.untyped_storage()).data_ptr() not in fixed:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        whole.backbone(whole._pixels(one.views))
    return sum(sizes.values())


def test_checkpointing_keeps_fewer_activations():
    config = small_config("vivi-ex4", "test_vit")
    one = batch(config)
    plain, again = checkpointed(config, double=False)
    assert saved_bytes(again, one) < 0.7 * saved_bytes(plain, one)
    peaks = [peak_bytes(lambda w=w: step(w, one), tensors_of(w)) for w in (plain, again)]
    assert peaks[1] < peaks[0]


def test_the_setting_turns_checkpointing_on_for_the_backbone_alone():
    config = small_config("vivi-dino")
    backbone, _ = build(config.backbone, size=SIZE, seed=0)
    objective = learner(config).objective
    whole = TrainModule(backbone, objective, bf16=False, checkpointing=True)
    assert whole.backbone.network.grad_checkpointing
    assert not whole.teacher.network.grad_checkpointing


def test_an_architecture_without_checkpointing_is_named(tiny_store, tmp_path):
    config = smallest(
        backbone=BackboneConfig(architecture="dla34"),
        compute=ComputeConfig(workers=1, threads=1, checkpointing=True),
    )
    with pytest.raises(ConfigError, match="'dla34' does not support activation checkpointing"):
        train(config, store=tiny_store.path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def small_network():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 8, stride=8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    return Backbone.from_module(network, size=SIZE, feature_dim=4, name="small")


@no_compiler
@fails_to_open
@pytest.mark.parametrize("method", ["vivi-ex4", "vivi-distil"])
def test_a_compiled_backbone_has_the_same_gradients(method):
    config = small_config(method)
    one = batch(config)
    wholes = []
    for compile in (False, True):
        backbone = small_network()
        plain = learner(config, backbone=small_network(), double=False)
        whole = TrainModule(
            backbone, plain.objective, bf16=False, compile=compile,
            frozen_teacher=plain.frozen_teacher,
        ).train()  # fmt: skip
        wholes.append((step(whole, one), gradients(whole), list(whole.state_dict())))
    torch.testing.assert_close(wholes[0][:2], wholes[1][:2], rtol=1e-4, atol=1e-5)
    assert wholes[0][2] == wholes[1][2]  # checkpoints keep their names


@fails_to_open
def test_a_machine_that_cannot_compile_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    torch._dynamo.reset()
    backbone = small_network()
    backbone.network.append(torch.nn.Hardswish())  # nothing that is compiled already
    with pytest.raises(ConfigError, match="'small' cannot be compiled on this machine") as error:
        compiled(backbone)(torch.randn(3, 3, SIZE, SIZE))
    assert "leave out --compute.compile" in error.value.hint


@no_compiler
@fails_to_open
@pytest.mark.slow
def test_training_compiles_in_micro_batches_with_checkpointing(tiny_store, tmp_path):
    losses = []
    for on in (False, True):
        compute = ComputeConfig(
            workers=1, threads=1, compile=on, checkpointing=on, accumulate=2 if on else 1
        )
        config = smallest(
            backbone=BackboneConfig(architecture="test_vit"), precision="fp32", compute=compute,
            steps=2,
        )  # fmt: skip
        run = train(config, store=tiny_store.path, out=tmp_path / str(on))
        losses.append([line["loss"] for line in layout.read_metrics(run) if "loss" in line])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
