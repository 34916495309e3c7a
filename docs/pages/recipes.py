"""docs/reference/recipes.md: every recipe, from the docstrings and values of METHODS and SCALES."""

import inspect

from footage.recipes.methods import METHODS, RECIPES
from footage.recipes.scales import SCALES
from footage.training.config import TrainConfig

HEAD = """# Recipes

Generated from `footage/recipes/methods.py` and `footage/recipes/scales.py` by
`python -m docs.generate`; a test keeps it up to date.
[paper]: certain. [recalled]: from memory of the paper, with confidence. [ours]: our choice.

A recipe is a method at a scale: `METHOD` alone is at the paper's scale, `METHOD-gpu` and
`METHOD-tiny` are smaller. [Choose a recipe](../guides/recipes.md) compares them, and the
[paper map](../background/paper-map.md) lists where each piece of the paper is in the code.

In the tables, V S F A are videos per batch, shots per video, frames per shot and views per frame,
over all processes together; B is the number of labelled images per batch. For self-supervised
losses on still images, V counts images.

## Scales

Costs refer to `vivi-ex4`.
"""
COLUMNS = (
    "recipe", "network", "px", "steps", "V S F A", "B", "views seen", "labelled views seen",
    "optimiser",
)  # fmt: skip


def page() -> str:
    """Render the page."""
    scales = "\n".join(_scale(name) for name in SCALES)
    methods = "\n".join(_method(name) for name in METHODS)
    return f"{HEAD}\n{scales}\n## Methods\n\n{_contents()}\n{methods}"


def _contents() -> str:
    lines = [f"- [`{name}`](#{name}): {RECIPES[name].summary}" for name in METHODS]
    return "\n".join([*lines, ""])


def _scale(name: str) -> str:
    lines = (inspect.getdoc(SCALES[name]) or "").splitlines()
    about = [line for line in lines if not line.startswith("Command:")]
    return f"### `{name}`\n\n{_marks(about)}\n"


def _method(method: str) -> str:
    about = _marks((inspect.getdoc(METHODS[method]) or "").splitlines())
    names = [method if scale == "paper" else f"{method}-{scale}" for scale in SCALES]
    table = [_row(COLUMNS), _row(("---",) * len(COLUMNS))]
    table += [_row(_cells(name, RECIPES[name].config)) for name in names]
    commands = "\n".join(_command(name) for name in names)
    return "\n".join([f"### `{method}`", "", about, "", *table, "", "```sh", commands, "```", ""])


def _cells(name: str, config: TrainConfig) -> tuple[str, ...]:
    options = " ".join(f"{key} {value}" for key, value in config.backbone.options.items())
    optimizer, schedule = config.optimizer, config.schedule
    unlabelled = config.objective.has_unlabelled_level
    views = config.sampling.images_per_batch if unlabelled else 0
    labelled = config.labelled.images_per_batch if config.objective.supervised.weight else 0
    return (
        f"`{name}`",
        f"{config.backbone.architecture} {options}".strip(),
        str(config.augment.size),
        f"{config.steps:,}",
        " ".join(map(str, config.views_shape)) if unlabelled else "",
        str(labelled or ""),
        _count(views * config.steps),
        _count(labelled * config.steps),
        f"{optimizer.name}, {optimizer.learning_rate:g}, {schedule.name}",
    )


def _command(name: str) -> str:
    """Return the command in a recipe's notes."""
    (line,) = (line for line in RECIPES[name].notes.splitlines() if line.startswith("Command: "))
    return line.removeprefix("Command: ")


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _marks(lines: list[str]) -> str:
    """Format docstring lines as Markdown: a mark such as `Deviation:` starts a new paragraph."""
    marks = ("Cost:", "Views:", "Recalled:", "Deviation:")
    text = "\n".join(f"\n{line}" if line.startswith(marks) else line for line in lines)
    return text.replace("\n\n\n", "\n\n")
