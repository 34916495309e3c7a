r"""The reference columns of the pocket-video suite, with which its results must be compared.

    footage evaluate efficientnet-lite0.safetensors --suite pocket-video --data pocket-video \
        --size 64 --protocols linear --out R
    footage evaluate efficientnet-lite0.safetensors --suite pocket-video --data pocket-video \
        --size 64 --protocols 1-shot 4-shot 5-shot 20-shot --out R \
        --tasks instance doom-place doom-item doom-depth
    python -m benchmarks.pocket_video_reference benchmarks/results/pocket-video-reference.json \
        --collect R
    python -m benchmarks.pocket_video_reference benchmarks/results/pocket-video-reference.json

The third command collects all rows, with weights, commit and machine; the last prints the table in
packages/pocket-suite/README.md. `benchmarks/reference_weights.py` writes the reference weights.
"""

import argparse
from pathlib import Path

from benchmarks.pocket_reference import Cells, collect, difference, read, shown, table_row, write
from footage.errors import FootageError
from footage.suites.pocket_video import TASKS

COLUMNS = {
    "pixels": "pixels",
    "untrained": "Lite0, untrained",
    "reference": "Lite0, ImageNet",
}
"""Columns and their titles."""

FOLDERS = {"pixels": "pixels", "untrained": "untrained", "reference": "."}
"""Folder of each column in the output of `footage evaluate`."""

SHOWN = {
    "instances": ("1-shot", "4-shot"),
    "robustness": ("linear",),
    "in-domain": ("1-shot", "5-shot", "20-shot"),
}
"""Protocols in the table, by the group of the task."""

PROTOCOLS = tuple(dict.fromkeys(name for names in SHOWN.values() for name in (*names, "linear")))


def table(cells: Cells) -> str:
    """Format the evaluated tasks as Markdown: a row per task and protocol."""
    text = table_row(["", "protocol", "chance", *COLUMNS.values(), "gain from ImageNet"])
    text += table_row(["---"] * 2 + ["---:"] * (len(COLUMNS) + 2))
    for task in TASKS:
        for protocol in SHOWN[task.group]:
            lines = {column: cells.get((task.name, column, protocol)) for column in COLUMNS}
            known = [line for line in lines.values() if line is not None]
            if not known:
                continue
            gain = difference(cells, task.name, protocol)
            values = [shown(line) for line in lines.values()]
            chance = f"{100 * known[0]['chance']:.1f}"
            text += table_row([task.name, protocol, chance, *values, str(gain or "")])
    return text


def main() -> None:
    """Collect results, or print the table of collected results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="JSON file of the results")
    parser.add_argument("--collect", type=Path, help="collect the results of this folder first")
    options = parser.parse_args()
    try:
        if options.collect:
            write(options.results, collect(options.collect, FOLDERS, PROTOCOLS))
        print(table(read(options.results)), end="")
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
