import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from footage.errors import BusyError, OutputError
from footage.io import files
from footage.io.documents import read_bytes
from tests.support.descriptors import open_files


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_the_mode_of_a_written_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with files.atomic_write(tmp_path / "weights") as path:
            save_file({"a": torch.zeros(3)}, path)  # safetensors itself writes 0600
        with files.atomic_folder(tmp_path / "folder") as folder:
            save_file({"a": torch.zeros(3)}, folder / "weights")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "weights").stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "folder" / "weights").stat().st_mode) == mode


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.json"
    files.write_text(path, "old")
    with (
        pytest.raises(UnicodeEncodeError),
        files.atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        file.writelines(["half", "\ud800"])
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["result.json"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for content in ("one", "two"):
        with files.atomic_folder(tmp_path / "out") as folder:
            (folder / content).write_text(content)
    assert entries(tmp_path) == ["out"]
    assert entries(tmp_path / "out") == ["two"]


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path):
    program = (
        "import os, pathlib, signal; from footage.io import files\n"
        "with files.atomic_write(pathlib.Path('a[1].json')) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert len(entries(tmp_path)) == 1
    files.write_text(tmp_path / "a[1].json", "whole")
    assert entries(tmp_path) == ["a[1].json"]


def write_with_python(path):
    path.write_bytes(bytes(100_000))


def write_with_safetensors(path):
    save_file({"a": torch.zeros(100_000)}, path)


def write_with_arrow(path):
    pq.write_table(pa.table({"a": [os.urandom(100_000)]}), path)


def write_with_torch(path):
    torch.save(torch.zeros(100_000), path)


WRITERS = [write_with_python, write_with_safetensors, write_with_arrow, write_with_torch]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_size_limit_is_one_clear_error_and_leaves_nothing(tmp_path, write):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with (
            pytest.raises(OutputError, match=r"cannot be written: (File too|No space)") as caught,
            files.atomic_write(tmp_path / "result") as path,
        ):
            write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "MB are free there" in caught.value.hint
    assert caught.value.exit_code == 74
    assert entries(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_output_error():
    full = Path("/dev/full")  # by Python only: Arrow and torch would remove or replace the device
    with pytest.raises(OutputError, match="No space left on device"), files.output_errors(full):
        write_with_python(full)


@pytest.mark.parametrize("place", ["file/below/result", "/proc/result", "x" * 300])
def test_an_unusable_path_is_an_output_error(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_text(tmp_path / place, "text")


def test_space_is_checked_before_work_starts(tmp_path):
    files.require_space(tmp_path / "runs" / "first", 1000, "a checkpoint")
    assert entries(tmp_path / "runs") == []
    with pytest.raises(OutputError, match=r"a checkpoint at .* needs 1,000,000,000.0 MB"):
        files.require_space(tmp_path / "first", 10**15, "a checkpoint")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"files are limited to 2.0 MB"):
            files.require_space(tmp_path / "first", 5_000_000, "a checkpoint")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert entries(tmp_path) == ["runs"]


HOLD = (
    "import pathlib, sys, time; from footage.io import files\n"
    "with files.exclusive(pathlib.Path('out/.lock'), pathlib.Path('out')):\n"
    "    print('held', flush=True); time.sleep(60)"
)


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    lock = tmp_path / "out" / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "some", "words"], cwd=tmp_path, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        wanted = rf"'.*out' is being written by process {holder.pid} \(-c some words\)"
        with pytest.raises(BusyError, match=wanted), files.exclusive(lock, tmp_path / "out"):
            pass
        holder.kill()
    with files.exclusive(lock, tmp_path / "out"):
        assert lock.exists()
    assert not lock.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with files.exclusive(tmp_path / ".lock", tmp_path / "out"):
        (tmp_path / "out").write_text("written")
    assert f"{tmp_path / 'out'} is not locked" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_lock_is_held_by_one_of_many_at_a_time(tmp_path):
    program = (
        "import pathlib, time; from footage.io import files\n"
        "from footage.errors import BusyError\n"
        "entered = 0\n"
        "while entered < 30:\n"
        "    try:\n"
        "        with files.exclusive(pathlib.Path('.lock'), pathlib.Path('out')):\n"
        "            pathlib.Path('inside').touch(exist_ok=False)\n"
        "            pathlib.Path('inside').unlink(); entered += 1\n"
        "    except BusyError: time.sleep(0.001)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(one.communicate()[1], one.returncode) for one in running] == [(b"", 0)] * 3


@pytest.mark.parametrize("read", [files.sha256, read_bytes])
def test_a_folder_in_place_of_a_file_is_refused_and_does_not_stay_open(tmp_path, read):
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    assert open_files(tmp_path) == []
