"""Appending gives the rows of one whole call, once, and a kill leaves the old or the new table."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import footage
from footage.embedding import parts
from footage.errors import ConfigError
from footage.io import files
from footage.io.remote import RemoteFolder

TINY = "test_resnet"
SUFFIXES = (".parquet", ".npy", ".lance")
each_format = pytest.mark.parametrize("suffix", SUFFIXES)


def rows_of(out):
    """Rows with their features, from any format."""
    out = Path(out)
    if out.suffix == ".parquet":
        return pq.read_table(out).to_pylist()
    if out.suffix == ".lance":
        return lance.dataset(str(out)).to_table().to_pylist()
    features = np.load(out, mmap_mode="r")
    rows = pq.read_table(out.with_suffix(".rows.parquet")).to_pylist()
    for row in rows:
        number = row.pop("row")
        row["embedding"] = None if number is None else features[number].tolist()
    return rows


def assert_alike(rows, expected):
    """Equal rows; the features differ in the last bits when batches differ."""
    names = [name for name in expected[0] if name != "embedding"]
    assert [[row[name] for name in names] for row in rows] == [
        [row[name] for name in names] for row in expected
    ]
    for row, other in zip(rows, expected, strict=True):
        assert (row["embedding"] is None) == (other["embedding"] is None)
        if row["embedding"] is not None:
            np.testing.assert_allclose(row["embedding"], other["embedding"], rtol=1e-4, atol=1e-6)


def state(folder):
    """Every file below a folder, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, video_folder):
    """Two folders: images, one of them broken, and a video with a further image."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("a/0", "a/1", "b/2"):
        noise = np.random.default_rng(int(name[-1])).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise).save(folder / f"{name}.png")
    (folder / "a" / "broken.png").write_bytes(b"no image")
    shutil.copy(sorted(video_folder.rglob("*.mp4"))[0], folder / "b" / "clip.mp4")
    return [folder / "a", folder / "b"]


@pytest.fixture(scope="module")
def begun(inputs, tmp_path_factory):
    """Outputs in all formats with the first folder."""
    folder = tmp_path_factory.mktemp("begun")
    for suffix in SUFFIXES:
        footage.embed(TINY, inputs[0], out=folder / f"e{suffix}", size=32)
    return folder


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """The rows of one call with both folders."""
    out = tmp_path_factory.mktemp("whole") / "e.parquet"
    return rows_of(footage.embed(TINY, inputs, out=out, size=32))


@pytest.fixture(scope="module")
def part(inputs, begun, tmp_path_factory):
    """The computed part of the second folder, as a killed call or a shard leaves it behind."""
    out = shutil.copy(begun / "e.parquet", tmp_path_factory.mktemp("part"))
    footage.embed(TINY, inputs, out=out, size=32, append=True, shard="0/1")
    (found,) = parts.folder_of(Path(out)).glob("*.parquet")
    return found


@pytest.fixture
def own(begun, tmp_path):
    """Outputs with the first folder, which a test may change."""
    return shutil.copytree(begun, tmp_path / "own")


@pytest.fixture
def ready(own, part):
    """The same with the part of the second folder, so that nothing has to be decoded."""
    for suffix in SUFFIXES:
        add_part(part, own / f"e{suffix}")
    return own


def add_part(part, out):
    folder = parts.folder_of(out)
    folder.mkdir()
    shutil.copy(part, folder)


@each_format
def test_appending_gives_the_rows_of_one_call_with_the_new_ones_last(suffix, inputs, ready, whole):
    before = rows_of(ready / f"e{suffix}")
    done = footage.embed(TINY, inputs, out=ready / f"e{suffix}", size=32, append=True)
    assert (done.num_images, done.num_videos, done.num_skipped) == (1, 1, 3)
    rows = rows_of(done)
    assert rows[: len(before)] == before
    assert_alike(rows[len(before) :], [row for row in whole if "/b/" in row["input"]])
    assert_alike(before, [row for row in whole if "/a/" in row["input"]])


@each_format
def test_appending_again_changes_nothing(suffix, inputs, own):
    before = state(own)
    done = footage.embed(TINY, inputs[0], out=own / f"e{suffix}", size=32, append=True)
    assert (done.num_images, done.num_frames, done.failures, done.num_skipped) == (0, 0, [], 3)
    assert state(own) == before


@each_format
def test_the_first_append_creates_the_output(suffix, inputs, begun, tmp_path):
    out = tmp_path / f"e{suffix}"
    footage.embed(TINY, inputs[0], out=out, size=32, append=True)
    assert rows_of(out) == rows_of(begun / f"e{suffix}")


@pytest.mark.parametrize(
    ("suffix", "model", "options", "message"),
    [
        (".npy", "test_vit", {"size": 32},
         r"weights \w{16} of 'test_resnet' \(now \w{16} of 'test_vit'\)"),
        (".parquet", TINY, {"size": 48}, r"size 32 \(now 48\)"),
        (".lance", TINY, {"size": 32, "frames_per_second": 2},
         r"frames_per_second 1\.0 \(now 2\.0\)"),
    ],
)  # fmt: skip
def test_a_different_model_or_settings_are_one_error(suffix, model, options, message, inputs, own):
    before = state(own)
    with pytest.raises(ConfigError, match=f"was written with different settings: .*{message}"):
        footage.embed(model, inputs, out=own / f"e{suffix}", append=True, **options)
    assert state(own) == before


def test_a_changed_file_keeps_its_row_and_is_named(own, tmp_path, caplog):
    photo, options = tmp_path / "photo.png", {"size": 32, "append": True}
    Image.new("RGB", (20, 20)).save(photo)
    footage.embed(TINY, photo, out=own / "e.lance", **options)
    before = rows_of(own / "e.lance")
    Image.new("RGB", (30, 30)).save(photo)
    assert footage.embed(TINY, photo, out=own / "e.lance", **options).num_skipped == 1
    assert rows_of(own / "e.lance") == before
    assert f"keep their rows in {own / 'e.lance'}, such as {photo}" in caplog.text


def test_new_files_that_cannot_be_read_become_rows(own, tmp_path):
    (tmp_path / "new.png").write_text("no image")
    options = {"out": own / "e.npy", "size": 32, "append": True}
    done = footage.embed(TINY, tmp_path / "new.png", **options)
    assert [failure.input for failure in done.failures] == [str(tmp_path / "new.png")]
    assert footage.embed(TINY, tmp_path / "new.png", **options).num_skipped == 1
    assert rows_of(own / "e.npy")[-1]["status"] == "failed"


def test_tables_from_other_programs_are_not_appended_to(inputs, tmp_path):
    pq.write_table(pa.table({"input": ["a.jpg"]}), tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_text("text")
    for name, message in (("other", "was not written by"), ("broken", "cannot be read")):
        with pytest.raises(ConfigError, match=message):
            footage.embed(TINY, inputs, out=tmp_path / f"{name}.parquet", append=True)


def test_an_array_that_does_not_fit_its_table_is_an_error(inputs, own):
    out = own / "e.npy"
    others = (np.zeros((1, 7), np.float32), np.load(out)[::-1], np.load(out).astype(np.float64))
    for array in others:
        np.save(out, array)
        with pytest.raises(ConfigError, match=r"not contain the features that e\.rows\.parquet"):
            footage.embed(TINY, inputs, out=out, size=32, append=True)
    out.write_text("text")
    with pytest.raises(ConfigError, match="cannot be read as an array"):
        footage.embed(TINY, inputs, out=out, size=32, append=True)


def test_an_array_behind_a_url_is_never_replaced_while_its_old_table_is_there(
    inputs, memory_bucket, monkeypatch
):
    out = f"{memory_bucket}/features/e.npy"
    remote = fsspec.filesystem("memory")
    seen = []

    def upload(self, path, name):
        seen.append((name, remote.exists(out.replace(".npy", ".rows.parquet"))))
        real(self, path, name)

    real = RemoteFolder.upload
    monkeypatch.setattr(RemoteFolder, "upload", upload)
    embed = functools.partial(footage.embed, TINY, out=out, size=32)
    embed(inputs[0])
    embed(inputs[0], overwrite=True)
    assert seen == 2 * [("e.npy", False), ("e.rows.parquet", False)]
    seen.clear()
    embed(inputs, append=True)  # the first rows stay as they are, so the old table is valid
    assert seen == [("e.npy", True), ("e.rows.parquet", True)]


def test_shards_compute_only_what_the_table_lacks(inputs, own, whole, monkeypatch):
    monkeypatch.setattr(parts, "FILES_PER_PART", 1)
    options = {"out": own / "e.parquet", "size": 32, "append": True}
    for number in range(2):
        done = footage.embed(TINY, inputs, shard=f"{number}/2", **options)
        assert (done.num_images + done.num_videos, done.num_skipped) == (1, 3)
    footage.embed(TINY, inputs, merge=True, **options)
    assert_alike(rows_of(own / "e.parquet")[3:], [row for row in whole if "/b/" in row["input"]])


def test_append_and_overwrite_cannot_be_combined():
    with pytest.raises(ConfigError, match="--append and --overwrite cannot be combined"):
        footage.embed(TINY, "a.jpg", out="e.parquet", append=True, overwrite=True)


@each_format
def test_outputs_behind_urls_are_appended_to(
    suffix, inputs, whole, memory_bucket, tmp_path, monkeypatch
):
    out = f"{memory_bucket}/features/e{suffix}"
    footage.embed(TINY, inputs[0], out=out, size=32)
    assert footage.embed(TINY, inputs, out=out, size=32, append=True).num_skipped == 3
    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "cache"))  # as on another machine
    again = footage.embed(TINY, inputs, out=out, size=32, append=True)
    assert again.path.is_relative_to(tmp_path / "cache")
    assert again.num_skipped == 5
    assert_alike(rows_of(again), sorted(whole, key=lambda row: "/b/" in row["input"]))


MOMENTS = {
    # A moment is the name of a file that is about to be moved into place, or "commit" or "end".
    # The values are whether the old table remains.
    ".parquet": {"e.parquet": True, "end": False},
    ".npy": {"e.npy": True, "e.rows.parquet": True, "end": False},
    ".lance": {"commit": True, "end": False},
}


@pytest.mark.slow  # imports torch in another process
def test_a_kill_leaves_the_old_or_the_new_table_and_a_rerun_completes_it(
    inputs, begun, part, tmp_path
):
    cases = [(suffix, moment) for suffix, moments in MOMENTS.items() for moment in moments]
    outs = [tmp_path / f"{number}" / f"e{suffix}" for number, (suffix, _) in enumerate(cases)]
    for out in outs:
        shutil.copytree(begun, out.parent)
        add_part(part, out)
    given = {
        "moments": [(str(out), moment) for out, (_, moment) in zip(outs, cases, strict=True)],
        "inputs": [str(path) for path in inputs],
    }
    script = Path(__file__).with_name("killed_appends.py")
    done = subprocess.run(
        [sys.executable, script, json.dumps(given)], capture_output=True, text=True, check=False
    )
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["-9"] * len(cases), done
    before = rows_of(begun / "e.parquet")
    for out, (suffix, moment) in zip(outs, cases, strict=True):
        found = rows_of(out)
        assert found[: len(before)] == before
        assert (found == before) == MOMENTS[suffix][moment]
        footage.embed(TINY, inputs, out=out, size=32, append=True)
        complete = rows_of(out)
        assert len(complete) == len({(row["input"], row["seconds"]) for row in complete})
        assert {Path(row["input"]).name for row in complete[len(before) :]} == {"2.png", "clip.mp4"}
        if suffix == ".npy":
            features = np.load(out)
            assert len(features) == sum(row["embedding"] is not None for row in complete)
        assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


def test_an_array_that_was_moved_without_its_table_is_the_old_state(inputs, ready, monkeypatch):
    out, replace = ready / "e.npy", os.replace

    def fails_at_the_table(source, target):
        if Path(target).name == "e.rows.parquet":
            raise KeyboardInterrupt
        replace(source, target)

    before = rows_of(out)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fails_at_the_table)
        with pytest.raises(KeyboardInterrupt):
            footage.embed(TINY, inputs, out=out, size=32, append=True)
    assert rows_of(out) == before
    assert len(np.load(out)) > sum(row["embedding"] is not None for row in before)
    footage.embed(TINY, inputs, out=out, size=32, append=True)
    rows = rows_of(out)
    assert len(np.load(out)) == sum(row["embedding"] is not None for row in rows)
    assert rows == rows_of(footage.embed(TINY, inputs, out=ready / "e.lance", size=32, append=True))


def test_a_first_write_that_was_killed_between_two_files_is_resumed(inputs, begun, tmp_path):
    out = tmp_path / "e.npy"
    shutil.copy(begun / "e.npy", out)
    files.make_folder(parts.folder_of(out))
    footage.embed(TINY, inputs[0], out=out, size=32)
    assert rows_of(out) == rows_of(begun / "e.npy")
