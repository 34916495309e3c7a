"""Tasks built from files: selection and splits."""

import struct

import numpy as np
import pytest
from pocket_suite import clipart, fashion, landcover
from pocket_suite.doom import item_class
from pocket_suite.drawing import PARTS
from pocket_suite.groups import Item, split

from footage.errors import FootageError


def test_groups_stay_whole_and_classes_keep_their_proportions():
    draws = np.random.default_rng(0)
    items = [
        Item(f"{label}-{group}-{copy}", label, f"{label}-{group}")
        for label in range(4)
        for group in range(20 + 5 * label)
        for copy in range(1 + group % 4)
    ]
    parts = split(items, {"train800": 8, "val200": 2, "test": 10}, draws)
    assert sorted(item for part in PARTS for item in parts[part]) == sorted(items)
    groups = [{item.group for item in parts[part]} for part in PARTS]
    assert not (groups[0] & groups[1] | groups[1] & groups[2] | groups[0] & groups[2])
    for label in range(4):
        total = sum(item.label == label for item in items)
        train = sum(item.label == label for item in parts["train800"])
        assert abs(train / total - 0.4) < 0.1


@pytest.mark.parametrize(
    ("name", "label", "group"),
    [
        ("animals/mammals/cavallo_architetto_franc_02.png", "animals", "cavallo"),
        ("food/desserts/candy_21.png", "food", "candy"),
        ("recreation/games/cards/white/white_s_2.png", "recreation/games", "white"),
        ("transportation/roadsigns/stop-sign-angled_01.png", "transportation/roadsigns", "stop"),
        ("computer/icons/flat-theme/device/zip_mount.png", "computer", "flat-theme"),
        ("tools/45_rpm_record.png", "tools", "rpm"),
        ("shapes/stars/star.png", None, "star"),
    ],
)
def test_the_class_is_the_folder_and_the_group_the_first_word(name, label, group):
    found = clipart._label(name)
    assert (None if found is None else clipart.CLASSES[found]) == label
    assert clipart._group(name) == group


def test_huge_and_extremely_narrow_drawings_are_skipped(tmp_path):
    def png_of(wide, high):
        path = tmp_path / f"{wide}x{high}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", wide, high))
        return path

    assert clipart._is_usable(png_of(400, 300))
    assert not clipart._is_usable(png_of(20000, 20000))
    assert not clipart._is_usable(png_of(400, 20))


def test_no_group_and_no_class_is_larger_than_allowed():
    items = [Item(f"{n}", 0, "deck") for n in range(100)]
    items += [Item(f"{n}+", 1, f"{n // 2}") for n in range(900)]
    kept = clipart._capped(items, 0)
    assert sum(item.label == 0 for item in kept) == clipart.MOST_PER_GROUP
    assert sum(item.label == 1 for item in kept) == clipart.MOST_PER_CLASS


def test_too_few_drawings_are_an_error(assets):
    with pytest.raises(FootageError, match="has only"):
        clipart.open_clipart(0, assets)("test", 1199)


def test_test_images_of_clothes_are_from_the_official_test_split(assets):
    render_example = fashion.open_fashion(0, assets)
    sources = {
        part: [render_example(part, number).source for number in range(50)] for part in PARTS
    }
    assert all(source.startswith("t10k-") for source in sources["test"])
    assert all(source.startswith("train-") for source in sources["train800"] + sources["val200"])
    example = render_example("test", 7)
    assert example.pixels.max() - 20 * example.label in range(9)


def test_every_tile_is_in_one_group_and_every_class_in_every_split():
    tiles = [tile for item in landcover.groups() for tile in item.name.split()]
    assert len(set(tiles)) == len(tiles)
    parts = split(landcover.groups(), landcover.SHARES, np.random.default_rng(0))
    for part in PARTS:
        assert {item.label for item in parts[part]} == set(range(8))


def test_items_of_the_maze_are_classified_by_kind_and_distance():
    assert [item_class("CustomMedikit", far) for far in (60.0, 100.0, 101.0, 200.0)] == [0, 0, 1, 2]
    assert item_class("Poison", 60.0) == 3
    assert item_class("Poison", 216.0) is None
