"""Processes that footage starts work in any working directory, with any files in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from footage.processes import interpreters
from footage.processes.executors import LocalProcesses
from footage.store.reader import Store
from tests.support import synthetic

ROOT = Path(__file__).parents[2]
NAMES = (
    "signal", "struct", "select", "types", "socket", "random", "pickle", "copy", "json",
    "selectors", "numpy", "av", "torch", "footage",
)  # fmt: skip


@pytest.fixture
def hostile_folder(tmp_path):
    """A folder with modules that hide those of the standard library and fail."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text("raise SystemExit(f'{__name__} of this folder')\n")
    return folder


def run(folder, program, *arguments):
    """Run a program that starts processes; it is itself safe, as an installed command is."""
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


PROGRAMS = {
    "ingest workers": (
        "from footage.processes.executors import LocalProcesses\n"
        "print([outcome.result for outcome in LocalProcesses(1).run(abs, [-7])])",
        "[7]\n",
    ),
    "confined workers": (
        "from footage.sandbox.messages import Confinement\n"
        "from footage.sandbox.worker import ConfinedWorker\n"
        "limits = Confinement(memory_bytes=2**28, cpu_seconds=9, wall_seconds=99., "
        "silent_seconds=99.)\n"
        "print(ConfinedWorker('tests.sandbox.functions:obey', limits).call(b'reverse abc'))",
        "b'cba'\n",
    ),
    "readers of frames": (
        "import sys\n"
        "from pathlib import Path\n"
        "from footage.video.frame_reader import FrameReader\n"
        "with FrameReader(size=32, frames_per_second=2.0) as reader:\n"
        "    print(len(list(reader.frames(Path(sys.argv[1])))))",
        "4\n",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_processes_import_nothing_from_the_working_directory(hostile_folder, tmp_path, name):
    program, expected = PROGRAMS[name]
    video = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 2.0))
    done = run(hostile_folder, program, str(video))
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


@pytest.mark.slow
def test_commands_work_from_a_folder_with_modules_like_those_of_the_standard_library(
    hostile_folder, tmp_path
):
    for seed in range(4):
        scenes = synthetic.cuts([2 * seed, 2 * seed + 1], 2.0)
        synthetic.encode(tmp_path / "videos" / f"{seed}.mp4", scenes)
    program = "import sys; from footage.cli import main; sys.exit(main())"
    for command in (
        "ingest ../videos --out ../store --workers 2 --short-side 64",
        "train vivi-ex4-tiny --store ../store --out ../run --steps 2 --sampling.videos-per-batch 2"
        " --compute.workers 2 --compute.threads 1",
        "embed ../run ../videos --out ../features.parquet",
    ):
        done = run(hostile_folder, program, *command.split())
        assert done.returncode == 0, done.stderr
    assert Store.open(tmp_path / "store").totals["ok"] == 4
    assert (tmp_path / "features.parquet").exists()


def environment_in_memory(name):
    """Whether a process has a variable, or began with it."""
    return name in os.environ or name.encode() in Path("/proc/self/environ").read_bytes()


def test_ingest_workers_of_local_files_have_no_credentials(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    names = ["AWS_SECRET_ACCESS_KEY", "PYTHONHASHSEED", "PATH"]
    workers = LocalProcesses(1, interpreters.minimal_environment())
    found = {one.task: one.result for one in workers.run(environment_in_memory, names)}
    assert found == {"AWS_SECRET_ACCESS_KEY": False, "PYTHONHASHSEED": True, "PATH": True}
    (outcome,) = LocalProcesses(1).run(environment_in_memory, names[:1])
    assert outcome.result is True
