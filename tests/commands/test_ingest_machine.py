"""A failure of the machine is never recorded for a video: the next ingest processes it."""

import errno
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from footage.commands import ingest as ingest_module
from footage.commands.ingest import IngestConfig, ingest
from footage.errors import MachineError, SandboxError
from footage.ingestion import worker
from footage.ingestion.report import UnprocessedError
from footage.processes.executors import Outcome
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.ingesting import CONFIG, HERE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def videos(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.01)
    for name in "abc":
        synthetic.encode(tmp_path / "in" / f"{name}.mp4", synthetic.scene(ord(name), 1.0))
    return tmp_path / "in"


def run(limit, program, *arguments):
    """Run a Python program under a limit of the shell."""
    script = f'ulimit {limit} && exec "$0" -P -c "$@"'
    return subprocess.run(
        ["bash", "-c", script, sys.executable, program, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


CONFINED = """
import sys
from footage.sandbox.child import run_confined
from footage.sandbox.messages import Confinement
from footage.errors import FootageError

def burn(send):
    while True:
        pass

def allocate(send):
    taken = [bytearray(2**24) for _ in range(100)]

def crowd(send):
    raise AssertionError("it cannot be started")

if sys.argv[1] == "crowd":
    held = []
    while len(held) < 100:
        try:
            held.append(open("/dev/null"))
        except OSError:
            break
limits = Confinement(memory_bytes=2**30, cpu_seconds=100, wall_seconds=99.0, silent_seconds=99.0)
try:
    works = {"burn": burn, "allocate": allocate, "nothing": repr, "crowd": crowd}
    run_confined(works[sys.argv[1]], print, limits)
    print("done")
except FootageError as error:
    print(type(error).__name__, error.message)
"""


@pytest.mark.parametrize(
    ("limit", "work", "expected"),
    [
        ("-t 50", "nothing", "done"),
        ("-t 2", "burn", "MachineError decoding ran out of CPU time: RLIMIT_CPU is 2 s, below the"),
        ("-v 700000", "allocate", "MachineError decoding ran out of memory: RLIMIT_AS is 7168000"),
        ("-d 300000", "allocate", "MachineError decoding ran out of memory: RLIMIT_DATA is 3072"),
        ("-n 10", "nothing", "done"),
        (
            "-n 60",
            "crowd",
            "MachineError cannot create a pipe to a decoder process: Too many open files",
        ),
    ],
)
def test_limit_of_the_shell_is_not_the_fault_of_the_input(limit, work, expected):
    done = run(limit, CONFINED, work)
    assert done.stdout.startswith(expected), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "limit",
    ["-t 3600", "-n 24", "-n 12", "-v 700000", "-v 650000", "-v 400000", "-u 2", "-d 300000"],
)
def test_ingest_under_a_limit_quarantines_nothing_and_the_next_one_completes_it(videos, limit):
    out = videos.parent / "out"
    program = "import sys; from footage.cli import main; sys.exit(main())"
    arguments = ["ingest", str(videos), "--out", str(out), "--workers", "2"]
    limited = run(limit, program, *arguments)
    assert limited.returncode in (0, MachineError.exit_code), limited.stderr
    if limited.returncode:
        assert "Traceback" not in limited.stderr
        assert "RLIMIT" in limited.stderr
    if (out / "store.json").exists():
        assert Store.open(out).totals["quarantined"] == 0
    again = run("-t unlimited", program, *arguments)
    assert again.returncode == 0, again.stderr
    assert Store.open(out).totals["ok"] == Store.open(out).totals["seen"] == 3


class Killer(threading.Thread):
    """Kills decoders that the creating thread starts from now on from outside, so many times."""

    def __init__(self, times):
        super().__init__()
        self._children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
        self._spared = set(self._children.read_text().split())
        self._left = times

    def run(self):
        end = time.monotonic() + 60
        while self._left and time.monotonic() < end:
            for child in set(self._children.read_text().split()) - self._spared:
                if self._left:
                    os.kill(int(child), signal.SIGKILL)
                    self._spared.add(child)
                    self._left -= 1
            time.sleep(0.001)


def stalls(file, settings, max_pixels, send):
    time.sleep(30)


def with_stalling(monkeypatch, name, killer):
    """The decoder of one video does nothing until all kills have been made."""
    right = worker.decode_into_unit

    def decode_into_unit(writer, task, path, known):
        stuck = path.name == name and killer.is_alive()
        return right(writer, task, path, known, stalls if stuck else None)

    monkeypatch.setattr(worker, "decode_into_unit", decode_into_unit)


def only(name, videos):
    return [str(videos / f"{name}.mp4")]


def test_decoder_that_is_killed_from_outside_once_is_started_again(videos, monkeypatch):
    killer = Killer(1)
    with_stalling(monkeypatch, "a.mp4", killer)
    killer.start()
    report = ingest(only("a", videos), videos.parent / "out", CONFIG, HERE)
    killer.join()
    assert (report.totals["ok"], report.totals["seen"], report.failures) == (1, 1, [])


@pytest.mark.slow  # depends on when a signal arrives
def test_video_whose_decoder_keeps_being_killed_is_left_to_the_next_ingest(videos, monkeypatch):
    out = videos.parent / "out"
    ingest(only("b", videos), out, CONFIG, HERE)
    with monkeypatch.context() as patch:
        killer = Killer(worker.ATTEMPTS)
        with_stalling(patch, "a.mp4", killer)
        killer.start()
        with pytest.raises(UnprocessedError, match=r"1 of 1 videos .* killed from") as e:
            ingest(only("a", videos), out, CONFIG, HERE)
        killer.join()
    assert e.value.exit_code == 75
    assert [name for name, _ in e.value.report.failures] == ["a.mp4"]
    assert Store.open(out).totals["seen"] == 1
    assert ingest([str(videos)], out, CONFIG, HERE).totals["ok"] == 3


def test_machine_without_a_single_finished_video_leaves_no_store(videos, monkeypatch):
    out = videos.parent / "out"
    with monkeypatch.context() as patch:
        patch.setattr(worker, "DecoderChild", no_processes)
        with pytest.raises(MachineError, match=r"3 of 3 videos .*: no process here"):
            ingest([str(videos)], out, CONFIG, HERE)
    assert not (out / "store.json").exists()
    assert ingest([str(videos)], out, CONFIG, HERE).totals["ok"] == 3


def no_processes(*arguments):
    raise MachineError("no process here")


def test_ingest_stops_after_several_failures_in_a_row_and_keeps_what_is_finished(videos):
    seen = []

    class Failing:
        def run(self, function, tasks):
            for number, task in enumerate(tasks):
                seen.append(task)
                yield (
                    Outcome(task, None, "no reason")
                    if number
                    else Outcome(task, function(task), "")
                )

    for number in range(10):
        synthetic.encode(videos / f"z{number}.mp4", synthetic.scene(number, 0.2))
    with pytest.raises(
        MachineError, match="5 tasks in a row could not be processed: no reason"
    ) as e:
        ingest([str(videos)], videos.parent / "out", CONFIG, Failing())
    assert "rerun to resume" in e.value.hint
    # Of four units the first works; of the videos of the others the first works, too.
    assert len(seen) == 4 + 1 + ingest_module.MOST_FAILURES
    report = ingest([str(videos)], videos.parent / "out", CONFIG, HERE)
    assert (report.totals["ok"], report.totals["quarantined"]) == (13, 0)


def test_ingest_stops_after_several_units_in_a_row_that_are_lost(videos, monkeypatch):
    monkeypatch.setattr("footage.ingestion.planning.UNIT_VIDEOS", (2, 2))
    for number in range(17):
        synthetic.encode(videos / f"z{number:02d}.mp4", synthetic.scene(number, 0.1))

    class Losing:
        def run(self, _, tasks):
            yield from (Outcome(task, None, "no reason") for task in tasks)

    with pytest.raises(MachineError, match="5 tasks in a row could not be processed: no reason"):
        ingest([str(videos)], videos.parent / "out", CONFIG, Losing())
    assert not (videos.parent / "out" / "store.json").exists()


@pytest.mark.parametrize("number", ["EMFILE", "ENOMEM"])
def test_lack_of_descriptors_or_memory_while_hashing_is_not_the_fault_of_the_file(
    videos, monkeypatch, number
):
    code = getattr(errno, number)

    def sha256(path):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(worker, "sha256", sha256)
        with pytest.raises(
            MachineError, match="could not be processed: a worker process reached a"
        ):
            ingest(only("a", videos), videos.parent / "out", CONFIG, HERE)
    assert ingest(only("a", videos), videos.parent / "out", CONFIG, HERE).totals["ok"] == 1


def test_module_that_a_decoder_lacks_is_not_the_fault_of_the_video(videos, monkeypatch):
    for number in range(2 * ingest_module.MOST_FAILURES):
        synthetic.encode(videos / f"b{number}.mp4", synthetic.scene(number, 0.2))
    right = worker.decode_into_unit

    def decode_into_unit(writer, task, path, known):
        if not path.stem.startswith("b"):
            return right(writer, task, path, known)

        def lack(file, settings, max_pixels, send):
            importlib.import_module("a_module_that_nobody_installed")

        return right(writer, task, path, known, lack)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "decode_into_unit", decode_into_unit)
        with pytest.raises(UnprocessedError, match="No module named 'a_module_that_no") as e:
            ingest([str(videos)], videos.parent / "out", CONFIG, HERE)
    assert e.value.exit_code == 75
    assert (e.value.report.totals["ok"], e.value.report.totals["quarantined"]) == (2, 0)
    report = ingest([str(videos)], videos.parent / "out", CONFIG, HERE)
    assert (report.totals["ok"], report.totals["quarantined"]) == (13, 0)


def test_required_sandbox_that_is_incomplete_stops_the_ingest(videos, monkeypatch):
    config = IngestConfig(require_sandbox=True, short_side=64)
    monkeypatch.setattr("footage.sandbox.landlock._CREATE_RULESET", 999)
    with pytest.raises(SandboxError, match=r"missing on this machine: Landlock \(Function not"):
        ingest([str(videos)], videos.parent / "out", config, HERE)
    assert not (videos.parent / "out" / "store.json").exists()
    relaxed = ingest([str(videos)], videos.parent / "out", CONFIG, HERE)
    assert relaxed.totals["ok"] == 3
    assert "missing layers        Landlock (Function not implemented)" in relaxed.summary()


LIBRARY = """
import sys
from footage.commands.ingest import IngestConfig, ingest
ingest([sys.argv[1]], sys.argv[2], IngestConfig(workers=1, short_side=64))
"""
COMMAND = """
import sys
from footage.cli import main
sys.exit(main(["ingest", sys.argv[1], "--out", sys.argv[2], "--workers", "1"]))
"""


@pytest.mark.parametrize("program", [LIBRARY, COMMAND], ids=["library", "command"])
@pytest.mark.parametrize(
    "closed",
    ["<&- >&- 2>&-", *[pytest.param(one, marks=pytest.mark.slow) for one in (">&-", "2>&-")]],
)
def test_ingest_works_without_standard_streams(videos, closed, program):
    out = videos.parent / "out"
    script = f'exec "$0" -P -c "$@" {closed}'
    command = ["bash", "-c", script, sys.executable, program, str(videos), str(out)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert Store.open(out).totals["ok"] == Store.open(out).totals["seen"] == 3


@pytest.mark.parametrize(
    ("broken", "missing"),
    [
        ({"landlock._CREATE_RULESET": 999}, {"Landlock"}),
        ({"layers._NEW_IPC": 1}, {"namespaces", "empty root"}),
        ({"seccomp._PR_SET_SECCOMP": 9999}, {"seccomp"}),
        ({"layers._CAPABILITY_VERSION": 1}, {"no capabilities"}),
    ],
)
def test_ingest_works_where_a_layer_is_missing_and_reports_it(videos, monkeypatch, broken, missing):
    for name, value in broken.items():
        monkeypatch.setattr(f"footage.sandbox.{name}", value)
    report = ingest([str(videos)], videos.parent / "out", CONFIG, HERE)
    assert report.totals["ok"] == 3
    assert set(report.sandbox.missing) == missing
    assert all(f"{name} (" in report.summary() for name in missing)
