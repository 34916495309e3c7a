"""The smallest real training: a real network and store, a few steps."""

import contextlib
import dataclasses
import os
import subprocess
import sys

import torch
from safetensors.torch import save_file

from footage.data.config import AugmentConfig, SamplingConfig
from footage.models.backbone import Backbone
from footage.models.config import BackboneConfig
from footage.recipes.methods import recipe
from footage.runs import checkpoint, layout
from footage.training.config import ComputeConfig, TrainConfig


def smallest(**changes) -> TrainConfig:
    """`vivi-ex4-tiny` with timm's test network at 32 px on three videos."""
    small = {
        "backbone": BackboneConfig(architecture="test_resnet"),
        "sampling": SamplingConfig(videos_per_batch=3, shots_per_video=4, frames_per_shot=2),
        "augment": AugmentConfig(size=32),
        "held_out_fraction": 0.3,
        "compute": ComputeConfig(workers=1, threads=1),
        "steps": 6,
        "metrics_every": 3,
        "checkpoint_every": 2,
    }
    return dataclasses.replace(recipe("vivi-ex4-tiny"), **{**small, **changes})


def write_initial_weights(path):
    """Write random weights of the network that `smallest` trains."""
    torch.manual_seed(4)
    save_file(Backbone("test_resnet", size=32).network.state_dict(), path)


def in_two_processes(command):
    """Run a command of footage under torchrun, in two processes on this machine."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    module = ["-m", "--", "footage"]  # without --, torchrun refuses --log, a beginning of its own
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *torchrun, *module, *command], check=True, env=environment)


@contextlib.contextmanager
def at_steps(action):
    """Call `action(step, output)` after each forward pass of training; it may return a new output.

    `step` counts from 1, from the first step that is taken inside.
    """
    step = 0

    def hook(module, inputs, output):
        nonlocal step
        if type(module).__name__ != "TrainModule":
            return None
        step += 1
        return action(step, output)

    handle = torch.nn.modules.module.register_module_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def losses(run):
    """Every loss and level of a run, to the last bit."""
    return {
        line["step"]: (line["loss"].hex(), {k: v.hex() for k, v in line["levels"].items()})
        for line in layout.read_metrics(run)
        if "loss" in line
    }


def lines(run):
    """What each line of the metrics is, in order."""
    return [
        (line["step"], "probe" if "probe" in line else "step") for line in layout.read_metrics(run)
    ]


def weights(run):
    """All tensors of the newest checkpoint."""
    return checkpoint.newest(run / layout.CHECKPOINTS).tensors


def assert_same_tensors(one, two):
    """Two groups of named tensors are equal to the last bit."""
    assert one.keys() == two.keys()
    for group, tensors in one.items():
        assert tensors.keys() == two[group].keys()
        for name, value in tensors.items():
            assert torch.equal(value, two[group][name]), f"{group} {name}"


def assert_same_run(one, two):
    """Two runs have the same metrics and the same newest checkpoint."""
    assert losses(one) == losses(two)
    assert lines(one) == lines(two)
    assert_same_tensors(weights(one), weights(two))


AS_OPTIONS = [
    "--backbone.architecture", "test_resnet", "--sampling.videos-per-batch", "3",
    "--sampling.frames-per-shot", "2", "--augment.size", "32", "--held-out-fraction", "0.3",
    "--compute.workers", "1", "--compute.threads", "1",
]  # fmt: skip
"""The same on the command line, but with a worker process."""
