"""Memory and load of the machine and its GPU, for loggers."""

import contextlib
import os
from pathlib import Path

import torch

GIB = 2**30


def system_figures() -> dict[str, float]:
    """Return figures by name, such as "system/memory_gib"; those that are unknown are omitted."""
    values = {}
    with contextlib.suppress(OSError):
        values["system/load"] = os.getloadavg()[0]
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        values["system/memory_gib"] = pages * os.sysconf("SC_PAGE_SIZE") / GIB
    if torch.cuda.is_available():
        values["system/gpu_memory_gib"] = torch.cuda.memory_reserved() / GIB
        values["system/gpu_peak_memory_gib"] = torch.cuda.max_memory_allocated() / GIB
        values |= _utilization()
    return values


def _utilization() -> dict[str, float]:
    """Return how busy the GPU is; this needs the package nvidia-ml-py."""
    try:
        return {"system/gpu_utilization": torch.cuda.utilization() / 100}
    except (ModuleNotFoundError, RuntimeError):
        return {}
