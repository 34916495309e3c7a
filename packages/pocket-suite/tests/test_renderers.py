"""Invariants of every task of the suite."""

from pathlib import Path

import numpy as np
import pytest
from pocket_suite.drawing import PARTS, SOURCE_SEPARATOR, png
from pocket_suite.renderers import OPEN_RENDERER

from footage.suites import pocket, pocket_video
from footage.suites.pocket import SOURCES

TASKS = (*pocket.TASKS, *pocket_video.TASKS)
NAMES = [task.name for task in TASKS]
CASES = [
    pytest.param(task.name, marks=[pytest.mark.slow] if task.group == "in-domain" else [])
    for task in TASKS
]
"""A task of the in-domain group draws an image of every class at once."""
FEW = {"train800": 8, "val200": 5, "test": 8}


def row(name):
    return next(task for task in TASKS if task.name == name)


def renderer(name, assets, seed=0):
    for need in row(name).needs:
        if SOURCES[need].kind == "python":
            pytest.importorskip(need)
    return OPEN_RENDERER[name](seed, assets)


def test_every_row_has_a_renderer_and_every_need_a_source():
    assert set(OPEN_RENDERER) == set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    assert {need for task in TASKS for need in task.needs} == set(SOURCES)
    groups = {"natural", "specialized", "structured"}
    assert {task.group for task in pocket.TASKS} == groups
    assert groups.isdisjoint(task.group for task in pocket_video.TASKS)


@pytest.mark.parametrize("name", CASES)
def test_an_image_is_a_function_of_seed_split_and_number(name, assets):
    first, again, other = (renderer(name, assets, seed) for seed in (0, 0, 1))
    for part in PARTS:
        one = first(part, 3)
        assert png(one.pixels) == png(again(part, 3).pixels)
        assert one[1:] == again(part, 3)[1:]
    pairs = [(first("test", number), other("test", number)) for number in range(4)]
    assert any(not np.array_equal(one.pixels, two.pixels) for one, two in pairs)


@pytest.mark.parametrize("name", CASES)
def test_labels_are_classes_and_no_source_is_in_two_splits(name, assets):
    render_example = renderer(name, assets)
    task = row(name)
    part_of = {}
    for part, count in FEW.items():
        for number in range(count):
            example = render_example(part, number)
            assert example.pixels.dtype == np.uint8
            assert example.pixels.shape[2] == 3
            assert 0 <= example.label < task.num_classes
            for source in example.source.split(SOURCE_SEPARATOR):
                assert "\n" not in source
                assert part_of.setdefault(source, part) == part


def test_the_splits_of_a_task_have_different_images():
    render_example = OPEN_RENDERER["sprite-location"](0, Path())
    images = {png(render_example(part, number).pixels) for part in PARTS for number in range(30)}
    assert len(images) >= 85
