"""Any fault of labelled images on disk is one error with a hint, never a wrong label."""

import json
import os
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from footage.errors import ConfigError
from footage.evaluation.dataset import open_task
from footage.images import tables
from footage.images.common import is_listable
from footage.images.dataset import open_images
from footage.images.decode import ImageError, decode_image
from tests.images import layouts
from tests.images.layouts import CLASSES, encoded
from tests.support.mutations import bit_flips, mutations

NUMBERS = ("0", "1", "2")


def opened(path):
    """The data set, or its error, which must have a hint and fit on one line."""
    tables._parquet.cache_clear()
    tables._arrow.cache_clear()
    try:
        return open_images(path)
    except ConfigError as error:
        found = error
    assert found.hint
    assert "\n" not in found.message
    return found


def read_all(images):
    """Decode every image; what cannot be read is an `ImageError` that names it."""
    for row in range(len(images)):
        try:
            pixels = decode_image(images.encoded(row), images.name(row))
            reason = ""
        except ImageError as error:
            pixels, reason = None, error.message
        assert images.name(row) in reason if pixels is None else pixels.ndim == 3


@pytest.mark.parametrize(
    ("name", "skip"),
    [
        ("state.json", [("_fingerprint",)]),
        ("dataset_info.json", []),
        ("dataset_dict.json", []),
    ],
)
def test_documents_of_a_saved_data_set_give_an_error_or_the_same_data_set(tmp_path, name, skip):
    if name == "dataset_dict.json":
        layouts.write_saved_parts(tmp_path)
    else:
        layouts.write_saved(tmp_path)
    sound = open_images(tmp_path)
    path = tmp_path / name
    num_errors = 0
    for what, data in mutations(json.loads(path.read_text()), skip):
        path.write_bytes(data)
        found = opened(tmp_path)
        if isinstance(found, ConfigError):
            num_errors += 1
        elif what.startswith("_data_files.") and what.endswith(" missing"):
            assert len(found) < len(sound)  # a shorter list of files is a list of files
        else:
            assert found.content_hash == sound.content_hash, what
    assert num_errors > 20


def test_metadata_of_parquet_give_an_error_or_the_same_labels(tmp_path):
    rows = layouts.table(range(9))
    metadata = {"info": {"features": layouts.features()}}
    path = tmp_path / "a.parquet"
    num_errors = 0
    for what, data in mutations(metadata):
        pq.write_table(rows.replace_schema_metadata({b"huggingface": data}), path)
        found = opened(path)
        if isinstance(found, ConfigError):
            num_errors += 1
        else:
            assert found.classes in (CLASSES, NUMBERS), what
            assert found.labels.tolist() == [layouts.label_of(number) for number in range(9)]
    assert num_errors > 20


def test_labels_in_json_give_an_error_or_the_label(tmp_path):
    num_errors = 0
    for what, data in mutations(
        {"label": 7, "width": 3, "boxes": [[1, 2]]}, [("width",), ("boxes",)]
    ):
        members = {"a.png": encoded(0), "a.json": data, "b.png": encoded(1), "b.cls": b"8"}
        found = opened(layouts.write_tar(tmp_path / "a.tar", members))
        if isinstance(found, ConfigError):
            num_errors += 1
        else:
            other_label = {"label: negative": ("-7", "8"), "label: text": ("8", "banana")}
            assert found.classes == other_label.get(what, ("7", "8")), what
    assert num_errors > 15


def test_a_saved_data_set_reads_no_file_outside_its_folder(tmp_path):
    layouts.write_saved(tmp_path / "set")
    state = json.loads((tmp_path / "set" / "state.json").read_text())
    for name in ("../a.arrow", "/etc/passwd", "..", "", "a\0b", "sub/data.arrow"):
        state["_data_files"][0]["filename"] = name
        (tmp_path / "set" / "state.json").write_text(json.dumps(state))
        with pytest.raises(ConfigError, match="not a file next to it"):
            open_images(tmp_path / "set")


# --- bytes ---------------------------------------------------------------------------------------


BINARY = {
    "tar": (lambda folder: layouts.write_tars(folder, 9, 1), "shard-000000.tar"),
    "parquet": (
        lambda folder: layouts.write_parquet(folder, 9, 1),
        "data/train-00000-of-00001.parquet",
    ),
    "arrow": (lambda folder: layouts.write_saved(folder, 9, 1), "data-00000-of-00001.arrow"),
}


@pytest.mark.parametrize("layout", BINARY)
def test_flipped_bits_and_lost_ends_of_files_give_errors_or_images(tmp_path, layout, trials):
    write, name = BINARY[layout]
    root = write(tmp_path)
    data = (root / name).read_bytes()
    draw = random.Random(0)
    damaged = [flipped for _, flipped in bit_flips(data, 150)]
    damaged += [data[: draw.randrange(len(data))] for _ in range(50)]
    damaged += [data[:place] + bytes(64) + data[place + 64 :] for place in range(0, len(data), 997)]
    for each in damaged:
        (root / name).write_bytes(each)
        found = opened(root)
        if not isinstance(found, ConfigError):
            read_all(found)
    trials(len(damaged))


def test_headers_of_a_tar_with_hostile_fields_end_in_an_error_or_images(tmp_path):
    """Negative sizes made the standard library's reader loop forever."""
    path = layouts.write_tars(tmp_path, 9, 1) / "shard-000000.tar"
    data = path.read_bytes()
    hostile = {
        "negative size": (124, b"\xff" * 12),
        "huge size": (124, b"\x80" + b"\x7f" * 11),
        "text size": (124, b"banana      "),
        "sparse": (156, b"S"),
        "long name": (156, b"L"),
        "long link": (156, b"K"),
        "pax": (156, b"x"),
        "global pax": (156, b"g"),
        "folder": (156, b"5"),
        "link": (156, b"1"),
        "unknown type": (156, b"\xff"),
    }
    for what, (place, field) in hostile.items():
        for header in (0, 1024):  # of the first label and the first image
            changed = bytearray(data)
            changed[header + place : header + place + len(field)] = field
            changed[header + 148 : header + 156] = b" " * 8
            checksum = sum(changed[header : header + 512])
            changed[header + 148 : header + 156] = b"%06o\0 " % checksum
            path.write_bytes(changed)
            found = opened(path)
            if isinstance(found, ConfigError):
                continue
            read_all(found)
            assert what != "negative size"


@pytest.mark.parametrize("separator", ["\t", ",", " "])
def test_damaged_lists_give_an_error_or_files_that_exist(tmp_path, separator):
    layouts.write_folders(tmp_path)
    names = [f"{CLASSES[n % 3]}/{n}.png{separator}{CLASSES[n % 3]}" for n in range(9)]
    data = "\n".join(names).encode()
    draw = random.Random(0)
    damaged = [flipped for _, flipped in bit_flips(data, 100)]
    for _ in range(100):
        place, end = sorted(draw.choices(range(len(data)), k=2))
        damaged.append(data[:place] + data[end:])
        damaged.append(
            data[:place] + draw.choice([b'"', b"\0", b"\r", b"\xff", b"\t,"]) + data[place:]
        )
    damaged += [
        b"",
        b"\n" * 10,
        b"\xef\xbb\xbf",
        b'"' * 300_000,
        b"a" * 5_000 + b"\tb",
        b"a,b" * 99,
    ]
    for each in damaged:
        (tmp_path / "list.txt").write_bytes(each)
        found = opened(tmp_path / "list.txt")
        if not isinstance(found, ConfigError):
            read_all(found)
            assert all(is_listable(name) for name in (*found.names, *found.classes))


def test_a_list_names_files_whatever_separators_unicode_knows(tmp_path):
    odd = "a\u2028b\x0bc\x1cd\x85e.png"
    for number, name in enumerate([odd, "plain.png", odd]):
        (tmp_path / name).write_bytes(encoded(number))
    (tmp_path / "list.txt").write_text(f"{odd}\tant\r\nplain.png\tbee\r\n", encoding="utf-8")
    images = open_images(tmp_path / "list.txt")
    assert images.names == (odd, "plain.png")
    assert images.classes == ("ant", "bee")


# --- what is there and is not a readable file ----------------------------------------------------


def _broken_link(folder):
    (folder / "ant" / "broken.png").symlink_to(folder / "nowhere")


def _pipe(folder):
    os.mkfifo(folder / "ant" / "pipe.png")


@pytest.mark.parametrize(
    ("add", "reason"), [(_broken_link, "No such file"), (_pipe, "not a regular file")]
)
def test_what_is_not_a_file_is_named_before_training_begins(tmp_path, add, reason):
    add(layouts.write_folders(tmp_path))
    with pytest.raises(ConfigError, match=rf"1 of 10 images cannot be read: .*\.png \({reason}"):
        open_images(tmp_path)


def test_an_image_that_became_a_pipe_is_refused_without_waiting(tmp_path):
    images = open_images(layouts.write_folders(tmp_path))
    (tmp_path / "ant" / "0.png").unlink()
    os.mkfifo(tmp_path / "ant" / "0.png")
    with pytest.raises(ImageError, match=r"^image ant/0\.png of .* not a regular file"):
        images.encoded(0)


def test_a_list_that_is_a_pipe_or_a_folder_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(ConfigError, match="list"):
        open_images(tmp_path / "list.txt")
    with pytest.raises(ConfigError, match="list"):
        open_task(tmp_path / "list.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    layouts.write_folders(tmp_path)
    (tmp_path / "ant").chmod(0)
    try:
        with pytest.raises(ConfigError, match="cannot be listed"):
            open_images(tmp_path)
    finally:
        (tmp_path / "ant").chmod(0o755)


def test_links_to_folders_of_a_class_count_and_hidden_entries_do_not(tmp_path):
    layouts.write_folders(tmp_path / "set")
    for name in ("more/extra.png", "set/ant/.hidden.png", "set/.git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(100))
    (tmp_path / "set" / "ant" / "link").symlink_to(tmp_path / "more")
    images = open_images(tmp_path / "set")
    assert "ant/link/extra.png" in images.names
    assert len(images) == 10
    assert images.classes == CLASSES
    task = open_task(tmp_path / "set")
    assert task.num_images == 10
    np.testing.assert_array_equal(sorted(images.labels)[:4], [0, 0, 0, 0])
