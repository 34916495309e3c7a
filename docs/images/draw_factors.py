"""Draw the sheet of controlled scenes: `python docs/images/draw_factors.py`, from the checkout.

One row per factor, with the anchor frame in the middle of each scene's five columns.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from footage.synthetic.factors import SceneKey, controlled

SIZE, LABEL, GAP = 96, 92, 10
SCENES = (0, 5)


def main() -> None:
    """Write factors.jpg next to this file."""
    scenes = [controlled(SceneKey(0, number, SIZE)) for number in SCENES]
    names = list(scenes[0].shots)
    width = LABEL + len(scenes) * (5 * SIZE + GAP) - GAP
    sheet = Image.new("RGB", (width, len(names) * SIZE), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for row, name in enumerate(names):
        pen.text((6, row * SIZE + SIZE // 2 - 8), name, "black", font=font)
        for column, scene in enumerate(scenes):
            before, after = scene.shots[name][:2], scene.shots[name][2:]
            strip = np.hstack([*before, scene.anchor, *after])
            left = LABEL + column * (5 * SIZE + GAP)
            sheet.paste(Image.fromarray(strip), (left, row * SIZE))
    sheet.save(Path(__file__).with_name("factors.jpg"), quality=82, optimize=True)


if __name__ == "__main__":
    main()
