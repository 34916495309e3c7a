"""One picture of several profiles: a panel a measurement, a row a change, a mark a model."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from footage.invariance.panels import RATIO_TICKS, Panel, panels
from footage.invariance.results import Profiled
from footage.io import files
from footage.text import printable

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288")
"""Told apart by the colour-blind, after Okabe & Ito; more models take them again, other marks."""

BASELINE_COLOURS: Final = ("#8c8c8c", "#b8a27a", "#a0b0c0")
MARKS: Final = ("o", "s", "D", "^", "v")
HOLLOW: Final = "white"

PANELS_ABREAST: Final = 2


class _Style(NamedTuple):
    colour: str
    mark: str
    filled: bool


def draw_profiles(path: Path, models: Sequence[Profiled]) -> Path:
    """Write the figure in the format of the path's suffix.

    Args:
        path: An SVG, PDF or PNG file.
        models: The measured profiles, one marker each; baselines are drawn hollow.

    Raises:
        OutputError: The file cannot be written.
    """
    shown = panels(models)
    lines = math.ceil(len(shown) / PANELS_ABREAST)
    tallest = max(len(panel.rows) for panel in shown)
    height = 0.5 + lines * (1.0 + tallest * (0.3 + 0.08 * len(models)))
    styles = _styles([model.is_baseline for model in models])
    # A name with two dollar signs is a name, not a formula.
    with matplotlib.rc_context(
        {"svg.hashsalt": "footage", "font.size": 9, "text.parse_math": False}
    ):
        abreast = min(PANELS_ABREAST, len(shown))
        figure = Figure(figsize=(4.2 * abreast, height), layout="constrained")
        axes = [figure.add_subplot(lines, abreast, place + 1) for place in range(len(shown))]
        for place, panel in zip(axes, shown, strict=True):
            _draw(place, panel, styles)
        handles = [
            _sample(axes[0], style, _label(model.name))
            for style, model in zip(styles, models, strict=True)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        kind = path.suffix.removeprefix(".")
        metadata = {"Date": None} if kind == "svg" else None
        with files.atomic_write(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # shown as a box
            figure.savefig(temporary, format=kind, metadata=metadata, dpi=120)
    return path


def _label(name: str) -> str:
    """A name as the legend shows it; one that begins with an underscore would be omitted."""
    shown = printable(name)
    return f" {shown}" if shown.startswith("_") else shown


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


def _draw(axes: Any, panel: Panel, styles: Sequence[_Style]) -> None:  # noqa: ANN401
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
    if panel.yardstick:
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
