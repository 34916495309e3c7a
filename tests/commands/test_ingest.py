import dataclasses
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import duckdb
import numpy as np
import polars
import pyarrow
import pytest
import simplejpeg

from footage.commands.ingest import IngestConfig, ingest, ingest_shard
from footage.errors import BusyError, ConfigError, FootageError, StoreError
from footage.ingestion.sources import find
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.earlier_stores import as_earlier
from tests.support.ingesting import CONFIG, HERE, RUN, hashes

MANIFEST = "manifests/000001"


def parts(found):
    """The parts among the hashes of a store's files."""
    return {name: one for name, one in found.items() if name.startswith("frames/")}


def test_videos_become_shots_and_frames(whole):
    report, out = whole
    store = Store.open(out)
    store.verify()
    assert (report.totals["seen"], report.totals["ok"], report.totals["shots"]) == (6, 6, 18)
    starts = store.shots["start_seconds"].to_pylist()
    assert starts == pytest.approx([0, 2, 4] * 6, abs=1e-6)
    for row in range(18):
        frames = store.frames_of_shot(row)
        expected = [0, 0.5, 1, 1.5] if row % 3 == 0 else [0.5, 1, 1.5]
        assert [one.seconds - starts[row] for one in frames] == pytest.approx(expected, abs=1e-6)
    image = simplejpeg.decode_jpeg(store.frames_of_shot(1)[0].jpeg)
    truth = list(synthetic.scene(1, 2.0))[12]
    truth = cv2.resize(truth, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert min(image.shape[:2]) == 64
    assert np.abs(image.astype(int) - truth).mean() < 5


def test_report_says_what_was_found(whole):
    report, _ = whole
    text = report.summary()
    assert "6 seen = 6 ok + 0 partial + 0 quarantined (6 new)" in text
    assert "18 (3.0 per video)" in text
    assert "no new privileges" in text
    assert report.summary().startswith("files")


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_gives_the_same_bytes(whole, video_folder, tmp_path, workers):
    ingest([str(video_folder)], tmp_path / "out", IngestConfig(workers=workers, short_side=64))
    assert hashes(tmp_path / "out") == hashes(whole[1])


def shard(video_folder, out, text):
    config = dataclasses.replace(CONFIG, shard=text)
    return ingest_shard([str(video_folder)], out, config, HERE).num_videos


def test_merged_shards_give_the_same_bytes_even_if_one_runs_twice(whole, video_folder, tmp_path):
    out = tmp_path / "out"
    assert [shard(video_folder, out, text) for text in ("1/2", "0/2", "0/2")] == [2, 4, 0]
    assert not (out / "store.json").exists()
    merged = dataclasses.replace(CONFIG, merge=True)
    report = ingest([str(video_folder)], out, merged, HERE)
    assert (report.new_videos, hashes(out)) == (6, hashes(whole[1]))
    assert ingest([str(video_folder)], out, merged, HERE).new_videos == 0


def test_merge_names_the_shards_that_are_missing(video_folder, tmp_path):
    shard(video_folder, tmp_path / "out", "0/2")
    with pytest.raises(ConfigError, match="shard 1/2 is missing"):
        ingest([str(video_folder)], tmp_path / "out", dataclasses.replace(CONFIG, merge=True), HERE)
    assert not (tmp_path / "out" / "store.json").exists()


def test_frames_that_do_not_fit_into_the_buffer_give_the_same_bytes(
    whole, video_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("footage.store.units.BUFFER_BYTES", 10_000)
    ingest([str(video_folder)], tmp_path / "out", CONFIG, HERE)
    assert hashes(tmp_path / "out") == hashes(whole[1])


def test_ingesting_twice_changes_nothing(whole, video_folder):
    before = {path: path.stat().st_mtime_ns for path in whole[1].rglob("*")}
    report = ingest([str(video_folder)], whole[1], CONFIG, HERE)
    assert report.new_videos == 0
    assert {path: path.stat().st_mtime_ns for path in whole[1].rglob("*") if path.is_file()} == {
        path: when for path, when in before.items() if path.is_file()
    }


def test_store_is_read_by_other_programs(whole):
    frames = f"{whole[1]}/frames/*/*.parquet"
    assert duckdb.sql(f"select count(*) from '{frames}'").fetchall() == [(60,)]
    videos = polars.read_ipc(whole[1] / MANIFEST / "videos.arrow")
    assert videos["status"].to_list() == ["ok"] * 6
    shots = pyarrow.ipc.open_file(str(whole[1] / MANIFEST / "shots.arrow")).read_all()
    assert shots.num_rows == 18
    joined = duckdb.sql(
        f"select count(*) from '{frames}' f join shots s using (video, shot)"
        " where f.seconds between s.start_seconds and s.end_seconds"
    )
    assert joined.fetchall() == [(60,)]


def test_videos_that_come_later_are_added(whole, video_folder, tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(video_folder, folder)
    later = tmp_path / "later.mp4"
    (folder / "group0" / "video2.mp4").rename(later)
    ingest([str(folder)], out, CONFIG, HERE)
    first, earlier = parts(hashes(out)), Store.open(out).content_hash
    later.rename(folder / "group0" / "video2.mp4")
    report = ingest([str(folder)], out, CONFIG, HERE)
    assert (report.new_videos, report.totals["seen"]) == (1, 6)
    store = Store.open(out)
    store.verify()
    assert first.items() < parts(hashes(out)).items()
    reference = Store.open(whole[1])
    assert store.videos.equals(reference.videos)
    for row in range(18):
        assert store.frames_of_shot(row) == reference.frames_of_shot(row)
    before = pickle.loads(pickle.dumps(Store.open(out, earlier)))
    assert before.videos.num_rows == 5
    assert before.frames_of_shot(0) == reference.frames_of_shot(0)
    with pytest.raises(StoreError, match="does not contain the version abc"):
        Store.open(out, "abc")


@pytest.mark.parametrize("version", [1, 2])
def test_store_of_an_earlier_version_grows_and_keeps_its_hash_until_then(
    whole, video_folder, tmp_path, monkeypatch, version
):
    monkeypatch.setattr("footage.ingestion.planning.UNIT_VIDEOS", (64, 64))
    folder, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(video_folder, folder)
    (folder / "group0" / "video2.mp4").rename(tmp_path / "later.mp4")
    ingest([str(folder)], out, CONFIG, HERE)
    recorded = as_earlier(out, version)
    before = hashes(out)
    assert ingest([str(folder)], out, CONFIG, HERE).new_videos == 0
    assert (hashes(out), Store.open(out).content_hash) == (before, recorded)
    (tmp_path / "later.mp4").rename(folder / "group0" / "video2.mp4")
    ingest([str(folder)], out, CONFIG, HERE)
    store, reference = Store.open(out), Store.open(whole[1])
    store.verify()
    assert parts(before).items() < parts(hashes(out)).items()
    assert store.description.schema_version == 3
    assert Store.open(out, recorded).videos.num_rows == 5
    assert pickle.loads(pickle.dumps(Store.open(out, recorded))).encoded(0, [0])
    assert store.videos.equals(reference.videos)
    for row in range(18):
        assert store.frames_of_shot(row) == reference.frames_of_shot(row)


def test_other_settings_are_refused(whole, video_folder):
    before = hashes(whole[1])
    with pytest.raises(StoreError, match=r"frames_per_second 2\.0 \(now 1\.0\)"):
        ingest([str(video_folder)], whole[1], IngestConfig(frames_per_second=1.0, short_side=64))
    assert hashes(whole[1]) == before


def test_same_names_and_same_contents_never_mix(tmp_path):
    for name, seed in {"a/x.mp4": 1, "b/x.mp4": 2, "b/copy.mp4": 2}.items():
        synthetic.encode(tmp_path / "in" / name, synthetic.scene(seed, 1.0))
    report = ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE)
    ids = Store.open(tmp_path / "out").videos["video"].to_pylist()
    assert report.totals["seen"] == 3
    assert [one.split("#")[0] for one in ids] == ["a/x.mp4", "b/copy.mp4", "b/x.mp4"]
    assert ids[1].split("#")[1] == ids[2].split("#")[1] != ids[0].split("#")[1]
    store = Store.open(tmp_path / "out")
    assert store.videos["duplicate_of"].to_pylist() == ["", "", ids[1]]
    assert store.videos["num_frames"].to_pylist() == [2, 2, 0]
    assert store.shots["video"].to_pylist() == ids[:2]


def test_equal_names_below_two_roots_are_two_videos(tmp_path):
    for folder in "ab":
        synthetic.encode(tmp_path / folder / "x.mp4", synthetic.scene(1, 1.0))
    names = [one.name for one in find([str(tmp_path / "a"), str(tmp_path / "b")])]
    assert sorted(names) == sorted(["x.mp4", str(tmp_path / "b" / "x.mp4").lstrip("/")])
    both = find([str(tmp_path / "a"), str(tmp_path / "a" / "x.mp4")])
    assert [one.name for one in both] == ["x.mp4"]


def test_suffixes_decide_in_folders_but_not_for_named_files(tmp_path):
    video = synthetic.encode(tmp_path / "in" / "a.mp4", synthetic.scene(1, 1.0))
    for name in ("A.MP4", "B.MoV", "notes.txt", "picture.jpg", ".hidden.mp4", "._a.mp4"):
        shutil.copy(video, tmp_path / "in" / name)
    shutil.copy(video, tmp_path / "strange.bin")
    found = find([str(tmp_path / "in"), str(tmp_path / "strange.bin")])
    assert [one.name for one in found] == ["A.MP4", "B.MoV", "a.mp4", "strange.bin"]


def test_nothing_found_is_an_error(tmp_path):
    with pytest.raises(FootageError, match="no videos found"):
        ingest([str(tmp_path)], tmp_path / "out")
    with pytest.raises(FootageError, match="file or folder not found"):
        ingest([str(tmp_path / "absent")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_that_is_no_store_is_not_touched(tmp_path, video_folder):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(StoreError, match="is not a frame store"):
        ingest([str(video_folder)], tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_dull_frames_are_counted(tmp_path):
    still = next(synthetic.scene(1, 0.1))
    synthetic.encode(tmp_path / "in" / "still.mp4", [still] * 72)
    synthetic.encode(tmp_path / "in" / "dark.mp4", [np.zeros_like(still)] * 72)
    totals = ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE).totals
    assert (totals["frames"], totals["black_frames"]) == (12, 6)
    assert totals["static_frames"] >= 9  # the encoder still sharpens the first ones


def test_sparse_and_variable_times_are_sampled_on_the_time_axis(tmp_path):
    times = [0.0, 0.1, 0.49, 0.52, 0.7, 1.3, 1.31, 1.5, 4.0, 4.1, 4.6]
    images = list(synthetic.scene(1, len(times) / 24))
    synthetic.encode(tmp_path / "in" / "a.mkv", images, times=times)
    ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE)
    frames = Store.open(tmp_path / "out").frames_of_shot(0)
    assert [one.seconds for one in frames] == pytest.approx([0, 0.52, 1.3, 1.5, 4, 4.6], abs=1e-3)


def test_two_ingests_do_not_write_to_one_store(whole, video_folder, tmp_path):
    out = tmp_path / "out"
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, root, str(video_folder), str(out)], stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 120
    while not (out / ".work" / "scratch").exists() and time.monotonic() < end:
        time.sleep(0.01)
    with pytest.raises(BusyError, match="is being written by process"):
        ingest([str(video_folder)], out, CONFIG, HERE)
    assert process.wait() == 0
    assert hashes(out) == hashes(whole[1])


@pytest.mark.parametrize(
    "wrong",
    [{"frames_per_second": 0.0}, {"jpeg_quality": 101}, {"workers": 0}, {"short_side": 3}],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        IngestConfig(**wrong)


def test_progress_is_drawn_on_terminals_only(whole, video_folder, tmp_path):
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", RUN, root, str(video_folder), str(tmp_path / "out")],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == ""
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" not in done.stderr
    assert "Traceback" not in done.stderr


def test_name_with_a_line_end_forges_no_line_of_the_report(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a\nb.mp4").write_text("text")
    config = dataclasses.replace(CONFIG, max_quarantined_fraction=1.0)
    report = ingest([str(tmp_path / "in")], tmp_path / "out", config)
    assert [line for line in report.summary().splitlines() if "b.mp4" in line] == [
        line for line in report.summary().splitlines() if line.startswith("quarantined")
    ]
    assert r"a\nb.mp4" in report.summary()
