"""Damage to a frame store: every reader returns what was written, or an error."""

import json
import os
import shutil
from itertools import pairwise

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footage.errors import StoreError
from footage.io.documents import CHECKSUM
from footage.store.description import DOCUMENT, Totals, content_hash, file_entry, read_description
from footage.store.frames import FRAMES_SCHEMA, FramesFile, FramesWriter
from footage.store.reader import Store
from footage.store.tables import totals
from tests.support.earlier_stores import as_version_1
from tests.support.mutations import bit_flips, mutations

FILES = ("store.json", "videos.parquet", "shots.parquet", "frames/part-00000.parquet")
TRIALS = 100
"""Flipped bits per file in the fast test."""
NIGHTLY_TRIALS = 5_000
"""Flipped bits per file in the nightly test."""


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
    for variant, data in variants:
        (store / name).write_bytes(data)
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
    flips = bit_flips((store / name).read_bytes(), TRIALS)
    refused, _ = outcomes(store, name, flips, everything(store))
    assert refused > TRIALS * 0.9
    trials(TRIALS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_of_many_changes_what_is_read(store, name, trials):
    flips = bit_flips((store / name).read_bytes(), NIGHTLY_TRIALS, seed=1)
    refused, _ = outcomes(store, name, flips, everything(store))
    assert refused > NIGHTLY_TRIALS * 0.9
    trials(NIGHTLY_TRIALS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_verify_finds_every_flipped_bit_and_names_a_damaged_video(store, trials):
    opened = Store.open(store)
    frames = [opened.frames_of_shot(row) for row in range(18)]
    data = (store / FILES[3]).read_bytes()
    for (place, _), changed in bit_flips(data, NIGHTLY_TRIALS, seed=2):
        (store / FILES[3]).write_bytes(changed)
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
    (store / "store.json").write_text(json.dumps(content | {"schema_version": 3}))
    with pytest.raises(
        StoreError, match="has version 3; this version of footage reads 1, 2"
    ) as error:
        Store.open(store)
    assert error.value.hint == "use the version of footage that wrote it"


# --- tables that were written wrong --------------------------------------------------------------


def forge(store, name, table, **changes):
    """Replace a table, and adapt `store.json` as if it had been written like that."""
    pq.write_table(table, store / name)
    old = read_description(store)
    files = old.files | {name: file_entry(store / name)}
    videos = pq.read_table(store / "videos.parquet")
    try:
        summed = msgspec.convert(msgspec.to_builtins(totals(videos, files)), Totals)
    except (TypeError, ValueError):  # such values have no totals
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
    forge(store, "shots.parquet", change(pq.read_table(store / "shots.parquet")))
    with pytest.raises(StoreError, match=r"shots\.parquet"):
        Store.open(store)


def test_row_group_out_of_range_is_an_error(store):
    table = pq.read_table(store / "shots.parquet")
    forge(store, "shots.parquet", with_value("row_group", 17, 1000)(table))
    opened = Store.open(store)
    with pytest.raises(StoreError, match=r"part-00000\.parquet cannot be read"):
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
    forge(store, "videos.parquet", change(pq.read_table(store / "videos.parquet")))
    with pytest.raises(StoreError, match=r"(videos|shots)\.parquet"):
        Store.open(store)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"garbage" * 1000])
def test_file_that_is_missing_or_something_else_is_an_error(store, name, content):
    (store / name).unlink()
    if content is not None:
        (store / name).write_bytes(content)
    with pytest.raises(StoreError, match=name.rpartition("/")[2]) as error:
        Store.open(store)
    assert error.value.hint


@pytest.mark.parametrize("name", FILES)
def test_pipe_or_folder_in_place_of_a_file_is_an_error_and_not_waited_for(store, name):
    for make in (os.mkfifo, os.mkdir):
        (store / name).rename(store / "kept")
        make(store / name)
        with pytest.raises(StoreError, match=r"not a regular file|Is a directory"):
            Store.open(store)
        (store / name).rmdir() if (store / name).is_dir() else (store / name).unlink()
        (store / "kept").rename(store / name)


def test_part_that_is_cut_short_after_opening_is_an_error(store):
    opened = Store.open(store)
    data = (store / FILES[3]).read_bytes()
    (store / FILES[3]).write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match=r"part-00000\.parquet cannot be read"):
        opened.frames_of_shot(0)


# --- stores of version 1 -------------------------------------------------------------------------


def test_store_of_version_1_is_read_and_keeps_its_hash(store):
    _, tables, frames, encoded = everything(store)
    recorded = as_version_1(store)
    description, *found = everything(store)
    assert found == [tables, frames, encoded]
    assert description.content_hash == recorded
    assert b"footage.checksums" not in (store / FILES[3]).read_bytes()
    Store.open(store).verify()


@pytest.mark.parametrize("name", ["videos.parquet", "shots.parquet"])
def test_flipped_bit_in_a_table_of_version_1_is_an_error(store, name):
    as_version_1(store)
    flips = bit_flips((store / name).read_bytes(), 30)
    assert outcomes(store, name, flips, None) == (30, 0)


def test_damaged_part_of_version_1_is_found_by_verify(store):
    as_version_1(store)
    opened = Store.open(store)
    data = (store / FILES[3]).read_bytes()
    place = data.index(opened.frames_of_shot(2)[0].jpeg) + 100
    (store / FILES[3]).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    (found,) = opened.damage()
    assert (found.name, found.videos) == (FILES[3], opened.videos["video"].to_pylist())
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
