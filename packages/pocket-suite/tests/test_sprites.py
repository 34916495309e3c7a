from pathlib import Path

import numpy as np
import pytest
from pocket_suite import sprites
from pocket_suite.sprites import Sprite

from footage.suites.pocket import COUNTS

TASKS = {"location": sprites.open_location, "orientation": sprites.open_orientation}


def factors(source):
    """Parse a source into shape, scale, angle, x and y."""
    return [int("".join(filter(str.isdigit, word))) for word in source.split("-")]


@pytest.mark.parametrize("name", TASKS)
def test_no_sprite_is_drawn_twice_in_all_three_splits(name):
    renderer = TASKS[name](0, Path())
    sources = [renderer(part, number).source for part in COUNTS for number in range(COUNTS[part])]
    assert len(set(sources)) == len(sources)


def test_the_place_is_binned_in_pairs_and_the_orientation_by_two_and_a_half():
    assert [sprites.location_class(x) for x in range(6)] == [0, 0, 1, 1, 2, 2]
    assert sprites.location_class(31) == 15
    assert [sprites.orientation_class(o) for o in range(10)] == [int(o / 2.5) for o in range(10)]
    assert sprites.orientation_class(39) == 15


def test_the_first_and_the_last_orientation_are_one_picture_with_two_labels():
    for shape in range(3):
        first = sprites.draw(Sprite(shape, 3, 0, 10, 20))
        last = sprites.draw(Sprite(shape, 3, 39, 10, 20))
        assert np.array_equal(first, last)
    renderer = sprites.open_orientation(0, Path())
    ends = [
        example.label
        for example in (renderer("test", number) for number in range(COUNTS["test"]))
        if factors(example.source)[2] == 0
    ]
    assert set(ends) == {0, 15}


def test_a_location_label_matches_the_position_of_the_pixels():
    renderer = sprites.open_location(0, Path())
    for number in range(100):
        example = renderer("train800", number)
        lit = np.flatnonzero(example.pixels[..., 0].max(axis=0))
        centre = (lit[0] + lit[-1]) / 2
        place = (centre - 12) / (63 - 24) * 31
        assert abs(place - (2 * example.label + 0.5)) < 2.5, example.source
        assert factors(example.source)[3] // 2 == example.label


def test_every_sprite_lies_wholly_inside_the_image():
    for orientation in range(40):
        for shape in range(3):
            for place in (0, 31):
                corners = sprites.outline(Sprite(shape, 5, orientation, place, place))
                assert corners.min() >= 1
                assert corners.max() <= 62


def test_sprites_are_white_on_black():
    assert set(np.unique(sprites.draw(Sprite(2, 5, 7, 3, 4)))) == {0, 255}
