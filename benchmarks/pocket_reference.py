r"""The reference columns of the pocket suite, with which its results must be compared.

    footage evaluate pixels --suite pocket --data pocket --protocols pocket-fast --out R/pixels
    footage evaluate efficientnet-lite0.safetensors --suite pocket --data pocket --size 64 \
        --protocols pocket-fast pocket-finetune --out R/reference     (and --untrained: R/untrained)
    footage evaluate resnet18 --suite pocket --data pocket --size 64 --untrained \
        --protocols pocket-fast pocket-finetune --out R/resnet18
    python benchmarks/pocket_reference.py benchmarks/results/pocket-reference.json --collect R
    python benchmarks/pocket_reference.py benchmarks/results/pocket-reference.json

The first call collects all rows, with weights, commit and machine; the second prints the tables of
packages/pocket-suite/README.md. `benchmarks/reference_weights.py` writes the reference weights.

The rule: a task stays in the suite's mean if the reference beats the same network with random
weights by more than two standard errors of the difference, either with a linear probe on frozen
features or with fine-tuning. Both use the same test images, which the errors do not exploit.
"""

import argparse
import datetime
import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from footage.errors import ConfigError, FootageError
from footage.evaluation import earlier
from footage.evaluation.averages import GROUPS
from footage.evaluation.results import read_rows
from footage.runs.environment import environment
from footage.suites.pocket import TASKS

FROZEN, TUNED = "linear", "pocket-finetune"
COLUMNS = {
    FROZEN: {
        "pixels": "pixels",
        "resnet18": "ResNet-18, untrained",
        "untrained": "Lite0, untrained",
        "reference": "Lite0, ImageNet",
    },
    TUNED: {
        "resnet18": "ResNet-18, from scratch",
        "untrained": "Lite0, from scratch",
        "reference": "Lite0, ImageNet",
    },
}
"""Folders of results, and their column titles in the tables of each protocol."""
PROTOCOLS = ("knn", FROZEN, TUNED)
STANDARD_ERRORS = 2.0
"""Minimum lead of the reference, in standard errors."""
KEPT = (
    "task", "group", "value", "standard_error", "seed_values", "seed_rule", "sweep_size",
    "selected", "validation", "chance", "num_classes", "num_train", "num_val", "num_test", "size",
    "resize", "precision",
)  # fmt: skip

Line = Mapping[str, Any]
"""One row of the results: a task, a column and a protocol."""
Cells = Mapping[tuple[str, str, str], Line]
"""Rows by task, column and protocol."""


class Difference(NamedTuple):
    """Lead of the reference over the untrained network, as fractions."""

    value: float
    error: float

    @property
    def wins(self) -> bool:
        """Whether it is more than noise."""
        return self.value > STANDARD_ERRORS * self.error

    def __str__(self) -> str:
        """Return the lead in points with its error."""
        return f"{100 * self.value:+.1f} ± {100 * self.error:.1f}"


# --- collect ------------------------------------------------------------------------------------


def collect(
    root: Path,
    folders: Mapping[str, str] = {column: column for column in COLUMNS[FROZEN]},
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, Any]:
    """Collect every row below a folder of results, with the models and the machine.

    Args:
        root: The folder.
        folders: Folder of each column below it.
        protocols: Protocols to collect.
    """
    runs, lines = [], []
    for column, below in folders.items():
        for protocol in protocols:
            folder = root / below / protocol
            if not (folder / "results.jsonl").is_file():
                continue
            told = json.loads((folder / "evaluation.json").read_text())
            written = datetime.datetime.fromtimestamp(
                (folder / "results.jsonl").stat().st_mtime, datetime.UTC
            )
            runs.append(
                {"column": column, "protocol": protocol, "date": written.date().isoformat()}
                | without_folder(earlier.evaluation(told)["identity"]["model"])
                | told["environment"]
            )
            for row in read_rows(folder):
                plain = msgspec.to_builtins(row)
                lines.append(
                    {"column": column, "protocol": protocol} | {name: plain[name] for name in KEPT}
                )
    if not lines:
        raise ConfigError(f"{root} contains no results", f"folders: {', '.join(folders.values())}")
    return {"collected": environment(), "runs": runs, "rows": lines}


def without_folder(model: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a model without the folder of its file, which says nothing on other machines."""
    folder = f"{Path(model['model']).parent}/"
    return {
        key: value.replace(folder, "") if isinstance(value, str) else value
        for key, value in model.items()
    }


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write JSON with one line per run and per row."""
    parts = [f' "collected": {json.dumps(found["collected"])}']
    for name in ("runs", "rows"):
        lines = ",\n".join("  " + json.dumps(line) for line in found[name])
        parts.append(f' "{name}": [\n{lines}\n ]')
    aside = path.with_suffix(".partial")
    aside.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    aside.replace(path)


# --- the rule -----------------------------------------------------------------------------------


def cells_of(lines: Iterable[Line]) -> dict[tuple[str, str, str], Line]:
    """Return the rows by task, column and protocol."""
    return {(line["task"], line["column"], line["protocol"]): line for line in lines}


def difference(cells: Cells, task: str, protocol: str) -> Difference | None:
    """Compare the reference with the untrained network; None if one of them was not evaluated."""
    ours, theirs = (cells.get((task, column, protocol)) for column in ("reference", "untrained"))
    if ours is None or theirs is None:
        return None
    error = (ours["standard_error"] ** 2 + theirs["standard_error"] ** 2) ** 0.5
    return Difference(ours["value"] - theirs["value"], error)


def wins_by(cells: Cells, task: str) -> list[str]:
    """Return the protocols by which the reference wins."""
    found = {protocol: difference(cells, task, protocol) for protocol in (FROZEN, TUNED)}
    return [protocol for protocol, each in found.items() if each is not None and each.wins]


def dropped(cells: Cells) -> list[str]:
    """Return the tasks that do not separate reference and untrained network, in order."""
    return [
        task
        for task in tasks_of(cells)
        if not wins_by(cells, task) and difference(cells, task, TUNED) is not None
    ]


def undecided(cells: Cells) -> list[str]:
    """Return the tasks that frozen features do not separate and that were not fine-tuned yet."""
    return [
        task
        for task in tasks_of(cells)
        if not wins_by(cells, task) and difference(cells, task, TUNED) is None
    ]


def tasks_of(cells: Cells) -> list[str]:
    """Return all evaluated tasks, in suite order."""
    evaluated = {task for task, _, _ in cells}
    return [row.name for row in TASKS if row.name in evaluated]


# --- tables -------------------------------------------------------------------------------------


def tables(cells: Cells) -> str:
    """Format both tables as Markdown: linear probe on frozen features, and fine-tuning."""
    frozen, tuned = _table(cells, FROZEN), _table(cells, TUNED)
    return f"Frozen features, `{FROZEN}`:\n\n{frozen}\nFine-tuned, `{TUNED}`:\n\n{tuned}"


def _table(cells: Cells, protocol: str) -> str:
    """Format the tasks of a protocol, dropped ones last, and means of those that count."""
    evaluated = {task for task, _, each in cells if each == protocol}
    columns = [
        column
        for column in COLUMNS[protocol]
        if any((task, column, protocol) in cells for task in evaluated)
    ]
    lines = {task: line for (task, _, _), line in cells.items()}
    gone = dropped(cells)
    kept = [task for task in tasks_of(cells) if task not in gone]
    names = [COLUMNS[protocol][column] for column in columns]
    text = table_row(["", "chance", *names, "gain from ImageNet"])
    text += table_row(["---"] + ["---:"] * (len(names) + 2))
    for task in [task for task in [*kept, *gone] if task in evaluated]:
        values = [shown(cells.get((task, column, protocol))) for column in columns]
        told = difference(cells, task, protocol)
        name = f"{task} (dropped)" if task in gone else task
        chance = f"{100 * lines[task]['chance']:.1f}"
        text += table_row([name, chance, *values, "" if told is None else str(told)])
    means = {f" {group}": [t for t in kept if lines[t]["group"] == group] for group in GROUPS}
    for words, tasks in {**means, "": kept}.items():
        if len(tasks) > 1 and evaluated.issuperset(tasks):
            name = f"**mean of {len(tasks)}{words}**"
            text += table_row([name, *_means(cells, tasks, protocol, columns)])
    return text


def _means(cells: Cells, tasks: Sequence[str], protocol: str, columns: Sequence[str]) -> list[str]:
    """Format means of chance, every column and the difference; empty if a task is missing."""

    def mean(of: Callable[[str], float | None]) -> str:
        values = [of(task) for task in tasks]
        known = [value for value in values if value is not None]
        return f"{100 * statistics.fmean(known):.1f}" if len(known) == len(values) else ""

    def value(task: str, column: str) -> float | None:
        line = cells.get((task, column, protocol))
        return None if line is None else line["value"]

    chance = {task: line["chance"] for (task, _, _), line in cells.items()}
    found = [difference(cells, task, protocol) for task in tasks]
    whole = [each for each in found if each is not None]
    brought = ""
    if len(whole) == len(found):
        error = sum(each.error**2 for each in whole) ** 0.5 / len(whole)
        brought = str(Difference(statistics.fmean(each.value for each in whole), error))
    shown = [mean(lambda task, column=column: value(task, column)) for column in columns]
    return [mean(chance.get), *shown, brought]


def shown(line: Line | None) -> str:
    """Format the value of a row in percent; empty without a row."""
    return "" if line is None else f"{100 * line['value']:.1f}"


def table_row(cells: Sequence[str]) -> str:
    """Format a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |\n"


def read(path: Path) -> dict[tuple[str, str, str], Line]:
    """Read the rows of a file that `write` wrote."""
    return cells_of(json.loads(path.read_text())["rows"])


def main() -> None:
    """Collect results, or print the tables of collected results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="JSON file of the results")
    parser.add_argument("--collect", type=Path, help="collect the results of this folder first")
    options = parser.parse_args()
    try:
        if options.collect:
            write(options.results, collect(options.collect))
        cells = read(options.results)
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")
    print(tables(cells))
    for words, tasks in (("dropped", dropped(cells)), ("undecided", undecided(cells))):
        if tasks:
            print(f"{words}: {', '.join(tasks)}")


if __name__ == "__main__":
    main()
