"""Train a backbone on a store of frames: the whole loop, top to bottom.

    store --sampling--> plan --loading--> views [V S F A H W 3] --backbone--> features [V S F A D]
          --objective--> loss --optimiser--> weights
                                          with labelled images [B H W 3] beside them, if asked for

Step n uses batch n and the draws that belong to (seed, n), so a run that is killed goes on from its
newest checkpoint as if nothing had happened: on a CPU, with a fixed number of threads, to the last
bit.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from footage import checkpoint, configuration, distributed, monitor, runs
from footage.backbone import BackboneConfig
from footage.data import Data, open_data
from footage.errors import CheckpointError, ConfigError, FootageError
from footage.images.share import write_share
from footage.journal import Journal
from footage.learner import Learner, LearningState, computes_in_bf16
from footage.loading import Batch, LoadingConfig, batches
from footage.model import Model, describe
from footage.objective import Objective
from footage.randomness import generator
from footage.schedule import learning_rate, teacher_decay
from footage.signals import StopRequest
from footage.start import start, take_heads
from footage.threads import torch_threads
from footage.train_config import TrainConfig

log = logging.getLogger(__name__)


def train(
    config: TrainConfig,
    *,
    out: str | Path,
    store: str | Path = "",
    images: str | Path = "",
    recipe: str = "",
) -> Path:
    """Train, or go on training, and leave a run folder behind (see `footage.runs`).

    Args:
        config: Everything that decides what is learned.
        out: The run folder. If it holds the same run, training resumes from its newest checkpoint;
            another run is refused.
        store: A frame store that `footage.ingest` wrote; not needed to learn from images alone.
        images: Labelled images, for recipes that learn from them: class folders, a list file,
            Parquet, WebDataset or a Hugging Face folder (docs/images.md).
        recipe: Name of the recipe that `config` came from, for the record.

    Returns:
        The run folder.

    Raises:
        StoreError: The store is missing or damaged.
        ConfigError: Settings contradict each other, or `out` holds another run.
        CheckpointError: No checkpoint can be read or written.
        FootageError: The loss or its gradient is not finite; the weights before that step are
            kept in a checkpoint.
    """
    device = distributed.init_from_env()
    run = Path(out)
    data = open_data(config, store, images)
    config, state, words = _first_state(config, data, device)
    record = _record(config, recipe, data, state, words)
    first_step = _begin_or_resume(run, record, state)
    watch = _watch(config, data, record["chance"])
    is_main = distributed.rank() == 0
    if is_main:
        _keep_labels(run, data)
        _say_hello(config, data, words, device, first_step)

    learner = _in_parallel(state.learner.train(), device)
    with (
        Journal(run, first_step=first_step, total_steps=config.steps, active=is_main) as journal,
        StopRequest() as stop,
        _threads(config, device) as after_step,
    ):
        if is_main and first_step == 0:
            probed, _ = watch.look(state.learner.backbone, {})  # nothing is learned, nothing wrong
            journal.probe(0, probed, [])
        for batch, waited in _timed(_loader(config, data, first_step, device)):
            began = time.perf_counter()
            step, done = batch.step, batch.step + 1
            _seed_torch(config.seed, step)

            loss, levels = learner(batch)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = _clip(state.learner, config.gradient_clip)
            if not distributed.all_finite(loss.detach(), norm):
                if is_main:
                    _save(run, step, config, state)
                raise _not_finite(step, loss.detach(), norm, levels, data, batch)
            rate = learning_rate(
                step, config.schedule, peak=config.optimizer.learning_rate, total_steps=config.steps
            )
            state.update(rate, teacher_decay=_teacher_decay(config, step))

            computed = time.perf_counter() - began
            after_step(computed)
            took = waited + computed
            journal.step(
                done,
                {name: float(value) for name, value in levels.items()},
                loss=float(loss.detach()),
                learning_rate=rate,
                gradient_norm=float(norm),
                images_per_second=config.images_per_step / took,
                data_wait=waited / took,
            )
            last = done == config.steps
            if is_main and (last or done % config.probe_every == 0):
                recent = {name: journal.mean(name) for name in levels}
                journal.probe(done, *watch.look(state.learner.backbone, recent))
            stopping = not distributed.all_true(not stop.received)
            if is_main and (last or stopping or done % config.checkpoint_every == 0):
                journal.flush()
                _save(run, done, config, state)
            if stopping and not last:
                log.warning("stopped at step %d; run the same command again to go on", done)
                break
    distributed.barrier()  # the others stay until the first process has saved
    distributed.shutdown()
    return run


def _first_state(
    config: TrainConfig, data: Data, device: torch.device
) -> tuple[TrainConfig, LearningState, str]:
    """The state before the first step, where its weights come from, and of which network."""
    began = start(
        config.backbone,
        config.init,
        size=config.augment.size,
        seed=config.seed,
        classes=data.classes,
    )
    backbone = began.backbone
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
    take_heads(objective, began.heads)
    bf16 = precision == "bf16"
    learner = Learner(backbone, objective, bf16=bf16, statistics=config.labelled.statistics)
    format = torch.channels_last if config.channels_last else torch.contiguous_format
    learner.to(device, memory_format=format)  # type: ignore[call-overload]
    state = LearningState(learner, config.optimizer, ema_decay=config.ema_decay)
    return config, state, began.words


def _watch(config: TrainConfig, data: Data, chance: Mapping[str, float]) -> monitor.Watch:
    """What the monitor looks at; nothing where labels alone are learned from."""
    if data.videos is None:
        return monitor.Watch(monitor.NOTHING, chance)
    frames = monitor.probe_set(
        data.videos.frames, data.watched, size=config.augment.size, frames=config.probe_frames
    )
    return monitor.Watch(frames, chance)


def _in_parallel(learner: Learner, device: torch.device) -> nn.Module:
    if not distributed.is_distributed():
        return learner
    return DistributedDataParallel(learner, device_ids=[device] if device.type == "cuda" else None)


def _threads(
    config: TrainConfig, device: torch.device
) -> AbstractContextManager[Callable[[float], None]]:
    """Torch's threads; several processes wait for each other, so none can time its own."""
    is_alone = device.type == "cpu" and not distributed.is_distributed()
    return torch_threads(config.compute.threads, adaptive=is_alone and not config.compute.threads)


def _loader(
    config: TrainConfig, data: Data, first_step: int, device: torch.device
) -> Iterator[Batch]:
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
    """Each batch with the seconds that the loop waited for it."""
    began = time.perf_counter()
    for batch in loader:
        yield batch, time.perf_counter() - began
        began = time.perf_counter()


def _seed_torch(seed: int, step: int) -> None:
    """Dropout and its like draw from (seed, step, rank), so their state needs no saving either."""
    torch.manual_seed(int(generator("torch", seed, step, distributed.rank()).integers(2**63 - 1)))


def _clip(learner: Learner, bound: float) -> Tensor:
    """Scale the gradients down to a norm of `bound`; their norm before that."""
    return nn.utils.clip_grad_norm_(learner.parameters(), bound or float("inf"))


def _teacher_decay(config: TrainConfig, step: int) -> float:
    first = config.objective.frame_shot.teacher_decay
    return teacher_decay(step, first=first, total_steps=config.steps)


def _record(
    config: TrainConfig, recipe: str, data: Data, state: LearningState, words: str
) -> dict[str, Any]:
    """The content of run.json."""
    return {
        "recipe": recipe,
        "config": configuration.to_dict(config),
        **data.record,
        "seed": config.seed,
        "model": describe(Model("", state.learner.backbone, words)),
        "chance": state.learner.objective.chance(config.views_shape),
        **runs.environment(),
    }


def _begin_or_resume(run: Path, record: dict[str, Any], state: LearningState) -> int:
    """Write run.json, or check that it is the same run and load its newest checkpoint.

    Returns:
        Steps already taken.
    """
    if (run / runs.RUN).exists():
        _refuse_another(run, runs.read_record(run), record)
    elif distributed.rank() == 0:
        if run.exists() and any(run.iterdir()):
            raise CheckpointError(f"{run} is not empty and holds no run", "give another --out")
        runs.write_record(run, record)
    distributed.barrier()
    found = checkpoint.newest(run / runs.CHECKPOINTS)
    if found is None:
        return 0
    state.restore(found)
    return found.step


def _refuse_another(run: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    def decisive(record: dict[str, Any]) -> dict[str, Any]:
        config = {key: value for key, value in record["config"].items() if key != "compute"}
        hashes = {key: record.get(key, "") for key in ("store_hash", "images_hash")}
        return {**config, **hashes}

    differ = list(configuration.differences(decisive(here), decisive(there)))
    if differ:
        raise ConfigError(
            f"{run} holds another run; {'; '.join(differ[:5])}",
            "give another --out, or the settings of the run that is there",
        )


def _save(run: Path, step: int, config: TrainConfig, state: LearningState) -> None:
    state.save(
        run / runs.CHECKPOINTS,
        step,
        keep=config.keep_checkpoints,
        seed=config.seed,
        config=configuration.to_dict(config),
    )


def _keep_labels(run: Path, data: Data) -> None:
    if data.images:
        write_share(run / runs.LABELS, data.images.images, data.picked)


def _say_hello(
    config: TrainConfig, data: Data, words: str, device: torch.device, first_step: int
) -> None:
    network = config.backbone.architecture
    log.info("%s from %s on %s in %s", network, words, device, config.precision)
    if data.images:
        images = data.images.images
        log.info(
            "%d of %d labelled images, %d classes", len(data.picked), len(images),
            len(data.classes),
        )  # fmt: skip
    if first_step:
        log.info("resuming at step %d of %d", first_step, config.steps)
    if data.videos is None or config.learn_from == "images":
        return
    sampler = data.videos.sampler
    log.info(
        "%d videos to train on, %d held out, %d too short to use",
        sampler.num_eligible,
        len(data.held_out),
        sampler.num_ineligible,
    )
    for sentence in monitor.advice_on_data(
        sampler.num_eligible, sampler.num_split, sampler.batches_per_pass
    ):
        log.warning("%s", sentence)


def _not_finite(
    step: int, loss: Tensor, norm: Tensor, levels: dict[str, Tensor], data: Data, batch: Batch
) -> FootageError:
    parts = ", ".join(f"{name} {float(value):.4g}" for name, value in levels.items())
    seen = ""
    if data.videos and batch.plan:
        names = data.videos.frames.shots["video"]
        videos = [names[row].as_py() for row in batch.plan.shots[:4, 0].tolist()]
        seen = f"; videos of the batch: {', '.join(videos)}, ..."
    return FootageError(
        f"step {step + 1}: loss {float(loss):.4g} ({parts}), gradient norm {float(norm):.4g}; "
        f"the weights stay as step {step} left them, in the newest checkpoint{seen}",
        "lower --optimizer.learning-rate, lengthen --schedule.warmup-share or use --precision fp32",
    )
