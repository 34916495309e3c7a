"""clipart: classify drawings of the Open Clip Art Library by subject, after Caltech101.

The library sorts its drawings into folders; thirteen of them are the classes. Drawings whose names
begin with the same word usually belong together (`piano_theory`, `piano_keys`, `card_h_7`), and the
icons of one theme are by one artist, so each such group stays in one split.
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
from pocket_suite.drawing import Example, Pixels, TaskRenderer
from pocket_suite.groups import Item, split

PACKAGE: Final = "openclipart-png"
SIDE: Final = 128
_FOLDER: Final = "usr/share/openclipart/png"
CLASSES: Final = (
    "animals", "food", "transportation", "people", "recreation/music", "buildings",
    "signs_and_symbols/flags", "plants", "tools", "recreation/sports", "computer",
    "recreation/games", "transportation/roadsigns",
)  # fmt: skip
MOST_PER_CLASS: Final = 350
"""Maximum number of drawings per class; there are 1800 computer icons and 500 flags."""
MOST_PIXELS: Final = 25_000_000
"""Maximum number of pixels; some drawings have 150 million."""
MOST_PER_GROUP: Final = 40
"""Maximum number of drawings per group: road symbols, a theme of icons, a deck of cards."""
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
"""Drawings that are almost empty in version 0.18 of the package."""
_FAINTEST_INK: Final = 8
"""Brightness of 255 above which a pixel belongs to the margin."""
_LONGEST: Final = 4.0
"""Maximum aspect ratio; beyond it a drawing would be a line."""


def open_clipart(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying the subject of a drawing."""
    folder = assets / PACKAGE / _FOLDER
    items = _capped(list(_items(folder)), seed)
    parts = split(items, row("clipart").counts, generator("pocket clipart split", seed))

    def render_example(part: Part, number: int) -> Example:
        if number >= len(parts[part]):
            raise FootageError(
                f"{PACKAGE} has only {len(parts[part])} drawings for {part}",
                "another version of the package has more",
            )
        item = parts[part][number]
        return Example(_drawing(folder / item.name), item.label, f"{item.label}/{item.group}")

    return render_example


def _items(folder: Path) -> Iterator[Item]:
    """Yield all usable drawings, with each content once."""
    seen: set[bytes] = set()
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).as_posix()
        label = _label(name)
        if label is None or name in BLANK or not _is_usable(path):
            continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield Item(name, label, _group(name))


def _label(name: str) -> int | None:
    """Return the class of a drawing: the longest of the folders that contain it."""
    homes = [home for home in CLASSES if name.startswith(home + "/")]
    return CLASSES.index(max(homes, key=len)) if homes else None


def _is_usable(path: Path) -> bool:
    # Pillow warns of such sizes; the first bytes of a PNG file contain the size.
    with path.open("rb") as file:
        wide, high = struct.unpack(">II", file.read(24)[16:])
    return bool(wide * high <= MOST_PIXELS and max(wide, high) <= _LONGEST * min(wide, high))


def _group(name: str) -> str:
    """Return the theme of an icon; the first word of the name of any other drawing."""
    theme = re.match(r"computer/icons/([^/]+)/", name)
    if theme:
        return theme[1]
    stem = name.rsplit("/", 1)[-1].removesuffix(".png").lower()
    return re.split(r"[^a-z]+", stem.lstrip("0123456789_-."))[0] or stem


def _capped(items: list[Item], seed: int) -> list[Item]:
    """Limit the number of drawings per group, and then per class."""
    order = generator("pocket clipart cap", seed).permutation(len(items))
    num_of_group: Counter[tuple[int, str]] = Counter()
    num_of_class: Counter[int] = Counter()
    kept = []
    for item in (items[place] for place in order):
        group = (item.label, item.group)
        if num_of_group[group] < MOST_PER_GROUP and num_of_class[item.label] < MOST_PER_CLASS:
            num_of_group[group] += 1
            num_of_class[item.label] += 1
            kept.append(item)
    return kept


def _drawing(path: Path) -> Pixels:
    """Return the drawing on white, without its margins, centred in a square."""
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
