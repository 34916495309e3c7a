"""Train a backbone on a frame store: the whole loop, top to bottom.

    store --sampling--> plan --loading--> views [V S F A H W 3] --backbone--> features [V S F A D]
          --objective--> loss --optimiser--> weights
                                          plus labelled images [B H W 3], if requested

Step n uses batch n and the draws of (seed, n), so a killed run resumes from its newest checkpoint
as if uninterrupted: bit-exact on a CPU with a fixed number of threads.
"""

import contextlib
import dataclasses
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from footage import arguments, configuration, distributed
from footage.arguments import Location
from footage.data.label_subset import write_share
from footage.errors import FootageError, OutputError, PeerError, StoppedError
from footage.evaluation.held_out_frames import NO_FRAMES, held_out_frames
from footage.images import confined
from footage.models.config import BackboneConfig
from footage.models.initial_weights import initial_weights, load_heads
from footage.models.load import Model, describe
from footage.objectives.losses.distillation import DistillationConfig
from footage.objectives.objective import Objective
from footage.optim.schedules import learning_rate, teacher_decay
from footage.processes.signals import StopRequest
from footage.runs import layout
from footage.runs.environment import environment
from footage.seeding import generator
from footage.training import online_metrics, run_folder
from footage.training.config import TrainConfig
from footage.training.datasets import Data, open_data
from footage.training.loader import Batch, BatchStream, LoadingConfig, batches
from footage.training.log import TrainingLog
from footage.training.module import TrainModule, TrainState, computes_in_bf16
from footage.training.run_folder import RunFolder
from footage.training.threads import torch_threads
from footage.training.watchdog import Watchdog

log = logging.getLogger(__name__)


@arguments.renamed(images="labels")
def train(
    config: TrainConfig,
    *,
    out: Location,
    store: Location = "",
    labels: Location = "",
    recipe: str = "",
) -> Path:
    """Train, or resume training, in a run folder (see `footage.runs.layout`).

    Args:
        config: The training configuration.
        out: The run folder. If it contains the same run, training resumes from its newest
            checkpoint, and more steps extend it; a different run is refused.
        store: A frame store that `footage.ingest` wrote; not needed to train on images alone.
        labels: Labelled images, for recipes that use them: class folders, a list file,
            Parquet, WebDataset or a Hugging Face folder (docs/reference/images.md).
        recipe: Name of the recipe that `config` came from, for the record.

    Returns:
        The run folder.

    Raises:
        StoreError: The store is missing or damaged.
        ConfigError: Settings contradict each other, or `out` contains another run.
        BusyError: Another process trains in `out`.
        OutputError: The run folder cannot be written, or checkpoints do not fit on the disk.
        CheckpointError: No checkpoint can be read.
        StoppedError: A signal stopped training; the run is saved and can be resumed.
        PeerError: Another process of this training failed.
        FootageError: The loss or its gradient is not finite; the weights before that step are
            kept in a checkpoint.
    """
    run = arguments.path(out, "out")
    store, labels = arguments.location(store, "store"), arguments.location(labels, "labels")
    device = distributed.init_from_env(max(600.0, 2 * config.compute.stall_seconds))
    with distributed.first_failure_first():
        data = open_data(config, store, labels)
        if str(labels):  # loading workers decode them, and do not log
            distributed.on_main(confined.check_sandbox)
        config, state, weights_origin = _first_state(config, data, device)
        record = _record(config, recipe, data, state, weights_origin)
        with run_folder.opened(run, record, config, state) as folder:
            if folder.is_complete:
                log.info("all %d steps are done; a larger --steps extends the run", folder.step)
            else:
                distributed.on_main(lambda: _save_label_subset(folder.path, data))
                if distributed.rank() == 0:
                    _log_setup(config, data, weights_origin, device, folder.step)
                _train(folder, data, device, record["chance"])
    distributed.shutdown()
    return folder.path


def _train(
    folder: RunFolder, data: Data, device: torch.device, chance: Mapping[str, float]
) -> None:
    """Run all remaining steps."""
    config, state, is_main = folder.config, folder.state, distributed.rank() == 0
    metrics = _online_metrics(config, data, chance)
    learner = _in_parallel(state.learner.train(), device)
    with (
        TrainingLog(
            folder.path,
            first_step=folder.step,
            total_steps=config.steps,
            active=is_main,
            loggers=config.compute.loggers,
        ) as training_log,
        StopRequest() as stop,
        Watchdog(config.compute.stall_seconds) as watchdog,
        _threads(config, device) as after_step,
        contextlib.closing(_loader(config, data, folder.step, device)) as loader,
    ):
        if is_main and folder.step == 0:
            values, _ = metrics.compute(
                state.learner.backbone, {}
            )  # no advice before the first step
            training_log.probe(0, values, [])
        for batch, wait_seconds in _timed(loader):
            start = time.perf_counter()
            step, done = batch.step, batch.step + 1
            _seed_torch(config.seed, step)
            state.remember_buffers()

            loss, levels = learner(batch)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = _clip(state.learner, config.gradient_clip)
            if not distributed.all_finite(loss.detach(), norm):
                state.restore_buffers()
                raise _not_finite(folder, training_log, data, batch, loss.detach(), levels, norm)
            rate = learning_rate(
                step, config.schedule, peak=config.optimizer.learning_rate, total_steps=config.steps
            )
            state.update(rate, teacher_decay=_teacher_decay(config, step))

            compute_seconds = time.perf_counter() - start
            after_step(compute_seconds)
            step_seconds = wait_seconds + compute_seconds
            training_log.step(
                done,
                {name: float(value) for name, value in levels.items()},
                loss=float(loss.detach()),
                learning_rate=rate,
                gradient_norm=float(norm),
                images_per_second=config.images_per_step / step_seconds,
                data_wait=wait_seconds / step_seconds,
            )
            last = done == config.steps
            if is_main and (last or done % config.metrics_every == 0):
                recent = {name: training_log.mean(name) for name in levels}
                training_log.probe(done, *metrics.compute(state.learner.backbone, recent))
            number = distributed.largest(stop.number)
            if last or number or done % config.checkpoint_every == 0:
                folder.save(done, training_log.flush, is_last=bool(last or number))
            watchdog.progress()
            if number and not last:
                raise _stopped(number, done, config.steps)


def _first_state(
    config: TrainConfig, data: Data, device: torch.device
) -> tuple[TrainConfig, TrainState, str]:
    """Return the state before the first step, with the final configuration and weights' origin."""
    initial = initial_weights(
        config.backbone,
        config.init,
        size=config.augment.size,
        seed=config.seed,
        classes=data.classes,
    )
    backbone = initial.backbone
    network = BackboneConfig(architecture=backbone.architecture, options=backbone.options)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(device) else "fp32"
    config = dataclasses.replace(config, backbone=network, precision=precision)
    objective = Objective(
        backbone.feature_dim,
        config.objective,
        config.sampling.shots_per_video,
        num_classes=len(data.classes),
        seed=config.seed,
    )
    load_heads(objective, initial.heads)
    bf16 = precision == "bf16"
    learner = TrainModule(backbone, objective, bf16=bf16, statistics=config.labelled.statistics)
    format = torch.channels_last if config.channels_last else torch.contiguous_format
    learner.to(device, memory_format=format)  # type: ignore[call-overload]
    state = TrainState(learner, config.optimizer, ema_decay=config.ema_decay)
    return config, state, initial.description


def _online_metrics(
    config: TrainConfig, data: Data, chance: Mapping[str, float]
) -> online_metrics.OnlineMetrics:
    """Return the online metrics; without frames if training uses labels alone."""
    if data.videos is None:
        return online_metrics.OnlineMetrics(NO_FRAMES, chance)
    frames = held_out_frames(
        data.videos.frames, data.watched, size=config.augment.size, frames=config.metrics_frames
    )
    return online_metrics.OnlineMetrics(frames, chance)


def _in_parallel(learner: TrainModule, device: torch.device) -> nn.Module:
    if not distributed.is_distributed():
        return learner
    return DistributedDataParallel(learner, device_ids=[device] if device.type == "cuda" else None)


def _threads(
    config: TrainConfig, device: torch.device
) -> AbstractContextManager[Callable[[float], None]]:
    """Set torch's threads; adapt them only for a single process: several wait for each other."""
    is_alone = device.type == "cpu" and not distributed.is_distributed()
    return torch_threads(config.compute.threads, adaptive=is_alone and not config.compute.threads)


def _loader(config: TrainConfig, data: Data, first_step: int, device: torch.device) -> BatchStream:
    return batches(
        data.videos,
        data.images,
        seed=config.seed,
        steps=range(first_step, config.steps),
        rank=distributed.rank(),
        world=distributed.world_size(),
        loading=LoadingConfig(workers=config.compute.workers, pin_memory=device.type == "cuda"),
    )


def _timed(loader: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Yield each batch with the seconds that the loop waited for it."""
    start = time.perf_counter()
    for batch in loader:
        yield batch, time.perf_counter() - start
        start = time.perf_counter()


def _seed_torch(seed: int, step: int) -> None:
    """Seed dropout and the like from (seed, step, rank), so that no state needs saving."""
    torch.manual_seed(int(generator("torch", seed, step, distributed.rank()).integers(2**63 - 1)))


def _clip(learner: TrainModule, bound: float) -> Tensor:
    """Clip the gradients to a norm of `bound`; return their norm before clipping."""
    return nn.utils.clip_grad_norm_(learner.parameters(), bound or float("inf"))


def _teacher_decay(config: TrainConfig, step: int) -> float:
    loss = config.objective.frame_shot.loss
    first = loss.teacher_decay if isinstance(loss, DistillationConfig) else 1.0
    return teacher_decay(step, first=first, total_steps=config.steps)


def _record(
    config: TrainConfig, recipe: str, data: Data, state: TrainState, weights_origin: str
) -> dict[str, Any]:
    """Return the content of run.json."""
    return {
        "recipe": recipe,
        "config": configuration.to_dict(config),
        **data.record,
        "seed": config.seed,
        "model": describe(Model("", state.learner.backbone, weights_origin)),
        "chance": state.learner.objective.chance(config.views_shape),
        **environment(),
    }


def _stopped(number: int, step: int, steps: int) -> FootageError:
    """Return the error for training that a signal stopped; the first process reports it."""
    if distributed.rank() > 0:
        return PeerError(128 + number)
    return StoppedError(
        f"stopped by {signal.Signals(number).name} after step {step} of {steps}; the run is saved",
        "rerun the same command to resume",
        number,
    )


def _save_label_subset(run: Path, data: Data) -> None:
    if data.images:
        write_share(run / layout.LABELS, data.images.images, data.picked)


def _log_setup(
    config: TrainConfig, data: Data, weights_origin: str, device: torch.device, first_step: int
) -> None:
    network = config.backbone.architecture
    log.info("%s from %s on %s in %s", network, weights_origin, device, config.precision)
    if data.images:
        images = data.images.images
        log.info(
            "%d of %d labelled images, %d classes", len(data.picked), len(images),
            len(data.classes),
        )  # fmt: skip
    if first_step:
        log.info("resuming at step %d of %d", first_step, config.steps)
    if data.videos is None or config.unlabelled_source == "images":
        return
    sampler = data.videos.sampler
    log.info(
        "%d videos to train on, %d held out, %d too short to use",
        sampler.num_eligible,
        len(data.held_out),
        sampler.num_ineligible,
    )
    for sentence in online_metrics.advice_on_data(
        sampler.num_eligible, sampler.num_split, sampler.batches_per_epoch
    ):
        log.warning("%s", sentence)


def _not_finite(
    folder: RunFolder,
    training_log: TrainingLog,
    data: Data,
    batch: Batch,
    loss: Tensor,
    levels: dict[str, Tensor],
    norm: Tensor,
) -> FootageError:
    """Save the state before the failed step; return the error, which one rank reports."""
    saved = _save_finite(folder, batch.step, training_log)
    is_fine = bool(torch.isfinite(loss))
    first = -distributed.largest(-distributed.world_size() if is_fine else -distributed.rank())
    if distributed.rank() != first % distributed.world_size():
        return PeerError(FootageError.exit_code)
    parts = ", ".join(f"{name} {float(value):.4g}" for name, value in levels.items())
    videos_note = ""
    if data.videos and batch.plan:
        names = data.videos.frames.shots["video"]
        videos = [names[row].as_py() for row in batch.plan.shots[:4, 0].tolist()]
        videos_note = f"; videos of the batch: {', '.join(videos)}, ..."
    return FootageError(
        f"step {batch.step + 1}: loss {float(loss):.4g} ({parts}), gradient norm {float(norm):.4g};"
        f" {saved}{videos_note}",
        "lower --optimizer.learning-rate, raise --schedule.warmup-fraction or use --precision fp32",
    )


def _save_finite(folder: RunFolder, step: int, training_log: TrainingLog) -> str:
    """Save the state before a failed step unless it has overflowed; return a sentence about it."""
    if not distributed.largest(not folder.state.is_finite()):
        try:
            folder.save(step, training_log.flush, is_last=True)
        except (OutputError, PeerError):
            log.warning("the checkpoint before the failed step cannot be written")
        else:
            return f"the weights of step {step} are saved"
    newest = folder.saved_step
    return f"the newest checkpoint is from step {newest}" if newest else "there is no checkpoint"
