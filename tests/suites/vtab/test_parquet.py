import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footage.errors import ConfigError
from footage.suites.vtab.folder import LOSSY, open_folder_task
from footage.suites.vtab.parquet import ORDER, import_parquet
from tests.suites.vtab.folders import ROW, encoded

WORDS = ["bee", "ant", "cat", "dog", "eel"]


def write(folder, part, numbers, labels=None, names=None, encoding="PNG", below=""):
    """A part of a data set as on the Hub; rows of the numbers, classes in turn."""
    images = [{"bytes": encoded(number, encoding), "path": None} for number in numbers]
    table = pa.table(
        {"image": images, "label": [number % 5 for number in numbers] if labels is None else labels}
    )
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        noted = json.dumps({"info": {"features": features}}).encode()
        table = table.replace_schema_metadata({b"huggingface": noted})
    path = folder / below / f"{part}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)


def contents(part):
    return [path.read_bytes() for path in part.paths]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "hub"
    write(folder, "train", range(20), below="data")
    write(folder, "test", range(50, 56), below="data")
    return folder


def test_the_first_rows_are_taken_and_marked(source, tmp_path):
    write(source, "validation", range(30, 40), below="data")
    task = open_folder_task(import_parquet(source, ROW, tmp_path), ROW)
    assert task.deviations == (ORDER,)
    assert contents(task.train) == [encoded(number) for number in range(8)]
    assert contents(task.val) == [encoded(number) for number in range(30, 34)]
    assert contents(task.test) == [encoded(number) for number in range(50, 56)]
    assert task.val.labels.tolist() == [0, 1, 2, 3]


def test_without_a_validation_part_the_last_training_rows_are_held_out(source, tmp_path):
    task = open_folder_task(import_parquet(source, ROW, tmp_path), ROW)
    assert contents(task.val) == [encoded(number) for number in range(16, 20)]


def test_jpeg_files_stay_what_they_are_and_are_marked_too(tmp_path):
    write(tmp_path / "hub", "train", range(20), encoding="JPEG")
    write(tmp_path / "hub", "test", range(50, 56), encoding="JPEG")
    task = open_folder_task(import_parquet(tmp_path / "hub", ROW, tmp_path), ROW)
    assert task.deviations == (ORDER, LOSSY)
    assert contents(task.test)[0] == encoded(50, "JPEG")
    assert task.test.paths[0].suffix == ".jpg"


def test_named_classes_are_numbered_in_the_order_of_their_names(tmp_path):
    for part, numbers in (("train", range(20)), ("test", range(50, 56))):
        write(tmp_path / "hub", part, numbers, names=WORDS)
    task = open_folder_task(import_parquet(tmp_path / "hub", ROW, tmp_path), ROW)
    assert task.train.labels.tolist()[:5] == [1, 0, 2, 3, 4]


@pytest.mark.parametrize(
    ("part", "rows", "told"),
    [
        ("test", {"numbers": range(5)}, "has (8, 4, 5) .* has (8, 4, 6)"),
        ("train", {"numbers": range(11)}, "has (7, 4, 6)"),
        ("train", {"numbers": range(20), "labels": [0] * 10 + [1] * 10}, "have 1 of 5 classes"),
        ("train", {"numbers": range(20), "labels": [*range(19), 5]}, "classes up to '18'"),
        ("train", {"numbers": range(20), "labels": [*range(5)] * 3 + [-1] * 5}, "without a label"),
    ],
)
def test_rows_that_are_not_those_of_the_task_are_refused(source, tmp_path, part, rows, told):
    write(source, part, **rows, below="data")
    with pytest.raises(ConfigError) as caught:
        import_parquet(source, ROW, tmp_path)
    assert all(piece in caught.value.message for piece in told.split(" .* "))
    assert caught.value.hint


def test_a_missing_part_is_named(tmp_path):
    write(tmp_path / "hub", "train", range(20))
    with pytest.raises(ConfigError, match="like a test part"):
        import_parquet(tmp_path / "hub", ROW, tmp_path)


def test_what_is_no_image_file_is_refused(source, tmp_path):
    table = pa.table({"image": [b"<html>"] * 6, "label": [0] * 6})
    pq.write_table(table, source / "data" / "test-00000-of-00001.parquet")
    with pytest.raises(ConfigError, match=r"#0 of .* is not a PNG, JPEG or WebP file"):
        import_parquet(source, ROW, tmp_path)
    assert not (tmp_path / "cifar").exists()
