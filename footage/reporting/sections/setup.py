"""Training setup: one row per run, and the provenance of each run."""

from collections.abc import Sequence
from pathlib import Path

from footage.objectives.titles import level_title
from footage.reporting.inputs import Run
from footage.reporting.tables import FIGURE, NAME, Cell, Column, Section, Table
from footage.text import duration

COLUMNS = [
    Column("run", NAME), Column("recipe", NAME), Column("loss", NAME), Column("backbone", NAME),
    Column("initial weights", NAME), Column("steps", FIGURE), Column("views", FIGURE),
    Column("duration", FIGURE), Column("waiting for data", FIGURE), Column("training data", NAME),
]  # fmt: skip


def section(runs: Sequence[Run]) -> Section:
    """One row per run."""
    columns, rows = COLUMNS, [_row(run) for run in runs]
    kept = [kept_weights(run) for run in runs]
    if any(kept):
        columns = [*columns, Column("weights kept", NAME)]
        rows = [[*row, Cell(text)] for row, text in zip(rows, kept, strict=True)]
    table = Table("Training setup", columns, rows)
    return Section("setup", "Training setup", "setup.html.j2", table)


def _row(run: Run) -> list[Cell]:
    model = run.record["model"]
    steps = f"{run.num_steps:,}"
    if run.num_steps < run.total_steps:
        steps += f" of {run.total_steps:,}"
    texts = [
        run.name,
        run.record.get("recipe") or "own",
        losses(run),
        f"{model['architecture']}, {int(model['preprocessing']['size'])} px",
        str(model["weights_origin"]),
        steps,
        f"{run.num_steps * run.images_per_batch:,}",
        " ".join(reversed(duration(3600 * run.hours))),
        f"{100 * run.data_wait:.0f} %",
        sources(run),
    ]
    return [Cell(text) for text in texts]


def losses(run: Run) -> str:
    """The losses of the active levels, as metrics name them, with the teacher and the plugins."""
    plugins = [Path(name).name for name in run.record.get("plugins", [])]
    note = f" (plugin{'s' * (len(plugins) > 1)} {', '.join(plugins)})" if plugins else ""
    teacher = run.record.get("teacher", {}).get("name", "").rstrip("/").rpartition("/")[2]
    named = (
        level_title(level) + f" ({teacher})" * level.startswith("teacher/")
        for level in run.level_chance
    )
    return ", ".join(named) + note


def kept_weights(run: Run) -> str:
    """The step whose weights early stopping kept, and the retrieval that chose it; else empty."""
    found = run.record.get("stopping")
    if not found:
        return ""
    step = found.get("best_step", 0)
    first, best = (f"{100 * found.get(f'{name}_score', 0):.1f} %" for name in ("first", "best"))
    if not step:
        return f"initial weights; retrieval in held-out videos never exceeded {first}"
    return f"step {step:,}; retrieval in held-out videos {best}, initially {first}"


def sources(run: Run) -> str:
    """The store and the labelled images that training used."""
    named = []
    for kind in ("store", "images"):
        path, digest = str(run.record[kind]), run.record[f"{kind}_hash"]
        if path:
            named.append(f"{path.rstrip('/').rpartition('/')[2]} ({digest[:10]})")
    if named and run.record["labels_used"]:
        named[-1] += f", {run.record['labels_used']:,} labels"
    return "; ".join(named)


def provenance(run: Run) -> str:
    """Describe seed, commit, machine and versions in a sentence."""
    machine = run.record.get("machine", {})
    versions = run.record.get("versions", {})
    return (
        f"{run.name}: seed {run.record['seed']}, commit {run.record.get('commit', 'unknown')}, "
        f"{machine.get('processor', '')} ({machine.get('cores', '?')} cores), "
        f"accelerator {machine.get('accelerator', 'none')}; "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}."
    )
