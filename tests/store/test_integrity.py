"""Damage to a frame store: every reader returns what was written, or an error."""

import json
import os
import shutil
from itertools import pairwise

import msgspec
import pyarrow as pa
import pytest

from footage.errors import StoreError
from footage.io.documents import CHECKSUM
from footage.store.description import DOCUMENT, Totals, content_hash, file_entry, read_description
from footage.store.frames import FRAMES_SCHEMA, FramesFile, FramesWriter
from footage.store.parts import PartList
from footage.store.reader import Store
from footage.store.tables import Tables, totals, write_table
from tests.support.earlier_stores import as_earlier, as_version_1
from tests.support.mutations import bit_flips, mutations

TABLES = tuple(f"manifests/000001/{name}.arrow" for name in ("videos", "shots", "parts"))
FILES = ("store.json", *TABLES, "part")
"""Names of files below a store; `part` is its only part, see `file_of`."""
TRIALS = 100
"""Flipped bits per file in the fast test."""
NIGHTLY_TRIALS = 5_000
"""Flipped bits per file in the nightly test."""


def file_of(store, name):
    """Path of one of `FILES`."""
    (part,) = (store / "frames").rglob("*.parquet")
    return part if name == "part" else store / name


def everything(path):
    """All that a reader of a store can learn from it."""
    store = Store.open(path)
    frames = [store.frames_of_shot(row) for row in range(store.shots.num_rows)]
    encoded = [store.encoded(row, [len(one) - 1, 0]) for row, one in enumerate(frames)]
    store.close()
    tables = store.videos.to_pylist(), store.every_shot.to_pylist()
    return store.description, tables, frames, encoded


@pytest.fixture
def store(tiny_store, tmp_path):
    return shutil.copytree(tiny_store.path, tmp_path / "store")


def outcomes(store, name, variants, expected):
    """How many variants of a file are refused, and how many change nothing that is read.

    Any other outcome fails the test, and names the variant.
    """
    refused = same = 0
    path = file_of(store, name)
    for variant, data in variants:
        path.write_bytes(data)
        try:
            found = everything(store)
        except StoreError:
            refused += 1
            continue
        assert found == expected, f"{name}: {variant} changes what is read"
        same += 1
    return refused, same


@pytest.mark.parametrize("name", FILES)
def test_flipped_bit_is_an_error_or_changes_nothing(store, name, trials):
    flips = bit_flips(file_of(store, name).read_bytes(), TRIALS)
    refused, _ = outcomes(store, name, flips, everything(store))
    assert refused > TRIALS * 0.9
    trials(TRIALS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_of_many_changes_what_is_read(store, name, trials):
    flips = bit_flips(file_of(store, name).read_bytes(), NIGHTLY_TRIALS, seed=1)
    refused, _ = outcomes(store, name, flips, everything(store))
    assert refused > NIGHTLY_TRIALS * 0.9
    trials(NIGHTLY_TRIALS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_verify_finds_every_flipped_bit_and_names_a_damaged_video(store, trials):
    opened = Store.open(store)
    frames = [opened.frames_of_shot(row) for row in range(18)]
    part = file_of(store, "part")
    data = part.read_bytes()
    for (place, _), changed in bit_flips(data, NIGHTLY_TRIALS, seed=2):
        part.write_bytes(changed)
        (found,) = opened.damage()
        for row, shot in enumerate(frames):
            starts = [data.index(frame.jpeg) for frame in shot]
            if any(0 <= place - start < len(f.jpeg) for start, f in zip(starts, shot, strict=True)):
                assert found.videos == [opened.shots["video"][row].as_py()]
    trials(NIGHTLY_TRIALS)


def test_no_mutation_of_the_description_is_accepted(store):
    path = store / "store.json"
    expected = everything(store)
    plain = json.loads(path.read_text())
    assert outcomes(store, path.name, mutations(plain, [(CHECKSUM,)]), expected)[1] == 0
    del plain[CHECKSUM]  # as after an edit on purpose: the schema and the other files decide
    skip = [("limits",), ("versions",)]
    assert outcomes(store, path.name, mutations(plain, skip), expected)[1] == 0


def test_version_of_the_future_names_both_versions(store):
    content = json.loads((store / "store.json").read_text())
    del content[CHECKSUM]
    (store / "store.json").write_text(json.dumps(content | {"schema_version": 4}))
    with pytest.raises(
        StoreError, match="has version 4; this version of footage reads 1, 2, 3"
    ) as error:
        Store.open(store)
    assert error.value.hint == "use the version of footage that wrote it"


# --- tables that were written wrong --------------------------------------------------------------


def read(path):
    """Read a table into memory, so that its file can be replaced."""
    return pa.ipc.open_file(pa.BufferReader(path.read_bytes())).read_all()


def table_of(store, name):
    return read(store / "manifests/000001" / name)


def forge(store, name, table, **changes):
    """Replace a table, and adapt `store.json` as if it had been written like that."""
    old = read_description(store)
    folder = old.folder(store)
    current = {one: read(folder / one) for one in old.files} | {name: table}
    write_table(folder / name, table)
    files = old.files | {name: file_entry(folder / name)}
    tables = Tables(current["videos.arrow"], table, PartList(current["parts.arrow"]))
    try:
        summed = msgspec.convert(msgspec.to_builtins(totals(tables, files)), Totals)
    except (TypeError, ValueError, KeyError, pa.ArrowException):  # such values have no totals
        summed = old.totals
    new = msgspec.structs.replace(
        old, files=files, totals=summed, content_hash=content_hash(old.settings, files), **changes
    )
    DOCUMENT.write(store / "store.json", new)


def with_value(name, row, value, kind=None):
    """A function that replaces one value of a column."""

    def change(table):
        values = table[name].to_pylist()
        values[row] = value
        place = table.schema.get_field_index(name)
        kind_of_column = kind or table.schema.field(name).type
        return table.set_column(place, name, pa.array(values, kind_of_column))

    return change


def not_utf8(table):
    names = pa.array([name.encode() + b"\xff" for name in table["video"].to_pylist()], pa.binary())
    return table.set_column(0, "video", names.view(pa.string()))


SHOTS = {
    "a column less": lambda table: table.drop_columns(["score"]),
    "a column more": lambda table: table.append_column("extra", table["shot"]),
    "columns of other types": lambda table: table.set_column(
        1, "shot", table["shot"].cast(pa.int64())
    ),
    "a missing value": with_value("num_frames", 3, None),
    "a missing name": with_value("video", 3, None),
    "NaN": with_value("start_seconds", 3, float("nan")),
    "infinity": with_value("end_seconds", 3, float("inf")),
    "negative frames": with_value("num_frames", 3, -4),
    "absurdly many frames": with_value("num_frames", 3, 2**31 - 1),
    "one frame less": lambda table: with_value("num_frames", 3, table["num_frames"][3].as_py() - 1)(
        table
    ),
    "a part that does not exist": with_value("part", 3, 7),
    "a negative part": with_value("part", 3, -1),
    "frames of another shot": with_value("row_group", 3, 2),
    "a negative row group": with_value("row_group", 3, -1),
    "a shot twice": lambda table: pa.concat_tables([table, table.slice(17)]),
    "a shot less": lambda table: table.slice(1),
    "no shots": lambda table: table.slice(0, 0),
    "another order": lambda table: table.take([1, 0, *range(2, 18)]),
    "an unknown video": with_value("video", 17, "zebra.mp4#0"),
    "names that are not UTF-8": not_utf8,
}


@pytest.mark.parametrize("change", SHOTS.values(), ids=SHOTS.keys())
def test_table_of_shots_that_is_wrong_is_an_error(store, change):
    forge(store, "shots.arrow", change(table_of(store, "shots.arrow")))
    with pytest.raises(StoreError, match=r"shots\.arrow|table of shots|tables of shots"):
        Store.open(store)


def test_row_group_out_of_range_is_an_error(store):
    table = table_of(store, "shots.arrow")
    forge(store, "shots.arrow", with_value("row_group", 17, 1000)(table))
    opened = Store.open(store)
    with pytest.raises(StoreError, match=r"part-.*\.parquet cannot be read"):
        opened.encoded(17, [0])


VIDEOS = {
    "a column less": lambda table: table.drop_columns(["reason"]),
    "a missing value": with_value("status", 3, None),
    "an unknown status": with_value("status", 3, "banana"),
    "NaN": with_value("decoded_seconds", 3, float("nan")),
    "negative numbers": with_value("num_frames", 3, -1),
    "a video twice": lambda table: pa.concat_tables([table, table.slice(5)]),
    "a video less": lambda table: table.slice(1),
    "another order": lambda table: table.take([1, 0, 2, 3, 4, 5]),
    "names that are not UTF-8": not_utf8,
}


@pytest.mark.parametrize("change", VIDEOS.values(), ids=VIDEOS.keys())
def test_table_of_videos_that_is_wrong_is_an_error(store, change):
    forge(store, "videos.arrow", change(table_of(store, "videos.arrow")))
    with pytest.raises(StoreError, match=r"(videos|shots)\.arrow|tables? of (videos|shots)"):
        Store.open(store)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"garbage" * 1000])
def test_file_that_is_missing_or_something_else_is_an_error(store, name, content):
    path = file_of(store, name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=path.name) as error:
        Store.open(store)
    assert error.value.hint


@pytest.mark.parametrize("name", FILES)
def test_pipe_or_folder_in_place_of_a_file_is_an_error_and_not_waited_for(store, name):
    path = file_of(store, name)
    for make in (os.mkfifo, os.mkdir):
        path.rename(store / "kept")
        make(path)
        with pytest.raises(StoreError, match=r"not a regular file|Is a directory"):
            Store.open(store)
        path.rmdir() if path.is_dir() else path.unlink()
        (store / "kept").rename(path)


def test_part_that_is_cut_short_after_opening_is_an_error(store):
    opened = Store.open(store)
    part = file_of(store, "part")
    data = part.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match=r"part-.*\.parquet cannot be read"):
        opened.frames_of_shot(0)


# --- stores of earlier versions ------------------------------------------------------------------


def without_places(tables):
    videos, shots = tables
    return videos, [{**shot, "part": 0, "row_group": 0} for shot in shots]


@pytest.mark.parametrize("version", [1, 2])
def test_store_of_an_earlier_version_is_read_and_keeps_its_hash(store, version):
    _, tables, frames, encoded = everything(store)
    recorded = as_earlier(store, version)
    description, *found = everything(store)
    assert [without_places(found[0]), *found[1:]] == [without_places(tables), frames, encoded]
    assert description.content_hash == recorded
    assert (version > 1) == (b"footage.checksums" in file_of(store, "part").read_bytes())
    Store.open(store).verify()


@pytest.mark.parametrize("name", ["videos.parquet", "shots.parquet"])
def test_flipped_bit_in_a_table_of_an_earlier_version_is_an_error(store, name):
    as_earlier(store, 2)
    flips = bit_flips((store / name).read_bytes(), 30)
    assert outcomes(store, name, flips, None) == (30, 0)


def test_damaged_part_of_version_1_is_found_by_verify(store):
    as_version_1(store)
    opened = Store.open(store)
    part = file_of(store, "part")
    data = part.read_bytes()
    place = data.index(opened.frames_of_shot(2)[0].jpeg) + 100
    part.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    (found,) = opened.damage()
    assert (found.name, found.videos) == (
        "frames/part-00000.parquet",
        opened.videos["video"].to_pylist(),
    )
    with pytest.raises(StoreError, match="its content is not what was written"):
        opened.verify()


# --- frames --------------------------------------------------------------------------------------


def test_long_shot_is_read_across_its_row_groups(tmp_path):
    table = {"video": "a", "shot": 0, "jpeg": b""}
    path = tmp_path / "frames.parquet"
    writer = FramesWriter(path)
    rows = [table | {"index": n, "seconds": n / 4, "jpeg": bytes([n])} for n in range(150)]
    for start, end in pairwise([0, 64, 128, 150]):
        writer.write(pa.Table.from_pylist(rows[start:end], schema=FRAMES_SCHEMA))
    writer.finish()
    with FramesFile.open(path) as file:
        assert file.jpegs(1, 64, [63, 0]) == [bytes([127]), bytes([64])]
        assert file.frames(2, 22)[21] == (149 / 4, bytes([149]))
        with pytest.raises(ValueError, match="row group 2"):
            file.jpegs(2, 64, [0])
