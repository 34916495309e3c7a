"""Draw the contact sheets of packages/pocket-suite/README.md from a built suite.

python packages/pocket-suite/draw_examples.py SUITE
"""

import sys
from pathlib import Path

from PIL import Image, ImageFilter

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


def clip_sheet(folder: Path) -> Image.Image:
    """Return frames of the first clips, with the outlines of their masks."""
    columns, shrunk = 5, (128, 96)
    clips = sorted((folder / "JPEGImages" / "480p").iterdir())[:3]
    size = [count * (side + GAP) - GAP for count, side in zip((columns, 3), shrunk, strict=True)]
    canvas = Image.new("RGB", (size[0], size[1]), (255, 255, 255))
    for row, clip in enumerate(clips):
        frames = sorted(clip.iterdir())
        for column in range(columns):
            frame = frames[column * (len(frames) - 1) // (columns - 1)]
            mask_path = folder / "Annotations" / "480p" / clip.name / frame.name
            with Image.open(frame) as image, Image.open(mask_path) as mask:
                edges = (
                    mask.convert("L").filter(ImageFilter.FIND_EDGES).point(lambda x: 255 * (x > 0))
                )
                outlined = Image.composite(mask.convert("RGB"), image.convert("RGB"), edges)
            shown = outlined.resize(shrunk, Image.Resampling.LANCZOS)
            canvas.paste(shown, (column * (shrunk[0] + GAP), row * (shrunk[1] + GAP)))
    return canvas.quantize(COLOURS, Image.Quantize.FASTOCTREE)


def main(suite: Path, folder: Path) -> None:
    """Write one sheet for each existing task, and one of the clips with masks."""
    for frames in sorted(suite.glob("*/JPEGImages")):
        name = frames.parent.name
        clip_sheet(frames.parent).save(folder / f"pocket-{name}.png", optimize=True)
    for listed in sorted(suite.glob("*/test.txt")):
        sheet(listed.parent).save(folder / f"pocket-{listed.parent.name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
