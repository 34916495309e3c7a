import ctypes
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import av
import cv2
import duckdb
import fsspec
import numpy as np
import polars
import pytest
import simplejpeg

from footage import one_video
from footage.errors import ConfigError, FootageError, StoreError, VideoError
from footage.executors import Outcome
from footage.extract import FRAME, FRAME_HEADER, REPORT
from footage.ingest import IngestConfig, ingest
from footage.ingest_report import TooManyRejectedError
from footage.sandbox import Limits
from footage.sources import fetch, find
from footage.store import Store
from tests import synthetic


class InThisProcess:
    """Runs tasks here, so that tests can reach into them."""

    def run(self, function, tasks):
        for task in tasks:
            yield Outcome(task, function(task), "")


HERE = InThisProcess()
CONFIG = IngestConfig(workers=2, short_side=64)


def hashes(store):
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(store).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(video_folder, tmp_path_factory):
    """A store of the six videos, and the report of its making."""
    out = tmp_path_factory.mktemp("ingest") / "store"
    return ingest([str(video_folder)], out, CONFIG, HERE), out


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
    assert report.lines()[0].startswith("files")


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_gives_the_same_bytes(whole, video_folder, tmp_path, workers):
    ingest([str(video_folder)], tmp_path / "out", IngestConfig(workers=workers, short_side=64))
    assert hashes(tmp_path / "out") == hashes(whole[1])


def test_ingesting_twice_changes_nothing(whole, video_folder):
    before = {path: path.stat().st_mtime_ns for path in whole[1].rglob("*")}
    report = ingest([str(video_folder)], whole[1], CONFIG, HERE)
    assert report.new_videos == 0
    assert {path: path.stat().st_mtime_ns for path in whole[1].rglob("*") if path.is_file()} == {
        path: when for path, when in before.items() if path.is_file()
    }


def test_store_is_read_by_other_programs(whole):
    parts = f"{whole[1]}/frames/*.parquet"
    assert duckdb.sql(f"select count(*) from '{parts}'").fetchall() == [(60,)]
    assert polars.read_parquet(whole[1] / "videos.parquet")["status"].to_list() == ["ok"] * 6
    joined = duckdb.sql(
        f"select count(*) from '{parts}' f join '{whole[1]}/shots.parquet' s using (video, shot)"
        " where f.seconds between s.start_seconds and s.end_seconds"
    )
    assert joined.fetchall() == [(60,)]


def test_videos_that_come_later_are_added(whole, video_folder, tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(video_folder, folder)
    later = tmp_path / "later.mp4"
    (folder / "group0" / "video2.mp4").rename(later)
    ingest([str(folder)], out, CONFIG, HERE)
    first = hashes(out)["frames/part-00000.parquet"]
    later.rename(folder / "group0" / "video2.mp4")
    report = ingest([str(folder)], out, CONFIG, HERE)
    assert (report.new_videos, report.totals["seen"]) == (1, 6)
    store = Store.open(out)
    store.verify()
    assert hashes(out)["frames/part-00000.parquet"] == first
    reference = Store.open(whole[1])
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
    with pytest.raises(FootageError, match="no video was found"):
        ingest([str(tmp_path)], tmp_path / "out")
    with pytest.raises(FootageError, match="there is no file or folder"):
        ingest([str(tmp_path / "absent")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_that_is_no_store_is_not_touched(tmp_path, video_folder):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(StoreError, match="is no frame store"):
        ingest([str(video_folder)], tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def broken_files(folder):
    """One file of each kind of trouble, and the reason that it must get."""
    good = synthetic.encode(
        folder / "good.mp4",
        synthetic.cuts([1, 2], 2.0),
        container_options={"movflags": "faststart"},
    )
    data = good.read_bytes()
    (folder / "empty.mp4").touch()
    (folder / "text.mkv").write_text("this is no video\n" * 100)
    (folder / "noise.avi").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "truncated.mp4").write_bytes(data[: len(data) * 2 // 3])
    (folder / "headless.mp4").write_bytes(data[len(data) // 2 :])
    matroska = synthetic.encode(
        folder / "corrupt.mkv", synthetic.cuts(range(4), 1.0), options={"g": "12", "crf": "12"}
    )
    bytes_ = bytearray(matroska.read_bytes())
    middle = len(bytes_) // 2
    bytes_[middle : middle + 1500] = np.random.default_rng(0).bytes(1500)
    matroska.write_bytes(bytes_)
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    synthetic.encode(
        folder / "bomb.mp4", [np.zeros((4096, 4096, 3), np.uint8)], options={"preset": "ultrafast"}
    )
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    os.mkfifo(folder / "pipe.mp4")
    return {
        "good.mp4": ("ok", ""),
        "empty.mp4": ("quarantined", "empty"),
        "text.mkv": ("quarantined", "cannot be opened"),
        "noise.avi": ("quarantined", "cannot be opened"),
        "truncated.mp4": ("partial", "s of 4.00 s could be decoded"),
        "headless.mp4": ("quarantined", "cannot be opened"),
        "corrupt.mkv": ("partial", "were damaged"),
        "sound.mp4": ("quarantined", "no video stream"),
        "bomb.mp4": ("quarantined", "4096x4096 is larger than"),
        "dangling.mp4": ("quarantined", "cannot be read"),
        "pipe.mp4": ("quarantined", "not a regular file"),
    }


def test_every_broken_file_is_accounted_for_with_its_reason(tmp_path):
    expected = broken_files(tmp_path / "in")
    config = IngestConfig(workers=2, max_quarantined_share=1.0)
    report = ingest([str(tmp_path / "in")], tmp_path / "out", config, HERE)
    store = Store.open(tmp_path / "out")
    store.verify()
    found = {row["video"].rsplit("#", 1)[0]: row for row in store.videos.to_pylist()}
    assert set(found) == set(expected)
    for name, (status, reason) in expected.items():
        assert found[name]["status"] == status, (name, found[name]["reason"])
        assert reason in found[name]["reason"], name
        assert (found[name]["num_frames"] > 0) == (status != "quarantined")
    totals = report.totals
    assert totals["ok"] + totals["partial"] + totals["quarantined"] == totals["seen"] == 11
    assert all(reason in report.summary() for _, reason in expected.values())
    before = hashes(tmp_path / "out")
    ingest([str(tmp_path / "in")], tmp_path / "out", config, HERE)
    assert hashes(tmp_path / "out") == before


def test_too_many_rejected_files_end_in_an_error_but_the_rest_is_stored(tmp_path):
    synthetic.encode(tmp_path / "in" / "good.mp4", synthetic.scene(1, 1.0))
    (tmp_path / "in" / "bad.mp4").touch()
    with pytest.raises(
        TooManyRejectedError, match=r"1 of 2 .* more than 20%: 1 x it is empty"
    ) as e:
        ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE)
    assert "--max-quarantined-share" in e.value.hint
    assert "bad.mp4" in e.value.report.summary()
    assert Store.open(tmp_path / "out").totals["ok"] == 1


def test_quarantined_videos_are_tried_again_under_other_limits(tmp_path):
    synthetic.encode(tmp_path / "in" / "a.mp4", synthetic.scene(1, 1.0))
    small = IngestConfig(workers=1, max_quarantined_share=1.0, limits=Limits(max_pixels=100))
    assert ingest([str(tmp_path / "in")], tmp_path / "out", small, HERE).totals["quarantined"] == 1
    report = ingest([str(tmp_path / "in")], tmp_path / "out", IngestConfig(), HERE)
    assert (report.totals["seen"], report.totals["ok"], report.new_videos) == (1, 1, 1)
    Store.open(tmp_path / "out").verify()


def segfault(path, settings, max_pixels, send):
    ctypes.string_at(0)


def hang(path, settings, max_pixels, send):
    time.sleep(60)


def allocate(path, settings, max_pixels, send):
    taken = []
    while True:
        taken.append(bytearray(2**26))


def lie(path, settings, max_pixels, send):
    send(FRAME, FRAME_HEADER.pack(0, 5, 0.0) + b"\xff\xd8")


def lie_at_the_end(path, settings, max_pixels, send):
    send(REPORT, b'{"shots": [], "status": "ok", "width": "wide", "evil": 1}')


def say_nothing(path, settings, max_pixels, send):
    pass


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        (segfault, "crashed"),
        (hang, "hung"),
        (allocate, "needs more than"),
        (lie, "nonsense"),
        (lie_at_the_end, "nonsense"),
        (say_nothing, "nonsense"),
    ],
)
def test_decoder_that_goes_wrong_costs_one_video(tmp_path, monkeypatch, decoder, reason):
    for name in ("a", "b", "c"):
        synthetic.encode(tmp_path / "in" / f"{name}.mp4", synthetic.scene(ord(name), 1.0))
    right = one_video.decode_into_store

    def decode_into_store(task, path, known):
        return right(task, path, known, decoder if path.name == "b.mp4" else None)

    monkeypatch.setattr(one_video, "decode_into_store", decode_into_store)
    limits = Limits(silent_seconds=2.0, memory_bytes=2**29)
    config = IngestConfig(workers=1, max_quarantined_share=1.0, limits=limits)
    report = ingest([str(tmp_path / "in")], tmp_path / "out", config, HERE)
    assert (report.totals["ok"], report.totals["quarantined"]) == (2, 1)
    assert [video.split("#")[0] for video, _, _ in report.rejected] == ["b.mp4"]
    assert reason in report.rejected[0][2]
    assert not (tmp_path / "out" / ".work").exists()


class LosesEverything:
    def run(self, function, tasks):
        for number, task in enumerate(tasks):
            if number:
                yield Outcome(task, function(task), "")
            else:
                yield Outcome(task, None, "its worker process died 3 times")


def test_video_whose_worker_keeps_dying_is_quarantined(tmp_path):
    for seed in range(2):
        synthetic.encode(tmp_path / "in" / f"{seed}.mp4", synthetic.scene(seed, 1.0))
    config = IngestConfig(max_quarantined_share=0.5)
    report = ingest([str(tmp_path / "in")], tmp_path / "out", config, LosesEverything())
    assert report.rejected == [("0.mp4#unknown", "quarantined", "its worker process died 3 times")]
    again = ingest([str(tmp_path / "in")], tmp_path / "out", config, HERE)
    assert (again.totals["seen"], again.totals["ok"]) == (2, 2)


RUN = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from footage.ingest import IngestConfig, ingest\n"
    "ingest([sys.argv[2]], sys.argv[3], IngestConfig(workers=2, short_side=64))\n"
)


def killed_run(folder, out, is_time):
    """Run ingest in a process group of its own; kill all of it when it is time; say if it ran."""
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, root, str(folder), str(out)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not is_time():
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() != 0


@pytest.mark.parametrize("finished", [1, 4])
def test_killed_ingest_is_resumed_to_the_same_bytes(whole, video_folder, tmp_path, finished):
    out = tmp_path / "out"

    def is_time():
        return len(list((out / ".work" / "videos").glob("*.parquet"))) >= finished

    assert killed_run(video_folder, out, is_time)
    kept = {path: path.stat().st_mtime_ns for path in (out / ".work" / "videos").glob("*.parquet")}
    assert len(kept) >= finished
    calls = []

    class Counts(InThisProcess):
        def run(self, function, tasks):
            for outcome in super().run(function, tasks):
                calls.append(outcome.result.layers)
                yield outcome

    ingest([str(video_folder)], out, CONFIG, Counts())
    assert sum(bool(layers) for layers in calls) == 6 - len(kept)
    assert hashes(out) == hashes(whole[1])


@pytest.mark.slow
def test_ingest_killed_at_random_moments_ends_in_the_same_bytes(whole, video_folder, tmp_path):
    random = np.random.default_rng(0)
    out = tmp_path / "out"
    kills = 0
    for _ in range(20):
        end = time.monotonic() + random.uniform(0.5, 3.0)
        kills += killed_run(video_folder, out, lambda end=end: time.monotonic() > end)
        if (out / "store.json").exists():
            ingest([str(video_folder)], out, CONFIG)
            assert hashes(out) == hashes(whole[1])
            shutil.rmtree(out)
    assert kills > 10


@pytest.mark.parametrize("renames", range(7))
def test_kill_while_the_store_is_put_together_loses_nothing(
    whole, video_folder, tmp_path, monkeypatch, renames
):
    """Dies after each of the renames that a commit consists of."""
    out = tmp_path / "out"
    done = []
    rename, replace = Path.rename, Path.replace

    def count(function):
        def counted(path, target):
            if ".work/commit" in str(path) or ".work/ready" in str(path):
                if len(done) == renames:
                    raise KeyboardInterrupt
                done.append(path)
            return function(path, target)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", count(rename))
        patch.setattr(Path, "replace", count(replace))
        try:
            ingest([str(video_folder)], out, CONFIG, HERE)
            assert renames >= 5
        except KeyboardInterrupt:
            assert (out / "store.json").exists() == (renames > 4)
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert hashes(out) == hashes(whole[1])


def test_zip_archives_and_file_urls_are_fetched(tmp_path):
    data = synthetic.encode(tmp_path / "a.mp4", synthetic.cuts([1, 2], 1.0)).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x/one.mp4", "x/y/two.MP4", "notes.txt"):
            archive.writestr(name, data)
    urls = [f"zip://x::file://{tmp_path}/a.zip", f"file://{tmp_path}/a.mp4"]
    report = ingest(urls, tmp_path / "out", CONFIG, HERE)
    names = [one.split("#")[0] for one in Store.open(tmp_path / "out").videos["video"].to_pylist()]
    assert names == ["a.mp4", "one.mp4", "y/two.MP4"]
    assert (report.totals["ok"], report.totals["shots"]) == (3, 6)
    before = hashes(tmp_path / "out")
    assert ingest(urls, tmp_path / "out", CONFIG, HERE).new_videos == 0
    assert hashes(tmp_path / "out") == before


def test_fetching_stops_at_the_size_limit(tmp_path):
    with fsspec.open("memory://footage-test/a.mp4", "wb") as file:
        file.write(b"x" * 1000)
    (source,) = find(["memory://footage-test/a.mp4"])
    fetch(source, tmp_path / "a", 1000)
    assert (tmp_path / "a").stat().st_size == 1000
    with pytest.raises(VideoError, match="larger than 999 bytes"):
        fetch(source, tmp_path / "a", 999)


def test_remote_file_that_vanishes_is_quarantined(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 0.5))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.mp4", path.read_bytes()[:200])
    config = IngestConfig(max_quarantined_share=1.0, limits=Limits(max_file_bytes=100))
    report = ingest([f"zip://::file://{tmp_path}/a.zip"], tmp_path / "out", config, HERE)
    assert report.rejected == [("a.mp4#unknown", "quarantined", "it is larger than 100 bytes")]


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
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, root, str(video_folder), str(out)], stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 20
    while not (out / ".work" / "videos").exists() and time.monotonic() < end:
        time.sleep(0.01)
    with pytest.raises(StoreError, match="another ingest is writing"):
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


def test_progress_is_for_people_and_not_among_the_data(whole, video_folder, tmp_path):
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", RUN, root, str(video_folder), str(tmp_path / "out")],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == ""
    assert "6/6 videos" in done.stderr
    assert "Traceback" not in done.stderr
    assert io.StringIO(done.stderr).readline() != ""
