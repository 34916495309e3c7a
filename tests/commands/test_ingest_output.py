"""Ingest when its output fails: damaged work, unusable paths, full disks."""

import dataclasses
import json
import logging
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from footage.store.writer import (
    WORK,
    DamagedWorkError,
    VideoRecord,
    VideoWriter,
    finished_work,
    frames_of_work,
    read_work,
    work_path,
)

from footage import cli
from footage.commands.ingest import IngestConfig, ingest
from footage.errors import ConfigError, OutputError, StoreError, VideoError
from footage.ingestion.disk_space import SpaceWatch
from footage.io.documents import CHECKSUM
from tests.support.file_sizes import file_size_limit
from tests.support.ingesting import CONFIG, HERE, InThisProcess, hashes
from tests.support.mutations import bit_flips, mutations


class StopsAfter(InThisProcess):
    """Stops like a killed run after some videos are finished."""

    def __init__(self, finished):
        self._finished = finished

    def run(self, function, tasks):
        yield from super().run(function, tasks[: self._finished])
        raise KeyboardInterrupt


def interrupted(folder, out, finished=3):
    with pytest.raises(KeyboardInterrupt):
        ingest([str(folder)], out, CONFIG, StopsAfter(finished))
    return sorted((out / ".work" / "videos").glob("*.parquet"))


@pytest.fixture(scope="module")
def stopped(video_folder, tmp_path_factory):
    """The output of an ingest that was stopped after three videos."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    interrupted(video_folder, out)
    return out


def flipped(data, content):
    place = data.index(content) + len(content) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE = {
    "garbage": lambda _: b"garbage" * 1000,
    "empty": lambda _: b"",
    "cut short": lambda data: data[:-50],
    "record": lambda data: flipped(data, b'"decoded_frames"'),
    "checksums": lambda data: flipped(data, b'"seconds":['),
    "frame": lambda data: flipped(data, b"\xff\xd8\xff\xe0"),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_work_is_ingested_again_with_one_warning(
    whole, video_folder, stopped, tmp_path, caplog, change
):
    out = shutil.copytree(stopped, tmp_path / "out")
    path = sorted((out / ".work" / "videos").glob("*.parquet"))[1]
    path.write_bytes(change(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        report = ingest([str(video_folder)], out, CONFIG, HERE)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "a finished video is damaged and will be ingested again"
    ]
    assert (report.new_videos, hashes(out)) == (6, hashes(whole[1]))


def test_pipes_and_folders_in_the_work_folder_do_not_block_a_rerun(
    whole, video_folder, stopped, tmp_path
):
    out = shutil.copytree(stopped, tmp_path / "out")
    os.mkfifo(out / ".work" / "videos" / "pipe.parquet")
    (out / ".work" / "videos" / "folder.parquet").mkdir()
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert hashes(out) == hashes(whole[1])


@pytest.mark.parametrize("content", [b"garbage", b"[]", b"", b'{"frames_per_second": [}'])
def test_damaged_settings_of_an_interrupted_ingest_do_not_block_it(
    whole, video_folder, stopped, tmp_path, caplog, content
):
    out = shutil.copytree(stopped, tmp_path / "out")
    (out / ".work" / "settings.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        ingest([str(video_folder)], out, CONFIG, HERE)
    assert len(caplog.records) == 1
    assert "the videos finished so far will be ingested again" in caplog.text
    assert hashes(out) == hashes(whole[1])


def test_no_flipped_bit_in_finished_work_goes_unnoticed(stopped, tmp_path, trials):
    path = sorted((stopped / ".work" / "videos").glob("*.parquet"))[0]
    expected = read_work(path)._replace(path=None), list(frames_of_work(read_work(path)))
    copy = tmp_path / path.name
    refused = 0
    for place, data in bit_flips(path.read_bytes(), 150):
        copy.write_bytes(data)
        try:
            work = read_work(copy)
            found = work._replace(path=None), list(frames_of_work(work))
        except DamagedWorkError:
            refused += 1
            continue
        assert found == expected, f"bit {place} changes the frames"
    assert refused > 140
    trials(150)


def test_other_settings_are_refused_while_work_is_unfinished(video_folder, stopped, tmp_path):
    out = shutil.copytree(stopped, tmp_path / "out")
    with pytest.raises(
        StoreError, match=r"created with different settings: short_side 64 \(now 32"
    ):
        ingest([str(video_folder)], out, IngestConfig(workers=1, short_side=32), HERE)
    assert len(finished_work(out)) == 3


def test_record_that_could_not_be_read_again_is_refused_when_it_is_written(tmp_path):
    for wrong in ({"width": -1}, {"fps": float("nan")}, {"codec": "\ud800"}, {"num_shots": 3}):
        record = VideoRecord(video="a#0", path="a", content_hash="", num_bytes=1, **wrong)
        with VideoWriter(tmp_path, "a#0") as writer, pytest.raises(VideoError, match="its record"):
            writer.finish(record, [], {})
    assert finished_work(tmp_path) == []


@pytest.mark.parametrize("out", ["s3://bucket/store", "gs://bucket/store", Path("s3://bucket/x")])
def test_url_as_output_is_an_error_and_creates_nothing(video_folder, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="is a URL, but a store is written to a local folder"):
        ingest([str(video_folder)], out, CONFIG, HERE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["{tmp}/file/store", "{tmp}/file", "/proc/store", "/dev/null/x"])
def test_output_that_cannot_be_a_folder_is_one_error(video_folder, tmp_path, capsys, place):
    (tmp_path / "file").write_text("precious")
    place = place.format(tmp=tmp_path)
    assert cli.main(["ingest", str(video_folder), "--out", place, "--workers", "1"]) in (1, 74)
    out, err = capsys.readouterr()
    error, hint = err.splitlines()
    assert error.startswith(f"error: '{place}")
    assert hint.startswith("hint: ")
    assert out == ""
    assert (tmp_path / "file").read_text() == "precious"


def test_disk_that_is_too_small_is_found_before_work_begins(video_folder, tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr("footage.ingestion.disk_space.LEAST_RATIO", free)
    with pytest.raises(OutputError, match=r"^the store at .* needs .* MB, but only .* MB are free"):
        ingest([str(video_folder)], tmp_path / "out", CONFIG, HERE)
    assert not (tmp_path / "out").exists()


def test_disk_that_fills_up_is_one_error_and_finished_videos_are_kept(
    whole, video_folder, tmp_path
):
    out = tmp_path / "out"
    message = "cannot be written: File too large"
    with file_size_limit(60_000), pytest.raises(OutputError, match=message) as error:
        ingest([str(video_folder)], out, CONFIG, HERE)
    assert "MB are free there" in error.value.hint
    finished = len(finished_work(out))
    assert not (out / "store.json").exists()
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert hashes(out) == hashes(whole[1])
    assert finished == 6


def test_projection_stops_an_ingest_that_cannot_fit(tmp_path, caplog):
    def write(video, num_bytes):
        path = work_path(tmp_path, video)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            os.truncate(file.fileno(), num_bytes)

    free = shutil.disk_usage(tmp_path).free
    write("small", 1000)
    watch = SpaceWatch(tmp_path, 1000)
    watch.finished("in the store already", 500)
    watch.finished("small", 100)
    write("tight", int(free * 0.5))
    watch.finished("tight", 200)
    assert "may not fit" in caplog.text
    write("large", free * 3)
    with pytest.raises(OutputError, match=r"needs about .* MB more"):
        watch.finished("large", 100)


def test_record_of_a_finished_video_is_read_as_it_stands_or_refused(stopped):
    work = read_work(sorted((stopped / ".work" / "videos").glob("*.parquet"))[0])
    content = {"record": work.row, "shots": work.shots, "limits": work.limits, "checksums_crc32": 7}
    plain = json.loads(WORK.line(content))
    del plain[CHECKSUM]
    assert WORK.parse(json.dumps(plain), "a record").record == work.record
    accepted = set()
    for name, data in mutations(plain):
        try:
            found = json.loads(msgspec.json.encode(WORK.parse(data, name)))
        except StoreError as error:
            assert error.hint  # noqa: PT017 (either outcome is right)
            continue
        accepted.add(name)
        assert found == defaults(json.loads(data)), f"{name} is replaced"
    refused = ("number", "NaN", "nested", "surrogate")
    outside = [name for name in accepted if not name.startswith("limits")]
    assert not [name for name in outside if name.endswith(refused)]


def defaults(content):
    """The content with the fields that it may leave out."""
    blank = VideoRecord(video="", path="", content_hash="", num_bytes=0)
    return content | {"record": dataclasses.asdict(blank) | content["record"]}
