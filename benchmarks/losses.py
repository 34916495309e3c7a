"""Measure the time of each loss, forward and backward, and its memory.

    python -m benchmarks.losses [--embeddings 1024] [--repeats 5] [--peers] [--out losses.json]

The losses of one size run in turn, so that noise of the machine affects all of them. The median
over the rounds is reported, next to one matrix of all similarities as a reference. Peak memory is
that of a separate process per loss (Linux only). With --peers, the same losses of other libraries
run in turn with ours; benchmarks/loss_peers.py explains how to install them.
"""

import argparse
import inspect
import json
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from footage.objectives.losses.catalogue import functions
from footage.runs.environment import environment

FUNCTIONS = functions()

PER_IDENTITY = 8


def arguments(name: str, num_embeddings: int, dimension: int) -> dict[str, torch.Tensor]:
    """Create random tensors for a loss, by name: embeddings in shots of 8, 4 shots per video."""
    shots = num_embeddings // PER_IDENTITY
    scale = dimension**-0.5
    makers = {
        "N D": lambda: torch.randn(num_embeddings, dimension),
        "V S F A D": lambda: torch.randn(shots // 4, 4, 4, 2, dimension),
        "shots": lambda: torch.arange(shots // 4 * 4).view(-1, 4),
        "centre": lambda: torch.zeros(dimension),
        "identities": lambda: torch.arange(shots).repeat_interleave(PER_IDENTITY),
        "V D": lambda: torch.randn(num_embeddings, dimension) * scale,
        "V": lambda: torch.randn(num_embeddings),
        "reversed": lambda: torch.rand(num_embeddings) < 0.5,
        "B C": lambda: torch.randn(num_embeddings, dimension),
        "labels": lambda: torch.arange(num_embeddings) % dimension,
    }
    made = {}
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if parameter.default is inspect.Parameter.empty:
            maker = makers.get(parameter.name) or makers[parameter.annotation.dim_str]
            tensor = maker()
            made[parameter.name] = tensor.requires_grad_() if tensor.is_floating_point() else tensor
    return made


def yardstick(embeddings: torch.Tensor) -> torch.Tensor:
    """Compute one matrix of similarities, forward and backward: no contrastive loss is cheaper."""
    return (embeddings @ embeddings.T).mean()


def seconds(function, tensors: dict[str, torch.Tensor]) -> float:
    """Return the wall time of one forward and backward pass."""
    start = time.perf_counter()
    function(**tensors).backward()
    return time.perf_counter() - start


def timings(num_embeddings: int, dimension: int, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of each loss, measured in turn."""
    cases = {
        name: (FUNCTIONS[name], arguments(name, num_embeddings, dimension)) for name in FUNCTIONS
    }
    matrix = torch.randn(num_embeddings, dimension, requires_grad=True)
    cases["similarity matrix"] = (yardstick, {"embeddings": matrix})
    turns: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats + 1):
        for name, (function, tensors) in cases.items():
            turns[name].append(seconds(function, tensors))
    return {name: round(1e3 * statistics.median(taken[1:]), 2) for name, taken in turns.items()}


def peak_megabytes(name: str, num_embeddings: int, dimension: int) -> float:
    """Return the peak resident memory that a loss adds, in a fresh process."""
    program = (
        "import sys; from benchmarks.losses import measure_here;"
        f"print(measure_here({name!r}, {num_embeddings}, {dimension}))"
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    return float(done.stdout)


def measure_here(name: str, num_embeddings: int, dimension: int) -> float:
    """Return the megabytes by which one forward and backward pass raises this process's peak."""
    tensors = arguments(name, num_embeddings, dimension)
    before = _peak_kilobytes()
    FUNCTIONS[name](**tensors).backward()
    return (_peak_kilobytes() - before) / 1e3


def _peak_kilobytes() -> int:
    """Read the peak from /proc: getrusage would start at the peak of the parent process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def main() -> None:
    """Measure, and print or write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--embeddings", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--dimension", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "threads": 1,
        "dimension": options.dimension,
        "per_identity": PER_IDENTITY,
        "milliseconds": {
            str(size): timings(size, options.dimension, options.repeats)
            for size in options.embeddings
        },
        "peak_megabytes": {
            str(size): {name: peak_megabytes(name, size, options.dimension) for name in FUNCTIONS}
            for size in options.embeddings
        },
    }
    if options.peers:
        from benchmarks import loss_peers

        results["peers"] = {
            str(size): loss_peers.compare(size, options.dimension, options.repeats)
            for size in options.embeddings
        }
    results |= environment()
    text = json.dumps(results, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
