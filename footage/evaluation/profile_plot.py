"""One picture of several profiles: a panel a measurement, a row a change, a mark a model."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from footage.evaluation.bootstrap import Estimate
from footage.evaluation.invariance import LEVELS
from footage.evaluation.profile_results import Profiled

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288")
"""Told apart by the colour-blind, after Okabe & Ito; more models take them again, other marks."""

BASELINE_COLOURS: Final = ("#8c8c8c", "#b8a27a", "#a0b0c0")
MARKS: Final = ("o", "s", "D", "^", "v")
HOLLOW: Final = "white"

LEVEL_LABELS: Final = {
    "view": "two views\nof a frame",
    "shot": "two frames\nof a shot",
    "video": "two shots\nof a video",
}
ROBUSTNESS_LABELS: Final = {
    "anchor": "anchor frame",
    "average": "all frames\nin reach",
    "worst": "worst frame\nin reach",
    "drop": "anchor\nless worst",
}


PANELS_ABREAST: Final = 2

RATIO_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


class _Panel(NamedTuple):
    title: str
    axis: str
    is_ratio: bool
    """Drawn evenly up to 1, the dashed yardstick, and logarithmically above."""
    rows: Mapping[str, Sequence[Estimate | None]]
    """By label, one estimate a model."""


class _Style(NamedTuple):
    colour: str
    mark: str
    filled: bool


def draw_profiles(path: Path, models: Sequence[Profiled], baselines: Sequence[str]) -> Path:
    """Write the picture; the suffix of the path says in which format.

    Args:
        path: An SVG, PDF or PNG file.
        models: What was measured, one mark each.
        baselines: Names of those that are not judged but compared with; they are drawn hollow.
    """
    panels = _panels(models)
    lines = math.ceil(len(panels) / PANELS_ABREAST)
    tallest = max(len(panel.rows) for panel in panels)
    height = 0.5 + lines * (1.0 + tallest * (0.3 + 0.08 * len(models)))
    styles = _styles([model.name in baselines for model in models])
    with matplotlib.rc_context({"svg.hashsalt": "footage", "font.size": 9}):
        abreast = min(PANELS_ABREAST, len(panels))
        figure = Figure(figsize=(4.2 * abreast, height), layout="constrained")
        axes = [figure.add_subplot(lines, abreast, place + 1) for place in range(len(panels))]
        for place, panel in zip(axes, panels, strict=True):
            _draw(place, panel, styles)
        handles = [
            _sample(axes[0], style, model.name) for style, model in zip(styles, models, strict=True)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.stem}.partial{path.suffix}")
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(aside, metadata=metadata, dpi=120)
    aside.replace(path)
    return path


def _panels(models: Sequence[Profiled]) -> list[_Panel]:
    panels = []
    if any(model.profile for model in models):
        levels = [model.profile.levels if model.profile else {} for model in models]
        rows = {
            LEVEL_LABELS[name]: [each[name].ratio if name in each else None for each in levels]
            for name in LEVELS
        }
        panels.append(_Panel("Inside a video", "distance / two videos", True, rows))
    names = dict.fromkeys(name for model in models for name in model.factors)
    if names:
        rows = {
            name: [m.factors[name].ratio if name in m.factors else None for m in models]
            for name in names
        }
        panels.append(_Panel("One factor at a time", "distance / another object", True, rows))
    for protocol in dict.fromkeys(name for model in models for name in model.robustness):
        found = [model.robustness.get(protocol) for model in models]
        rows = {
            label: [getattr(each, name) if each else None for each in found]
            for name, label in ROBUSTNESS_LABELS.items()
        }
        panels.append(_Panel(f"While the video goes on ({protocol})", "accuracy", False, rows))
    return panels


def _styles(is_baseline: Sequence[bool]) -> list[_Style]:
    """Baselines in pale hollow marks, models in strong filled ones."""
    styles: list[_Style] = []
    counts = {True: 0, False: 0}
    for baseline in is_baseline:
        colours = BASELINE_COLOURS if baseline else COLOURS
        round_trip, place = divmod(counts[baseline], len(colours))
        styles.append(_Style(colours[place], MARKS[round_trip % len(MARKS)], not baseline))
        counts[baseline] += 1
    return styles


def _draw(axes: Any, panel: _Panel, styles: Sequence[_Style]) -> None:  # noqa: ANN401
    for row, estimates in enumerate(panel.rows.values()):
        for number, (found, style) in enumerate(zip(estimates, styles, strict=True)):
            if found is None:
                continue
            y = row + (number - (len(styles) - 1) / 2) * 0.72 / max(len(styles), 2)
            axes.plot([found.low, found.high], [y, y], color=style.colour, linewidth=1.6, zorder=2)
            axes.plot([found.value], [y], **_marker(style), zorder=3)
    for row in range(1, len(panel.rows)):
        axes.axhline(row - 0.5, color="#e5e5e5", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(panel.rows)), list(panel.rows))
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    if panel.is_ratio:
        axes.axvline(1, color="#555555", linewidth=1, linestyle="--", zorder=1)
        axes.set_xscale("symlog", linthresh=1, linscale=2)
        axes.set_xticks(RATIO_TICKS, [f"{tick:g}" for tick in RATIO_TICKS])
        axes.minorticks_off()
    highs = [each.high for row in panel.rows.values() for each in row if each]
    axes.set_xlim(0, 1.05 * max((high for high in highs if math.isfinite(high)), default=1.0))
    axes.set_xlabel(panel.axis)
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.tick_params(left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _marker(style: _Style) -> dict[str, Any]:
    return {
        "marker": style.mark,
        "markersize": 5,
        "color": style.colour,
        "markerfacecolor": style.colour if style.filled else HOLLOW,
        "linestyle": "none",
    }


def _sample(axes: Any, style: _Style, label: str) -> Any:  # noqa: ANN401
    """A mark for the legend alone."""
    return axes.plot([], [], label=label, **_marker(style))[0]
