"""Measure the error of the memory that `footage train --dry-run` estimates on a CPU.

    python -m benchmarks.dry_run_memory --out benchmarks/results/dry-run-memory.json

For each network, one process estimates the memory of a step from two steps of fewer videos and
compares it with how far its resident memory rose in steps of the whole batch (VmHWM).
The estimate counts tensors only, so the memory of kernels and of the allocator is the error.
"""

import argparse
import dataclasses
import datetime
import json
import multiprocessing
from pathlib import Path

import torch

from benchmarks.recipe_costs import batch_of, state_of
from footage.models.config import BackboneConfig
from footage.recipes.methods import recipe
from footage.runs.environment import environment
from footage.training import rehearsal
from footage.training.live_memory import tensors_of
from footage.training.updates import Updates

NETWORKS = ("test_vit", "test_resnet", "test_efficientnet", "resnet18", "mobilenetv3_small_100",
            "vit_tiny_patch16_224")  # fmt: skip


def measured(architecture: str, answers) -> None:
    """Put the estimate and the measured memory of one network's step, in bytes."""
    torch.set_num_threads(1)
    config = recipe("vivi-ex4-tiny")
    config = dataclasses.replace(
        config, backbone=BackboneConfig(architecture=architecture), precision="fp32"
    )
    _load_libraries()
    state, batch = state_of(config, torch.device("cpu")), batch_of(config)
    state.learner.train()
    updates = Updates(state, 1)
    weights = sum(one.untyped_storage().nbytes() for one in tensors_of(state.learner))
    before = _kilobytes("VmRSS")
    for _ in range(2):  # the first step makes the moments
        rehearsal._step(config, state, updates, batch)
    rise = 1024 * (_kilobytes("VmHWM") - before)
    few, more = rehearsal._small_parts(config, batch)
    estimate, _ = rehearsal._estimate(config, state, updates, (few, more, batch))
    answers.put((estimate - weights, rise))


def _load_libraries() -> None:
    """Use every kind of kernel once, so that loading them does not count."""
    config = recipe("vivi-ex4-tiny")
    sampling = dataclasses.replace(config.sampling, videos_per_batch=2)
    config = dataclasses.replace(
        config, backbone=BackboneConfig(architecture="test_resnet"), sampling=sampling
    )
    state = state_of(config, torch.device("cpu"))
    rehearsal._step(config, state, Updates(state, 1), batch_of(config))


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def main() -> None:
    """Write the estimate, the measurement and their ratio for every network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    context = multiprocessing.get_context("spawn")
    results = {}
    for architecture in NETWORKS:
        answers = context.Queue()
        process = context.Process(target=measured, args=(architecture, answers))
        process.start()
        estimate, rise = answers.get()
        process.join()
        error = estimate / rise - 1
        results[architecture] = {"estimated": estimate, "measured": rise, "error": round(error, 3)}
        print(architecture, results[architecture])
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    record = {"date": date, **environment(), "networks": results}
    out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
