"""Stores in a bucket equal local ones, and are read and written with few requests."""

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import replace

import fsspec
import pytest
import s3fs

from footage import cli
from footage.commands.ingest import ingest, ingest_shard
from footage.commands.ingest_dry_run import dry_run
from footage.errors import BusyError, ConfigError, StoreError
from footage.ingestion.sources import find
from footage.io import cache, range_file, remote, remote_lock
from footage.store import places
from footage.store.places import RemotePlace
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.ingesting import CONFIG, HERE, RUN
from tests.support.object_store import SECRET, SLOW, locked_elsewhere


@pytest.fixture(scope="session")
def local_store(video_folder, tmp_path_factory):
    """A local store of the videos."""
    path = tmp_path_factory.mktemp("stores") / "local"
    ingest([str(video_folder)], path, CONFIG, HERE)
    return path


def upload(folder, url):
    fsspec.filesystem("s3").put(f"{folder}/", f"{url}/", recursive=True)


def contents(store):
    """Everything that can be read from a store."""
    rows = range(store.shots.num_rows)
    return store.videos.to_pylist(), [store.frames_of_shot(row) for row in rows]


def is_write_of_manifest(request):
    return request.method == "PUT" and "/manifests/" in request.path


def files_of_store(server, url):
    return {name: data for name, data in server.files(url).items() if not name.endswith(".lock")}


def test_store_in_a_bucket_has_the_files_of_a_local_one(
    bucket, server, video_folder, local_store, tmp_path
):
    report = ingest([str(video_folder)], f"{bucket}/store", CONFIG, HERE)
    assert report.store == f"{bucket}/store"
    assert report.new_videos == 6
    expected = {
        str(path.relative_to(local_store)): path.read_bytes()
        for path in local_store.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert files_of_store(server, f"{bucket}/store") == expected

    opened = Store.open(f"{bucket}/store")
    assert opened.location == f"{bucket}/store"
    assert contents(opened) == contents(Store.open(local_store))
    opened.verify()


def test_repeated_ingest_changes_nothing_and_reads_no_video(bucket, server, video_folder):
    upload(video_folder, f"{bucket}/videos")
    ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    before = files_of_store(server, f"{bucket}/store")
    server.requests.clear()
    assert ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE).new_videos == 0
    assert files_of_store(server, f"{bucket}/store") == before
    assert not [one for one in server.requests if one.method == "GET" and ".mp4" in one.path]


def test_store_grows_and_a_changed_source_is_ingested_again(bucket, video_folder, tmp_path):
    first, second, third = (
        synthetic.encode(tmp_path / f"{seed}.mp4", synthetic.cuts([seed, seed + 50], 1.0))
        for seed in (1, 2, 3)
    )
    system = fsspec.filesystem("s3")
    system.put_file(str(first), f"{bucket}/videos/a.mp4")
    system.put_file(str(second), f"{bucket}/videos/b.mp4")
    old = Store.open(ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE).store)
    assert old.totals["seen"] == 2

    system.put_file(str(third), f"{bucket}/videos/b.mp4")
    report = ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    assert report.new_videos == 1
    names = [one.split("#")[0] for one in Store.open(report.store).videos["video"].to_pylist()]
    assert names == ["a.mp4", "b.mp4", "b.mp4"]
    again = Store.open(f"{bucket}/store", old.content_hash)
    assert contents(again) == contents(old)


def test_changed_source_of_the_same_size_is_recognised_by_its_etag(bucket, tmp_path):
    system = fsspec.filesystem("s3")
    data = synthetic.encode(tmp_path / "a.mp4", synthetic.cuts([1, 2], 1.0)).read_bytes()
    system.pipe_file(f"{bucket}/videos/a.mp4", data)
    ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    changed = bytearray(data)
    changed[-1] ^= 1
    system.pipe_file(f"{bucket}/videos/a.mp4", bytes(changed))
    assert ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE).new_videos == 1


def test_shards_of_several_processes_and_a_merge_give_the_same_store(
    bucket, server, video_folder, local_store
):
    url = f"{bucket}/store"
    for shard in ("1/2", "0/2", "1/2"):
        ingest_shard([str(video_folder)], url, replace(CONFIG, shard=shard), HERE)
    with pytest.raises(StoreError, match=rf"the store at '{url}' is not finished"):
        Store.open(url)
    ingest([str(video_folder)], url, replace(CONFIG, merge=True), HERE)
    assert Store.open(url).content_hash == Store.open(local_store).content_hash
    assert not [name for name in server.files(url) if name.startswith(".work")]


def test_merge_names_the_shards_that_are_missing_in_the_bucket(bucket, video_folder):
    url = f"{bucket}/store"
    ingest_shard([str(video_folder)], url, replace(CONFIG, shard="0/2"), HERE)
    with pytest.raises(ConfigError, match=rf"shard 1/2 is missing in '{url}/.work'"):
        ingest([str(video_folder)], url, replace(CONFIG, merge=True), HERE)


def test_killed_ingest_is_resumed_on_a_machine_with_an_empty_cache(
    bucket, server, video_folder, local_store, tmp_path, monkeypatch
):
    url = f"{bucket}/store"
    server.slow_seconds = 30.0
    with (
        server.disturbed(lambda request: SLOW * is_write_of_manifest(request)) as hit,
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(video_folder.parent), str(video_folder), url]
        ) as process,
    ):
        while not hit:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    server.slow_seconds = 0.3
    lock = RemotePlace(url)
    assert lock.remote.exists(places.LOCK)

    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "other"))
    ingest([str(video_folder)], url, CONFIG, HERE)  # the holder of the lock died on this machine
    assert Store.open(url).content_hash == Store.open(local_store).content_hash


def test_only_one_process_changes_a_store_at_a_time(bucket, video_folder, monkeypatch):
    url = f"{bucket}/store"
    with (
        RemotePlace(url).locked(),
        pytest.raises(BusyError, match=rf"'{url}' is being written by process \d+"),
        RemotePlace(url).locked(),
    ):
        pass
    with (
        locked_elsewhere(url),
        pytest.raises(BusyError, match="is being written by process 1 on another-machine"),
    ):
        ingest([str(video_folder)], url, CONFIG, HERE)
    monkeypatch.setattr(remote_lock, "ABANDONED_SECONDS", 1.0)
    assert ingest([str(video_folder)], url, CONFIG, HERE).new_videos == 6


def test_a_lock_is_respected_by_services_without_conditional_writes(
    bucket, video_folder, monkeypatch
):
    put_file = s3fs.S3FileSystem._put_file

    async def put_file_anyway(system, source, target, **options):
        await put_file(system, source, target, **{**options, "mode": "overwrite"})

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", put_file_anyway)
    s3fs.S3FileSystem.clear_instance_cache()
    remote._system.cache_clear()
    url = f"{bucket}/store"
    with RemotePlace(url).locked(), pytest.raises(BusyError), RemotePlace(url).locked():
        pass
    with locked_elsewhere(url), pytest.raises(BusyError, match="is being written by process 1"):
        ingest([str(video_folder)], url, CONFIG, HERE)


def test_two_processes_cannot_publish_the_same_manifest(
    bucket, video_folder, monkeypatch, tmp_path
):
    url = f"{bucket}/store"
    ingest([str(video_folder)], url, CONFIG, HERE)
    first = Store.open(url)
    added = [
        synthetic.encode(tmp_path / f"{seed}.mp4", synthetic.cuts([seed], 1.0)) for seed in (7, 8)
    ]
    push = RemotePlace.push_manifest

    def push_after_another(place):
        monkeypatch.setattr(RemotePlace, "push_manifest", push)
        monkeypatch.setattr(remote_lock.RemoteLock, "held", lambda _: contextlib.nullcontext())
        monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "another machine"))
        ingest([str(added[0])], url, CONFIG, HERE)
        monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "cache"))
        push(place)

    monkeypatch.setattr(RemotePlace, "push_manifest", push_after_another)
    with pytest.raises(BusyError, match=f"another process changed the store at '{url}'"):
        ingest([str(added[1])], url, CONFIG, HERE)
    opened = Store.open(url)
    assert opened.totals["seen"] == first.totals["seen"] + 2, (
        "the faster one lists the units of both"
    )
    opened.verify()
    assert ingest([str(added[1])], url, CONFIG, HERE).new_videos == 0


def test_frames_are_read_by_range_once_and_prefetched(bucket, server, local_store, monkeypatch):
    monkeypatch.setattr(range_file, "TAIL_BYTES", 8192)
    upload(local_store, f"{bucket}/store")
    opened = Store.open(f"{bucket}/store")
    server.requests.clear()
    rows = list(range(opened.shots.num_rows))
    opened.prefetch(rows, [[0, 1]] * len(rows))
    expected = Store.open(local_store)
    for row in rows:
        assert opened.encoded(row, [0, 1]) == expected.encoded(row, [0, 1])
    requests = [(one.path, one.range) for one in server.requests]
    assert all(range_ for _, range_ in requests)
    assert len(requests) == len(set(requests)), "no range is read twice"

    server.requests.clear()
    again = Store.open(f"{bucket}/store")
    for row in rows:
        again.encoded(row, [0])
    assert not [one for one in server.requests if "frames" in one.path]


def test_reading_one_frame_reads_a_small_part_of_a_store(bucket, server, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for seed in range(4):
        cuts = synthetic.cuts(range(10 * seed, 10 * seed + 10), 1.0, size=(320, 240))
        synthetic.encode(videos / f"{seed}.mp4", cuts)
    config = replace(CONFIG, short_side=240, frames_per_second=12.0)
    ingest([str(videos)], f"{bucket}/store", config, HERE)
    opened = Store.open(f"{bucket}/store")
    server.requests.clear()
    opened.encoded(0, [0])
    ends = [one.range.removeprefix("bytes=").split("-") for one in server.requests]
    read = sum(int(end) - int(start) + 1 for start, end in ends)
    assert 0 < read < opened.parts.num_bytes / 4


def test_cache_stays_within_its_size(bucket, local_store, tmp_path, monkeypatch):
    upload(local_store, f"{bucket}/store")
    limit = 40_000
    monkeypatch.setenv("FOOTAGE_CACHE_BYTES", str(limit))
    opened = Store.open(f"{bucket}/store")
    expected = Store.open(local_store)
    assert expected.parts.num_bytes > 2 * limit
    for row in range(opened.shots.num_rows):
        assert opened.frames_of_shot(row) == expected.frames_of_shot(row)
        opened.close()
    ranges = tmp_path / "cache" / "ranges"
    used = sum(path.stat().st_size for path in ranges.rglob("*") if path.is_file())
    assert 0 < used <= limit * 1.5
    monkeypatch.setenv("FOOTAGE_CACHE_BYTES", "0")
    assert Store.open(f"{bucket}/store").frames_of_shot(0) == expected.frames_of_shot(0)


def test_verify_names_the_damaged_files_of_a_remote_store(bucket, local_store, capsys):
    url = f"{bucket}/store"
    upload(local_store, url)
    assert cli.main(["store", "verify", url]) == 0
    assert "0 damaged" in capsys.readouterr().out
    system = fsspec.filesystem("s3")
    name = Store.open(url).parts.name(0)
    data = bytearray(system.cat_file(f"{url}/{name}"))
    data[len(data) // 3] ^= 1
    system.pipe_file(f"{url}/{name}", bytes(data))
    assert cli.main(["store", "verify", url]) == 1
    out, err = capsys.readouterr()
    assert f"damaged   {name}: its content is not what was written" in out
    assert f"1 damaged file in the store at '{url}'" in err
    assert cli.main(["store", "verify", url, "--repair"]) == 1
    assert "cannot be repaired in place" in capsys.readouterr().err


def test_cache_that_cannot_be_written_costs_only_time(bucket, local_store, tmp_path, caplog):
    upload(local_store, f"{bucket}/store")
    opened = Store.open(f"{bucket}/store")
    (tmp_path / "cache" / "ranges").write_text("not a folder")
    assert opened.frames_of_shot(0) == Store.open(local_store).frames_of_shot(0)
    assert "cannot be written" in caplog.text
    assert "--cache" in caplog.text


def test_damaged_cache_is_not_trusted(bucket, local_store, tmp_path):
    upload(local_store, f"{bucket}/store")
    expected = Store.open(local_store).frames_of_shot(0)
    assert Store.open(f"{bucket}/store").frames_of_shot(0) == expected
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and path.name not in (".url", ".index"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))
    assert Store.open(f"{bucket}/store").frames_of_shot(0) == expected


@pytest.mark.parametrize("given", ["many", "1e400", "nan", ""])
def test_size_of_the_cache_must_be_a_number(monkeypatch, given):
    monkeypatch.setenv("FOOTAGE_CACHE_BYTES", "1e9")
    assert cache.most_bytes() == 10**9
    if given:
        with pytest.raises(ConfigError, match="must be a number of bytes, got"):
            cache.choose(size=given)


def test_listing_of_a_bucket_finds_what_a_local_walk_finds(bucket, video_folder):
    upload(video_folder, f"{bucket}/videos")
    remote, local = find([f"{bucket}/videos"]), find([str(video_folder)])
    assert [(one.name, one.num_bytes) for one in remote] == [
        (one.name, one.num_bytes) for one in local
    ]
    assert all("ETag" in one.stamp for one in remote)


def test_no_secret_is_stored(bucket, server, video_folder, tmp_path, caplog):
    upload(video_folder, f"{bucket}/videos")
    report = ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG)
    everything = [*server.files(f"{bucket}/store").values(), caplog.text, report.summary()]
    everything += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for content in everything:
        data = content.encode() if isinstance(content, str) else content
        assert SECRET.encode() not in data


def test_dry_run_writes_nothing_to_the_bucket(bucket, server, video_folder):
    upload(video_folder, f"{bucket}/videos")
    ingest_shard([f"{bucket}/videos"], f"{bucket}/store", replace(CONFIG, shard="0/2"), HERE)
    before = server.files(bucket)
    server.requests.clear()
    found = dry_run([f"{bucket}/videos"], f"{bucket}/store", CONFIG, executor=HERE)
    assert found.fits
    rows = {name: (value, how) for name, value, how in found.rows}
    assert rows["sources"][0] == "6"
    assert rows["store"][1] == "in the object store"
    assert server.files(bucket) == before
    assert not [one for one in server.requests if one.method not in ("GET", "HEAD")]
