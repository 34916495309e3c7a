"""Labelled images of the demo: complete, reproducible, and only as easy as they claim to be."""

import cv2
import numpy as np
import pytest

from footage.errors import ConfigError
from footage.evaluation.dataset import open_task
from footage.synthetic.art import SHAPES
from footage.synthetic.labelled import NUM_OBJECTS, TASKS, classes, render_labelled


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    return {task: render_labelled(folder / task, task=task, seed=5, scale=0.1) for task in TASKS}


def pictures(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))
    }


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_finds_the_three_parts(rendered, task):
    found = open_task(rendered[task])
    assert list(found.classes) == classes(task)
    per_class = [
        len(part.paths) / len(found.classes) for part in (found.train, found.val, found.test)
    ]
    assert per_class == [max(round(0.1 * number), 2) for number in TASKS[task].per_class.values()]


def test_kinds_are_the_shapes_and_objects_are_sixteen():
    assert classes("kinds") == sorted(SHAPES)
    assert len(classes("objects")) == NUM_OBJECTS == 16


@pytest.mark.parametrize("task", TASKS)
def test_no_two_pictures_are_alike_and_the_seed_fixes_all(rendered, task, tmp_path):
    before = pictures(rendered[task])
    assert len(set(before.values())) == len(before)
    assert pictures(render_labelled(tmp_path / "again", task=task, seed=5, scale=0.1)) == before
    other = pictures(render_labelled(tmp_path / "other", task=task, seed=6, scale=0.1))
    assert not set(other.values()) & set(before.values())


def test_objects_to_test_with_are_shown_in_the_evening(rendered):
    def warmth(part):
        files = (rendered["objects"] / part).rglob("*.png")
        blue, _, red = np.mean([cv2.imread(str(path)).mean(axis=(0, 1)) for path in files], axis=0)
        return red / blue

    assert warmth("test") > 1.1 * warmth("train")


def test_parts_that_exist_are_kept(tmp_path):
    folder = render_labelled(tmp_path / "kinds", task="kinds", scale=0.05)
    mark = next(folder.rglob("*.png"))
    mark.write_bytes(b"mine")
    render_labelled(folder, task="kinds", scale=0.05)
    assert mark.read_bytes() == b"mine"


def test_unknown_task_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="unknown task 'dogs'") as error:
        render_labelled(tmp_path, task="dogs")
    assert error.value.hint == "tasks: kinds, objects"
