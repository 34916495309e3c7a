"""Which settings of the recipe `vivi-ex4-tiny` learn most? One line of JSON for each arm.

    python benchmarks/tune_tiny.py --store STORE --labelled FOLDER FOLDER --out RESULTS.jsonl

Each arm is `tiny` with a few settings replaced, trained on the same store and judged on held-out
videos (retrieval) and on the validation parts of labelled folders (linear probe, kNN). The test
parts are read too, but no setting is chosen by them.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

ARMS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "adamw 3e-4": {"optimizer.learning_rate": 3e-4},
    "adamw 3e-3": {"optimizer.learning_rate": 3e-3},
    "sgd 0.1": {"optimizer.name": "sgd", "optimizer.learning_rate": 0.1},
    "margin 0.2": {"objective.frame_shot.margin": 0.2},
    "margin 1.0": {"objective.frame_shot.margin": 1.0},
    "embedding 128": {"objective.frame_shot.embedding_dim": 128},
    "projection mlp": {"objective.frame_shot.projection": "mlp"},
    "video 0": {"objective.future.weight": 0.0, "objective.order.weight": 0.0},
    "video 0.2": {"objective.future.weight": 0.2, "objective.order.weight": 0.2},
    "video 1": {"objective.future.weight": 1.0, "objective.order.weight": 1.0},
    "future 0.2, order 0": {"objective.future.weight": 0.2, "objective.order.weight": 0.0},
    "order 0.2, future 0": {"objective.future.weight": 0.0, "objective.order.weight": 0.2},
    "crop 0.08": {"augment.crop_scale_min": 0.08},
    "crop 0.4": {"augment.crop_scale_min": 0.4},
    "16 videos of 2 shots": {
        "sampling.videos_per_batch": 16,
        "sampling.shots_per_video": 2,
        "objective.future.steps": 1,
    },
    "4 videos, 2 views a frame": {"sampling.videos_per_batch": 4, "sampling.views_per_frame": 2},
    "16 videos, half the steps": {"sampling.videos_per_batch": 16, "steps": 500},
    "4 videos, twice the steps": {"sampling.videos_per_batch": 4, "steps": 2000},
    "stride 2": {"sampling.frame_stride": 2},
    "nce 0.1": {"objective.frame_shot.loss": "nce"},
    "nce 0.2": {"objective.frame_shot.loss": "nce", "objective.frame_shot.temperature": 0.2},
    "nce 0.1 mlp": {"objective.frame_shot.loss": "nce", "objective.frame_shot.projection": "mlp"},
    "nce 0.1 mlp 128, video 0": {
        "objective.frame_shot.loss": "nce",
        "objective.frame_shot.projection": "mlp",
        "objective.frame_shot.embedding_dim": 128,
        "objective.future.weight": 0.0,
        "objective.order.weight": 0.0,
    },
    "ex-frame": {"recipe": "ex-frame-tiny"},
    "ex-frame nce 0.2 mlp": {
        "recipe": "ex-frame-tiny",
        "objective.frame_shot.loss": "nce",
        "objective.frame_shot.projection": "mlp",
        "objective.frame_shot.temperature": 0.2,
    },
}


def replaced(config: Any, path: str, value: Any) -> Any:
    """A configuration with one setting, named by its dotted path, replaced."""
    head, _, rest = path.partition(".")
    inner = replaced(getattr(config, head), rest, value) if rest else value
    return dataclasses.replace(config, **{head: inner})


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one arm."""
    import torch

    from footage.recipes import recipe
    from footage.runs import environment, read_metrics
    from footage.verbs.evaluate import EvaluateConfig, evaluate
    from footage.verbs.train import train

    torch.set_num_threads(1)
    began = time.perf_counter()
    settings = {"steps": arguments.steps, "seed": arguments.seed, **ARMS[name]}
    config = recipe(settings.pop("recipe", "vivi-ex4-tiny"))
    for path, value in settings.items():
        config = replaced(config, path, value)
    config = replaced(config, "probe_every", config.steps)
    config = replaced(config, "checkpoint_every", config.steps)
    config = replaced(config, "compute.workers", arguments.workers)
    folder = Path(arguments.runs) / f"{name.replace(' ', '-')}-{arguments.seed}"
    train(config, store=arguments.store, out=folder)
    trained = time.perf_counter() - began
    lines = read_metrics(folder)
    judged = EvaluateConfig(seed=arguments.seed, protocols=tuple(arguments.protocols))
    found = evaluate(str(folder), labelled=arguments.labelled, config=judged)
    rows = [
        {key: getattr(row, key) for key in ("task", "column", "protocol", "value", "validation")}
        for row in found.rows
    ]
    return {
        "arm": name,
        "seed": arguments.seed,
        "settings": settings,
        "seconds": trained,
        "data_wait": sum(line.get("data_wait", 0) for line in lines) / config.steps,
        "untrained_probe": lines[0]["probe"],
        "probe": lines[-1]["probe"],
        "last_levels": lines[-2]["levels"],
        "rows": rows,
        **environment(),
    }


def main() -> None:
    """Run the arms, several at a time, and append each result as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--store", required=True)
    parser.add_argument("--labelled", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--runs", default="runs/tune")
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--protocols", nargs="+", default=["knn", "linear"])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=1)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(arguments.parallel, mp_context=context)
    with pool, Path(arguments.out).open("a") as file:
        waiting = {pool.submit(run, name, arguments): name for name in arguments.arms}
        for future in concurrent.futures.as_completed(waiting):
            file.write(json.dumps(future.result()) + "\n")
            file.flush()
            print(waiting[future], "done", flush=True)


if __name__ == "__main__":
    main()
