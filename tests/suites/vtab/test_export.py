import dataclasses
import sys

import numpy as np
import pytest

from footage.errors import ConfigError
from footage.images.decode import read_image
from footage.suites.vtab import manifest
from footage.suites.vtab.export import export_task, open_tfds
from footage.suites.vtab.folder import open_folder_task
from footage.suites.vtab.tasks import TASKS
from tests.suites.vtab.miniatures import MiniatureRecords, miniature

BY_NAME = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
CLEVR = next(task for task in TASKS if task.name == "clevr_count")


@BY_NAME
def test_every_task_comes_out_of_its_records_with_its_classes_and_its_pixels(task, tmp_path):
    small = miniature(task)
    records = MiniatureRecords(small, task.sizes)
    opened = open_folder_task(export_task(small, records, tmp_path), small.row)
    assert opened.deviations == ()
    parts = (opened.train, opened.val, opened.test)
    for part, named in zip(parts, (small.train800, small.val200, small.test), strict=True):
        made = records.with_classes(named)
        assert part.labels.tolist() == [classes[task.name] for _, classes in made]
        for path, (record, _) in zip(part.paths, made, strict=True):
            image = record["image"]
            if image.shape[2] == 1:
                image = np.concatenate([image] * 3, axis=2)
            if task.name.startswith("dsprites"):
                image = np.where(image == 1, 255, 0)
            np.testing.assert_array_equal(read_image(path), image)


def test_a_manifest_tells_the_origin_and_the_hash_of_every_file(tmp_path):
    small = miniature(CLEVR)
    folder = export_task(small, MiniatureRecords(small, CLEVR.sizes), tmp_path)
    written = manifest.read(folder)
    assert written.origin == "TFDS clevr:3.0.0"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(written.files) == names - {"manifest.json"}
    assert len(written.files) == 24 + 8 + 10 + 4
    assert manifest.differing(folder, written) == []


def test_another_number_of_records_is_another_data_set(tmp_path):
    sizes = {"train": 69_999, "validation": 15_000}
    with pytest.raises(ConfigError, match="has 69999 records in train, clevr_count expects 70000"):
        export_task(CLEVR, MiniatureRecords(CLEVR, sizes), tmp_path)
    with pytest.raises(ConfigError, match="has no records in validation"):
        export_task(CLEVR, MiniatureRecords(CLEVR, {"train": 70_000}), tmp_path)


@pytest.mark.parametrize(("num_classes", "said"), [(3, "label . of 3 classes"), (8, "'objects'")])
def test_a_record_without_a_valid_label_is_named_and_nothing_is_left(tmp_path, num_classes, said):
    small = dataclasses.replace(miniature(CLEVR), num_classes=num_classes)
    records = MiniatureRecords(small, CLEVR.sizes)
    if num_classes == 8:
        small = dataclasses.replace(small, builder="cifar100:3.*.*")
        records = MiniatureRecords(small, CLEVR.sizes)
    with pytest.raises(ConfigError, match=rf"record \d+ of train\[:?0:24\].*{said}"):
        export_task(small, records, tmp_path)
    assert not (tmp_path / "clevr_count").exists()


def test_an_interrupted_export_begins_again(tmp_path):
    leftover = tmp_path / ".clevr_count.4194305.partial"  # no such process / "images" / "train800"
    leftover.mkdir(parents=True)
    (leftover / "999999.png").write_bytes(b"half")
    small = miniature(CLEVR)
    folder = export_task(small, MiniatureRecords(small, CLEVR.sizes), tmp_path)
    assert not (folder / "images" / "train800" / "999999.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["clevr_count"]
    with pytest.raises(ConfigError, match="already exists"):
        export_task(small, MiniatureRecords(small, CLEVR.sizes), tmp_path)


def test_without_tfds_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ConfigError) as caught:
        open_tfds(CLEVR, "")
    assert "footage[vtab-export]" in caught.value.hint
