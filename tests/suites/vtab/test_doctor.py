import dataclasses

import pytest

from footage.io import files
from footage.suites.vtab import manifest
from footage.suites.vtab.doctor import examine
from tests.suites.vtab.folders import ROW, encoded, write_task

ABSENT = dataclasses.replace(ROW, name="resisc45")


@pytest.fixture
def folder(tmp_path):
    folder = write_task(tmp_path / "cifar")
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    hashes = {name: files.sha256(folder / name) for name in names}
    manifest.write(folder, manifest.Manifest(origin="here", marks=("marked",), files=hashes))
    return folder


def finding(folder):
    return examine(folder.parent, (ROW,))[0]


def test_a_whole_task_is_present(folder):
    found = finding(folder)
    assert (found.state, found.counts, found.classes) == ("present", "8 + 4 + 6", "5 of 5")
    assert found.marks == ("marked",)
    assert found.damage == found.remarks == ()


def test_an_absent_task_comes_with_its_source(tmp_path):
    (absent,) = examine(tmp_path, (ABSENT,))
    assert (absent.state, absent.damage) == ("absent", ())
    assert any("NWPU-RESISC45.rar" in remark for remark in absent.remarks)


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("images/test/000002.jpg", b"", "1 files are empty"),
        ("images/test/000002.jpg", encoded(99), "1 files differ from manifest.json"),
        ("images/test/000002.jpg", None, "do not exist"),
        ("test.txt", None, "cannot be read"),
        ("manifest.json", b"{}", "cannot be read as a manifest"),
        ("test.txt", b"images/test/000000.jpg 0\n", "lists 1 images, cifar has 6"),
    ],
)
def test_damage_is_found(folder, path, content, told):
    if content is None:
        (folder / path).unlink()
    else:
        (folder / path).write_bytes(content)
    found = finding(folder)
    assert found.state == "damaged"
    assert told in found.damage[0]


def test_a_file_that_is_no_image_is_found_without_a_manifest(folder):
    (folder / "manifest.json").unlink()
    (folder / "images" / "test" / "000002.jpg").write_bytes(b"<html>not found</html>")
    found = finding(folder)
    assert found.state == "damaged"
    assert "not an image" in found.damage[0]


def test_test_images_among_the_thousand_and_unlisted_files_are_remarked_upon(folder):
    (folder / "manifest.json").unlink()
    images = folder / "images"
    (images / "test" / "000002.jpg").write_bytes((images / "val200" / "000001.jpg").read_bytes())
    (images / "test" / "more.jpg").write_bytes(encoded(7))
    found = finding(folder)
    assert found.state == "present"
    assert found.remarks == (
        "1 test images are byte-identical to one of the thousand",
        "1 files in images/ are not in any list: images/test/more.jpg",
    )


def test_a_task_that_no_table_knows_is_examined_too(folder):
    (absent, found) = examine(folder, (ABSENT,))
    assert (found.name, found.group, found.state) == ("cifar", "other", "present")
    assert absent.name == "resisc45"
