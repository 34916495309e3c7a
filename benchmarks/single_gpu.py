"""Measure training on one GPU, from videos to an evaluated backbone, within ten minutes.

    python -m benchmarks.single_gpu --out single-gpu.json
    python -m benchmarks.single_gpu --out rehearsal.json --rehearse

The script needs this repository and its environment, but no data: it renders videos and labelled
images. Each stage runs in its own process with a time limit, so peak memory is measured per stage,
and a stage that fails or takes too long does not end the others. The file is written after each
stage.

    data         render videos and ingest them
    dry_run      what `footage train --dry-run` measures: memory, step, loading
    train        vivi-full-gpu with as many steps as fit into the time, at most those of the recipe
    bare_*       steps on one batch, without loading: bf16, fp32, and compiled bf16
    evaluate     kNN and linear probe on labelled images, next to the untrained network

`--rehearse` runs all stages with a tiny network and a few steps on any machine, to test the script.
"""

import argparse
import dataclasses
import datetime
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

import footage
from footage.commands.ingest import ingest
from footage.ingestion.config import IngestConfig
from footage.models.config import BackboneConfig
from footage.recipes.methods import recipe
from footage.runs import layout
from footage.runs.environment import environment
from footage.synthetic.labelled import render_labelled
from footage.synthetic.rendered import render_clips
from footage.training import rehearsal, setup
from footage.training.config import TrainConfig
from footage.training.datasets import open_data
from footage.training.updates import Updates, fetch_steps

RECIPE = "vivi-full-gpu"
STAGES = {
    "data": 120,
    "dry_run": 45,
    "train": 180,
    "bare_bf16": 40,
    "bare_fp32": 40,
    "bare_compiled": 100,
    "evaluate": 50,
}
"""Time limit of each stage in seconds; a rehearsal has four times as long."""
BUDGET_SECONDS = 580
VIDEOS = 96
BARE_SECONDS = 10
"""Time for which steps without loading are repeated, in seconds."""
MOST_WAIT, LEAST_RATIO = 0.02, 0.95
"""Targets: fraction of time spent waiting for data, and speed relative to steps without loading."""


def config_of(precision: str = "auto", *, compiled: bool = False, rehearse: bool) -> TrainConfig:
    """Return the recipe, or a tiny variant of it for a rehearsal."""
    config = recipe(RECIPE)
    if rehearse:
        config = dataclasses.replace(
            config,
            steps=8,
            backbone=BackboneConfig(architecture="test_resnet"),
            sampling=dataclasses.replace(config.sampling, videos_per_batch=3, frames_per_shot=2),
            augment=dataclasses.replace(config.augment, size=32),
            metrics_frames=16,
        )
    compute = dataclasses.replace(config.compute, compile=compiled)
    return dataclasses.replace(config, precision=precision, compute=compute)


# --- stages --------------------------------------------------------------------------------------


def _render(folder: str, count: int, seed: int) -> None:
    render_clips(folder, num_videos=count, seed=seed)


def data(folder: Path, rehearse: bool) -> dict:
    """Render videos on all cores, and ingest them."""
    cores = len(os.sched_getaffinity(0))
    videos = 9 if rehearse else VIDEOS
    count = -(-videos // cores)
    start = time.perf_counter()
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        list(
            pool.map(
                _render,
                [str(folder / "videos" / str(seed)) for seed in range(cores)],
                [count] * cores,
                range(cores),
            )
        )
    rendered = time.perf_counter()
    report = ingest(folder / "videos", folder / "store", IngestConfig(frames_per_second=4.0))
    return {
        "render_seconds": rendered - start,
        "ingest_seconds": time.perf_counter() - rendered,
        "cores": cores,
        **{name: report.totals[name] for name in ("ok", "seconds", "shots", "frames")},
    }


def _prepared(folder: Path, config: TrainConfig):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    opened = open_data(config, folder / "store", "")
    config, state, _, _ = setup.first_state(opened.config, opened, device)
    return config, opened, state, device


def dry_run(folder: Path, rehearse: bool) -> dict:
    """Return the measurements of `footage train --dry-run`."""
    config, opened, state, device = _prepared(folder, config_of(rehearse=rehearse))
    every = fetch_steps(config, device)
    return rehearsal.rehearse(config, opened, state, device, every)._asdict()


def train(folder: Path, rehearse: bool) -> dict:
    """Train for as many steps as fit into the stage."""
    config = config_of(rehearse=rehearse)
    found = json.loads((folder / "dry_run.json").read_text())
    seconds = max(found["step_seconds"], found["load_seconds"])
    steps = max(8, min(config.steps, int(0.7 * STAGES["train"] / seconds)))
    config = dataclasses.replace(
        config,
        steps=8 if rehearse else steps,
        metrics_every=max(steps // 4, 1),
        checkpoint_every=max(steps // 2, 1),
    )
    start = time.perf_counter()
    run = footage.train(config, store=folder / "store", out=folder / "run", recipe=RECIPE)
    taken = time.perf_counter() - start
    lines = [line for line in layout.read_metrics(run) if "images_per_second" in line]
    late = lines[len(lines) // 4 :]  # without the start-up
    return {
        "steps": config.steps,
        "seconds": taken,
        "precision": layout.read_record(run)["config"]["precision"],
        "views_per_second": statistics.median(line["images_per_second"] for line in late),
        "data_wait": statistics.fmean(line["data_wait"] for line in late),
        "first_loss": lines[0]["loss"],
        "last_loss": lines[-1]["loss"],
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int | None:
    """Peak GPU memory of this process, which the dry run estimates; None on a CPU."""
    return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None


def bare(folder: Path, rehearse: bool, precision: str, *, compiled: bool) -> dict:
    """Repeat a step on one batch."""
    config, opened, state, device = _prepared(
        folder, config_of(precision, compiled=compiled, rehearse=rehearse)
    )
    batch, _, _ = rehearsal._load(config, opened, device)
    state.learner.train()
    updates = Updates(state, fetch_steps(config, device))
    first = [rehearsal._seconds(config, state, updates, batch, device) for _ in range(3)]
    count = 1 if rehearse else max(3, int(BARE_SECONDS / first[-1]))
    start = time.perf_counter()
    for _ in range(count - 1):
        rehearsal._step(config, state, updates, batch)
    rehearsal._seconds(config, state, updates, batch, device)  # waits for all of them
    seconds = (time.perf_counter() - start) / count
    return {
        "first_step_seconds": first[0],
        "step_seconds": seconds,
        "steps": count,
        "views_per_second": config.images_per_step / seconds,
        "peak_bytes": _peak_bytes(),
    }


def evaluate(folder: Path, rehearse: bool) -> dict:
    """Compare the trained backbone with the untrained one on rendered images."""
    labelled = render_labelled(folder / "kinds", task="kinds", scale=0.1 if rehearse else 0.5)
    rows = footage.evaluate(folder / "run", labels=[labelled]).rows
    return {f"{row.role}, {row.protocol}": row.value for row in rows}


def perform(name: str, folder: Path, rehearse: bool) -> dict:
    """Run one stage in this process."""
    if name.startswith("bare_"):
        precision = "fp32" if name == "bare_fp32" else "bf16"
        return bare(folder, rehearse, precision, compiled=name == "bare_compiled")
    stages = {"data": data, "dry_run": dry_run, "train": train, "evaluate": evaluate}
    return stages[name](folder, rehearse)


# --- all stages ----------------------------------------------------------------------------------


def run_stage(name: str, folder: Path, limit: float, rehearse: bool) -> dict:
    """Run a stage in its own process; return its measurements, or an error."""
    words = [sys.executable, "-m", "benchmarks.single_gpu", "--stage", name, "--folder", folder]
    start = time.perf_counter()
    try:
        subprocess.run(
            [*words, *["--rehearse"] * rehearse],
            check=True,
            timeout=limit,
            stdout=sys.stderr,
            cwd=Path(__file__).parents[1],
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it took longer than {limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"error": f"exit code {error.returncode}"}
    found = json.loads((folder / f"{name}.json").read_text())
    return {**found, "stage_seconds": time.perf_counter() - start}


def targets_of(stages: dict[str, dict]) -> dict:
    """Compare the measurements with the targets; missing values are None."""
    trained, plain, dry = (stages.get(name, {}) for name in ("train", "bare_bf16", "dry_run"))

    def ratio(over: float | None, under: float | None) -> float | None:
        return over / under if over and under else None

    speed = "views_per_second"
    relative = ratio(trained.get(speed), plain.get(speed))
    wait = trained.get("data_wait")
    return {
        "data_wait": wait,
        "data_wait_is_met": None if wait is None else wait < MOST_WAIT,
        "relative_to_bare": relative,
        "relative_to_bare_is_met": None if relative is None else relative >= LEAST_RATIO,
        "bf16_speedup": ratio(plain.get(speed), stages.get("bare_fp32", {}).get(speed)),
        "compile_speedup": ratio(stages.get("bare_compiled", {}).get(speed), plain.get(speed)),
        "peak_relative_to_dry_run": ratio(trained.get("peak_bytes"), dry.get("memory_bytes")),
    }


def main() -> int:
    """Run all stages, or one of them, and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        found = perform(options.stage, options.folder, options.rehearse)
        (options.folder / f"{options.stage}.json").write_text(json.dumps(found))
        return 0
    if not options.rehearse and not torch.cuda.is_available():
        parser.error("there is no GPU; --rehearse runs all stages on a CPU")
    factor = 4 if options.rehearse else 1
    end = time.perf_counter() + factor * BUDGET_SECONDS
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **environment(),
        "recipe": RECIPE,
        "rehearsal": options.rehearse,
    }
    stages: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as name:
        for stage, seconds in STAGES.items():
            limit = min(factor * seconds, max(1.0, end - time.perf_counter()))
            stages[stage] = run_stage(stage, Path(name), limit, options.rehearse)
            text = json.dumps({**about, "stages": stages, "targets": targets_of(stages)}, indent=1)
            if options.out:
                options.out.write_text(text + "\n")
    print(text)
    return int(any("error" in one for one in stages.values()))


if __name__ == "__main__":
    raise SystemExit(main())
