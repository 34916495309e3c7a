"""What training builds before its first step: state, loader, threads and online metrics."""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from footage import distributed
from footage.data.batches import BatchMaker
from footage.errors import ConfigError
from footage.evaluation.digests import weights_digest
from footage.evaluation.held_out_frames import NO_FRAMES, held_out_frames
from footage.models.adaptation import adapt
from footage.models.config import BackboneConfig
from footage.models.frozen_teacher import FrozenTeacher
from footage.models.initial_weights import initial_weights, load_heads, require_weights
from footage.models.load import load
from footage.objectives.objective import Objective
from footage.processes import cores
from footage.training import online_metrics
from footage.training.config import TrainConfig
from footage.training.datasets import Data
from footage.training.loader import (
    GPU_THREADS,
    BatchStream,
    LoadingConfig,
    automatic_workers,
    available_bytes,
    batches,
)
from footage.training.module import TrainModule, TrainState, computes_in_bf16
from footage.training.threads import torch_threads


class FirstState(NamedTuple):
    """The state before the first step."""

    config: TrainConfig
    """The final configuration: network and precision are those in use."""
    state: TrainState
    weights_origin: str
    """Description of the origin of the backbone's weights."""
    teacher: dict[str, str]
    """Name, origin and digest of the frozen teacher, as in run.json; empty without one."""


def first_state(config: TrainConfig, data: Data, device: torch.device) -> FirstState:
    """Return the state before the first step.

    Raises:
        ConfigError: Weights or teacher are missing, unknown or do not fit.
        CheckpointError: A run or file with weights cannot be read.
    """
    initial = initial_weights(
        config.backbone,
        config.init,
        size=config.augment.size,
        seed=config.seed,
        classes=data.classes,
    )
    backbone = initial.backbone
    _check_adaptable(config)
    adapt(backbone, config.adapt, seed=config.seed)
    network = BackboneConfig(architecture=backbone.architecture, options=backbone.options)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(device) else "fp32"
    config = dataclasses.replace(config, backbone=network, precision=precision)
    teacher = _frozen_teacher(config)
    objective = Objective(
        backbone.feature_dim,
        config.objective,
        config.sampling.shots_per_video,
        num_classes=len(data.classes),
        teacher_dim=teacher.feature_dim if teacher else 0,
        seed=config.seed,
    )
    load_heads(objective, initial.heads)
    bf16 = precision == "bf16"
    learner = TrainModule(
        backbone,
        objective,
        bf16=bf16,
        statistics=config.labelled.statistics,
        accumulate=config.compute.accumulate,
        checkpointing=config.compute.checkpointing,
        compile=config.compute.compile,
        frozen_teacher=teacher,
    )
    format = torch.channels_last if config.channels_last else torch.contiguous_format
    learner.to(device, memory_format=format)  # type: ignore[call-overload]
    if teacher:
        teacher.to(device, format)
    state = TrainState(
        learner,
        config.optimizer,
        ema_decay=config.ema_decay,
        layer_decay=config.adapt.layer_decay,
        keeps_best=config.patience > 0,
    )
    return FirstState(config, state, initial.description, _teacher_record(teacher))


def _frozen_teacher(config: TrainConfig) -> FrozenTeacher | None:
    level = config.objective.teacher
    if not level.weight:
        return None
    if not level.model:
        raise ConfigError(
            f"objective.teacher.weight is {level.weight}, but no teacher is given",
            "add --objective.teacher.model MODEL: a run, an exported file or folder, or a timm name"
            " with a tag such as resnet50.a1_in1k",
        )
    require_weights(level.model, "objective.teacher.model")
    return FrozenTeacher(load(level.model, size=level.size or config.augment.size))


def _teacher_record(teacher: FrozenTeacher | None) -> dict[str, str]:
    if teacher is None:
        return {}
    return {
        "name": teacher.name,
        "weights_origin": teacher.weights_origin,
        "digest": weights_digest(teacher.backbone.network),
    }


def _check_adaptable(config: TrainConfig) -> None:
    if config.adapt.needs_weights and not config.init:
        raise ConfigError(
            "this configuration adapts pretrained weights, but none are given",
            "add --init WEIGHTS: a run, a .safetensors file, an exported folder, or a timm name"
            " with a tag such as resnet50.a1_in1k",
        )


def metrics_of(
    config: TrainConfig, data: Data, chance: Mapping[str, float]
) -> online_metrics.OnlineMetrics:
    """Return the online metrics; without frames if training uses labels alone."""
    if data.videos is None:
        return online_metrics.OnlineMetrics(NO_FRAMES, chance)
    frames = held_out_frames(
        data.videos.frames, data.watched, size=config.augment.size, frames=config.metrics_frames
    )
    return online_metrics.OnlineMetrics(frames, chance)


def in_parallel(learner: TrainModule, device: torch.device) -> nn.Module:
    """Wrap the module so that its gradients are averaged over all processes, if there are any."""
    if not distributed.is_distributed():
        return learner
    return DistributedDataParallel(learner, device_ids=[device] if device.type == "cuda" else None)


def threads_of(
    config: TrainConfig, device: torch.device
) -> AbstractContextManager[Callable[[float], None]]:
    """Set torch's threads; adapt them only in a single process, as several wait for each other."""
    is_alone = device.type == "cpu" and not distributed.is_distributed()
    return torch_threads(config.compute.threads, adaptive=is_alone and not config.compute.threads)


def loader(config: TrainConfig, data: Data, steps: range, device: torch.device) -> BatchStream:
    """Return the batches of some steps, made by the configured or automatic number of workers.

    Raises:
        ConfigError: Batches cannot be divided among the processes or micro-batches, or do not fit
            into memory.
    """
    _check_micro_batches(config)
    return batches(
        data.videos,
        data.images,
        seed=config.seed,
        steps=steps,
        rank=distributed.rank(),
        world=distributed.world_size(),
        loading=LoadingConfig(
            workers=workers_of(config, data, device),
            pin_memory=device.type == "cuda",
        ),
    )


def _check_micro_batches(config: TrainConfig) -> None:
    count, world = config.compute.accumulate, distributed.world_size()
    parts = {
        "views": config.sampling.images_per_batch * config.objective.has_unlabelled_level,
        "labelled images": config.labelled.images_per_batch
        * (config.objective.supervised.weight > 0),
    }
    for what, number in parts.items():
        if number and number // world < count:
            raise ConfigError(
                f"compute.accumulate is {count}, but a step of one process has only"
                f" {number // world} {what}",
                f"set --compute.accumulate to at most {number // world}",
            )


def without_compiling(config: TrainConfig) -> TrainConfig:
    """Return the configuration without torch.compile."""
    return dataclasses.replace(config, compute=dataclasses.replace(config.compute, compile=False))


def workers_of(config: TrainConfig, data: Data, device: torch.device) -> int:
    """Return the configured or automatic number of loading workers."""
    if config.compute.workers:
        return config.compute.workers
    threads = GPU_THREADS if device.type == "cuda" else config.compute.threads
    world = distributed.world_size()
    maker = BatchMaker(data.videos, data.images, config.seed, distributed.rank(), world)
    return automatic_workers(
        cores.per_process(),
        threads or torch.get_num_threads(),
        maker.bytes_per_batch,
        available_bytes() // cores.processes(),
    )
