import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footage.errors import ConfigError
from footage.images import tables
from footage.images.dataset import open_images
from footage.images.decode import ImageError, decode_image
from tests.images import layouts
from tests.images.layouts import CLASSES, encoded, label_of, picture

LAYOUTS = {
    "folders": layouts.write_folders,
    "list": layouts.write_list,
    "parquet": layouts.write_parquet,
    "saved": layouts.write_saved,
    "saved parts": layouts.write_saved_parts,
    "tars": layouts.write_tars,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images_with_the_same_classes(tmp_path, layout):
    images = open_images(LAYOUTS[layout](tmp_path / "set"))
    assert images.classes == CLASSES
    assert len(images) == len(set(images.names)) == 9
    seen = set()
    for row in range(len(images)):
        (number,) = (n for n in range(9) if encoded(n) == images.encoded(row))
        seen.add(number)
        assert images.labels[row] == label_of(number)
        np.testing.assert_array_equal(decode_image(images.encoded(row), "a"), picture(number))
    assert seen == set(range(9))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_reach_another_process_with_their_bytes(tmp_path, layout):
    images = open_images(LAYOUTS[layout](tmp_path / "set"))
    images.encoded(0)
    sent = pickle.loads(pickle.dumps(images))
    assert sent.names == images.names
    assert sent.content_hash == images.content_hash
    assert [sent.encoded(row) for row in range(9)] == [images.encoded(row) for row in range(9)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_hash_is_of_what_is_there_and_not_of_where_it_lies(tmp_path, layout):
    first, second = (open_images(LAYOUTS[layout](tmp_path / name)) for name in "ab")
    assert first.content_hash == second.content_hash
    assert first.names == second.names


def test_the_hash_notices_another_class_another_name_and_another_size(tmp_path):
    folder = layouts.write_folders(tmp_path / "set")
    hashes = [open_images(folder).content_hash]
    (folder / "ant" / "0.png").rename(folder / "bee" / "0.png")
    hashes.append(open_images(folder).content_hash)
    (folder / "bee" / "0.png").rename(folder / "bee" / "00.png")
    hashes.append(open_images(folder).content_hash)
    (folder / "bee" / "00.png").write_bytes(encoded(0) + b"0")
    hashes.append(open_images(folder).content_hash)
    assert len(set(hashes)) == 4


def test_only_the_training_part_of_class_folders_is_used_and_that_is_said(tmp_path, caplog):
    layouts.write_folders(tmp_path / "train")
    layouts.write_folders(tmp_path / "val", 3)
    with caplog.at_level(logging.INFO):
        images = open_images(tmp_path)
    assert len(images) == 9
    assert images.kind == "class folders in train/"
    assert "only the training split is used" in caplog.text


def test_only_shards_of_the_training_part_are_used_and_that_is_said(tmp_path, caplog):
    layouts.write_parquet(tmp_path)
    pq.write_table(layouts.table(range(3)), tmp_path / "data" / "test-00000-of-00001.parquet")
    with caplog.at_level(logging.INFO):
        assert len(open_images(tmp_path)) == 9
    assert "only the training split is used, 2 files" in caplog.text


def test_a_word_that_only_contains_test_is_no_test_part(tmp_path):
    layouts.write_tars(tmp_path)
    (tmp_path / "shard-000000.tar").rename(tmp_path / "latest.tar")
    (tmp_path / "shard-000001.tar").rename(tmp_path / "train.tar")
    assert len(open_images(tmp_path)) == 9


def test_a_folder_with_one_part_of_a_saved_data_set_can_be_named(tmp_path):
    assert len(open_images(layouts.write_saved_parts(tmp_path) / "test")) == 3


def test_numbers_without_names_are_sorted_as_numbers(tmp_path):
    labels = [10, 9, 2, 10]
    pq.write_table(layouts.table(range(4), labels), tmp_path / "a.parquet")
    images = open_images(tmp_path / "a.parquet")
    assert images.classes == ("2", "9", "10")
    assert images.labels.tolist() == [2, 1, 0, 2]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), "str")])
def test_parquet_labels_may_be_words_and_images_plain_bytes(tmp_path, kind):
    rows = pa.table(
        {
            "jpg": pa.array([encoded(n) for n in range(4)], pa.large_binary()),
            "class": pa.array(["bee", "ant", "ant", " bee"]).cast(kind),
        }
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    images = open_images(tmp_path / "a.parquet")
    assert images.classes == ("ant", "bee")
    assert images.labels.tolist() == [1, 0, 0, 1]
    assert images.encoded(3) == encoded(3)


def test_a_column_with_the_feature_will_do_where_none_has_the_name(tmp_path):
    rows = layouts.table(range(6)).rename_columns(["scan", "species"])
    noted = {"info": {"features": layouts.features("scan", "species")}}
    rows = rows.replace_schema_metadata({b"huggingface": json.dumps(noted).encode()})
    pq.write_table(rows, tmp_path / "a.parquet")
    assert open_images(tmp_path / "a.parquet").classes == CLASSES


def test_images_known_by_path_only_are_read_from_beside_the_table(tmp_path):
    layouts.write_folders(tmp_path / "files", 3)
    paths = [f"files/{CLASSES[n]}/{n}.png" for n in range(3)]
    rows = layouts.table(range(3)).set_column(
        0, "image", pa.array([{"bytes": None, "path": path} for path in paths], layouts.IMAGE)
    )
    layouts.write_saved(tmp_path, 3, 1)
    with pa.ipc.new_stream(tmp_path / "data-00000-of-00001.arrow", rows.schema) as stream:
        stream.write_table(rows)
    images = open_images(tmp_path)
    assert [images.encoded(row) for row in range(3)] == [encoded(n) for n in range(3)]


def test_large_row_groups_are_warned_about(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("footage.images.tables.LARGE_GROUP", 100)
    open_images(layouts.write_parquet(tmp_path))
    assert "reading an image reads a whole group" in caplog.text


def test_labels_of_tar_members_may_be_json_or_text_and_lie_in_folders(tmp_path):
    members = {
        "deep/a.0.jpg": encoded(0, "JPEG"),
        "deep/a.json": b'{"label": 7, "width": 3}',
        "deep/b.JPG": encoded(1, "JPEG"),
        "deep/b.txt": b"8\n",
        "deep/c.jpeg": encoded(2, "JPEG"),
        "deep/c.cls": b"7",
        "deep/c.txt": b"a long caption",
        "deep/._c.jpg": b"resource fork",
        "notes": b"no suffix",
    }
    members["deep/a.jpg"] = members.pop("deep/a.0.jpg")
    images = open_images(layouts.write_tar(tmp_path / "a.tar", members))
    assert dict(zip(images.names, images.labels.tolist(), strict=True)) == {
        "a.tar/deep/a.jpg": 0,
        "a.tar/deep/b.JPG": 1,
        "a.tar/deep/c.jpeg": 0,
    }


# --- what cannot be opened ---------------------------------------------------------------------


def _written(path: Path, rows: pa.Table) -> Path:
    pq.write_table(rows, path)
    return path


def _no_label_column(folder: Path) -> Path:
    rows = layouts.table(range(3)).rename_columns(["image", "wanted"])
    return _written(folder / "a.parquet", rows)


def _pixels_instead_of_bytes(folder: Path) -> Path:
    rows = pa.table({"image": [[1, 2], [3, 4]], "label": [0, 1]})
    return _written(folder / "a.parquet", rows)


def _several_labels_an_image(folder: Path) -> Path:
    rows = layouts.table(range(2), [[0, 1], [1]])
    return _written(folder / "a.parquet", rows)


def _hidden_labels(folder: Path) -> Path:
    return _written(folder / "a.parquet", layouts.table(range(4), [-1, -1, 0, None]))


def _more_classes_than_names(folder: Path) -> Path:
    rows = layouts.table(range(4), [0, 1, 2, 3]).replace_schema_metadata(layouts.metadata())
    return _written(folder / "a.parquet", rows)


def _two_schemas(folder: Path) -> Path:
    pq.write_table(layouts.table(range(3)), folder / "a.parquet")
    pq.write_table(layouts.table(range(3)).rename_columns(["img", "label"]), folder / "b.parquet")
    return folder


def _broken_parquet(folder: Path) -> Path:
    (folder / "a.parquet").write_bytes(b"PAR1 and then nothing")
    return folder / "a.parquet"


def _tar(folder: Path, **members: bytes) -> Path:
    return layouts.write_tar(
        folder / "a.tar", {name.replace("_", "."): content for name, content in members.items()}
    )


def _broken_in_the_middle(folder: Path) -> Path:
    path = layouts.write_tars(folder, 9, 1) / "shard-000000.tar"
    data = bytearray(path.read_bytes())
    header = data.index(b"000004.cls")
    data[header : header + 200] = b"\xaa" * 200
    path.write_bytes(data)
    return path


def _cut_tar(folder: Path) -> Path:
    path = layouts.write_tars(folder, 9, 1) / "shard-000000.tar"
    path.write_bytes(path.read_bytes()[:3000])
    return path


def _compressed(folder: Path) -> Path:
    (folder / "a.tar.gz").write_bytes(b"\x1f\x8b")
    return folder / "a.tar.gz"


def _binary_list(folder: Path) -> Path:
    (folder / "a.bin").write_bytes(b"\xff\xfe\x00\x81")
    return folder / "a.bin"


def _tab_in_a_name(folder: Path) -> Path:
    layouts.write_folders(folder)
    (folder / "ant" / "0.png").rename(folder / "ant" / "a\tb.png")
    return folder


def _two_layouts(folder: Path) -> Path:
    layouts.write_tars(folder)
    return layouts.write_folders(folder)


def _missing_arrow_file(folder: Path) -> Path:
    (layouts.write_saved(folder) / "data-00001-of-00002.arrow").unlink()
    return folder


def _old_indices(folder: Path) -> Path:
    layouts.write_saved(folder)
    state = json.loads((folder / "state.json").read_text())
    state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (folder / "state.json").write_text(json.dumps(state))
    return folder


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda folder: folder / "absent", "labelled images not found"),
        (lambda folder: folder, "no classes"),
        (lambda folder: layouts.write_folders(folder, 1), "one class"),
        (lambda folder: layouts.write_saved(folder, 1, 1), "one class"),
        (_no_label_column, "no column called label or .*; it has image, wanted"),
        (_pixels_instead_of_bytes, "contains list<.*>, not the bytes of image files"),
        (_several_labels_an_image, "contains list<.*>, not one class per image"),
        (_hidden_labels, r"3 of 4 images in .* have no label: a\.parquet#0, "),
        (_more_classes_than_names, "class numbers up to 3 but 3 class names"),
        (_two_schemas, r"different columns: .*'image'.*'img'"),
        (_broken_parquet, r"a\.parquet cannot be read"),
        (lambda folder: _tar(folder, a_jpg=b"", b_jpg=b"", b_cls=b"1"), "1 of 2 .* no label"),
        (lambda folder: _tar(folder, a_jpg=b"", a_png=b""), "two images .* a.jpg and a.png"),
        (lambda folder: _tar(folder, a_jpg=b"", a_json=b"{"), r"a\.json cannot be read"),
        (lambda folder: _tar(folder, a_jpg=b"", a_json=b"3"), r"a\.json cannot be read"),
        (lambda folder: _tar(folder, a_jpg=b"", a_json=b'{"label": [1]}'), r"the label \[1\]"),
        (lambda folder: _tar(folder, a_jpg=b"", a_cls=b"\xff"), r"a\.cls cannot be read"),
        (lambda folder: _tar(folder, a_jpg=b"", a_txt=b" " * 2**21), "too many for a label"),
        (_broken_in_the_middle, "not a whole, uncompressed tar"),
        (_cut_tar, "not a whole, uncompressed tar"),
        (_compressed, "is compressed"),
        (_binary_list, "not a list in UTF-8"),
        (_tab_in_a_name, "names with tabs"),
        (_two_layouts, r"both \.tar files and folders of images"),
        (_missing_arrow_file, r"data-00001-of-00002\.arrow cannot be read"),
        (_old_indices, "old releases of datasets"),
        (lambda folder: layouts.write_saved_parts(folder, ("test",)), "no training split, only"),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path, build, message):
    with pytest.raises(ConfigError, match=message):
        open_images(build(tmp_path))


# --- what is found damaged when it is read -----------------------------------------------------


def test_a_damaged_image_is_an_error_that_names_it(tmp_path):
    folder = layouts.write_folders(tmp_path)
    (folder / "bee" / "4.png").write_bytes(encoded(4)[:60])
    images = open_images(folder)
    row = images.names.index("bee/4.png")
    with pytest.raises(ImageError, match=r"^bee/4\.png is damaged"):
        decode_image(images.encoded(row), images.name(row))


@pytest.mark.parametrize("layout", ["folders", "tars", "parquet", "saved"])
def test_files_that_vanish_are_an_error_that_names_the_image(tmp_path, layout):
    LAYOUTS[layout](tmp_path / "set")
    images = open_images(tmp_path / "set")
    (tmp_path / "set").rename(tmp_path / "moved")
    name = images.name(8)
    tables._parquet.cache_clear()
    tables._arrow.cache_clear()
    with pytest.raises(ImageError, match=rf"^image {name} of .* cannot be read"):
        images.encoded(8)


def test_a_tar_that_was_cut_later_is_an_error_that_names_the_image(tmp_path):
    images = open_images(layouts.write_tars(tmp_path, 9, 1))
    path = tmp_path / "shard-000000.tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ImageError, match=rf"^image {images.name(8)} of .* ends in the middle"):
        images.encoded(8)


def test_a_row_without_an_image_is_an_error_that_names_it(tmp_path):
    rows = layouts.table(range(4)).set_column(
        0, "image", pa.array([{"bytes": encoded(0), "path": None}, None] * 2, layouts.IMAGE)
    )
    images = open_images(_written(tmp_path / "a.parquet", rows))
    assert images.encoded(2) == encoded(0)
    with pytest.raises(ImageError, match=r"^image a\.parquet#3 of .* contains no bytes"):
        images.encoded(3)


def test_the_data_half_does_without_torch_and_datasets():
    check = (
        "import sys, footage.images.as_videos\n"
        "import footage.data.image_views, footage.data.label_subset\n"
        "sys.exit(bool({'torch', 'timm', 'datasets'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0
