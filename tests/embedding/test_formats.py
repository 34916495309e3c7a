"""The three formats of `footage embed` contain the same rows and the same numbers."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import footage
from footage.embedding import formats
from footage.embedding.formats import array, base
from footage.errors import ConfigError

TINY = "test_resnet"
SUFFIXES = (".parquet", ".npy", ".lance")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, video_folder):
    """Five images, one of them broken, and a video."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return [folder, sorted(video_folder.rglob("*.mp4"))[0]]


@pytest.fixture(scope="module")
def outputs(inputs, tmp_path_factory):
    """The same rows in each format."""
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "GROUP_BYTES", 1)
        config = {"size": 32, "batch_size": 2}
        done = [footage.embed(TINY, inputs, out=folder / f"e{s}", **config) for s in SUFFIXES]
    assert len({(one.num_images, one.num_videos, one.num_frames) for one in done}) == 1
    assert all(len(one.failures) == 1 for one in done)
    assert sorted(path.name for path in folder.iterdir()) == [
        "e.lance", "e.npy", "e.parquet", "e.rows.parquet"
    ]  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def table(outputs):
    return pq.read_table(outputs / "e.parquet")


def test_the_lance_data_set_is_the_parquet_table(outputs, table):
    found = lance.dataset(str(outputs / "e.lance"))
    assert found.to_table().equals(table)
    assert found.schema.metadata == table.schema.metadata


def test_the_array_has_the_features_of_the_table_in_its_order(outputs, table):
    found = np.load(outputs / "e.npy", mmap_mode="r")
    assert isinstance(found, np.memmap)
    expected = table["embedding"].combine_chunks().drop_null().flatten().to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.reshape(found.shape))
    assert len(found) == table["embedding"].is_valid().to_numpy().sum()


def test_the_table_next_to_the_array_lists_its_rows_and_the_failures(outputs, table):
    found = pq.read_table(outputs / "e.rows.parquet")
    assert found.drop_columns(["row"]).equals(table.drop_columns(["embedding"]))
    assert found.schema.metadata == table.schema.metadata
    numbers = found.filter(pa.compute.equal(found["status"], "ok"))["row"].to_pylist()
    assert numbers == list(range(len(np.load(outputs / "e.npy"))))
    assert found["row"].null_count == 1
    features = np.load(outputs / "e.npy", mmap_mode="r")
    for row, vector in zip(found["row"].to_pylist(), table["embedding"].to_pylist(), strict=True):
        assert (row is None) == (vector is None)
        assert row is None or np.array_equal(features[row], np.float32(vector))


def test_lance_finds_the_nearest_rows(outputs, table):
    query = table.filter(table["embedding"].is_valid())["embedding"][2].values.to_numpy()
    found = lance.dataset(str(outputs / "e.lance")).to_table(
        columns=["input", "_distance"], nearest={"column": "embedding", "q": query, "k": 2}
    )
    assert found["input"][0].as_py().endswith("2.png")
    assert found["_distance"][0].as_py() == pytest.approx(0)
    assert found["_distance"][1].as_py() > 0


def test_the_header_of_an_array_has_room_for_any_number_of_rows(tmp_path):
    ends = set()
    for num_rows in (0, 7, 10**6, 10**15):
        with (tmp_path / "e.npy").open("wb") as file:
            ends.add(array._write_header(file, num_rows, 384))
    assert len(ends) == 1


def test_other_suffixes_are_an_error_that_lists_the_formats(tmp_path):
    with pytest.raises(
        ConfigError, match=r"--out must end in \.parquet, \.npy or \.lance, but is 'e\.csv'"
    ) as caught:
        footage.embed(TINY, ["a.jpg"], out=tmp_path / "e.csv")
    assert "e.parquet" in caught.value.hint
    assert isinstance(formats.format_of(Path("E.NPY")), array.Array)


def test_lance_without_its_package_is_an_error_before_anything_is_computed(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "lance" else found(name)
    )
    with pytest.raises(
        ConfigError, match=r"e\.lance needs pylance, which is not installed"
    ) as error:
        footage.embed(TINY, ["a.jpg"], out=tmp_path / "e.lance")
    assert error.value.hint == "pip install 'footage[lance]'"


def test_patches_go_to_parquet_and_lance_only(inputs, tmp_path):
    with pytest.raises(ConfigError, match="one vector per row"):
        footage.embed(TINY, inputs, out=tmp_path / "e.npy", patches=True)
    config = {"size": 64, "patches": True}
    for suffix in (".parquet", ".lance"):
        footage.embed("resnet10t", inputs[0], out=tmp_path / f"e{suffix}", **config)
    found = lance.dataset(str(tmp_path / "e.lance")).to_table()
    assert found.equals(pq.read_table(tmp_path / "e.parquet"))
    assert found["patches"].null_count == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_output_is_kept_or_replaced_as_a_whole(suffix, inputs, tmp_path):
    out, photo = tmp_path / f"e{suffix}", inputs[0] / "0.png"
    footage.embed(TINY, inputs[0], out=out, size=32)
    with pytest.raises(ConfigError, match="exists") as error:
        footage.embed(TINY, photo, out=out, size=32)
    assert "--append" in error.value.hint
    assert "--overwrite" in error.value.hint
    footage.embed("test_vit", photo, out=out, size=64, overwrite=True)
    table = formats.format_of(out)
    assert list(table.contents().stamps) == [str(photo)]
    settings = json.loads(table.contents().metadata[b"footage.settings"])
    assert settings["preprocessing"]["size"] == 64
    if suffix == ".lance":
        assert len(lance.dataset(str(out)).versions()) == 1
    if suffix == ".npy":
        assert len(np.load(out)) == 1


@pytest.mark.parametrize("flag", [{}, {"overwrite": True}, {"append": True}])
def test_a_folder_that_is_not_a_lance_data_set_is_never_replaced(flag, inputs, tmp_path):
    (tmp_path / "e.lance").mkdir()
    (tmp_path / "e.lance" / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        footage.embed(TINY, inputs[0] / "0.png", out=tmp_path / "e.lance", size=32, **flag)
    assert (tmp_path / "e.lance" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("name", ["e.npy", "e.rows.parquet"])
def test_one_file_of_an_array_counts_as_existing(name, inputs, tmp_path):
    (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        footage.embed(TINY, inputs[0], out=tmp_path / "e.npy", size=32)
    assert (tmp_path / name).read_text() == "precious"


FORK = """
import os
from pathlib import Path
from footage.embedding.formats.lance import Lance
from footage.errors import ConfigError
try:
    Lance(Path("missing.lance")).contents()
except ConfigError:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_a_process_that_used_lance_forks_decoders_without_a_warning(tmp_path):
    # Since Python 3.12, a fork next to any thread has a warning of its own.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
