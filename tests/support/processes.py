"""Run a function in several Gloo processes on this machine and return their results.

The processes are forks of a server that has imported torch once.
"""

import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import multiprocessing

multiprocessing.set_forkserver_preload(["tests.support.learners", "hypothesis", "pytest"])


def in_processes(function: Callable[..., Any], *arguments: Any, count: int = 2) -> list[Any]:
    """What `function(*arguments)` returns on each rank; it must be importable, and give tensors."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.start_processes(
            _work,
            args=(count, folder, function, arguments),
            nprocs=count,
            start_method="forkserver",
        )
        paths = [Path(folder) / f"answer-{rank}" for rank in range(count)]
        return [torch.load(path, weights_only=True) for path in paths]


def _work(
    rank: int, count: int, folder: str, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=120),
    )
    torch.save(function(*arguments), Path(folder) / f"answer-{rank}")
    dist.destroy_process_group()
