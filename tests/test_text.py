import time

import pytest

from footage.errors import FootageError, MachineError
from footage.ingestion.sources import LocalFile, fetch, find
from footage.text import duration, redacted, without_folders
from tests.support.web_server import web_server

CANARY = "c4n4ryS3CRETc4n4ry"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:{}@host/a.mp4", "https://***@host/a.mp4"),
        ("https://{}@host:8080/a.mp4", "https://***@host:8080/a.mp4"),
        ("https://user:p@{}@host/a.mp4", "https://***@host/a.mp4"),
        ("s3://key:{}@bucket/a.mp4", "s3://***@bucket/a.mp4"),
        ("ftp://anonymous:{}@[::1]:21/a", "ftp://***@[::1]:21/a"),
        (
            "zip://a.mp4::https://u:{}@host/z.zip?token={}&part=1",
            "zip://a.mp4::https://***@host/z.zip?token=***&part=1",
        ),
        (
            "https://b.s3.amazonaws.com/a.mp4?X-Amz-Date=2&X-Amz-Signature={}&X-Amz-Credential={}",
            "https://b.s3.amazonaws.com/a.mp4"
            "?X-Amz-Date=***&X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        (
            "https://h/a?AWSAccessKeyId={}&Signature={}",
            "https://h/a?AWSAccessKeyId=***&Signature=***",
        ),
        ("https://h/a?X-Goog-Signature={}#t=3", "https://h/a?X-Goog-Signature=***#t=3"),
        ("https://h/a?sv=1&sig={}", "https://h/a?sv=***&sig=***"),
        ("https://h/a?Policy={}&Key-Pair-Id={}", "https://h/a?Policy=***&Key-Pair-Id=***"),
        ("https://h/a?api_key={}&v=7", "https://h/a?api_key=***&v=7"),
        ("https://h/a?access-token={}", "https://h/a?access-token=***"),
        ("403, url='https://u:{}@host/a'", "403, url='https://***@host/a'"),
        ("Authorization: Bearer {}", "Authorization: Bearer ***"),
        ("hf_{} is invalid", "*** is invalid"),
        ("two: https://a:{}@h/x https://b:{}@h/y", "two: https://***@h/x https://***@h/y"),
    ],
)
def test_secrets_are_removed_and_the_rest_stays(text, expected):
    assert redacted(text.replace("{}", CANARY)) == expected
    assert redacted(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "videos/holiday@home.mp4",
        "file:///videos/a@b/c.mp4",
        "https://host/a@b.mp4?id=7&part=2",
        "https://host/watch?v=abc&t=3",
        "s3://bucket/folder/a.mp4",
        "the basic idea; the bearer of news",
        "50% of a?b&c=d",
        "key=value",
        "",
    ],
)
def test_text_without_secrets_stays_as_it_is(text):
    assert redacted(text) == text


def test_the_same_link_signed_twice_is_the_same_text():
    link = "https://h/a.mp4?X-Amz-Date={0}&X-Amz-Expires=60&X-Amz-Signature={0}"
    assert redacted(link.format("one")) == redacted(link.format("another"))


def test_errors_never_carry_them():
    url = f"https://user:{CANARY}@host/a.mp4"
    error = FootageError(f"there is nothing at {url!r}", f"open {url} in a browser")
    assert CANARY not in str(error) + repr(error) + error.message + error.hint
    assert error.message == "there is nothing at 'https://***@host/a.mp4'"


@pytest.mark.parametrize("part", ["://", "?token=", "a", "@", "&sig=", "x-amz-", "_token", ":/"])
def test_long_hostile_text_takes_no_time(part):
    began = time.process_time()
    redacted(part * (200_000 // len(part)))
    assert time.process_time() - began < 5


def test_remote_videos_are_named_without_the_secrets_that_fetch_them(tmp_path):
    pytest.importorskip("aiohttp")
    with web_server({"/a.mp4": b"bytes"}, CANARY) as url_of:
        (source,) = find([url_of("/a.mp4")])
        assert source.name == "a.mp4"
        fetch(source, tmp_path / "a", 100)
        assert (tmp_path / "a").read_bytes() == b"bytes"
        with pytest.raises(FootageError) as caught:
            find([url_of("/b.mp4")])
        assert CANARY not in str(caught.value)
        lost = source._replace(location=source.location.replace("a.mp4", "b.mp4"))
        with pytest.raises(MachineError, match="access is denied") as caught:
            fetch(lost, tmp_path / "b", 100)
        assert CANARY not in str(caught.value)
    copy = LocalFile(source, tmp_path / "a", "")
    assert CANARY in source.location
    assert CANARY not in copy.name
    assert copy.name.startswith("http://***@127.0.0.1:")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1.25, ("seconds", "1.2")),
        (12, ("seconds", "12")),
        (90, ("minutes", "1.5")),
        (359, ("minutes", "6.0")),
        (360, ("hours", "0.10")),
        (7200, ("hours", "2.00")),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "step 6 of /data/me/runs/first, from ./a/b.safetensors",
            "step 6 of first, from b.safetensors",
        ),
        ("weights of '~/x y' or ../z", "weights of 'x y' or z"),
        (
            "hf-hub:owner/name and runs/first and 1 / 2",
            "hf-hub:owner/name and runs/first and 1 / 2",
        ),
        ("s3://bucket/run", "s3://bucket/run"),
    ],
)
def test_paths_are_reduced_to_their_last_part(text, expected):
    assert without_folders(text) == expected
