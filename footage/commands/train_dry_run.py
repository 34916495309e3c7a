"""The option `footage train --dry-run`: what a run needs, before anything starts or is written."""

import contextlib
import os

import torch

from footage import arguments
from footage.arguments import Location
from footage.commands.requirements import Requirements, duration, size
from footage.errors import ConfigError
from footage.io import files
from footage.io.copies import on_local_copies
from footage.models.load import best_device
from footage.training import rehearsal, setup
from footage.training.config import TrainConfig
from footage.training.datasets import open_data, with_earlier_cap
from footage.training.loader import free_memory
from footage.training.updates import fetch_steps


@on_local_copies("out", "labels")
def dry_run(
    config: TrainConfig, *, out: Location, store: Location = "", labels: Location = ""
) -> Requirements:
    """Measure a few steps of a run; nothing is written.

    Args:
        config: The training configuration.
        out: The run folder that training would write.
        store: A frame store, as in `footage.commands.train.train`.
        labels: Labelled images, as there.

    Raises:
        ConfigError: Settings contradict each other, or torchrun started this process.
        StoreError: The store is missing or damaged.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--dry-run measures one process, but torchrun started several",
            "run it without torchrun, with the batch of one process",
        )
    run = arguments.path(out, "out")
    device = best_device()
    memory = free_memory(device)
    config = with_earlier_cap(config, run)
    data = open_data(
        config, arguments.location(store, "store"), arguments.location(labels, "labels")
    )
    config, state, _, _ = setup.first_state(setup.without_compiling(data.config), data, device)
    backbone, whole = (
        sum(one.numel() for one in module.parameters())
        for module in (state.learner.backbone, state.learner)
    )
    every = fetch_steps(config, device)
    found: rehearsal.Rehearsal | None = None
    with contextlib.suppress(torch.OutOfMemoryError):  # only a GPU raises it
        found = rehearsal.rehearse(config, data, state, device, every)
    disk, free_disk = state.checkpoint_bytes(), files.free_bytes(run)
    rows = [
        ("parameters", f"{backbone:,}", f"backbone; {whole:,} with everything that is trained"),
        *_steps_rows(config, data.videos.sampler.batches_per_epoch if data.videos else 0),
        *_measured_rows(config, found, device, memory),
    ]
    disk_needed = disk * (config.keep_checkpoints + 1)
    rows.append(
        (
            "disk", size(disk_needed),
            f"{config.keep_checkpoints + 1} checkpoints of {size(disk)}; {size(free_disk)} free",
        )
    )  # fmt: skip
    fits_memory = found is not None and found.memory_bytes <= memory
    fits = fits_memory and disk_needed <= free_disk
    rows.append(("fits", "yes" if fits else "no", ""))
    changes = _changes(config, found, memory, disk, free_disk)
    return Requirements(rows, changes, fits)


def _steps_rows(config: TrainConfig, batches_per_epoch: int) -> list[tuple[str, str, str]]:
    views = config.images_per_step
    rows = [
        ("steps", f"{config.steps:,}", f"{views:,} images each"),
        ("views", f"{config.steps * views:,}", "images in all steps, with repetitions"),
    ]
    if batches_per_epoch:
        epochs = config.steps / batches_per_epoch
        rows.append(("epochs", f"{epochs:,.1f}", f"of {batches_per_epoch:,} batches each"))
    return rows


def _measured_rows(
    config: TrainConfig, found: rehearsal.Rehearsal | None, device: torch.device, memory: int
) -> list[tuple[str, str, str]]:
    if found is None:
        return [("memory", f"more than {size(memory)}", "a step does not fit on this GPU")]
    how = "measured on one step"
    if not found.is_measured:
        how = f"estimated, within {rehearsal.ESTIMATE_ERROR:.0%}"
    step = "measured" if found.is_whole_step else "measured with fewer videos"
    slower = max(found.step_seconds, found.load_seconds)
    return [
        ("memory", size(found.memory_bytes), f"{how}; {size(memory)} free on {device}"),
        ("time per step", f"{found.step_seconds:.3g} s", f"{step}, in {config.precision}"),
        ("loading", f"{found.load_seconds:.3g} s", f"per batch with {found.workers} workers"),
        ("total time", duration(slower * config.steps), "without online metrics and checkpoints"),
    ]


def _changes(
    config: TrainConfig,
    found: rehearsal.Rehearsal | None,
    memory: int,
    checkpoint_bytes: int,
    free_disk: int,
) -> list[str]:
    changes = []
    if found is None:
        count = 2 * config.compute.accumulate
        changes.append(f"less memory: --compute.accumulate {count}, or --compute.checkpointing")
    elif found.memory_bytes > memory:
        changes.append(_less_memory(config, found, memory))
    if found and found.load_seconds > found.step_seconds:
        changes.append(
            f"loading is slower than training: use more than {found.workers} --compute.workers if"
            " there are cores for them, or a smaller --augment.size"
        )
    if checkpoint_bytes * (config.keep_checkpoints + 1) > free_disk:
        changes.append(
            f"less disk: --keep-checkpoints 1 needs {size(2 * checkpoint_bytes)}, or another --out"
        )
    return changes


def _less_memory(config: TrainConfig, found: rehearsal.Rehearsal, memory: int) -> str:
    activations = found.memory_bytes - found.fixed_bytes
    images = config.images_per_step
    count = config.compute.accumulate
    while count <= images:
        count *= 2
        if found.fixed_bytes + activations * config.compute.accumulate / count <= memory:
            return f"less memory: --compute.accumulate {count}, or --compute.checkpointing"
    return "less memory: a smaller --backbone.architecture"
