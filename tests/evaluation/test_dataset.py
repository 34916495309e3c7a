from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from footage.errors import ConfigError
from footage.evaluation.dataset import _stratified_task, open_task


def _image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (value % 256, 0, 0)).save(path)
    return path


def _classes(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for number in range(count):
            _image(folder / name / f"{number}.png", number)
    return folder


def test_subfolders_are_classes_split_60_20_20_within_each_class(tmp_path: Path) -> None:
    task = open_task(_classes(tmp_path / "pets", dog=20, cat=10))
    assert task.name == "pets"
    assert task.classes == ("cat", "dog")
    for part, expected in ((task.train, [6, 12]), (task.val, [2, 4]), (task.test, [2, 4])):
        assert np.bincount(part.labels).tolist() == expected
        assert all(
            path.parent.name == task.classes[label]
            for path, label in zip(part.paths, part.labels, strict=True)
        )
    assert task.split == "60/20/20 per class, seed 0"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(3, 40), min_size=2, max_size=5), seed=st.integers(0, 2**31))
def test_every_image_falls_into_exactly_one_part_and_every_part_has_every_class(
    counts: list[int], seed: int
) -> None:
    classes = {
        f"class{k}": [Path(f"{k}/{i}.png") for i in range(count)] for k, count in enumerate(counts)
    }
    task = _stratified_task("task", classes, seed)
    parts = (task.train, task.val, task.test)
    assert sorted(path for part in parts for path in part.paths) == sorted(
        path for paths in classes.values() for path in paths
    )
    assert all(set(part.labels) == set(range(len(counts))) for part in parts)


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_listing() -> None:
    paths = [Path(f"{number:03}.png") for number in range(50)]
    forward = _stratified_task("task", {"a": paths, "b": [Path("x") / p for p in paths]}, 1)
    backward = _stratified_task(
        "task", {"b": [Path("x") / p for p in paths[::-1]], "a": paths[::-1]}, 1
    )
    other = _stratified_task("task", {"a": paths, "b": [Path("x") / p for p in paths]}, 2)
    assert forward.test.paths == backward.test.paths
    assert forward.test.paths != other.test.paths


def test_a_folder_with_its_own_splits_keeps_them(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        _classes(tmp_path / "set" / part, ant=count, bee=count)
    task = open_task(tmp_path / "set")
    assert [len(part.paths) for part in (task.train, task.val, task.test)] == [10, 4, 6]
    assert all(path.parent.parent.name == "test" for path in task.test.paths)
    assert task.split == "own train/, val/, test/"


@pytest.mark.parametrize("unseen", ["val", "test"])
def test_without_a_validation_part_one_is_drawn_from_train(tmp_path: Path, unseen: str) -> None:
    _classes(tmp_path / "train", ant=10, bee=10)
    _classes(tmp_path / unseen, ant=3, bee=3)
    task = open_task(tmp_path)
    assert [len(part.paths) for part in (task.train, task.val, task.test)] == [16, 4, 6]
    assert not set(task.train.paths) & set(task.val.paths)
    assert {path.parent.parent.name for path in task.test.paths} == {unseen}
    assert f"{unseen}/ is the test part" in task.split


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", "])
def test_a_list_file_names_paths_with_spaces_and_labels(tmp_path: Path, separator: str) -> None:
    lines = []
    for number in range(20):
        _image(tmp_path / "my images" / f"a {number}.png")
        lines.append(f"my images/a {number}.png{separator}{number % 2 + 9}")
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n\n")
    task = open_task(tmp_path / "list.txt")
    assert task.name == "list"
    assert task.classes == ("9", "10")
    assert task.num_images == 20


def test_a_csv_list_may_have_a_header_and_quotes(tmp_path: Path) -> None:
    lines = ["path,label"]
    for number in range(6):
        _image(tmp_path / f"a,{number}.png")
        lines.append(f'"a,{number}.png","label, {number % 2}"')
    (tmp_path / "list.csv").write_text("\r\n".join(lines))
    assert open_task(tmp_path / "list.csv").classes == ("label, 0", "label, 1")


def test_hidden_and_other_files_are_no_images(tmp_path: Path) -> None:
    _classes(tmp_path, ant=4, bee=4)
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / "ant" / "._0.png").write_bytes(b"resource fork")
    (tmp_path / ".cache").mkdir()
    _image(tmp_path / "bee" / "deep" / "LOUD.PNG")
    task = open_task(tmp_path)
    assert task.classes == ("ant", "bee")
    assert task.num_images == 9


def _two_labels_for_one_file(folder: Path) -> Path:
    _image(folder / "a.png")
    (folder / "list.txt").write_text("a.png x\na.png y\n")
    return folder / "list.txt"


def _missing_file(folder: Path) -> Path:
    _image(folder / "a.png")
    (folder / "list.txt").write_text("a.png x\ngone.png y\n")
    return folder / "list.txt"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda folder: folder / "absent", "labelled folder or list not found"),
        (lambda folder: folder, "no classes"),
        (lambda folder: _classes(folder, only=9), "one class"),
        (lambda folder: _classes(folder, ant=9, bee=2), r"fewer than 3 images: bee \(2\)"),
        (lambda folder: _classes(folder / "train", ant=9).parent, "one class"),
        (_missing_file, "1 of 2 files .* do not exist: gone.png"),
        (_two_labels_for_one_file, "two labels: 'x' and 'y'"),
    ],
)
def test_a_folder_that_cannot_be_split_says_why(tmp_path: Path, build, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_task(build(tmp_path))


def test_a_class_folder_without_images_is_an_error_and_not_dropped(tmp_path: Path) -> None:
    _classes(tmp_path, ant=5, bee=5)
    (tmp_path / "wasp").mkdir()
    with pytest.raises(ConfigError, match=r"no images in 1 of 3 class folders.*wasp"):
        open_task(tmp_path)


def test_a_test_class_that_was_never_trained_is_an_error(tmp_path: Path) -> None:
    _classes(tmp_path / "train", ant=5, bee=5)
    _classes(tmp_path / "test", ant=2, wasp=2)
    with pytest.raises(ConfigError, match="without a training image: wasp"):
        open_task(tmp_path)
