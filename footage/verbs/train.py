"""Train a backbone on a store of frames: the whole loop, top to bottom.

    store --sampling--> plan --loading--> views [V S F A H W 3] --backbone--> features [V S F A D]
          --objective--> loss --optimiser--> weights

Step n uses batch n and the draws that belong to (seed, n), so a run that is killed goes on from its
newest checkpoint as if nothing had happened: on a CPU, with as many threads, to the last bit.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from footage import checkpoint, configuration, distributed, monitor, runs
from footage.augment import AugmentConfig
from footage.backbone import BackboneConfig, build
from footage.errors import CheckpointError, ConfigError, FootageError
from footage.journal import Journal
from footage.learner import Learner, LearningState
from footage.loading import Batch, LoadingConfig, batches
from footage.model import Model, describe
from footage.objective import Objective, ObjectiveConfig
from footage.optim import OptimizerConfig
from footage.randomness import generator
from footage.sampling import BatchSampler, SamplingConfig, hold_out, shot_table
from footage.schedule import ScheduleConfig, learning_rate
from footage.signals import StopRequest
from footage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """How the machine is used. Another choice leads to the same run, up to rounding."""

    workers: int = 8
    """Processes that read, decode and augment, for each training process."""

    threads: int = 0
    """Threads of torch on the CPU; 0: as many as torch chooses. Exact resume needs it fixed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything that decides what a run learns. Recipes are named values of this class."""

    steps: int = 100_000
    """Optimiser steps of the whole run."""

    seed: int = 0
    """Seed of weights, batches, augmentation and held-out videos."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The network and its first weights."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Which videos, shots and frames make a batch."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How a frame becomes a view."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """The levels of the loss."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How gradients move the weights."""

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How the learning rate moves."""

    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16 runs the backbone under autocast; heads and losses stay in fp32."""

    channels_last: bool = True
    """Memory format of the backbone; faster for convolutions, needless for ViT."""

    gradient_clip: float = 1.0
    """Upper bound of the gradient's norm; 0 does not clip."""

    ema_decay: float = 0.0
    """Decay a step of an average of the weights that is kept beside them; 0 keeps none."""

    held_out_share: float = 0.1
    """Share of the videos that is never trained on and that the monitor watches."""

    probe_frames: int = 512
    """Frames of held-out videos that the monitor embeds."""

    probe_every: int = 1000
    """Steps between two looks of the monitor; there is one before the first and after the last."""

    checkpoint_every: int = 1000
    """Steps between two checkpoints: what a kill can cost at most."""

    keep_checkpoints: int = 2
    """How many checkpoints stay; older ones are removed."""

    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """How the machine is used."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        for name in (
            "steps",
            "probe_frames",
            "probe_every",
            "checkpoint_every",
            "keep_checkpoints",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.gradient_clip < 0:
            raise ConfigError(f"gradient_clip must be at least 0, got {self.gradient_clip}")
        self.objective.check(
            shots_per_video=self.sampling.shots_per_video,
            frames_per_shot=self.sampling.frames_per_shot,
            views_per_frame=self.sampling.views_per_frame,
        )


class _Data(NamedTuple):
    """What is trained on and what is watched."""

    store: Store
    sampler: BatchSampler
    held_out: list[str]


def train(config: TrainConfig, *, store: str | Path, out: str | Path, recipe: str = "") -> Path:
    """Train, or go on training, and leave a run folder behind (see `footage.runs`).

    Args:
        config: Everything that decides what is learned.
        store: A frame store that `footage.ingest` wrote.
        out: The run folder. If it holds the same run, training resumes from its newest checkpoint;
            another run is refused.
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
    if config.compute.threads:
        torch.set_num_threads(config.compute.threads)
    run = Path(out)
    data = _open_data(config, store)
    state, start = _first_state(config, device)
    first_step = _begin_or_resume(run, _record(config, recipe, data, state, start), state)
    watch = monitor.Watch(
        monitor.probe_set(
            data.store, data.held_out, size=config.augment.size, frames=config.probe_frames
        ),
        chance=state.learner.objective.chance(config.sampling.images_per_batch),
    )
    is_main = distributed.rank() == 0
    if is_main:
        _say_hello(config, data, start, device, first_step)

    learner = _in_parallel(state.learner.train(), device)
    with (
        Journal(run, first_step=first_step, total_steps=config.steps, active=is_main) as journal,
        StopRequest() as stop,
    ):
        if is_main and first_step == 0:
            probed, _ = watch.look(state.learner.backbone, {})  # nothing is learned, nothing wrong
            journal.probe(0, probed, [])
        for batch, waited in _timed(_loader(config, data, first_step, device)):
            began = time.perf_counter()
            step, done = batch.step, batch.step + 1
            _seed_torch(config.seed, step)

            loss, levels = learner(batch.views, torch.from_numpy(batch.plan.shots), step)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = _clip(state.learner, config.gradient_clip)
            if not distributed.all_finite(loss.detach(), norm):
                if is_main:
                    _save(run, step, config, state)
                raise _not_finite(step, loss.detach(), norm, levels, data.store, batch)
            rate = learning_rate(
                step, config.schedule, peak=config.optimizer.learning_rate, total_steps=config.steps
            )
            state.update(rate)

            took = waited + time.perf_counter() - began
            journal.step(
                done,
                {name: float(value) for name, value in levels.items()},
                loss=float(loss.detach()),
                learning_rate=rate,
                gradient_norm=float(norm),
                images_per_second=config.sampling.images_per_batch / took,
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


def _open_data(config: TrainConfig, store: str | Path) -> _Data:
    opened = Store.open(store)
    names = opened.shots["video"].to_pylist()
    videos = list(dict.fromkeys(names))
    mask = hold_out(videos, config.held_out_share, config.seed)
    held_out = [videos[number] for number in mask.nonzero()[0]]
    table = shot_table(names, opened.shots["num_frames"].to_pylist(), held_out)
    return _Data(opened, BatchSampler(table, config.sampling, config.seed), held_out)


def _first_state(config: TrainConfig, device: torch.device) -> tuple[LearningState, str]:
    """The state before the first step, and where its weights come from."""
    backbone, start = build(config.backbone, size=config.augment.size, seed=config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        objective = Objective(
            backbone.feature_dim, config.objective, config.sampling.shots_per_video
        )
    learner = Learner(backbone, objective, seed=config.seed, bf16=config.precision == "bf16")
    format = torch.channels_last if config.channels_last else torch.contiguous_format
    learner.to(device, memory_format=format)  # type: ignore[call-overload]
    return LearningState(learner, config.optimizer, ema_decay=config.ema_decay), start


def _in_parallel(learner: Learner, device: torch.device) -> nn.Module:
    if not distributed.is_distributed():
        return learner
    return DistributedDataParallel(learner, device_ids=[device] if device.type == "cuda" else None)


def _loader(
    config: TrainConfig, data: _Data, first_step: int, device: torch.device
) -> Iterator[Batch]:
    return batches(
        data.store,
        data.sampler,
        config.augment,
        seed=config.seed,
        start_step=first_step,
        stop_step=config.steps,
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


def _record(
    config: TrainConfig, recipe: str, data: _Data, state: LearningState, start: str
) -> dict[str, Any]:
    """The content of run.json."""
    return {
        "recipe": recipe,
        "config": configuration.to_dict(config),
        "store": str(data.store.path.resolve()),
        "store_hash": data.store.content_hash,
        "seed": config.seed,
        "model": describe(Model("", state.learner.backbone, start)),
        "held_out": data.held_out,
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
        return {**config, "store_hash": record["store_hash"]}

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
        random={"seed": config.seed, "next_step": step},
        config=configuration.to_dict(config),
    )


def _say_hello(
    config: TrainConfig, data: _Data, start: str, device: torch.device, first_step: int
) -> None:
    sampler = data.sampler
    log.info("%s from %s on %s", config.backbone.architecture, start, device)
    log.info(
        "%d videos to train on, %d held out, %d too short to use",
        sampler.num_eligible,
        len(data.held_out),
        sampler.num_ineligible,
    )
    if first_step:
        log.info("resuming at step %d of %d", first_step, config.steps)
    for sentence in monitor.advice_on_data(
        sampler.num_eligible, sampler.num_split, sampler.batches_per_pass
    ):
        log.warning("%s", sentence)


def _not_finite(
    step: int,
    loss: Tensor,
    norm: Tensor,
    levels: dict[str, Tensor],
    store: Store,
    batch: Batch,
) -> FootageError:
    parts = ", ".join(f"{name} {float(value):.4g}" for name, value in levels.items())
    rows = batch.plan.shots[:, 0].tolist()
    videos = ", ".join(store.shots["video"][row].as_py() for row in rows[:4])
    return FootageError(
        f"step {step + 1}: loss {float(loss):.4g} ({parts}), gradient norm {float(norm):.4g}; "
        f"the weights stay as step {step} left them, in the newest checkpoint; "
        f"videos of the batch: {videos}, ...",
        "lower --optimizer.learning-rate, lengthen --schedule.warmup-share or use --precision fp32",
    )
