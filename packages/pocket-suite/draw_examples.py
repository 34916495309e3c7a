"""Draw the contact sheets of packages/pocket-suite/README.md from a built suite.

python packages/pocket-suite/draw_examples.py SUITE
"""

import sys
from pathlib import Path

from PIL import Image

COLUMNS, ROWS, SIDE, GAP = 10, 2, 64, 2
COLOURS = 220
"""Palette size of a sheet: no visible loss, and a quarter of the bytes."""


def sheet(task: Path) -> Image.Image:
    """Return the first images of the test split, in order of their labels."""
    lines = (task / "test.txt").read_text("utf-8").splitlines()[: COLUMNS * ROWS]
    listed = sorted((line.rsplit(" ", 1) for line in lines), key=lambda one: int(one[1]))
    size = (COLUMNS * (SIDE + GAP) - GAP, ROWS * (SIDE + GAP) - GAP)
    canvas = Image.new("RGB", size, (255, 255, 255))
    for number, (name, _) in enumerate(listed):
        row, column = divmod(number, COLUMNS)
        with Image.open(task / name) as image:
            shown = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        canvas.paste(shown, (column * (SIDE + GAP), row * (SIDE + GAP)))
    return canvas.quantize(COLOURS, Image.Quantize.FASTOCTREE)


def main(suite: Path, folder: Path) -> None:
    """Write one sheet for each existing task."""
    for listed in sorted(suite.glob("*/test.txt")):
        sheet(listed.parent).save(folder / f"pocket-{listed.parent.name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
