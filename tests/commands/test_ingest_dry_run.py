"""`footage ingest --dry-run`: estimates of an ingest, without writing to the store."""

import shutil
import tempfile

import fsspec
import pytest

from footage import cli
from footage.commands.ingest import ingest, ingest_shard
from footage.commands.ingest_dry_run import dry_run
from footage.errors import ConfigError, StoreError
from footage.ingestion.config import IngestConfig
from footage.store.places import WORK
from tests.support.ingesting import CONFIG, HERE, hashes


@pytest.fixture
def folder(video_folder, tmp_path, monkeypatch):
    """Videos, a copy of one, and two bad files; temporary files go to a folder of the test."""
    shutil.copytree(video_folder, tmp_path / "videos")
    first = sorted((tmp_path / "videos").rglob("*.mp4"))[0]
    shutil.copy(first, tmp_path / "videos/same.mp4")
    (tmp_path / "videos/text.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "videos/empty.mp4").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield tmp_path / "videos"
    assert list((tmp_path / "temporary").iterdir()) == []


def rows_of(found):
    return {name: value for name, value, _ in found.rows}


def number(value):
    return float(value.split(" ")[0].replace(",", ""))


def test_a_small_set_is_measured_completely_and_nothing_is_written(folder, tmp_path):
    found = dry_run(folder, tmp_path / "store", CONFIG)
    assert {path.name for path in tmp_path.iterdir()} == {"videos", "temporary"}
    rows = rows_of(found)
    config = IngestConfig(workers=2, short_side=64, max_quarantined_fraction=1.0)
    totals = ingest(folder, tmp_path / "store", config).totals
    assert (rows["sources"], rows["unchanged"], rows["new"]) == ("9", "0", "9")
    assert (rows["duplicates"], rows["sample"], rows["fits"]) == ("1", "7 videos", "yes")
    assert number(rows["frames"]) == totals["frames"]
    assert number(rows["shots"]) == totals["shots"]
    assert rows["frames"].endswith("± 0%")
    assert number(rows["store"]) == pytest.approx(totals["store_bytes"] / 1e6, rel=0.3)
    assert number(rows["CPU time"]) > 0.01
    assert found.fits


def test_the_videos_of_the_store_are_not_counted_again(folder, tmp_path):
    ingest(folder / "group0", tmp_path / "store", CONFIG)
    before = hashes(tmp_path / "store")
    found = dry_run([folder / "group0", folder / "empty.mp4"], tmp_path / "store", CONFIG)
    assert hashes(tmp_path / "store") == before
    rows = rows_of(found)
    assert (rows["unchanged"], rows["new"], rows["units"]) == ("3", "1", "1")
    assert "sample" not in rows  # the new file is empty
    assert rows["fits"] == "yes"


def test_other_settings_are_refused_as_by_an_ingest(folder, tmp_path):
    ingest(folder / "group0", tmp_path / "store", CONFIG)
    with pytest.raises(StoreError, match="created with different settings: short_side 64"):
        dry_run(folder, tmp_path / "store", IngestConfig(short_side=65))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(StoreError, match="is not a frame store"):
        dry_run(folder, tmp_path / "other", CONFIG)


def test_finished_shards_count_as_done_and_a_shard_has_its_own_units(folder, tmp_path):
    config = IngestConfig(workers=2, short_side=64, shard="0/2", max_quarantined_fraction=1.0)
    ingest_shard(folder, tmp_path / "store", config)
    before = hashes(tmp_path / "store")
    both = [
        rows_of(dry_run(folder, tmp_path / "store", IngestConfig(short_side=64, shard=shard)))
        for shard in ("0/2", "1/2")
    ]
    assert both[0]["units"] == "0"
    assert int(both[1]["units"]) > 0
    assert int(both[1]["unchanged"]) > 0
    assert hashes(tmp_path / "store") == before
    with pytest.raises(ConfigError, match="--merge decodes nothing"):
        dry_run(folder, tmp_path / "store", IngestConfig(merge=True))


def test_the_work_of_an_interrupted_ingest_is_kept_even_if_its_settings_are_lost(folder, tmp_path):
    config = IngestConfig(workers=2, short_side=64, shard="0/2", max_quarantined_fraction=1.0)
    ingest_shard(folder, tmp_path / "store", config)
    (tmp_path / "store" / WORK / "settings.json").unlink()
    before = hashes(tmp_path / "store")
    rows = rows_of(dry_run(folder, tmp_path / "store", CONFIG))
    assert (rows["unchanged"], rows["new"]) == ("0", "9")  # an ingest would not use it, either
    assert hashes(tmp_path / "store") == before


def test_a_disk_that_is_too_small_does_not_fit_and_the_rate_that_fits_is_named(
    folder, tmp_path, monkeypatch
):
    needed = number(rows_of(dry_run(folder, tmp_path / "store", CONFIG))["store"]) * 1e6
    monkeypatch.setattr("footage.io.files.free_bytes", lambda _: int(needed / 2))
    found = dry_run(folder, tmp_path / "store", CONFIG)
    assert (found.fits, rows_of(found)["fits"]) == (False, "no")
    (change,) = [one for one in found.changes if one.startswith("less disk")]
    rate = float(change.split("--frames-per-second ")[1].split(",")[0])
    assert rate == pytest.approx(1.0, abs=0.2)  # half of the default


def test_bad_files_are_expected_and_reported(folder, tmp_path):
    for place in range(4):
        (folder / f"bad{place}.mp4").write_bytes(b"no video %d" % place)
    found = dry_run(folder, tmp_path / "store", CONFIG, executor=HERE)
    how = {name: how for name, _, how in found.rows}["quarantined"]
    assert how.startswith(
        "95 % interval, from 5 of 11 sampled videos; 1 empty files; 5 x cannot be opened"
    )
    assert any("--max-quarantined-fraction" in change for change in found.changes)


def test_remote_files_of_equal_size_are_not_read_to_compare_them(folder, tmp_path, memory_bucket):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder / "same.mp4"), f"{memory_bucket}/a.mp4")
    memory.put(str(folder / "same.mp4"), f"{memory_bucket}/b.mp4")
    rows = rows_of(dry_run(memory_bucket, tmp_path / "store", CONFIG, executor=HERE))
    assert (rows["new"], rows["duplicates"], rows["sample"]) == ("2", "at most 2", "2 videos")


def test_without_time_nothing_is_estimated(folder, tmp_path):
    found = dry_run(folder, tmp_path / "store", CONFIG, seconds=-1.0)
    rows = rows_of(found)
    assert (rows["sample"], rows["fits"]) == ("0 videos", "unknown")
    assert not found.fits
    assert "shorter videos" in found.changes[0]
    assert "store" not in rows


def test_the_command_prints_a_table_and_what_is_next(folder, tmp_path, capsys):
    out = tmp_path / "store"
    assert cli.main(["ingest", str(folder), "--out", str(out), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {line.split("  ")[0] for line in lines if line}
    assert {"sources", "CPU time", "total time", "quarantined", "store", "fits"} <= names
    assert lines[-1] == "next: rerun without --dry-run"
    assert not out.exists()
