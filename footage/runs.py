"""The layout of a run folder: the files through which training meets the other verbs.

RUN/run.json         configuration, versions, commit, store, seed, machine, start state
RUN/labels.txt       which labelled images were learned from, when any were
RUN/metrics.jsonl    one JSON object a line: training lines and probe lines, by step
RUN/checkpoints/     see `footage.checkpoint`
RUN/tensorboard/     the same numbers for TensorBoard
RUN/evaluations/     what `footage evaluate` found
RUN/*/profile.json   what `footage profile` found, where it was told to write into the run
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from footage.errors import CheckpointError

RUN = "run.json"
LABELS = "labels.txt"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
EVALUATIONS = "evaluations"

_PACKAGES = ("footage", "timm", "numpy", "opencv-python-headless", "simplejpeg", "pyarrow")


def write_record(run: Path, record: Mapping[str, Any]) -> None:
    """Write run.json by rename, so that it is whole or absent."""
    run.mkdir(parents=True, exist_ok=True)
    aside = run / f".{RUN}"
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(run / RUN)


def read_record(run: Path) -> dict[str, Any]:
    """The content of run.json.

    Args:
        run: A run folder, or a run.json itself.

    Raises:
        CheckpointError: There is no run here, or its file is damaged.
    """
    path = run / RUN if run.is_dir() else run
    try:
        record = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(
            f"{run} is not a run: {path} cannot be read", "give a folder that `footage train` wrote"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(record, dict) or "config" not in record:
        raise CheckpointError(f"{path} holds no training configuration")
    return record


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Every line of metrics.jsonl; a last line cut short by a kill is left out."""
    path = run / METRICS
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def rewind_metrics(run: Path, step: int) -> None:
    """Drop the lines after `step`: a resumed run writes them again."""
    kept = [line for line in read_metrics(run) if line["step"] <= step]
    aside = run / f".{METRICS}"
    aside.write_text("".join(json.dumps(line) + "\n" for line in kept))
    aside.replace(run / METRICS)


def environment() -> dict[str, Any]:
    """Package versions, git commit and machine, for run.json and for results."""
    return {
        "versions": {"python": platform.python_version(), "torch": torch.__version__}
        | {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        },
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"  # footage itself, when it runs from its source tree


def _commit() -> str:
    """The commit of the checkout that this code runs from; 'unknown' for an installed package."""
    here = Path(__file__).resolve().parent
    try:
        return subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
