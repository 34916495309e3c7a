"""Buckets with slow, wrong or missing responses: recovery, or one clear error."""

import re
import threading

import fsspec
import pytest
import s3fs

from footage import cli
from footage.commands.ingest import ingest
from footage.commands.store import verify
from footage.errors import FootageError, OutputError, StoreError
from footage.ingestion.report import UnprocessedError
from footage.io import remote
from footage.io.remote import RemoteFolder
from footage.store.reader import Store
from tests.object_storage.test_stores import contents, local_store, upload
from tests.support.ingesting import CONFIG, HERE
from tests.support.object_store import (
    CORRUPT,
    DENIED,
    EXPIRED,
    OVERLOADED,
    RESET,
    SECRET,
    SLOW,
    TRUNCATED,
    UNANSWERED,
    first,
)  # fmt: skip

__all__ = ["local_store"]


@pytest.fixture(autouse=True)
def few_retries(monkeypatch):
    """Limit retries, so that tests of lasting faults take seconds."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    forget_clients()


def forget_clients():
    """Make the next request read the environment again."""
    s3fs.S3FileSystem.clear_instance_cache()
    remote._system.cache_clear()


def is_read_of_part(request):
    return request.method == "GET" and "/frames/" in request.path


def is_write_of(name):
    return lambda request: request.method == "PUT" and name in request.path


@pytest.mark.parametrize("what", [OVERLOADED, RESET, TRUNCATED, SLOW, CORRUPT])
def test_reading_recovers_from_a_passing_fault(bucket, server, local_store, what):
    upload(local_store, f"{bucket}/store")
    opened = Store.open(f"{bucket}/store")
    with server.disturbed(first(1, what, is_read_of_part)) as hit:
        assert contents(opened) == contents(Store.open(local_store))
    assert len(hit) == 1


@pytest.mark.parametrize("what", [OVERLOADED, RESET, TRUNCATED, CORRUPT, DENIED, EXPIRED])
def test_reading_with_a_lasting_fault_is_one_error_with_the_url(bucket, server, local_store, what):
    upload(local_store, f"{bucket}/store")
    opened = Store.open(f"{bucket}/store")
    part = re.escape(opened.parts.name(0)) if what != CORRUPT else "frames/.*"
    with (
        server.disturbed(lambda request: what * is_read_of_part(request)),
        pytest.raises(StoreError) as raised,
    ):
        contents(opened)
    assert re.search(f"{bucket}/store.*{part}|{bucket}/store.*frames/", raised.value.message)
    assert "cache" not in raised.value.message
    assert raised.value.hint
    assert contents(opened) == contents(Store.open(local_store)), "it works again afterwards"


@pytest.mark.parametrize("what", [DENIED, EXPIRED])
def test_lost_credentials_have_their_own_message(bucket, server, local_store, what):
    upload(local_store, f"{bucket}/store")
    with server.disturbed(lambda _: what), pytest.raises(StoreError) as raised:
        Store.open(f"{bucket}/store")
    assert re.search("access is denied|answered 'Bad Request'", raised.value.message)
    assert "credentials" in raised.value.hint
    assert SECRET not in str(raised.value)


def test_missing_credentials_have_their_own_message(bucket, monkeypatch, capsys, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forget_clients()
    monkeypatch.chdir(tmp_path)
    code = cli.main(["train", "vivi-ex4-tiny", "--store", f"{bucket}/store", "--out", "run"])
    error = capsys.readouterr().err.splitlines()
    assert code == 1
    assert error[-2] == (
        f"error: '{bucket}/store/store.json' cannot be read: no valid credentials for s3:// were"
        " found"
    )
    assert error[-1].startswith("hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


@pytest.mark.parametrize("command", ["ingest", "train", "report"])
def test_missing_bucket_is_named(bucket, video_folder, capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    missing = "s3://no-such-bucket/store"
    words = {
        "ingest": ["ingest", str(video_folder), "--out", missing],
        "train": ["train", "vivi-ex4-tiny", "--store", missing, "--out", "run"],
        "report": ["report", missing],
    }[command]
    assert cli.main(words) == 1
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    assert re.fullmatch(rf"error: the bucket of '{missing}[^']*' does not exist", error)
    assert hint == "hint: check the URL or create the bucket"


@pytest.mark.parametrize("what", [OVERLOADED, RESET, SLOW, UNANSWERED])
def test_writing_recovers_from_passing_faults(bucket, server, video_folder, local_store, what):
    kinds = "/.lock", "/frames/", "/.work/records/", "/manifests/", "/copies/", "/store/store.json"
    faults = [first(1, what, is_write_of(name)) for name in kinds]
    with server.disturbed(lambda request: "".join(fault(request) for fault in faults)) as hit:
        ingest([str(video_folder)], f"{bucket}/store", CONFIG, HERE)
    assert len(hit) == len(kinds)
    assert contents(Store.open(f"{bucket}/store")) == contents(Store.open(local_store))


@pytest.mark.parametrize(
    ("what", "name"),
    [(OVERLOADED, "/frames/"), (DENIED, "/records/"), (DENIED, "/manifests/"), (RESET, "/copies/")],
)
def test_writing_with_a_lasting_fault_is_one_error_and_a_rerun_resumes(
    bucket, server, video_folder, local_store, what, name
):
    url = f"{bucket}/store"
    with (
        server.disturbed(lambda request: what * is_write_of(name)(request)),
        pytest.raises(OutputError, match=f"'{url}/.*cannot be written"),
    ):
        ingest([str(video_folder)], url, CONFIG, HERE)
    ingest([str(video_folder)], url, CONFIG, HERE)
    assert Store.open(url).content_hash == Store.open(local_store).content_hash


def test_fetching_with_lost_credentials_quarantines_no_video(bucket, server, video_folder):
    upload(video_folder, f"{bucket}/videos")
    is_video = lambda request: request.method == "GET" and ".mp4" in request.path  # noqa: E731
    with (
        server.disturbed(lambda request: EXPIRED * is_video(request)),
        pytest.raises(FootageError, match="access is denied") as raised,
    ):
        ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    assert raised.value.exit_code == 75
    report = ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    assert report.totals["ok"] == report.totals["seen"] == 6


def test_one_video_that_may_not_be_read_is_left_out_and_tried_again(bucket, server, video_folder):
    upload(video_folder, f"{bucket}/videos")
    name = sorted(path.name for path in video_folder.rglob("*.mp4"))[0]
    is_it = lambda request: request.method == "GET" and name in request.path  # noqa: E731
    with (
        server.disturbed(lambda request: DENIED * is_it(request)),
        pytest.raises(UnprocessedError, match="access is denied"),
    ):
        ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    opened = Store.open(f"{bucket}/store")
    assert 0 < opened.totals["ok"] == opened.totals["seen"] < 6
    report = ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    assert report.totals["ok"] == report.totals["seen"] == 6


def test_truncated_video_is_fetched_again(bucket, server, video_folder, local_store):
    upload(video_folder, f"{bucket}/videos")
    is_video = lambda request: request.method == "GET" and ".mp4" in request.path  # noqa: E731
    with server.disturbed(first(2, TRUNCATED, is_video)) as hit:
        ingest([f"{bucket}/videos"], f"{bucket}/store", CONFIG, HERE)
    assert len(hit) == 2
    expected = contents(Store.open(local_store))[1]
    assert contents(Store.open(f"{bucket}/store"))[1] == expected


def test_a_failed_listing_is_an_error_and_never_a_shorter_list(bucket, server, video_folder):
    upload(video_folder, f"{bucket}/videos")
    lists = iter(range(100))

    def disturb(request):
        is_list = request.method == "GET" and "list-type=2" in request.path
        return DENIED if is_list and next(lists) == 1 else ""

    with server.disturbed(disturb) as hit, pytest.raises(FootageError, match="access is denied"):
        list(RemoteFolder(f"{bucket}/videos").files())
    assert len(hit) == 1
    with server.disturbed(lambda _: ""):
        assert len(list(RemoteFolder(f"{bucket}/videos").files())) == 6


@pytest.mark.parametrize("what", [DENIED, EXPIRED, OVERLOADED])
def test_verify_does_not_call_a_part_damaged_that_it_could_not_read(
    bucket, server, local_store, what
):
    upload(local_store, f"{bucket}/store")
    with (
        server.disturbed(lambda request: what * is_read_of_part(request)),
        pytest.raises(StoreError, match=r"frames/.* cannot be read"),
    ):
        verify(f"{bucket}/store")
    assert not verify(f"{bucket}/store").remaining


@pytest.mark.parametrize("name", ["such-a-bucket-exists", "no-such-bucket-or-container"])
def test_a_missing_file_is_not_a_missing_bucket_whatever_its_name(bucket, name):
    fsspec.filesystem("s3").mkdir(name)
    folder = RemoteFolder(f"s3://{name}/folder")
    assert folder.read_if_exists("a.json") is None
    assert not folder.exists("a.json")
    assert not list(folder.files())
    with pytest.raises(StoreError, match=r"a\.json' does not exist"):
        folder.read("a.json")
    fsspec.filesystem("s3").rmdir(name)
    with pytest.raises(StoreError, match=r"the bucket of .* does not exist"):
        folder.read_if_exists("a.json")


def test_missing_part_is_an_error_with_its_url(bucket, local_store):
    upload(local_store, f"{bucket}/store")
    opened = Store.open(f"{bucket}/store")
    fsspec.filesystem("s3").rm(f"{bucket}/store/{opened.parts.name(0)}")
    with pytest.raises(StoreError, match=rf"'{bucket}/store/frames/.*' does not exist"):
        contents(opened)


def test_threads_share_one_request_for_the_same_bytes(bucket, server, local_store):
    upload(local_store, f"{bucket}/store")
    opened = Store.open(f"{bucket}/store")
    ranges = opened._files._ranges
    server.requests.clear()
    found = []
    with server.disturbed(lambda _: SLOW):
        readers = [
            threading.Thread(target=lambda: found.append(ranges.read(opened.parts.name(0), 4, 100)))
            for _ in range(8)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(server.requests) == 1
