from collections import Counter

import pytest

from footage.suites.vtab.labels import LABELS, PIXELS
from footage.suites.vtab.tasks import ROWS, TASKS, records

BY_NAME = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def test_there_are_nineteen_tasks_in_groups_of_seven_four_and_eight():
    assert len({task.name for task in TASKS}) == 19
    assert Counter(task.group for task in TASKS) == {
        "natural": 7,
        "specialized": 4,
        "structured": 8,
    }


def test_a_slice_names_its_split_and_the_places_in_it():
    sizes = {"train": 100, "test": 7}
    assert records("test", sizes) == ("test", range(7))
    assert records("train[:8]", sizes) == ("train", range(8))
    assert records("train[90:92]", sizes) == ("train", range(90, 92))
    assert records("train[60:]", sizes) == ("train", range(60, 100))


@BY_NAME
def test_a_thousand_records_are_taken_of_which_none_is_judged(task):
    parts = [records(part, task.sizes) for part in (task.train800, task.val200, task.test)]
    assert [len(places) for _, places in parts[:2]] == [800, 200]
    taken = [{(split, place) for place in places} for split, places in parts]
    assert len(set.union(*taken)) == sum(map(len, taken))
    for split, places in parts:
        assert places.stop <= task.sizes[split]


@BY_NAME
def test_the_rules_of_a_task_exist(task):
    assert task.label in LABELS
    assert task.image in PIXELS
    assert task.builder.count(":") == 1


@pytest.mark.parametrize(
    ("name", "num_classes", "num_test"),
    [
        ("caltech101", 102, 6084),
        ("cifar", 100, 10000),
        ("dtd", 47, 1880),
        ("oxford_flowers102", 102, 6149),
        ("oxford_iiit_pet", 37, 3669),
        ("svhn", 10, 26032),
        ("sun397", 397, 21750),
        ("patch_camelyon", 2, 32768),
        ("eurosat", 10, 5400),
        ("resisc45", 45, 6300),
        ("diabetic_retinopathy", 5, 42670),
        ("clevr_count", 8, 15000),
        ("clevr_dist", 6, 15000),
        ("dmlab", 6, 22735),
        ("kitti", 4, 711),
        ("dsprites_loc", 16, 73728),
        ("dsprites_ori", 16, 73728),
        ("smallnorb_azi", 18, 12150),
        ("smallnorb_ele", 9, 12150),
    ],
)
def test_classes_and_test_images_are_the_published_ones(name, num_classes, num_test):
    row = next(row for row in ROWS if row.name == name)
    assert (row.num_classes, row.num_test) == (num_classes, num_test)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("caltech101", 90),
        ("cifar", 90),
        ("svhn", 90),
        ("clevr_count", 90),
        ("clevr_dist", 90),
        ("oxford_iiit_pet", 80),
        ("eurosat", 60),
        ("resisc45", 60),
        ("dsprites_loc", 80),
        ("dsprites_ori", 80),
    ],
)
def test_validation_begins_where_the_full_training_part_ends(name, share):
    task = next(task for task in TASKS if task.name == name)
    split, places = records(task.val200, task.sizes)
    assert split == "train"
    assert places.start == share * task.sizes["train"] // 100
