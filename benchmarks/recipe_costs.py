"""Measure the cost of a step of each recipe, relative to `vivi-ex4` at the same scale.

    python benchmarks/recipe_costs.py [--scale tiny] [--repeats 3] [--out costs.json]

A step runs backbone, heads, losses and optimiser on random pixels, forward and backward, without
loading. The recipes run in turn, and on a CPU the time is that of the process and not wall time, so
that a busy machine affects all of them alike. The reported value is the median over rounds of the
ratio to `vivi-ex4` in the same round.
"""

import argparse
import copy
import datetime
import json
import statistics
import time
from pathlib import Path

import torch

from footage.data.sampling import BatchPlan
from footage.models.adaptation import adapt
from footage.models.backbone import Backbone, build
from footage.models.frozen_teacher import FrozenTeacher
from footage.models.load import Model
from footage.objectives.objective import Objective
from footage.recipes.methods import METHODS, recipe
from footage.runs.environment import environment
from footage.shapes import Features, Images
from footage.training.config import TrainConfig
from footage.training.loader import Batch
from footage.training.module import TrainModule, TrainState, computes_in_bf16

CLASSES = 100
REFERENCE = "vivi-ex4"


class FreeTeacher(FrozenTeacher):
    """A teacher whose features cost nothing: what a teacher costs depends on the teacher."""

    def __init__(self, student: Backbone) -> None:
        super().__init__(Model("free", copy.deepcopy(student), "random weights"))

    def __call__(self, images: Images) -> Features:
        """Return random features."""
        return torch.randn(len(images), self.feature_dim, device=images.device)


def state_of(config: TrainConfig, device: torch.device) -> TrainState:
    """Create the training state before the first step."""
    backbone, _ = build(config.backbone, size=config.augment.size, seed=0)
    adapt(backbone, config.adapt)
    shots = config.sampling.shots_per_video
    objective = Objective(
        backbone.feature_dim,
        config.objective,
        shots,
        num_classes=CLASSES,
        teacher_dim=backbone.feature_dim,
    )
    teacher = FreeTeacher(backbone) if config.objective.teacher.weight else None
    learner = TrainModule(
        backbone, objective, bf16=computes_in_bf16(device), frozen_teacher=teacher
    ).train()
    learner.to(device, memory_format=torch.channels_last)
    return TrainState(learner, config.optimizer, ema_decay=0.0)


def batch_of(config: TrainConfig) -> Batch:
    """Create random pixels in the shape of a recipe's batch."""
    size, objective = config.augment.size, config.objective
    views = plan = images = labels = None
    if objective.has_unlabelled_level:
        shape = config.views_shape
        views = torch.randint(0, 256, (*shape, size, size, 3), dtype=torch.uint8)
        rows = torch.arange(shape[0] * shape[1]).view(shape[:2]).numpy()
        frames = torch.zeros(shape[:3], dtype=torch.int64).numpy()
        plan = BatchPlan(torch.arange(shape[0]).numpy(), rows, frames)
    if objective.supervised.weight:
        count = config.labelled.images_per_batch
        images = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)
        labels = torch.arange(count) % CLASSES
    rows = None if plan is None else torch.from_numpy(plan.shots)
    return Batch(0, views, plan, images, labels, rows)


def seconds_of_a_step(state: TrainState, batch: Batch) -> float:
    """Return the time of one optimiser step."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    began = clock()
    loss, _ = state.learner(batch)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.update(1e-6, teacher_decay=0.99)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began


def main() -> None:
    """Measure, and print or write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--scale", default="tiny", choices=["paper", "gpu", "tiny"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    suffix = "" if options.scale == "paper" else f"-{options.scale}"
    methods = list(dict.fromkeys([REFERENCE, *options.methods]))
    configs = {method: recipe(method + suffix) for method in methods}
    turns: dict[str, list[float]] = {method: [] for method in methods}
    for _ in range(options.repeats):
        for method, config in configs.items():
            state, batch = state_of(config, device), batch_of(config)
            seconds_of_a_step(state, batch)  # warm-up
            turns[method].append(seconds_of_a_step(state, batch))
    ratios = {
        method: round(
            statistics.median(a / b for a, b in zip(taken, turns[REFERENCE], strict=True)), 2
        )
        for method, taken in turns.items()
    }
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **environment(),
        "scale": options.scale,
        "threads": options.threads,
        "repeats": options.repeats,
        "reference_seconds": round(statistics.median(turns[REFERENCE]), 3),
        "cost": ratios,
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
