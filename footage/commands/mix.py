"""The command `footage mix`: average a run's weights with those that it started from (WiSE-FT).

Of a few mixing coefficients, the one is chosen that is best on validation images with labels or,
without labels, in the videos that the run held out. The test part of the labels is never read, so
`footage evaluate` with the same labels and seed measures the result on unseen images.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from footage import arguments, configuration
from footage.arguments import Location
from footage.errors import ConfigError
from footage.evaluation.dataset import open_task
from footage.evaluation.features import extract, model_extractor, refuse_unreadable
from footage.evaluation.held_out_frames import held_out_frames
from footage.evaluation.probes import Examples, linear
from footage.evaluation.test_set import TrainVal, train_val
from footage.io import files
from footage.io.copies import on_local_copies
from footage.models.backbone import Backbone
from footage.models.export.safetensors import write_file
from footage.models.initial_weights import initial_weights
from footage.models.load import Model, best_device, earlier_origin, load
from footage.models.mixing import COEFFICIENTS, mixed
from footage.results import PathResult
from footage.runs import layout
from footage.store.reader import Store
from footage.training import online_metrics, stopping
from footage.training.config import TrainConfig

DEFAULT_NAME = "mixed.safetensors"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Mixed(PathResult):
    """The mixture that was chosen."""

    path: Path
    """A safetensors file that every MODEL argument accepts."""
    coefficient: float
    """Weight of the trained network; 0 is the network that the run started from."""
    scores: dict[float, float]
    """Score of every coefficient."""
    measure: str
    """Description of the score."""


@on_local_copies("run", "labels", "out")
def mix(run: Location, *, labels: Location = "", out: Location = "", seed: int = 0) -> Mixed:
    """Average a run's weights with those that it started from, by a coefficient chosen on data.

    Args:
        run: A run that started from existing weights, which must still exist.
        labels: Labelled images, as for `footage.evaluate`: a linear probe is fitted to the training
            part and the coefficient is chosen on the validation part. Without labels, it is chosen
            by retrieval in the videos that the run held out.
        out: The safetensors file to write; by default `RUN/exports/mixed.safetensors`.
        seed: Seed of the split of the labels; that of `footage.evaluate`.

    Raises:
        ConfigError: The run started from random weights, its initial weights have changed, or there
            are neither labels nor held-out videos.
        CheckpointError: The run cannot be read.
        OutputError: The file cannot be written.
    """
    path, labels = arguments.path(run, "run"), arguments.location(labels, "labels")
    record = layout.read_record(path)
    config = configuration.from_dict(TrainConfig, record["config"])
    trained = load(path)
    start = _start(path, record, config)
    score, measure = _on_labels(labels, seed) if labels else _on_videos(record, config)
    scores = {
        coefficient: score(trained._replace(backbone=mixed(start, trained.backbone, coefficient)))
        for coefficient in COEFFICIENTS
    }
    best = max(scores, key=lambda coefficient: (scores[coefficient], -coefficient))
    origin = (
        f"{best:g} x ({trained.weights_origin}) + {1 - best:g} x its initial weights, chosen by"
        f" {measure}"
    )
    chosen = Model(trained.name, mixed(start, trained.backbone, best), origin)
    target = Path(arguments.location(out, "out") or path / "exports" / DEFAULT_NAME)
    with files.output_errors(target), files.atomic_write(target) as temporary:
        write_file(chosen, temporary)
    return Mixed(target, best, scores, measure)


def _start(run: Path, record: dict[str, Any], config: TrainConfig) -> Backbone:
    if not config.init:
        raise ConfigError(
            f"{str(run)!r} started from random weights, so there is nothing to mix",
            "train with --init WEIGHTS, for example with a recipe whose name contains -adapt",
        )
    found = initial_weights(
        config.backbone, config.init, size=config.augment.size, seed=config.seed
    )
    expected = record["model"]["weights_origin"]
    if expected not in (found.description, earlier_origin(config.init)):
        raise ConfigError(
            f"the initial weights of {str(run)!r} have changed: {config.init!r} is now"
            f" {found.description!r}, not {expected!r}",
            "restore the weights that the run was started with",
        )
    return found.backbone.eval()


Score = Callable[[Model], float]


def _on_labels(labels: str, seed: int) -> tuple[Score, str]:
    task = train_val(open_task(labels, seed))

    def score(model: Model) -> float:
        train, val = _examples(model, task)
        return linear(train, val, task.num_classes).validation_accuracy

    return score, f"linear probe accuracy on the validation part of {task.name}"


def _examples(model: Model, task: TrainVal) -> tuple[Examples, Examples]:
    both = task.both
    device = best_device()
    model.backbone.to(device)
    found = extract(both.paths, {"model": model_extractor(model, device)})
    refuse_unreadable(found.unreadable, len(both.paths), task.name)
    features, labels = found.features["model"], torch.as_tensor(both.labels)
    count = len(task.train.paths)
    return Examples(features[:count], labels[:count]), Examples(features[count:], labels[count:])


def _on_videos(record: dict[str, Any], config: TrainConfig) -> tuple[Score, str]:
    if not record["store"] or not record["held_out"]:
        raise ConfigError(
            "the run held out no videos to choose the mixing coefficient on",
            "pass --labels DIR, or train with --held-out-fraction 0.1",
        )
    frames = held_out_frames(
        Store.open(record["store"], record["store_hash"]),
        record["held_out"],
        size=config.augment.size,
        frames=config.metrics_frames,
    )

    def score(model: Model) -> float:
        device = best_device()
        values = online_metrics.compute(model.backbone.to(device), frames, device)
        found = stopping.score(values)
        if found is None:
            raise ConfigError(
                "the held-out videos have too few frames for retrieval", "pass --labels DIR"
            )
        return found

    return score, "retrieval in held-out videos"
