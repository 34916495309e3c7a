"""clipart: drawings of the Open Clip Art Library by their subject, after Caltech101.

The library sorts its drawings into folders; thirteen of them are the classes. Drawings whose names
begin with the same word are usually of one series (`piano_theory`, `piano_keys`, `card_h_7`), and
the icons of one theme are of one hand, so each series stays in one part.
"""

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageChops

from footage.errors import FootageError
from footage.seeding import generator
from footage.suites.pocket import Part, row
from pocket_suite.drawing import Example, Painter, Pixels
from pocket_suite.series import Item, split

PACKAGE: Final = "openclipart-png"
SIDE: Final = 128
_FOLDER: Final = "usr/share/openclipart/png"
CLASSES: Final = (
    "animals", "food", "transportation", "people", "recreation/music", "buildings",
    "signs_and_symbols/flags", "plants", "tools", "recreation/sports", "computer",
    "recreation/games", "transportation/roadsigns",
)  # fmt: skip
MOST_PER_CLASS: Final = 350
"""Of the 1800 computer icons and 500 flags; the other folders are smaller."""
MOST_PIXELS: Final = 25_000_000
"""Drawings with more are left out: some have 150 million."""
MOST_PER_SERIES: Final = 40
"""Of a set of road symbols, a theme of icons or a deck of cards."""
BLANK: Final = frozenset(
    {
        "computer/icons/flat-theme/action/pen_style_nopen.png",
        "recreation/sports/badminton_racket_brice_b_01.png",
        "recreation/sports/football_pitch__andy_bur_01.png",
        "signs_and_symbols/flags/asia/_armenia_ani_ani_01.png",
        "signs_and_symbols/flags/asia/iraqi_flag_1959-1963_ano_01.png",
        "signs_and_symbols/flags/europe/italy/_italy__lauris_kaplinski_01.png",
    }
)
"""Drawings that show next to nothing in the package's version 0.18."""
_FAINTEST_INK: Final = 8
"""Of 255; what is nearer to white is margin."""
_LONGEST: Final = 4.0
"""Ratio of the sides beyond which a drawing would be a line."""


def open_clipart(seed: int, assets: Path) -> Painter:
    """Painter of the task that asks what a drawing is of."""
    folder = assets / PACKAGE / _FOLDER
    items = _capped(list(_items(folder)), seed)
    parts = split(items, row("clipart").counts, generator("pocket clipart split", seed))

    def paint(part: Part, number: int) -> Example:
        if number >= len(parts[part]):
            raise FootageError(
                f"{PACKAGE} has only {len(parts[part])} drawings for {part}",
                "another version of the package has more",
            )
        item = parts[part][number]
        return Example(_drawing(folder / item.name), item.label, f"{item.label}/{item.series}")

    return paint


def _items(folder: Path) -> Iterator[Item]:
    """All drawings that can be used, each content once."""
    seen: set[bytes] = set()
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).as_posix()
        label = _label(name)
        if label is None or name in BLANK or not _is_usable(path):
            continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield Item(name, label, _series(name))


def _label(name: str) -> int | None:
    """The class of a drawing: the longest of the folders that it lies in."""
    homes = [home for home in CLASSES if name.startswith(home + "/")]
    return CLASSES.index(max(homes, key=len)) if homes else None


def _is_usable(path: Path) -> bool:
    # Pillow warns of sizes like these; the size stands in the first bytes of a PNG file.
    with path.open("rb") as file:
        wide, high = struct.unpack(">II", file.read(24)[16:])
    return bool(wide * high <= MOST_PIXELS and max(wide, high) <= _LONGEST * min(wide, high))


def _series(name: str) -> str:
    """The theme of an icon; the first word of the name of any other drawing."""
    theme = re.match(r"computer/icons/([^/]+)/", name)
    if theme:
        return theme[1]
    stem = name.rsplit("/", 1)[-1].removesuffix(".png").lower()
    return re.split(r"[^a-z]+", stem.lstrip("0123456789_-."))[0] or stem


def _capped(items: list[Item], seed: int) -> list[Item]:
    """At most so many of each series, and then of each class."""
    order = generator("pocket clipart cap", seed).permutation(len(items))
    num_of_series: Counter[tuple[int, str]] = Counter()
    num_of_class: Counter[int] = Counter()
    kept = []
    for item in (items[place] for place in order):
        series = (item.label, item.series)
        if num_of_series[series] < MOST_PER_SERIES and num_of_class[item.label] < MOST_PER_CLASS:
            num_of_series[series] += 1
            num_of_class[item.label] += 1
            kept.append(item)
    return kept


def _drawing(path: Path) -> Pixels:
    """The drawing on white, without its margins, in the middle of a square."""
    with Image.open(path) as image:
        drawing = image.convert("RGBA")
    flat = Image.new("RGBA", drawing.size, (255, 255, 255, 255))
    flat.alpha_composite(drawing)
    shown = flat.convert("RGB")
    margins = ImageChops.invert(shown.convert("L")).point(lambda ink: 255 * (ink > _FAINTEST_INK))
    shown = shown.crop(margins.getbbox())
    shown.thumbnail((SIDE - 8, SIDE - 8), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    square.paste(shown, ((SIDE - shown.width) // 2, (SIDE - shown.height) // 2))
    return np.asarray(square)
