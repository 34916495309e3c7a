"""The model card of a backbone: how it was trained, its results and its limitations, as Markdown.

The Hugging Face Hub shows a repository's README.md as its card. The block at its beginning is
metadata for the Hub. Facts come from the run and its evaluations, without local paths.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from footage.errors import FootageError
from footage.evaluation.averages import Identity, identity, one_averaging, summarise
from footage.evaluation.comparisons import IN_WORDS, UNCLEAR, WORSE, Comparison, comparisons
from footage.evaluation.digests import weights_digest
from footage.evaluation.leakage import COLUMN, short
from footage.evaluation.results import (
    MODEL,
    NEAREST,
    ON_VIDEOS,
    PROPAGATION,
    ResultRow,
    warnings,
)
from footage.metrics.intervals import percent
from footage.models.load import HUB, Model
from footage.recipes.methods import RECIPES
from footage.reporting.inputs import Run
from footage.reporting.rendering import render_markdown
from footage.reporting.sections.headline import heading
from footage.reporting.sections.results import PROTOCOLS
from footage.reporting.sections.setup import kept_weights, losses, provenance, sources
from footage.text import duration, without_folders

UNKNOWN: Final = "unknown"
TAGS: Final = ("timm", "image-feature-extraction", "self-supervised-learning", "video", "footage")
COLUMNS: Final = (
    "task", "protocol", "this model", "untrained network", "raw pixels", "chance",
    "test images", COLUMN,
)  # fmt: skip


class Results(NamedTuple):
    """A table of comparable numbers."""

    title: str
    rows: Sequence[Sequence[str]]
    means: Sequence[str]
    warnings: Sequence[str]


def model_card(model: Model, run: Run | None, license: str) -> str:
    """Write the model card of a backbone.

    Args:
        model: The model.
        run: The run that trained it; None if it was not trained by footage.
        license: Licence of the weights, by its identifier on the Hub; "unknown" if not chosen.
    """
    backbone = model.backbone
    facts = {
        "architecture": backbone.architecture,
        "options": ", ".join(f"{name} {value}" for name, value in backbone.options.items()),
        "features": f"{backbone.feature_dim} per image",
        "parameters": f"{sum(each.numel() for each in backbone.network.parameters()):,}",
        "input": f"{model.preprocessing.size} x {model.preprocessing.size} pixels",
        "mean": _numbers(model.preprocessing.mean),
        "standard deviation": _numbers(model.preprocessing.std),
        "weights": without_folders(model.weights_origin),
    }
    tables = list(_results(run, weights_digest(backbone))) if run else []
    return render_markdown(
        "card.md.j2",
        metadata=Markup(_metadata(run, license)),
        name=run.path.resolve().name if run else without_folders(model.name),
        facts={name: value for name, value in facts.items() if value},
        heading=heading([run]) if run else "",
        training=_training(run) if run else {},
        recipe=_recipe(run) if run else "",
        provenance=without_folders(provenance(run)) if run else "",
        columns=COLUMNS,
        results=tables,
        limitations=list(_limitations(run)) if run else [],
        initial=_initial(run) if run else "",
        license="" if license == UNKNOWN else license,
    )


def _metadata(run: Run | None, license: str) -> str:
    """The block of YAML without its delimiters, written by the library that reads it."""
    from huggingface_hub import ModelCardData

    other: dict[str, Any] = {}
    if run and run.initial.startswith(HUB):
        other["base_model"] = run.initial.removeprefix(HUB)
    return ModelCardData(
        library_name="timm",
        pipeline_tag="image-feature-extraction",
        license=license,
        tags=list(TAGS),
        **other,
    ).to_yaml()


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _initial(run: Run) -> str:
    return without_folders(run.initial)


def _recipe(run: Run) -> str:
    """One line about the recipe; empty for one that this version does not have."""
    found = RECIPES.get(str(run.record.get("recipe", "")))
    return found.summary if found else ""


def _training(run: Run) -> dict[str, str]:
    steps = f"{run.num_steps:,} of {run.total_steps:,}"
    facts = {
        "data": sources(run),
        "training videos": f"{run.num_videos:,}" if run.num_videos else "",
        "videos held out": f"{len(run.record['held_out']):,}" if run.record["held_out"] else "",
        "labels used": f"{run.record['labels_used']:,}" if run.record["labels_used"] else "",
        "recipe": str(run.record.get("recipe") or "own configuration"),
        "losses": without_folders(losses(run)),
        "initial weights": _initial(run) or "random",
        "steps": steps,
        "weights kept": kept_weights(run),
        "images per step": f"{run.images_per_batch:,}",
        "duration of the steps": " ".join(reversed(duration(3600 * run.hours))),
    }
    return {name: value for name, value in facts.items() if value}


def _results(run: Run, digest: str) -> Iterator[Results]:
    """Yield a table of each kind; `digest` identifies the weights of this model."""
    own = list(comparisons(run.rows))
    retrieval = [each for each in own if each.protocol == NEAREST]
    masks = [each for each in own if each.protocol == PROPAGATION]
    labelled = [each for each in own if each.protocol not in ON_VIDEOS]
    for title, measured in (
        ("Retrieval in held-out videos", retrieval),
        ("Propagation of masks (J&F, clips)", masks),
        ("Labelled images", labelled),
    ):
        if measured:
            rows = [row for each in measured for row in each.cells.values()]
            yield Results(title, [_row(each) for each in measured], [], _warnings(rows, digest))
    for kind in dict.fromkeys(map(identity, run.suite_rows)):
        rows = [row for row in run.suite_rows if identity(row) == kind]
        measured = list(comparisons(rows))
        if measured:
            title = (
                f"Suite {kind.suite}, {kind.protocol}: {kind.sweep_size} settings tried,"
                f" {kind.seed_rule}"
            )
            shown = [_row(each) for each in measured]
            yield Results(title, shown, _means(rows, kind), _warnings(rows, digest))


def _warnings(rows: Sequence[ResultRow], digest: str) -> list[str]:
    own = [row for row in rows if not row.baseline]
    others = sorted({row.weights_origin for row in own if row.weights not in ("", digest)})
    deviations = dict.fromkeys(each for row in own for each in row.deviations)
    found = [f"These results belong to other weights: {without_folders(each)}." for each in others]
    if deviations:
        found.append(f"Deviations from the exact tasks: {', '.join(deviations)}.")
    return [*found, *warnings(rows)]


def _row(measured: Comparison) -> list[str]:
    cells = measured.cells
    model = cells[MODEL]
    accuracies = [
        Markup(percent(cells[role].value, cells[role].interval)) if role in cells else ""
        for role in (MODEL, "untrained", "pixels")
    ]
    protocol = PROTOCOLS.get(measured.protocol, measured.protocol)
    seen = "" if measured.protocol in ON_VIDEOS else short(model.leakage)
    chance = f"{100 * model.chance:.1f}"
    return [measured.task, protocol, *accuracies, chance, f"{model.num_test:,}", seen]


def _means(rows: Sequence[ResultRow], kind: Identity) -> list[str]:
    """Return the mean over the suite, or the reason why there is none."""
    own = [row for row in rows if not row.baseline]
    try:
        summary = summarise(own)
    except FootageError as error:
        return [f"No mean of {kind.suite}: {error.message}."]
    if summary.missing:
        return [f"No mean: {len(summary.missing)} missing: {', '.join(summary.missing)}."]
    return [f"{one_averaging([each])}: {100 * each.value:.1f}." for each in summary.headline]


def _limitations(run: Run) -> Iterator[str]:
    if run.num_steps < run.total_steps and not run.record.get("stopping"):
        yield f"Training ended after {run.num_steps:,} of {run.total_steps:,} steps."
    measured = [*comparisons(run.rows), *comparisons(run.suite_rows)]
    if not any(each.protocol not in ON_VIDEOS for each in measured):
        yield "The features were not evaluated on labelled images."
    for baseline, words in IN_WORDS.items():
        found: dict[str, list[str]] = {}
        for each in measured:
            if baseline in each.cells:
                protocol = PROTOCOLS.get(each.protocol, each.protocol)
                found.setdefault(each.against(baseline), []).append(f"{each.task} ({protocol})")
        if WORSE in found:
            yield f"The model is worse than {words} on: {', '.join(found[WORSE])}."
        if UNCLEAR in found:
            yield f"There is no clear difference from {words} on: {', '.join(found[UNCLEAR])}."
    advice = map(str, run.kept_probe.get("advice", []))  # of these weights
    yield from (f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in advice)
