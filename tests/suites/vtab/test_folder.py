import dataclasses

import numpy as np
import pytest

from footage.errors import ConfigError
from footage.suites.vtab import manifest
from footage.suites.vtab.folder import LOSSY, PERHAPS_TWICE, open_folder_task, open_suite
from tests.suites.vtab.folders import ROW, write_task

OTHER = dataclasses.replace(ROW, name="svhn")


@pytest.fixture
def folder(tmp_path):
    return write_task(tmp_path / "cifar")


def test_a_folder_as_it_is_passed_around_opens_unchanged(folder):
    task = open_folder_task(folder, ROW)
    assert [len(part.paths) for part in (task.train, task.val, task.test)] == [8, 4, 6]
    assert task.train.paths[0] == folder / "images" / "train800" / "000000.jpg"
    assert task.val.labels.tolist() == [3, 4, 0, 1]
    assert (task.name, task.group, task.num_classes, task.deviations) == ("cifar", "natural", 5, ())


def test_jpeg_files_of_a_lossless_source_are_marked(tmp_path):
    write_task(tmp_path / "cifar", encoding="JPEG")
    assert open_folder_task(tmp_path / "cifar", ROW).deviations == (LOSSY,)
    photos = dataclasses.replace(ROW, pixels="jpeg")
    assert open_folder_task(tmp_path / "cifar", photos).deviations == (PERHAPS_TWICE,)
    assert open_folder_task(tmp_path / "cifar").deviations == ()


def test_a_task_that_no_table_knows_has_the_classes_of_its_largest_label(folder):
    unknown = folder.rename(folder.with_name("bees"))
    with (unknown / "test.txt").open("a") as file:
        file.write("images/train800val200/000000.jpg 17\n")
    task = open_folder_task(unknown)
    assert (task.name, task.group, task.num_classes, len(task.test.paths)) == (
        "bees", "other", 18, 7,
    )  # fmt: skip


def test_the_union_list_need_not_be_there(folder):
    (folder / "train800val200.txt").unlink()
    assert len(open_folder_task(folder, ROW).train.paths) == 8


def test_marks_of_the_manifest_are_kept(folder):
    noted = manifest.Manifest(origin="somewhere", marks=("Hugging Face order",), files={})
    manifest.write(folder, noted)
    assert open_folder_task(folder, ROW).deviations == ("Hugging Face order",)
    (folder / manifest.FILE).write_text("{}")
    with pytest.raises(ConfigError, match="manifest"):
        open_folder_task(folder, ROW)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def relabel(folder, old, new):
    for name in ("val200.txt", "train800val200.txt"):
        replace(folder / name, old, new)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "val200.txt").unlink(), "val200.txt cannot be read"),
        (lambda folder: (folder / "val200.txt").write_text("\n"), "is empty"),
        (lambda folder: replace(folder / "val200.txt", " 3", " three"), "line 1 of"),
        (lambda folder: replace(folder / "val200.txt", " 3", " -1"), "line 1 of"),
        (lambda folder: replace(folder / "val200.txt", " 3", ""), "line 1 of"),
        (lambda folder: replace(folder / "val200.txt", " 3", f" {10**30}"), "line 1 of"),
        (lambda folder: replace(folder / "val200.txt", "images/", "../"), "points outside"),
        (lambda folder: replace(folder / "val200.txt", "images/", "/images/"), "points outside"),
        (lambda folder: replace(folder / "val200.txt", "000001", "000000"), "1 files twice"),
        (lambda folder: relabel(folder, " 3", " 5"), "label 5, cifar has 5"),
        (lambda folder: replace(folder / "test.txt", "/test/", "/val200/"), "val200.txt and test"),
        (lambda folder: replace(folder / "train800val200.txt", " 3", " 4"), "together"),
        (
            lambda folder: (folder / "images" / "test" / "000003.jpg").unlink(),
            "1 listed files of .* do not exist: images/test/000003.jpg",
        ),
        (
            lambda folder: replace(folder / "test.txt", "images/test/000003.jpg 0\n", ""),
            "lists 5 images, cifar has 6",
        ),
    ],
)
def test_damage_is_told_with_its_cure(folder, damage, told):
    damage(folder)
    with pytest.raises(ConfigError, match=told) as caught:
        open_folder_task(folder, ROW)
    assert caught.value.hint


def test_a_suite_names_what_is_missing_and_opens_what_it_does_not_know(tmp_path):
    for name in ("bees", "cifar"):
        write_task(tmp_path / name)
    (tmp_path / "notes").mkdir()
    suite = open_suite(tmp_path, (OTHER, ROW), name="vtab-1k")
    assert suite.name == "vtab-1k"
    assert [(task.name, task.group) for task in suite.tasks] == [
        ("cifar", "natural"),
        ("bees", "other"),
    ]
    assert suite.missing == ("svhn",)
    assert open_suite(tmp_path, ()).name == tmp_path.name


def test_one_task_folder_is_a_suite_too(folder):
    suite = open_suite(folder, (OTHER, ROW))
    assert [task.name for task in suite.tasks] == ["cifar"]
    assert suite.missing == ("svhn",)


def test_only_the_tasks_that_are_asked_for_are_opened(tmp_path):
    for name in ("bees", "cifar"):
        write_task(tmp_path / name)
    (tmp_path / "cifar" / "test.txt").unlink()
    suite = open_suite(tmp_path, (ROW,), only=("bees",))
    assert [task.name for task in suite.tasks] == ["bees"]
    with pytest.raises(ConfigError, match=r"unknown task in .*wasps"):
        open_suite(tmp_path, (ROW,), only=("wasps",))
    with pytest.raises(ConfigError, match=r"test\.txt cannot be read"):
        open_suite(tmp_path, (ROW,))


def test_an_unknown_task_without_one_of_its_lists_is_damaged_and_not_passed_over(tmp_path):
    for name in ("bees", "wasps"):
        write_task(tmp_path / name)
    (tmp_path / "bees" / "val200.txt").unlink()
    with pytest.raises(ConfigError, match=r"bees/val200\.txt cannot be read"):
        open_suite(tmp_path, ())
    assert [task.name for task in open_suite(tmp_path, (), only=("wasps",)).tasks] == ["wasps"]


def test_labels_of_an_unknown_task_cannot_be_more_than_its_images(folder):
    replace(folder / "test.txt", " 2", " 17")
    assert open_folder_task(folder).num_classes == 18
    replace(folder / "test.txt", " 17", " 18")
    with pytest.raises(ConfigError, match="has label 18 but only 18 images"):
        open_folder_task(folder)


def test_classes_that_only_the_test_part_shows_are_told(folder, caplog):
    open_folder_task(folder)
    assert not caplog.records
    replace(folder / "test.txt", " 2", " 9")
    open_folder_task(folder)
    assert "which no model can learn" in caplog.text
    assert caplog.messages[0].endswith(": 9")


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_tasks_is_refused(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        open_suite(tmp_path / name, (ROW,))
    assert caught.value.hint


def test_labels_are_whole_numbers_of_one_kind(folder):
    assert open_folder_task(folder, ROW).test.labels.dtype == np.int64
