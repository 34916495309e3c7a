"""experiments/results.md: the text of results_words.md with the tables of the committed results.

A line `@table NAME` becomes the table of that experiment, `@together NAME` one that averages tasks
and held-out videos, `@kinds NAME` one that separates rendered tasks from the others, `@tuned NAME`
one with the validation splits first, `@measures NAME` those of the pocket-video suite, and `@cost
NAME` a line with its cost. `@profiles` becomes the tables of the invariance profiles.
"""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from experiments import cotraining, levels, modern, profile_seeds, scaling, shipped, video_measures
from experiments.compare import read_arm, read_lines
from experiments.compare_table import difference, spread

WORDS = Path(__file__).with_name("results_words.md")
RESULTS = Path(__file__).parent / "results"
GROUPS = {"natural": 4, "specialized": 1, "structured": 8}
"""Number of the pocket suite's tasks in each group."""
FOUND = ("fashion", "clipart", "landcover")
"""The tasks of the pocket suite whose images were found; the other ten were rendered for it."""
KINDS = {"found": "3 found", "rendered": "10 rendered"}
RETRIEVALS = ("same shot", "same video, another shot")
ALSO = " + "
"""Separator of measures that are averaged together."""
EQUALLY = " / "
"""Separator of means with equal weight, however many measures each contains."""
VIDEOS = ALSO.join(RETRIEVALS)
VALIDATION = "validation: "
"""Prefix of a measure on the split by which settings are chosen."""
DIRECTIVE = re.compile(r"^@(table|together|kinds|tuned|measures|cost) (\w+)$", re.MULTILINE)

Line = Mapping[str, Any]


class Experiment(NamedTuple):
    """The results that a table shows."""

    files: tuple[str, ...]
    base: str
    """The arm with which the others are compared, seed by seed."""
    arms: tuple[str, ...] = ()
    """Arms to show; all if empty."""
    protocol: str = "linear"
    """Protocol of the labelled tasks; `linear` also shows kNN and retrievals."""
    seeds: tuple[int, ...] = ()
    """Seeds to show; all if empty."""
    references: tuple[str, ...] = ()
    """Results of other arms, which measures are compared with but which are not shown."""


AGAIN = ("vivi-ex4", "frames-as-images", "ex-frame")
"""The paper's recipe and its controls; those of the levels were also run on another processor."""
SLOWER = ("frames-as-images, learning rate 0.0003", "ex-frame, learning rate 0.0003")
"""The controls at their best learning rate by tasks and videos, half and half."""
ONE_BY_ONE = ("ex-shot", "vivi-ex4, future only", "vivi-ex4, order only", "vivi-rot")
"""Arms that lack a level, or use another one."""

EXPERIMENTS = {
    "structure": Experiment(("structure-clips.jsonl",), "frames-as-images"),
    "shipped": Experiment(("shipped-clips.jsonl",), "vivi-ex4"),
    "cuts": Experiment(("shipped-cuts.jsonl",), "vivi-ex4"),
    "cuts_first": Experiment(("shipped-cuts.jsonl",), "vivi-ex4", AGAIN, seeds=(0, 1, 2, 3, 4, 5)),
    "cuts_fresh": Experiment(("shipped-cuts.jsonl",), "vivi-ex4", AGAIN, seeds=(6, 7, 8)),
    "rates": Experiment(
        ("shipped-cuts.jsonl", "rates-cuts.jsonl"),
        "vivi-ex4",
        (*AGAIN, *(read_arm(text).label for text in shipped.RATES)),
        seeds=(0,),
    ),
    "rates_best": Experiment(
        ("shipped-cuts.jsonl", "rates-cuts.jsonl"),
        "vivi-ex4",
        ("vivi-ex4", *SLOWER),
        seeds=(0, 1, 2, 3, 4),
    ),
    "rates_clips": Experiment(
        ("again.jsonl", "rates-clips.jsonl"),
        "vivi-ex4",
        (*AGAIN[:2], *(read_arm(text).label for text in levels.RATES)),
        seeds=(0,),
    ),
    "cuts_full": Experiment(
        ("shipped-cuts.jsonl",), "vivi-full", ("vivi-full", *AGAIN), seeds=(0, 1, 2, 3, 4, 5)
    ),
    "cuts_full_unseen": Experiment(
        ("shipped-cuts.jsonl",), "vivi-full", ("vivi-full", *AGAIN), seeds=(2, 3, 4, 5)
    ),
    "cuts_levels": Experiment(
        ("levels-cuts.jsonl",),
        "frames-as-images",
        (*AGAIN, "vivi-ex4, 2 views of a frame", "vivi-ex4, stride 4"),
    ),
    "colours": Experiment(
        ("levels-cuts.jsonl",),
        "vivi-ex4",
        (*AGAIN, *(read_arm(text).label for text in levels.COLOURS)),
    ),
    "levels": Experiment(("levels-clips.jsonl",), "frames-as-images"),
    "modern": Experiment(
        ("modern-clips.jsonl", "levels-clips.jsonl"),
        "vivi-ex4",
        (*(read_arm(text).label for text in modern.ARMS), "vivi-ex4"),
    ),
    "transformers": Experiment(
        ("transformers-clips.jsonl",), "frames-as-images, ViT-Ti/16, slower"
    ),
    "scaling": Experiment(
        ("scaling-clips.jsonl", "levels-clips.jsonl"),
        "vivi-ex4",
        (*(read_arm(text).label for text in scaling.ARMS), "vivi-ex4", "frames-as-images"),
    ),
    "cotraining": Experiment(
        ("cotraining-cifar10.jsonl", "levels-clips.jsonl"),
        "sup 100 %",
        (*(read_arm(text).label for text in cotraining.SHORT), "vivi-ex4"),
    ),
    "cotraining_longer": Experiment(
        ("cotraining-cifar10.jsonl",),
        "sup 100 %, 4000 steps",
        tuple(read_arm(text).label for text in cotraining.LONGER),
    ),
    "longer": Experiment(("longer-clips.jsonl",), "frames-as-images"),
    "films": Experiment(("longer-films.jsonl",), "frames-as-images"),
    "again": Experiment(("again.jsonl",), "frames-as-images", AGAIN + ONE_BY_ONE),
    "gap": Experiment(
        ("again.jsonl",),
        "frames-as-images",
        (*AGAIN, *(read_arm(text).label for text in levels.GAP)),
    ),
    "finalists": Experiment(
        ("finalists-clips.jsonl",), "frames-as-images", protocol="pocket-finetune"
    ),
    "finalists_cuts": Experiment(
        ("finalists-cuts.jsonl",), "frames-as-images", protocol="pocket-finetune"
    ),
    "peers": Experiment(
        ("peers-clips.jsonl", "levels-clips.jsonl"),
        "vivi-ex4",
        ("LightlyTrain SimCLR", "LightlyTrain DINO", "vivi-ex4", "frames-as-images"),
    ),
    "video_tasks": Experiment(("video-tasks.jsonl",), "vivi-ex4"),
    "interventions": Experiment(
        ("interventions.jsonl",), "vivi-ex4", references=("video-tasks.jsonl",)
    ),
    "rendered_again": Experiment(
        ("interventions-rendered-again.jsonl",),
        "vivi-ex4",
        references=("video-tasks.jsonl", "interventions.jsonl"),
    ),
}


NAMED_LATER = {"vivi-ex4, frame level too": "vivi-full"}
"""Arms that have become recipes, by their names in the results."""


class Arm(NamedTuple):
    """One arm of an experiment, or a baseline of its first arm, seed by seed."""

    label: str
    lines: dict[int, Line]
    column: str = "model"

    def scores(self, measure: str) -> dict[int, float]:
        """Return percentages by seed; see `score`. A seed without this measure is left out."""
        found = {seed: score(line, self.column, measure) for seed, line in self.lines.items()}
        return {seed: value for seed, value in found.items() if value is not None}


def page() -> str:
    """Render the page."""
    write = {"table": table, "together": together, "kinds": kinds, "tuned": tuned}
    write |= {"measures": measures, "cost": cost}
    text = WORDS.read_text("utf-8").replace("\n@profiles\n", f"\n{profiles()}")
    return DIRECTIVE.sub(lambda found: write[found[1]](EXPERIMENTS[found[2]]), text)


def score(line: Line, column: str, measure: str) -> float | None:
    """Return a retrieval, a mean over tasks (`linear`, `knn, natural`, ...), or a mean of both.

    Args:
        line: Results of an arm and a seed.
        column: The trained network or a baseline.
        measure: Several, joined by `ALSO`, are averaged together; such means, joined by
            `EQUALLY`, are averaged again. The prefix `VALIDATION` selects that split.

    Returns:
        Percent; None if this line lacks one of them.
    """
    means = []
    for half in measure.split(EQUALLY):
        parts = [_measured(line, column, part) for part in half.split(ALSO)]
        if not all(parts):
            return None
        means.append(statistics.mean(chain(*parts)))
    return statistics.mean(means)


def _measured(line: Line, column: str, measure: str) -> list[float]:
    """Return one number for a retrieval, else one per task."""
    found = line["validation" if measure.startswith(VALIDATION) else "test"]
    if measure in RETRIEVALS:
        return [found[measure][column]] if measure in found else []
    protocol, _, group = measure.removeprefix(VALIDATION).partition(", ")
    tasks = {
        name.removesuffix(f", {protocol}"): values
        for name, values in found.items()
        if name.endswith(f", {protocol}")
    }
    return [
        values[column]
        for task, values in tasks.items()
        if group in ("", task, line["groups"][task], "found" if task in FOUND else "rendered")
    ]


def arms_of(experiment: Experiment) -> list[Arm]:
    """Return chance, the untrained network, and every arm in the order of its experiment."""
    lines = [line for name in experiment.files for line in read_lines(RESULTS / name)]
    found: dict[str, dict[int, Line]] = {}
    for line in lines:
        label, seed = _label(line), line["seed"]
        asked = not experiment.arms or label in experiment.arms
        if asked and (not experiment.seeds or seed in experiment.seeds):
            found.setdefault(label, {})[seed] = line
    first = next(iter(found.values()))
    baselines = [Arm(column, first, column) for column in ("chance", "untrained")]
    return baselines + [Arm(label, lines) for label, lines in found.items()]


def _label(line: Line) -> str:
    """Return the label of an arm, by the recipe that it has become."""
    label = line["label"]
    for before, now in NAMED_LATER.items():
        label = label.replace(before, now)
    return label


def table(experiment: Experiment) -> str:
    """Format every arm, its means, and the difference of its mean from the base's."""
    protocol = experiment.protocol
    measures = {"mean of 13": protocol}
    measures |= {f"{group}, {size}": f"{protocol}, {group}" for group, size in GROUPS.items()}
    if protocol == "linear":
        measures |= {"kNN, mean of 13": "knn", **{name: name for name in RETRIEVALS}}
    return _table(experiment, measures, compared=("mean of 13",))


def together(experiment: Experiment) -> str:
    """Format tasks, held-out videos, and the mean of both, each compared with the base."""
    measures = {
        "13 tasks": experiment.protocol,
        "2 held-out retrievals": VIDEOS,
        "half and half": f"{experiment.protocol}{EQUALLY}{VIDEOS}",
        "all 15": f"{experiment.protocol}{ALSO}{VIDEOS}",
    }
    return _table(experiment, measures, compared=tuple(measures))


def kinds(experiment: Experiment) -> str:
    """Format tasks of found and of rendered images, each compared with the base."""
    measures = {
        f"{words}, {head}": f"{protocol}, {kind}"
        for kind, words in KINDS.items()
        for head, protocol in (("linear", "linear"), ("kNN", "knn"))
    }
    return _table(experiment, measures, compared=tuple(measures))


def tuned(experiment: Experiment) -> str:
    """Format the two columns by which a setting is chosen, followed by the test results."""
    measures = {
        "validation split, linear and kNN": f"{VALIDATION}linear{ALSO}{VALIDATION}knn",
        "linear and videos, half and half": f"{VALIDATION}linear{EQUALLY}{VIDEOS}",
        "13 tasks": "linear",
        "2 held-out retrievals": VIDEOS,
        "half and half": f"linear{EQUALLY}{VIDEOS}",
    }
    return _table(experiment, measures, compared=())


def measures(experiment: Experiment) -> str:
    """Format the measures of tasks where videos should help, and the comparisons."""
    paths, references = (
        [RESULTS / name for name in names] for names in (experiment.files, experiment.references)
    )
    recipes = {video_measures.recipe_of(label) for label in video_measures.read(*paths).arms}
    return video_measures.table(video_measures.read(*references, *paths), recipes).rstrip("\n")


def profiles() -> str:
    """Format the invariance profiles of several seeds."""
    paths = sorted(RESULTS.glob("levels-profile-seed-*.json"))
    return profile_seeds.table([json.loads(path.read_text("utf-8")) for path in paths])


def _table(experiment: Experiment, measures: Mapping[str, str], compared: Sequence[str]) -> str:
    """Format every arm with these measures, by heading; some are compared with the base."""
    arms = arms_of(experiment)
    base = next(arm for arm in arms if arm.label == experiment.base)
    heads = []
    for head in measures:
        heads += [head, f"vs. {base.label}"] if head in compared else [head]
    rows = [["", "seeds", *heads], ["---", *["---:"] * (len(heads) + 1)]]
    for arm in arms:
        trained = arm.column == "model"
        row = [arm.label, str(len(arm.lines)) if trained else ""]
        for head, measure in measures.items():
            scores = arm.scores(measure)
            row.append(spread(scores.values()))
            if head in compared:
                apart = trained and arm is not base
                row.append(difference(scores, base.scores(measure)) if apart else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cost(experiment: Experiment) -> str:
    """Format views and minutes per arm, machine and commit."""
    lines = [line for arm in arms_of(experiment)[2:] for line in arm.lines.values()]
    minutes = [line["train_seconds"] / 60 for line in lines]
    views = sorted({line["views"] for line in lines})
    most = f"{views[-1]:,}" if len(views) == 1 else f"up to {views[-1]:,}"
    environments = [line["environment"] for line in lines]
    commits = sorted({_commit(found["commit"]) for found in environments})
    machines = sorted({_machine(found["machine"]) for found in environments})
    versions = sorted({found["versions"]["torch"] for found in environments})
    lasted = " to ".join(dict.fromkeys(f"{end:.0f}" for end in (min(minutes), max(minutes))))
    return (
        f"{most} views per arm, {lasted} minutes of one busy core; {', '.join(machines)}, "
        f"torch {', '.join(versions)}, commit {', '.join(commits)}."
    )


def _machine(machine: Mapping[str, Any]) -> str:
    """Format the processor, and the GPU that the arms of one command shared."""
    processor, accelerator = machine["processor"], machine["accelerator"]
    if accelerator == "none":
        return processor
    return f"{processor}, {machine['cores']} cores and one {accelerator} for all arms"


def _commit(name: str) -> str:
    """Shorten a commit, and note uncommitted changes."""
    return name[:7] + (" with changes" if name.endswith("-dirty") else "")
