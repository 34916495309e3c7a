"""Train a backbone on a frame store: the whole loop, top to bottom.

    store --sampling--> plan --loading--> views [V S F A H W 3] --backbone--> features [V S F A D]
          --objective--> loss --optimiser--> weights
                                          plus labelled images [B H W 3], if requested

Step n uses batch n and the draws of (seed, n), so a killed run resumes from its newest checkpoint
as if uninterrupted: bit-exact on a CPU with a fixed number of threads.
"""

import contextlib
import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from footage import arguments, configuration, distributed
from footage.arguments import Location
from footage.data.label_subset import write_share
from footage.errors import FootageError, OutputError, PeerError, StoppedError
from footage.images import confined
from footage.io.copies import on_local_copies
from footage.models.load import Model, describe
from footage.objectives.losses.distillation import DistillationConfig
from footage.optim.schedules import learning_rate, teacher_decay
from footage.processes.signals import StopRequest
from footage.registry import selected_plugins
from footage.runs import layout
from footage.runs.environment import environment
from footage.seeding import generator
from footage.training import online_metrics, run_folder, setup
from footage.training.config import TrainConfig
from footage.training.datasets import Data, open_data, version_for_run, with_earlier_cap
from footage.training.loader import Batch
from footage.training.log import TrainingLog
from footage.training.loggers.guarded import require_loggers
from footage.training.module import TrainModule, TrainState
from footage.training.probing import Probing
from footage.training.run_folder import RunFolder
from footage.training.updates import Step, Updates, fetch_steps
from footage.training.watchdog import Watchdog

_HAS_GROWN = (
    "the store has grown since the run was started; the run continues on the earlier version"
    " (--store-version latest switches to all videos)"
)

log = logging.getLogger(__name__)


@arguments.renamed(images="labels")
@on_local_copies("out", "labels", locks="out")
def train(
    config: TrainConfig,
    *,
    out: Location,
    store: Location = "",
    labels: Location = "",
    store_version: Literal["run", "latest"] = "run",
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
        store_version: Which version of a store that has grown a resumed run uses: the one that it
            was started with, or the latest one, with all videos. A new run uses the latest one.
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
    require_loggers(config.compute.loggers)
    device = distributed.init_from_env(max(600.0, 2 * config.compute.stall_seconds))
    with distributed.first_failure_first():
        version = version_for_run(run, store) if store_version == "run" else ""
        if version and distributed.rank() == 0:
            log.info("%s", _HAS_GROWN)
        data = open_data(with_earlier_cap(config, run), store, labels, version)
        config = data.config
        if str(labels):  # loading workers decode them, and do not log
            distributed.on_main(confined.check_sandbox)
        first = setup.first_state(config, data, device)
        config, state, weights_origin = first.config, first.state, first.weights_origin
        record = _record(config, recipe, data, state, weights_origin) | {"teacher": first.teacher}
        newer = store_version == "latest"
        with run_folder.opened(run, record, config, state, newer_store=newer) as folder:
            if folder.has_stopped_early:
                log.info(
                    "training stopped early after step %d; a larger --steps extends the run",
                    folder.step,
                )
            elif folder.is_complete:
                log.info("all %d steps are done; a larger --steps extends the run", folder.step)
            else:
                distributed.on_main(lambda: _save_label_subset(folder.path, data))
                if distributed.rank() == 0:
                    _log_setup(config, data, weights_origin, device, folder.step)
                _train(folder, data, device, record)
    distributed.shutdown()
    return folder.path


def _train(folder: RunFolder, data: Data, device: torch.device, record: Mapping[str, Any]) -> None:
    """Run all remaining steps."""
    config, state, is_main = folder.config, folder.state, distributed.rank() == 0
    is_alone = not distributed.is_distributed()
    metrics = setup.metrics_of(config, data, record["chance"])
    learner = setup.in_parallel(state.learner.train(), device)
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
        setup.threads_of(config, device) as after_step,
        contextlib.closing(
            setup.loader(config, data, range(folder.step, config.steps), device)
        ) as loader,
    ):
        training_log.config(record)
        probing = Probing(folder, metrics, training_log)
        updates = Updates(state, fetch_steps(config, device))
        done = folder.step
        for batch, wait_seconds in () if probing.is_over else _timed(loader):
            start = time.perf_counter()
            step, done = batch.step, batch.step + 1
            _seed_torch(config.seed, step)
            updates.before_forward()

            loss, levels = learner(batch)
            state.optimizer.zero_grad(set_to_none=True)
            state.learner.backward(loss)
            norm = _clip(state.learner, config.gradient_clip)
            rate = learning_rate(
                step, config.schedule, peak=config.optimizer.learning_rate, total_steps=config.steps
            )
            loss = loss.detach()
            decay = _teacher_decay(config, step)
            finite = updates.update(loss, norm, rate, teacher_decay=decay)

            seconds = time.perf_counter() - start
            after_step(seconds)
            taken = Step(step, batch.plan, True, 0.0, 0.0, levels, rate, wait_seconds, seconds)
            updates.add(taken, finite, loss, norm)
            last = done == config.steps
            probes = last or done % config.metrics_every == 0
            saves = last or done % config.checkpoint_every == 0
            fetches = probes or saves or done % updates.every == 0
            # several processes agree on a signal, for which the host waits, only with a fetch
            number = distributed.largest(stop.number) if fetches or is_alone else 0
            if fetches or number:
                for one in _fetched(updates):
                    if not one.is_finite:
                        raise _not_finite(folder, training_log, data, one)
                    _log_step(training_log, one, config.images_per_step)
            if probes:
                probing.after(done, levels, batch)
            ends = last or (probes and probing.is_over)
            if saves or number or ends:
                folder.save(done, training_log.flush, is_last=bool(ends or number))
            watchdog.progress()
            if ends:
                break
            if number:
                raise _stopped(number, done, config.steps)
        probing.finish(done)


def _fetched(updates: Updates) -> list[Step]:
    """Return the steps since the last fetch; several share their time evenly.

    The host only measures how long it takes to start the kernels of a step, so the time until all
    of them have finished is known for all steps together.
    """
    start = time.perf_counter()
    steps = updates.fetch()
    if len(steps) < 2:
        return steps
    more = time.perf_counter() - start
    waits = sum(one.wait_seconds for one in steps) / len(steps)
    computes = (sum(one.compute_seconds for one in steps) + more) / len(steps)
    return [one._replace(wait_seconds=waits, compute_seconds=computes) for one in steps]


def _log_step(training_log: TrainingLog, one: Step, images: int) -> None:
    seconds = one.wait_seconds + one.compute_seconds
    training_log.step(
        one.batch + 1,
        one.levels,
        loss=one.loss,
        learning_rate=one.learning_rate,
        gradient_norm=one.gradient_norm,
        images_per_second=images / seconds,
        data_wait=one.wait_seconds / seconds,
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
        "plugins": selected_plugins(),
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
    folder: RunFolder, training_log: TrainingLog, data: Data, step: Step
) -> FootageError:
    """Save the state before the failed step; return the error, which one rank reports."""
    saved = _save_finite(folder, step.batch, training_log)
    is_fine = math.isfinite(step.loss)
    first = -distributed.largest(-distributed.world_size() if is_fine else -distributed.rank())
    if distributed.rank() != first % distributed.world_size():
        return PeerError(FootageError.exit_code)
    parts = ", ".join(f"{name} {value:.4g}" for name, value in step.levels.items())
    videos_note = ""
    if data.videos and step.plan:
        names = data.videos.frames.shots["video"]
        videos = [names[row].as_py() for row in step.plan.shots[:4, 0].tolist()]
        videos_note = f"; videos of the batch: {', '.join(videos)}, ..."
    own_code = ", or correct the loss of the plugin" if selected_plugins() else ""
    return FootageError(
        f"step {step.batch + 1}: loss {step.loss:.4g} ({parts}), gradient norm"
        f" {step.gradient_norm:.4g}; {saved}{videos_note}",
        "lower --optimizer.learning-rate, raise --schedule.warmup-fraction or use --precision fp32"
        + own_code,
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
