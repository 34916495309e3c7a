"""Reads that fail with an input/output error are retried, but not forever."""

import errno
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from footage.errors import StoreError
from footage.io import retry
from footage.io.retry import TRIES, retried
from footage.store.reader import Store


@pytest.fixture
def pauses(monkeypatch):
    """The requested pauses; none is made."""
    asked = []
    monkeypatch.setattr(retry.time, "sleep", asked.append)
    return asked


class Flaky:
    """Fails a number of times before it returns."""

    def __init__(self, failures, number=errno.EIO):
        self.failures, self.number, self.calls = failures, number, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError(self.number, os.strerror(self.number))
        return "content"


def test_read_is_repeated_with_longer_and_longer_pauses(pauses):
    read, forgotten = Flaky(4), []
    assert retried(read, "a file", lambda: forgotten.append(read.calls)) == "content"
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert forgotten == [1, 2, 3, 4]


def test_read_that_keeps_failing_is_given_up(pauses):
    read = Flaky(99)
    with pytest.raises(OSError, match="Input/output error"):
        retried(read, "a file")
    assert (read.calls, len(pauses)) == (TRIES, TRIES - 1) == (5, 4)


def test_no_attempt_begins_after_a_minute(pauses, monkeypatch):
    clock = iter(range(0, 1000, 25))
    monkeypatch.setattr(retry.time, "monotonic", lambda: next(clock))
    read = Flaky(99)
    with pytest.raises(OSError, match="Input/output error"):
        retried(read, "a slow disk")
    assert read.calls == 3


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EMFILE])
def test_other_errors_are_raised_at_once(pauses, number):
    read = Flaky(1, number)
    with pytest.raises(OSError):  # noqa: PT011 (the number decides)
        retried(read, "a file")
    assert (read.calls, pauses) == (1, [])


FILES = ("store.json", "manifests/000001/videos.arrow", "manifests/000001/shots.arrow")


# Reading /proc/self/mem at its beginning is a real input/output error of a regular file.
@pytest.mark.parametrize("name", FILES)
def test_disk_that_recovers_costs_a_pause(tiny_store, tmp_path, monkeypatch, caplog, name):
    store = shutil.copytree(tiny_store.path, tmp_path / "store")
    (store / name).rename(tmp_path / "sound")
    (store / name).symlink_to("/proc/self/mem")

    def recover(seconds):
        (store / name).unlink(missing_ok=True)
        (tmp_path / "sound").rename(store / name)

    monkeypatch.setattr(retry.time, "sleep", recover)
    assert Store.open(store).videos.equals(tiny_store.videos)
    assert f"{store / name}: Input/output error; attempt 1 of 5 failed" in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_disk_that_does_not_recover_is_one_error(tiny_store, tmp_path, pauses, name):
    store = shutil.copytree(tiny_store.path, tmp_path / "store")
    (store / name).unlink()
    (store / name).symlink_to("/proc/self/mem")
    with pytest.raises(StoreError, match=f"{Path(name).name}.*: Input/output error"):
        Store.open(store)
    assert len(pauses) == 4


def test_frame_is_read_again_from_a_file_opened_anew(tiny_store, tmp_path, pauses, monkeypatch):
    store = Store.open(shutil.copytree(tiny_store.path, tmp_path / "store"))
    right, used = pq.ParquetFile.read_row_group, []

    def read_row_group(file, *arguments, **options):
        used.append(file)
        if len(used) <= 2:
            raise OSError(errno.EIO, "Error reading bytes from file")
        return right(file, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
    assert store.encoded(3, [1]) == tiny_store.encoded(3, [1])
    assert pauses == [0.5, 1.0]
    assert len({id(file) for file in used[:3]}) == 3


FAILING_DISK = """
import ctypes, sys
from footage.io import retry as retrying
from footage.errors import StoreError
from footage.store.reader import Store

class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]

retrying.FIRST_PAUSE_SECONDS = 0.001
store = Store.open(sys.argv[1])
assert len(store.encoded(0, [0])) == 1
pread64, allow, fail = 17, 0x7FFF0000, 0x00050000 | 5  # SECCOMP_RET_ERRNO with EIO
filters = (Filter * 4)(
    Filter(0x20, 0, 0, 0), Filter(0x15, 0, 1, pread64), Filter(0x06, 0, 0, fail),
    Filter(0x06, 0, 0, allow),
)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
if libc.syscall(317, 1, 1, ctypes.byref(Program(4, filters))):  # all threads
    sys.exit(77)
try:
    store.encoded(1, [0])
except StoreError as error:
    print(error.message)
    print(error.hint)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls differ")
def test_part_on_a_failing_disk_is_one_error_after_five_attempts(tiny_store):
    done = subprocess.run(
        [sys.executable, "-c", FAILING_DISK, str(tiny_store.path)], capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("seccomp is not available")
    assert done.returncode == 0, done.stderr
    message, hint = done.stdout.splitlines()
    assert message.endswith(".parquet cannot be read: Input/output error")
    assert hint.startswith("run `footage store verify")
    assert done.stderr.count("failed") == 4
