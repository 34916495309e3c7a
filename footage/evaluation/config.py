"""Settings of `footage evaluate`. This module does not import torch, so that --help is fast."""

from dataclasses import dataclass
from typing import Final, Literal

from footage.errors import ConfigError
from footage.processes import shards

FROZEN: Final = ("knn", "linear")
"""Protocols that every kind of evaluation supports; the default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Evaluation settings."""

    protocols: tuple[str, ...] = FROZEN
    """Evaluation protocols: knn, linear and N-shot, with N labelled images per class, use frozen
    features. With --suite also lightweight (as in VTAB), bit-hyperrule, petl, heavy, heavy-N for N
    trials, pocket-fast, and pocket-finetune."""

    seed: int = 0
    """Seed for the split and the untrained network. With --suite, the protocol sets the seeds."""

    size: int = 0
    """Input height and width in pixels; 0 uses the model's own. With --masks, the shorter of both,
    480 by default."""

    batch_size: int = 64
    """Images per forward pass."""

    tasks: tuple[str, ...] = ()
    """Tasks of the suite to evaluate. Default: every task in --data."""

    averaging: Literal["tasks", "groups"] = "tasks"
    """Headline average: over tasks (as in VTAB) or over group means."""

    held_out: bool = False
    """For a run, measure retrieval in its held-out videos: whether the nearest frame belongs to the
    same shot, and to the same video."""

    untrained: bool = False
    """With --suite, use the same network with random weights, to fine-tune from scratch."""

    workers: int = 1
    """With --suite, number of worker processes, spread over the GPUs."""

    executor: str = "local"
    """With --suite, the executor: local evaluates on this machine, ray on a Ray cluster whose nodes
    share the folders. Plugins add others."""

    ray_address: str = ""
    """Address of a Ray cluster, HOST:6379. Default: RAY_ADDRESS, or a local cluster."""

    shard: str = ""
    """With --suite, evaluate one shard of the tasks and protocols: I/N with I from 0 to N - 1, or
    auto inside a Slurm array or an indexed Kubernetes Job. Afterwards, run --merge once."""

    merge: bool = False
    """With --suite, write the results of the shards, and list those that are missing."""

    def __post_init__(self) -> None:
        if self.protocols != FROZEN:  # loading torch for the default would slow down the help
            from footage.evaluation.protocols import protocols

            protocols(self.protocols)
        if self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")
        shards.check_options(self.shard, is_merge=self.merge)
        if self.size < 0:
            raise ConfigError(f"size must be 0 or a number of pixels, got {self.size}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}")
