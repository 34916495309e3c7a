"""Ingest when its output fails: damaged work, unusable paths, full disks."""

import itertools
import logging
import os
import shutil
from pathlib import Path

import pytest

from footage import cli
from footage.commands.ingest import IngestConfig, ingest
from footage.errors import ConfigError, OutputError, StoreError, VideoError
from footage.ingestion.disk_space import SpaceWatch
from footage.store.records import (
    DamagedRecordError,
    VideoRecord,
    finished_units,
    read_unit,
)
from footage.store.units import UnitWriter
from tests.support.file_sizes import file_size_limit
from tests.support.ingesting import CONFIG, HERE, InThisProcess, hashes
from tests.support.mutations import bit_flips


class StopsAfter(InThisProcess):
    """Stops like a killed run after some units are finished."""

    def __init__(self, finished):
        self._finished = finished

    def run(self, function, tasks):
        yield from super().run(function, itertools.islice(tasks, self._finished))
        raise KeyboardInterrupt


def interrupted(folder, out, finished=1):
    with pytest.raises(KeyboardInterrupt):
        ingest([str(folder)], out, CONFIG, StopsAfter(finished))


def records(out):
    return sorted((out / ".work/records").glob("*/*.arrow"))


def part(out):
    (found,) = (out / "frames").glob("*/*.parquet")
    return found


@pytest.fixture(scope="module")
def stopped(video_folder, tmp_path_factory):
    """The output of an ingest that was stopped after its first unit of four videos."""
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
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("damaged", [lambda out: records(out)[0], part], ids=["record", "part"])
def test_damaged_work_is_ingested_again_with_one_warning(
    whole, video_folder, stopped, tmp_path, caplog, change, damaged
):
    out = shutil.copytree(stopped, tmp_path / "out")
    path = damaged(out)
    path.write_bytes(change(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        ingest([str(video_folder)], out, CONFIG, HERE)
    assert len(caplog.records) == 1
    assert "will be ingested again" in caplog.text
    assert hashes(out) == hashes(whole[1])


def test_part_that_is_missing_is_ingested_again(whole, video_folder, stopped, tmp_path):
    out = shutil.copytree(stopped, tmp_path / "out")
    part(out).unlink()
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert hashes(out) == hashes(whole[1])


def test_pipes_and_folders_in_the_work_folder_do_not_block_a_rerun(
    whole, video_folder, stopped, tmp_path
):
    out = shutil.copytree(stopped, tmp_path / "out")
    folder = records(out)[0].parent
    os.mkfifo(folder / "pipe.arrow")
    (folder / "folder.arrow").mkdir()
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


def test_no_flipped_bit_in_a_record_goes_unnoticed(stopped, tmp_path, trials):
    path = records(stopped)[0]
    copy = tmp_path / path.name
    for _, data in bit_flips(path.read_bytes(), 150):
        copy.write_bytes(data)
        with pytest.raises(DamagedRecordError, match="not what was written"):
            read_unit(copy)
    trials(150)


def test_other_settings_are_refused_while_work_is_unfinished(video_folder, stopped, tmp_path):
    out = shutil.copytree(stopped, tmp_path / "out")
    with pytest.raises(
        StoreError, match=r"created with different settings: short_side 64 \(now 32"
    ):
        ingest([str(video_folder)], out, IngestConfig(workers=1, short_side=32), HERE)
    assert sum(unit.videos.num_rows for unit in finished_units(out)) == 4


def test_record_that_could_not_be_read_again_is_refused_when_it_is_written(tmp_path):
    for wrong in ({"width": -1}, {"fps": float("nan")}, {"codec": "\ud800"}, {"num_shots": 3}):
        record = VideoRecord(video="a#0", path="a", content_hash="", num_bytes=1, **wrong)
        with UnitWriter(tmp_path) as writer, pytest.raises(VideoError, match="its record"):
            writer.add(record)
    assert list(finished_units(tmp_path)) == []


def test_url_in_a_path_is_an_error_and_creates_nothing(video_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"out is 's3:/bucket/x': a Path cannot contain a URL"):
        ingest([str(video_folder)], Path("s3://bucket/x"), CONFIG, HERE)
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
    assert not (out / "store.json").exists()
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert hashes(out) == hashes(whole[1])


def test_projection_stops_an_ingest_that_cannot_fit(tmp_path, caplog):
    free = shutil.disk_usage(tmp_path).free
    watch = SpaceWatch(tmp_path, 1000)
    watch.finished(500, 0)  # in the store already
    watch.finished(100, 1000)
    watch.finished(200, int(free * 1.6))
    assert "may not fit" in caplog.text
    with pytest.raises(OutputError, match=r"needs about .* MB more"):
        watch.finished(100, free * 9)
