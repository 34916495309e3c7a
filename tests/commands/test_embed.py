import json
import os
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from footage.commands.embed import EmbedConfig, embed
from footage.data.views import resized
from footage.embedding.formats import base
from footage.errors import BusyError, ConfigError, FootageError, OutputError
from footage.evaluation.features import model_extractor
from footage.images.decode import read_image
from footage.io import files
from footage.models import load as models
from tests.support import synthetic

TINY = "test_resnet"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def test_images_get_the_features_that_the_model_gives_them(photos: Path, tmp_path: Path) -> None:
    done = embed(TINY, [photos], out=tmp_path / "e.parquet", config=EmbedConfig(size=32))
    assert (done.num_images, done.num_videos, done.num_frames) == (5, 0, 0)
    table = pq.read_table(done.path)
    model = models.load(TINY, size=32)
    paths = [photos / f"{number}.png" for number in range(5)]
    assert table["input"].to_pylist() == [str(path) for path in paths]
    pixels = np.stack([resized(read_image(path), 32) for path in paths])
    expected = model_extractor(model, torch.device("cpu")).function(pixels)
    np.testing.assert_allclose(np.stack(table["embedding"].to_pylist()), expected, rtol=1e-5)
    assert table["seconds"].null_count == 5
    header = json.loads(table.schema.metadata[b"footage"])
    assert header["preprocessing"]["size"] == 32


def test_videos_give_frames_at_the_asked_rate_with_their_times(
    video_folder: Path, tmp_path: Path
) -> None:
    video = sorted(path for path in video_folder.rglob("*.mp4"))[0]
    config = EmbedConfig(size=32, frames_per_second=2.0)
    done = embed(TINY, [video], out=tmp_path / "e.parquet", config=config)
    seconds = pq.read_table(done.path)["seconds"].to_numpy()
    assert done.num_videos == 1
    assert done.num_frames == len(seconds) >= 3
    np.testing.assert_allclose(seconds, np.arange(len(seconds)) / 2, atol=0.05)


def test_what_cannot_be_read_becomes_a_row_with_a_reason(
    photos: Path, video_folder: Path, tmp_path: Path
) -> None:
    video = sorted(path for path in video_folder.rglob("*.mp4"))[0]
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("ignored")
    half = video.read_bytes()[: video.stat().st_size * 2 // 3]
    (folder / "half.mp4").write_bytes(half)
    inputs = [folder, photos / "0.png", video]
    done = embed(TINY, inputs, out=tmp_path / "e.parquet", config=EmbedConfig(size=32))
    rows = pq.read_table(done.path).to_pylist()
    by_input = {row["input"]: row for row in rows}
    for name, reason in (("broken.png", "not an image"), ("empty.mp4", "cannot be opened")):
        row = by_input[str(folder / name)]
        assert row["status"] == "failed"
        assert reason in row["reason"]
        assert row["embedding"] is None
    assert by_input[str(video)]["status"] == "ok"
    assert by_input[str(photos / "0.png")]["embedding"] is not None
    assert {Path(failure.input).name for failure in done.failures} >= {"broken.png", "empty.mp4"}
    assert all((row["embedding"] is None) == (row["status"] != "ok") for row in rows)


def test_a_video_with_damage_keeps_its_frames_and_says_what_is_missing(tmp_path: Path) -> None:
    video = synthetic.folder_of_videos(tmp_path / "videos")
    path = sorted(video.rglob("*.mp4"))[0]
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat") + len(content) // 3
    content[start : start + 4000] = bytes(4000)
    path.write_bytes(content)
    config = EmbedConfig(size=32, frames_per_second=5.0)
    done = embed(TINY, [path], out=tmp_path / "e.parquet", config=config)
    rows = pq.read_table(done.path).to_pylist()
    assert rows[-1]["status"] == "partial"
    assert "damaged" in rows[-1]["reason"] or "could be decoded" in rows[-1]["reason"]
    assert len(rows) > 2


def test_patch_features_average_to_the_embedding_of_a_mean_pooling_network(
    photos: Path, tmp_path: Path
) -> None:
    config = EmbedConfig(size=64, patches=True)
    done = embed("resnet10t", [photos], out=tmp_path / "e.parquet", config=config)
    for row in pq.read_table(done.path).to_pylist():
        patches = np.array(row["patches"]).reshape(row["patch_rows"] * row["patch_columns"], -1)
        np.testing.assert_allclose(patches.mean(0), row["embedding"], rtol=1e-4, atol=1e-5)


def test_rows_written_in_many_groups_are_the_same_rows(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EmbedConfig(size=32, batch_size=2)
    once = pq.read_table(embed(TINY, [photos], out=tmp_path / "a.parquet", config=config).path)
    monkeypatch.setattr(base, "GROUP_BYTES", 1)
    path = embed(TINY, [photos], out=tmp_path / "b.parquet", config=config).path
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(path).equals(once)
    counted = duckdb.sql(f"select count(*) from '{path}' where len(embedding) > 1").fetchall()
    assert counted == [(5,)]


def test_an_input_without_a_known_suffix_is_recognised_by_its_content(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "photo").write_bytes((photos / "0.png").read_bytes())
    done = embed(
        TINY, [tmp_path / "photo"], out=tmp_path / "e.parquet", config=EmbedConfig(size=32)
    )
    assert (done.num_images, done.failures) == (1, [])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [([], "no images or videos found"), (["gone.jpg"], "file or folder not found: 'gone.jpg'")],
)
def test_inputs_that_are_not_there_are_an_error(
    tmp_path: Path, inputs: list[str], message: str
) -> None:
    with pytest.raises(FootageError, match=message):
        embed(TINY, inputs, out=tmp_path / "e.parquet")
    assert list(tmp_path.iterdir()) == []


def test_files_are_found_as_by_every_other_command(photos: Path, tmp_path: Path) -> None:
    """Hidden folders are skipped, links followed, and a name may hold bytes that are not UTF-8."""
    folder = tmp_path / "in"
    (folder / ".thumbnails").mkdir(parents=True)
    for name in (b".thumbnails/x.png", b"caf\xe9.png"):
        (folder / os.fsdecode(name)).write_bytes((photos / "0.png").read_bytes())
    (folder / "linked").symlink_to(photos)
    done = embed(TINY, [folder], out=tmp_path / "e.parquet", config=EmbedConfig(size=32))
    assert pq.read_table(done.path)["input"].to_pylist() == [
        f"{folder}/caf\\xe9.png",
        *(f"{folder}/linked/{number}.png" for number in range(5)),
    ]


def test_urls_give_the_rows_of_the_files_behind_them(
    photos: Path, video_folder: Path, tmp_path: Path, memory_bucket: str
) -> None:
    video = sorted(path for path in video_folder.rglob("*.mp4"))[0]
    memory = fsspec.filesystem("memory")
    for path in (photos / "0.png", video):
        memory.pipe_file(f"{memory_bucket}/{path.name}", path.read_bytes())
    memory.pipe_file(f"{memory_bucket}/broken.png", b"not an image")
    broken = memory._strip_protocol(f"{memory_bucket}/broken.png")
    config = EmbedConfig(size=32)
    local = embed(TINY, [photos / "0.png", video], out=tmp_path / "a.parquet", config=config)
    files = [f"file://{photos}/0.png", f"file://{video}"]
    by_file_url = embed(TINY, files, out=tmp_path / "b.parquet", config=config)
    remote = embed(TINY, [memory_bucket], out=tmp_path / "c.parquet", config=config)
    columns = ["kind", "seconds", "status", "embedding"]
    wanted = pq.read_table(local.path).sort_by("input")
    assert pq.read_table(by_file_url.path).sort_by("input").equals(wanted)
    found = pq.read_table(remote.path)
    good = [name != broken for name in found["input"].to_pylist()]
    assert good.count(False) == 1
    readable = found.filter(good).sort_by("input").select(columns)
    assert readable.equals(wanted.select(columns), check_metadata=False)
    assert remote.num_images == 2
    assert [failure.input for failure in remote.failures] == [broken]


def test_an_existing_file_is_kept(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.parquet"
    out.write_text("precious")
    with pytest.raises(ConfigError, match="exists") as caught:
        embed(TINY, [photos], out=out)
    assert "--overwrite" in caught.value.hint
    assert out.read_text() == "precious"
    embed(TINY, [photos], out=out, config=EmbedConfig(size=32, overwrite=True))
    assert pq.read_table(out).num_rows == 5


def test_two_processes_do_not_write_one_table(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.parquet"
    with (
        files.exclusive(tmp_path / ".e.parquet.lock", out),
        pytest.raises(BusyError, match=f"is being written by process {os.getpid()}"),
    ):
        embed(TINY, [photos], out=out, config=EmbedConfig(size=32))


def test_a_table_that_cannot_be_written_is_one_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        embed(TINY, [photos], out=tmp_path / "file" / "e.parquet", config=EmbedConfig(size=32))


def test_inputs_none_of_which_can_be_read_are_one_error_and_no_table(tmp_path: Path) -> None:
    for name in ("a.png", "b.mp4"):
        (tmp_path / name).write_text("text")
    out = tmp_path / "e.parquet"
    with pytest.raises(ConfigError, match=r"none of 2 files could be read; .*a\.png: ") as error:
        embed("test_resnet", [tmp_path / "a.png", tmp_path / "b.mp4"], out=out)
    assert error.value.hint
    assert not out.exists()
