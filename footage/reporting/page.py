"""The page: its sections in reading order, from what was learned to how it was made."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final, NamedTuple

from footage.evaluation.comparisons import comparisons
from footage.evaluation.results import NEAREST
from footage.reporting.inputs import GatheredProfile, Judged, Run
from footage.reporting.markup import Markup, caution, join, tag
from footage.reporting.sections import invariance, results, suites, training
from footage.reporting.sections import videos as pictures
from footage.reporting.sections.videos import Comparison
from footage.reporting.thumbnails import ShownVideo

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing is fetched and nothing runs, whatever a file name says."""


class Footage(NamedTuple):
    """Pictures from the store that the runs were trained on; empty where it cannot be read."""

    totals: Mapping[str, Any]
    sheet: Sequence[ShownVideo]
    comparisons: Sequence[Comparison]
    missing: str
    """Why there are no pictures; empty when there are."""


def without_pictures(reason: str) -> Footage:
    """No pictures, and why."""
    return Footage({}, [], [], reason)


def page(
    runs: Sequence[Run],
    footage: Footage,
    beside: Sequence[Judged] = (),
    invariances: Sequence[GatheredProfile] = (),
) -> str:
    """The whole document.

    Args:
        runs: What it is about.
        footage: Pictures of what they were trained on.
        beside: Other models that were judged on suites.
        invariances: Profiles of the runs and of other models.
    """
    judged_runs = [Judged(run.name, run.suite_rows) for run in runs]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"footage report: {', '.join(run.name for run in runs)}"),
        tag("style", Markup(_style())),
    )
    body = tag(
        "main",
        _header(runs),
        pictures.retrieval_section(footage.comparisons, footage.missing),
        results.retrieval_section(runs),
        results.section(runs),
        suites.section([*judged_runs, *beside]),
        invariance.section(invariances, runs),
        training.section(runs),
        pictures.contact_section(
            footage.sheet,
            footage.totals,
            next((run.num_videos for run in runs if run.record["store"]), 0),
            footage.missing,
        ),
        _runs_section(runs),
        _footer(runs),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", body), lang="en") + "\n"


def _style() -> str:
    return resources.files("footage.reporting").joinpath("style.css").read_text("utf-8")


def _header(runs: Sequence[Run]) -> Markup:
    alone = len(runs) == 1
    leads: list[Markup] = []
    for number, run in enumerate(runs):
        if alone:
            leads += [tag("p", sentence, class_="lead") for sentence in _found(run)]
        else:
            name = tag("strong", run.name, class_=f"run{number % 6}")
            leads.append(tag("p", name, ". ", " ".join(_found(run)), class_="lead"))
    advice = [
        ("" if alone else f"{run.name}: ") + sentence for run in runs for sentence in run.advice
    ]
    figures = _figures(runs[0]) if alone else []
    return tag(
        "header",
        tag("p", "footage report", class_="kicker"),
        tag("h1", _headline(runs)),
        *leads,
        tag("dl", *figures, class_="figures") if figures else Markup(""),
        caution(advice),
    )


def _headline(runs: Sequence[Run]) -> str:
    """Which training the page is about; counts are the runs' own."""
    name = f"“{runs[0].name}”" if len(runs) == 1 else f"{len(runs)} runs"
    videos = any(run.record["store"] for run in runs)
    labels = any(run.record["labels_used"] for run in runs)
    how = "training" if labels else "self-supervised training"
    on = []
    if videos:
        on.append(_counts([run.num_videos for run in runs if run.record["store"]], "videos"))
    if any(run.record["images"] for run in runs):
        used = [run.record["labels_used"] for run in runs if run.record["labels_used"]]
        on.append(_counts(used, "labelled images") if labels else "images without their labels")
    from_weights = [run.initial for run in runs if run.initial]
    began = f", initialised from {', '.join(dict.fromkeys(from_weights))}" if from_weights else ""
    return f"{name}: {how} on {' and '.join(on)}{began}"


def _counts(counts: Sequence[int], noun: str) -> str:
    """`64 videos`; of several runs `64 to 71 videos`; without a number where it is not known."""
    if not counts or not all(counts):
        return noun
    low, high = min(counts), max(counts)
    return f"{low:,} {noun}" if low == high else f"{low:,} to {high:,} {noun}"


def _found(run: Run) -> list[str]:
    """What was measured, in sentences that claim no more than that."""
    views = run.num_steps * run.images_per_batch
    done = f"After {run.num_steps:,} steps ({views:,} views)"
    probe = run.probes[-1]["probe"] if run.probes else {}
    first = run.probes[0]["probe"] if run.probes else {}
    sentences = []
    same_video = _same_video(run)
    if same_video:
        hit, before, chance = same_video
        began = "" if before is None else f"{_percent(before)} before training and "
        sentences.append(
            f"{done}, the nearest frame outside a frame's own shot comes from the same held-out "
            f"video in {_percent(hit)} of cases; {began}{_percent(chance)} by chance."
        )
    elif "rankme" in probe and run.num_steps:
        began = f"; before training {first['rankme']:.1f}" if "rankme" in first else ""
        sentences.append(
            f"{done}, the features use {probe['rankme']:.1f} directions (RankMe){began}."
        )
    verdict = results.verdict(run.rows)
    return [*sentences, verdict] if verdict else sentences


def _same_video(run: Run) -> tuple[float, float | None, float] | None:
    """Hit rate now, before training, and by chance: of an evaluation, or else of the monitor."""
    for each in comparisons(run.rows):
        if each.protocol == NEAREST and each.task == "same video":
            cells = each.cells
            return cells["model"].value, cells["untrained"].value, cells["chance"].value
    probe = run.probes[-1]["probe"] if run.probes else {}
    if "same_video_hit" not in probe:
        return None
    before = run.probes[0]["probe"].get("same_video_hit") if run.probes[-1]["step"] else None
    return probe["same_video_hit"], before, probe.get("same_video_chance", 0.0)


FIGURES: Final = {NEAREST: "same {} found first, held-out videos", "linear": "{}, linear probe"}
"""Titles of the figures at the top, by protocol."""


def _figures(run: Run) -> list[Markup]:
    measured = [each for each in comparisons(run.rows) if each.protocol in FIGURES]
    figures = [] if any(each.protocol == NEAREST for each in measured) else _probed_figures(run)
    for each in measured:
        context = " · ".join(
            f"{name} {100 * each.cells[name].value:.0f}"
            for name in ("untrained", "pixels", "chance")
            if name in each.cells
        )
        title = FIGURES[each.protocol].format(each.task.removeprefix("same "))
        figures.append(_figure(title, each.cells["model"].value, context, each.verdict))
    return figures[:8]


def _probed_figures(run: Run) -> list[Markup]:
    """Retrieval as the monitor saw it, for a run that was not evaluated on its held-out videos."""
    figures = []
    probe = run.probes[-1]["probe"] if run.probes else {}
    for name in ("video", "shot"):
        if f"same_{name}_hit" in probe:
            before = run.probes[0]["probe"].get(f"same_{name}_hit")
            chance = f"chance {100 * probe.get(f'same_{name}_chance', 0.0):.0f}"
            context = chance if before is None else f"before training {100 * before:.0f} · {chance}"
            title = FIGURES[NEAREST].format(name)
            figures.append(_figure(title, probe[f"same_{name}_hit"], context))
    return figures


def _figure(title: str, share: float, context: str, verdict: str = "") -> Markup:
    value = tag("div", f"{100 * share:.1f}", tag("small", " %"), class_="value")
    words = [tag("div", line, class_="context") for line in (context, verdict) if line]
    return tag("div", tag("dt", title), tag("dd", value, *words))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# --- runs --------------------------------------------------------------------------------------

RUN_COLUMNS: Final = (
    "run", "recipe", "backbone", "initial weights", "steps", "views", "hours", "waiting for data",
    "trained on",
)  # fmt: skip


def _runs_section(runs: Sequence[Run]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("td", run.name, class_="name-of-file"),
            tag("td", run.record.get("recipe") or "own"),
            tag("td", f"{run.record['model']['architecture']}, {_size(run)} px"),
            tag("td", str(run.record["model"]["start"])),
            *(tag("td", value, class_="figure") for value in _run_numbers(run)),
            tag("td", _sources(run), class_="name-of-file"),
        )
        for run in runs
    ]
    figures = {"steps", "views", "hours", "waiting for data"}
    heads = [
        tag("th", name, scope="col", class_="figure" if name in figures else "")
        for name in RUN_COLUMNS
    ]
    return tag(
        "section",
        tag("h2", "Training setup"),
        tag(
            "p",
            "Hours are time spent in training steps. All settings are in run.json; reproduce with "
            "footage train --from RUN/run.json.",
            class_="note",
        ),
        tag(
            "div",
            tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows)),
            class_="wide",
        ),
        id="runs",
    )


def _run_numbers(run: Run) -> list[str]:
    steps = f"{run.num_steps:,}"
    if run.num_steps < run.total_steps:
        steps += f" of {run.total_steps:,}"
    views = f"{run.num_steps * run.images_per_batch:,}"
    return [steps, views, f"{run.hours:.2f}", f"{100 * run.data_wait:.0f} %"]


def _size(run: Run) -> int:
    return int(run.record["model"]["preprocessing"]["size"])


def _sources(run: Run) -> str:
    """The store and the labelled images, as far as it was trained on them."""
    named = []
    for kind in ("store", "images"):
        path, digest = str(run.record[kind]), run.record[f"{kind}_hash"]
        if path:
            named.append(f"{path.rstrip('/').rpartition('/')[2]} ({digest[:10]})")
    if run.record["labels_used"]:
        named[-1] += f", {run.record['labels_used']:,} labels"
    return "; ".join(named)


def _footer(runs: Sequence[Run]) -> Markup:
    lines = []
    for run in runs:
        versions = run.record.get("versions", {})
        machine = run.record.get("machine", {})
        known = ", ".join(f"{name} {version}" for name, version in versions.items())
        lines.append(
            tag(
                "p",
                f"{run.name}: seed {run.record['seed']}, "
                f"commit {run.record.get('commit', 'unknown')}, "
                f"{machine.get('processor', '')} ({machine.get('cores', '?')} cores), "
                f"accelerator {machine.get('accelerator', 'none')}; {known}.",
            )
        )
    return tag("footer", join(*lines))
