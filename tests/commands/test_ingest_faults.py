"""Ingest where files, decoders, workers or the machine itself go wrong."""

import ctypes
import dataclasses
import hashlib
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
import fsspec
import numpy as np
import pytest

from footage.commands.ingest import IngestConfig, ingest
from footage.errors import MachineError, VideoError
from footage.ingestion import worker
from footage.ingestion.report import TooManyRejectedError, UnprocessedError
from footage.ingestion.sources import fetch, find
from footage.processes.executors import Outcome
from footage.store.reader import Store
from footage.store.records import finished_units
from footage.video.extract import FRAME, FRAME_HEADER, REPORT
from footage.video.sandbox import Limits
from tests.support import synthetic
from tests.support.earlier_stores import as_earlier
from tests.support.ingesting import (
    CONFIG,
    HERE,
    RUN,
    RUN_THAT_KILLS_ITSELF,
    InThisProcess,
    WithDeadlyVideo,
    hashes,
)


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
    config = IngestConfig(workers=2, max_quarantined_fraction=1.0)
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
    assert "--max-quarantined-fraction" in e.value.hint
    assert "bad.mp4" in e.value.report.summary()
    assert Store.open(tmp_path / "out").totals["ok"] == 1


def test_quarantined_videos_are_tried_again_under_other_limits(tmp_path):
    synthetic.encode(tmp_path / "in" / "a.mp4", synthetic.scene(1, 1.0))
    small = IngestConfig(workers=1, max_quarantined_fraction=1.0, limits=Limits(max_pixels=100))
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
        (hang, "stalled"),
        (allocate, "needs more than"),
        (lie, "invalid message"),
        (lie_at_the_end, "invalid message"),
        (say_nothing, "invalid message"),
    ],
)
def test_decoder_that_goes_wrong_costs_one_video(tmp_path, monkeypatch, decoder, reason):
    for name in ("a", "b", "c"):
        synthetic.encode(tmp_path / "in" / f"{name}.mp4", synthetic.scene(ord(name), 1.0))
    right = worker.decode_into_unit

    def decode_into_unit(writer, task, path, known):
        return right(writer, task, path, known, decoder if path.name == "b.mp4" else None)

    monkeypatch.setattr(worker, "decode_into_unit", decode_into_unit)
    patience = 2.0 if decoder is hang else 60.0
    limits = Limits(silent_seconds=patience, memory_bytes=2**29)
    config = IngestConfig(workers=1, max_quarantined_fraction=1.0, limits=limits)
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


def test_video_whose_worker_keeps_dying_is_not_recorded_and_tried_again(tmp_path):
    for seed in range(2):
        synthetic.encode(tmp_path / "in" / f"{seed}.mp4", synthetic.scene(seed, 1.0))
    with pytest.raises(UnprocessedError, match="1 of 2 videos could not be processed: ") as e:
        ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, LosesEverything())
    assert "its worker process died 3 times" in e.value.message
    assert "rerun to resume" in e.value.hint
    assert "0.mp4: its worker process died 3 times" in e.value.report.summary()
    assert e.value.report.totals["seen"] == e.value.report.totals["ok"] == 1
    again = ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE)
    assert (again.totals["seen"], again.totals["ok"]) == (2, 2)


def test_video_whose_worker_always_dies_is_quarantined_if_others_can_be_processed(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for seed, name in enumerate(("a", "deadly", "z")):
        synthetic.encode(folder / f"{name}.mp4", synthetic.scene(seed, 1.0))
    config = dataclasses.replace(CONFIG, max_quarantined_fraction=0.5)
    report = ingest([str(folder)], out, config, WithDeadlyVideo())
    ((video, status, reason),) = report.rejected
    digest = hashlib.sha256((folder / "deadly.mp4").read_bytes()).hexdigest()
    assert (video, status) == (f"deadly.mp4#{digest[:16]}", "quarantined")
    assert reason == "its worker process died 3 times (SIGKILL)"
    assert (report.totals["ok"], report.totals["seen"], report.failures) == (2, 3, [])
    before = hashes(out)
    assert ingest([str(folder)], out, config, HERE).new_videos == 0
    assert hashes(out) == before
    again = dataclasses.replace(config, retry_quarantined=True)
    assert ingest([str(folder)], out, again, HERE).totals["ok"] == 3
    assert ingest([str(folder)], out, again, HERE).new_videos == 0


def test_a_deadly_video_alone_is_not_quarantined(tmp_path):
    synthetic.encode(tmp_path / "in" / "deadly.mp4", synthetic.scene(0, 1.0))
    with pytest.raises(MachineError, match="1 of 1 videos could not be processed: its worker"):
        ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, WithDeadlyVideo())


def started(code, folder, out):
    """Start ingest in a process group of its own."""
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", code, root, str(folder), str(out)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )


def killed_run(folder, out, seconds):
    """Kill all processes of ingest after some time; return whether it was still running."""
    process = started(RUN, folder, out)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() != 0


def test_killed_ingest_is_resumed_to_the_same_bytes(whole, video_folder, tmp_path):
    out = tmp_path / "out"
    assert started(RUN_THAT_KILLS_ITSELF, video_folder, out).wait() == -signal.SIGKILL
    kept = sum(unit.videos.num_rows for unit in finished_units(out))
    assert kept == 4
    calls = []

    class Counts(InThisProcess):
        def run(self, function, tasks):
            for outcome in super().run(function, tasks):
                calls.extend(result.sandbox for result in outcome.result.results)
                yield outcome

    ingest([str(video_folder)], out, CONFIG, Counts())
    assert sum(sandbox is not None for sandbox in calls) == 6 - kept
    assert hashes(out) == hashes(whole[1])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ingest_killed_at_random_moments_ends_in_the_same_bytes(
    whole, video_folder, tmp_path, trials
):
    random = np.random.default_rng(0)
    out = tmp_path / "out"
    kills = 0
    for _ in range(20):
        kills += killed_run(video_folder, out, random.uniform(0.5, 3.0))
        if (out / "store.json").exists():
            ingest([str(video_folder)], out, CONFIG)
            assert hashes(out) == hashes(whole[1])
            shutil.rmtree(out)
    assert kills > 10
    trials(kills)


def die_after(patch, out, renames):
    """Die after some of the renames by which a manifest becomes the current one."""
    done = []

    def count(function):
        def counted(path, target):
            name = Path(target).relative_to(out).as_posix()
            if name == "store.json" or name.startswith(("manifests", "copies")):
                if len(done) == renames:
                    raise KeyboardInterrupt
                done.append(path)
            return function(path, target)

        return counted

    patch.setattr(os, "rename", count(os.rename))
    patch.setattr(os, "replace", count(os.replace))


@pytest.fixture(scope="module")
def earlier(video_folder, tmp_path_factory):
    """A store of version 2 that lacks one of the videos, and its content hash."""
    folder = tmp_path_factory.mktemp("earlier")
    shutil.copytree(video_folder, folder / "videos")
    (folder / "videos" / "group0" / "video2.mp4").unlink()
    ingest([str(folder / "videos")], folder / "out", CONFIG, HERE)
    return folder / "out", as_earlier(folder / "out", 2)


@pytest.mark.parametrize("renames", range(8))
def test_kill_while_an_earlier_store_grows_keeps_its_version(
    whole, earlier, video_folder, tmp_path, monkeypatch, renames
):
    store, recorded = earlier
    out = shutil.copytree(store, tmp_path / "out")
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        die_after(patch, out, renames)
        ingest([str(video_folder)], out, CONFIG, HERE)
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert Store.open(out, recorded).videos.num_rows == 5
    assert Store.open(out).videos.equals(Store.open(whole[1]).videos)


@pytest.fixture(scope="module")
def without_manifest(video_folder, tmp_path_factory):
    """An ingest that was killed when all videos were done."""
    out = tmp_path_factory.mktemp("killed") / "out"
    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        die_after(patch, out, 0)
        ingest([str(video_folder)], out, CONFIG, HERE)
    return out


@pytest.mark.parametrize("renames", range(7))
def test_kill_while_the_manifest_is_put_in_place_loses_nothing(
    whole, without_manifest, video_folder, tmp_path, monkeypatch, renames
):
    out = shutil.copytree(without_manifest, tmp_path / "out")
    with monkeypatch.context() as patch:
        die_after(patch, out, renames)
        try:
            ingest([str(video_folder)], out, CONFIG, HERE)
            assert renames == 6
        except KeyboardInterrupt:
            assert not (out / "store.json").exists()
    ingest([str(video_folder)], out, CONFIG, HERE)
    assert hashes(out) == hashes(whole[1])


def test_zip_archives_and_file_urls_are_fetched(tmp_path):
    synthetic.encode(tmp_path / "a.mp4", synthetic.cuts([1, 2], 1.0))
    data = synthetic.encode(tmp_path / "b.mp4", synthetic.cuts([3, 4], 1.0)).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x/one.mp4", "x/y/two.MP4", "notes.txt"):
            archive.writestr(name, data)
    urls = [f"zip://x::file://{tmp_path}/a.zip", f"file://{tmp_path}/a.mp4"]
    report = ingest(urls, tmp_path / "out", CONFIG, HERE)
    videos = Store.open(tmp_path / "out").videos
    ids = videos["video"].to_pylist()
    assert [one.split("#")[0] for one in ids] == ["a.mp4", "one.mp4", "y/two.MP4"]
    assert videos["duplicate_of"].to_pylist() == ["", "", ids[1]]
    assert (report.totals["ok"], report.totals["shots"]) == (3, 4)
    before = hashes(tmp_path / "out")
    assert ingest(urls, tmp_path / "out", CONFIG, HERE).new_videos == 0
    assert hashes(tmp_path / "out") == before


def test_fetching_stops_at_the_size_limit(tmp_path, memory_bucket):
    with fsspec.open(f"{memory_bucket}/a.mp4", "wb") as file:
        file.write(b"x" * 1000)
    (source,) = find([f"{memory_bucket}/a.mp4"])
    fetch(source, tmp_path / "a", 1000)
    assert (tmp_path / "a").stat().st_size == 1000
    with pytest.raises(VideoError, match="larger than 999 bytes"):
        fetch(source, tmp_path / "a", 999)


def test_remote_file_that_vanishes_is_quarantined(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 0.5))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.mp4", path.read_bytes()[:200])
    config = IngestConfig(max_quarantined_fraction=1.0, limits=Limits(max_file_bytes=100))
    report = ingest([f"zip://::file://{tmp_path}/a.zip"], tmp_path / "out", config, HERE)
    assert report.rejected == [("a.mp4#unknown", "quarantined", "it is larger than 100 bytes")]
