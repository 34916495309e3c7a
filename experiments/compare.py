r"""Which recipe learns more from the same videos? Several recipes, several seeds, equal views.

    python -m experiments.compare RESULTS.jsonl --store STORE --labelled FOLDER FOLDER \
        --arms vivi-ex4-tiny ex-shot-tiny "ex-shot-tiny:margin 1:objective.frame_shot.margin=1.0" \
        --seeds 0 1 2 --common steps=300,compute.workers=1
    python -m experiments.compare RESULTS.jsonl --store STORE --suite POCKET --arms ...
    python -m experiments.compare RESULTS.jsonl --table

An arm is `recipe` or `recipe:label:setting=value,...`; all must use the same number of video views.
Each arm and seed is trained, evaluated on held-out videos (retrieval) and on labelled folders or
the pocket suite (kNN, linear probe), and recorded as one line of JSON. Existing lines are skipped,
and killed training resumes. `--processes` trains several arms in parallel, on a GPU with more CPU
cores than one arm needs. A seed determines weights, batches, held-out videos and the split of
labelled folders for all arms, so differences are paired by seed.
"""

import argparse
import json
import math
import multiprocessing
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from experiments.compare_suites import RUNS, Cell, on_folders, on_suites
from experiments.compare_table import Line, Values, table
from footage import configuration
from footage.commands.train import train
from footage.errors import ConfigError, FootageError
from footage.recipes.methods import recipe
from footage.runs.environment import environment
from footage.runs.layout import read_metrics, read_record
from footage.store.reader import Store
from footage.training.config import TrainConfig

RETRIEVALS = {"same_shot": "same shot", "same_video": "same video, another shot"}


class Arm(NamedTuple):
    """A recipe with a few settings replaced, under its own name."""

    recipe: str
    label: str
    settings: dict[str, Any]

    def config(self, common: Mapping[str, Any], seed: int) -> TrainConfig:
        """Return the whole configuration; the arm's own settings override the common ones."""
        plain = configuration.to_dict(recipe(self.recipe))
        for path, value in {**common, **self.settings, "seed": seed}.items():
            *groups, name = path.split(".")
            inner = plain
            for group in groups:
                inner = inner.setdefault(group, {})
            inner[name] = value
        return configuration.from_dict(TrainConfig, plain)


def read_arm(text: str) -> Arm:
    """Parse an arm from `recipe` or `recipe:label:setting=value,...`."""
    name, _, rest = text.partition(":")
    label, _, settings = rest.partition(":")
    return Arm(name, label or name, read_settings(settings))


def read_settings(text: str) -> dict[str, Any]:
    """Parse settings from `dotted.name=value,...`; a value that is not JSON is a string."""
    found = {}
    for name, equals, value in (item.partition("=") for item in text.split(",") if item):
        if not equals:
            raise ConfigError(f"a setting must be name=value, got {name!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


# --- run ----------------------------------------------------------------------------------------


def check_views(arms: Sequence[Arm], common: Mapping[str, Any]) -> None:
    """Reject arms whose number of video views differs from that of the first."""
    configs = [arm.config(common, 0) for arm in arms]
    views = {
        arm.label: config.steps * config.sampling.images_per_batch
        for arm, config in zip(arms, configs, strict=True)
    }
    if len(views) != len(arms):
        raise ConfigError("two arms have the same label", "write recipe:label:settings")
    if len(set(views.values())) != 1:
        raise ConfigError(f"the arms see different numbers of views: {views}", "change `steps`")


def run(arm: Arm, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate one arm with one seed."""
    config = arm.config(read_settings(options.common), seed)
    folder = run_folder(options.results, arm.label, seed)
    store = options.store if config.learns_from_videos else ""
    images = options.images if config.objective.supervised.weight else ""
    train(config, store=store, out=folder, labels=images, recipe=arm.recipe)
    trained = time.perf_counter()
    lines = read_metrics(folder)
    last_step, probes = finished(lines, read_record(folder)["stopping"], config.steps)
    evaluated = (
        on_folders(folder, options, seed)
        if options.labelled
        else on_suites(config, folder, options)
    )
    has_unlabelled = config.objective.has_unlabelled_level
    before = "original" if config.init else "untrained"
    steps = [line for line in lines if "levels" in line]
    return {
        "label": arm.label,
        **made_with(arm, options),
        "seed": seed,
        "views": last_step * math.prod(config.views_shape) if has_unlabelled else 0,
        "labelled_images": last_step * config.labelled.images_per_batch if images else 0,
        # Sum the steps alone, so that training that was killed and resumed is counted in full.
        "train_seconds": round(
            sum(config.images_per_step / line["images_per_second"] for line in steps), 1
        ),
        "evaluate_seconds": round(time.perf_counter() - trained, 1),
        "data_wait": round(statistics.mean(line["data_wait"] for line in steps), 4),
        "last_levels": steps[-1]["levels"],
        "groups": evaluated.groups,
        "test": measures(probes, evaluated.test, before),
        "validation": measures(probes, evaluated.validation, before),
        "environment": environment(),
    }


def finished(
    lines: Sequence[Mapping[str, Any]], stopping: Mapping[str, Any], steps: int
) -> tuple[int, list[Mapping[str, float]]]:
    """Return the last step of a run, and its online metrics up to the kept weights.

    Args:
        lines: The run's metrics.
        stopping: The result of early stopping; empty without it.
        steps: Number of steps in the configuration.

    Raises:
        FootageError: Training was stopped, but not by early stopping.
    """
    last_step = lines[-1]["step"]
    if last_step < steps and not stopping.get("stopped_early"):
        raise FootageError("training was stopped", "rerun the same command to resume")
    kept_step = stopping.get("best_step", last_step)
    probes = [line["probe"] for line in lines if "probe" in line and line["step"] <= kept_step]
    return last_step, probes


def made_with(arm: Arm, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that two lines of one arm and seed must share to be repetitions."""
    return {
        "recipe": arm.recipe,
        "settings": {**read_settings(options.common), **arm.settings},
        "store": store_hash(options.store),
    }


def run_folder(results: str, label: str, seed: int) -> Path:
    """Return the run folder of an arm and a seed, next to the results."""
    return Path(f"{results}{RUNS}") / f"{re.sub('[ /]', '-', label)}-{seed}"


def store_hash(store: str) -> str:
    """Return the content hash of a store; empty without one."""
    return Store.open(store).content_hash if store else ""


def measures(
    probes: Sequence[Mapping[str, float]], evaluated: Sequence[Cell], baseline: str = "untrained"
) -> dict[str, Values]:
    """Return percentages by measure and column; `model` is the trained network.

    Args:
        probes: Online metrics of the held-out videos, before the first step and, at the end, those
            of the kept weights; empty to omit the retrieval measures.
        evaluated: Accuracies on labelled images, on the requested split.
        baseline: Name of the column for the network before training.
    """
    found: dict[str, Values] = {}
    before, after = (probes[0], probes[-1]) if probes else ({}, {})
    for name, words in RETRIEVALS.items():
        if f"{name}_hit" in after:
            found[words] = {
                "chance": after[f"{name}_chance"],
                baseline: before[f"{name}_hit"],
                "model": after[f"{name}_hit"],
            }
    chance = {cell.task: cell.share for cell in evaluated if cell.column == "chance"}
    for cell in evaluated:
        if cell.column != "chance":
            name = f"{cell.task}, {cell.protocol}"
            found.setdefault(name, {"chance": chance[cell.task]})[cell.column] = cell.share
    return {
        name: {column: round(100 * share, 4) for column, share in values.items()}
        for name, values in found.items()
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the existing results, except a last line truncated by a kill."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def check_same(line: Line, wanted: Mapping[str, Any], results: str | Path) -> None:
    """Reject an existing line of `results` that was made with other settings.

    Args:
        line: A line of the file.
        wanted: Another line, or the output of `made_with` for a line to be made.
        results: The file.
    """
    names = ("recipe", "settings", "store")
    ours, theirs = ({name: made[name] for name in names} for made in (wanted, line))
    if ours != theirs:
        raise ConfigError(
            f"{results} has {line['label']!r} with {theirs}, not {ours}",
            "give the arm another label, or write to another file",
        )


def run_all(arms: Sequence[Arm], options: argparse.Namespace) -> None:
    """Run every arm with the first seed, then with the second; existing results are skipped."""
    path = Path(options.results)
    there = read_lines(path)
    path.write_text("".join(json.dumps(line) + "\n" for line in there))
    done = {(line["label"], line["seed"]): line for line in there}
    left = []
    for seed in options.seeds:
        for arm in arms:
            if (arm.label, seed) in done:
                check_same(done[arm.label, seed], made_with(arm, options), path)
            else:
                left.append((arm, seed))
    for line in _lines(left, options):
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _lines(left: Sequence[tuple[Arm, int]], options: argparse.Namespace) -> Iterator[Line]:
    """Yield a line for each arm and seed, in the order of completion."""
    if options.processes == 1:
        yield from (run(arm, seed, options) for arm, seed in left)
        return
    # Forked processes cannot use a GPU that their parent has initialised.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        ahead = [pool.submit(run, arm, seed, options) for arm, seed in left]
        for ended in as_completed(ahead):
            yield ended.result()


def main(
    about: str, arms: Sequence[str] = (), common: str = "", *, equal_views: bool = True
) -> None:
    """Run what is missing, or print existing results.

    Args:
        about: Description, whose first line names the comparison.
        arms: Default arms; the command line can replace them.
        common: Settings of all arms.
        equal_views: Reject arms that use more views than others.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("results", help="one line of JSON for each arm and seed")
    parser.add_argument(
        "--table", action="store_true", help="print the existing results as a table"
    )
    parser.add_argument("--validation", action="store_true", help="table of the validation splits")
    parser.add_argument(
        "--store", default="", help="frame store; not needed by arms that train on images alone"
    )
    parser.add_argument(
        "--labelled", nargs="+", help="labelled folders with one subfolder per class"
    )
    parser.add_argument("--suite", default="", help="or: folder of the pocket suite")
    parser.add_argument("--video-suite", default="", help="folder of the pocket-video suite")
    parser.add_argument("--masks", default="", help="folder of videos with object masks")
    parser.add_argument("--images", default="", help="labelled images for co-trained recipes")
    parser.add_argument("--arms", nargs="+", default=arms)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--processes", type=int, default=1, help="number of arms that run in parallel"
    )
    parser.add_argument("--common", default=common, help="settings of all arms: name=value,...")
    options = parser.parse_args()
    try:
        if options.table:
            part = "validation" if options.validation else "test"
            print(table(read_lines(Path(options.results)), part), end="")
        elif not (options.arms and (options.labelled or options.suite or options.video_suite)):
            parser.error("pass --arms with --labelled, --suite or --video-suite, or pass --table")
        else:
            chosen = [read_arm(text) for text in options.arms]
            if equal_views:
                check_views(chosen, read_settings(options.common))
            run_all(chosen, options)
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main(__doc__ or "")
