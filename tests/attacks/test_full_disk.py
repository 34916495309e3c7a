"""A disk that is too small, for every command that writes: one error, and nothing half-written.

Each command writes into a file system of its own, of several sizes around what it needs.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from footage.commands.ingest import IngestConfig, ingest
from footage.commands.train import train
from tests.support.labelled_shapes import draw_shapes
from tests.support.training import AS_OPTIONS, smallest

FOOTAGE = f"{shlex.quote(sys.executable)} -m footage"
OPTIONS = shlex.join(AS_OPTIONS)
COMMANDS = {
    "ingest": "ingest videos --out small/store --short-side 64 --workers 1",
    "train": f"train vivi-ex4-tiny --store store --out small/run --steps 4 {OPTIONS}",
    "embed": "embed run shapes --out small/features.parquet --size 32",
    "export to timm": "export run --to timm --out small/timm",
    "export to safetensors": "export run --to safetensors --out small/backbone.safetensors",
    "evaluate": "evaluate run --labels shapes --out small/results.json",
    "profile": "profile run --store store --out small/profile",
    "report": "report run --out small/report.html",
}
KILOBYTES = (4, 32, 256, 2048, 65536)
"""Disk sizes from room for a name only to more than enough."""


def can_mount():
    done = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, video_folder):
    if not can_mount():
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "videos").symlink_to(video_folder)
    (folder / "small").mkdir()
    ingest([str(video_folder)], folder / "store", IngestConfig(short_side=64))
    train(smallest(), store=folder / "store", out=folder / "run")
    draw_shapes(folder / "shapes")
    return folder


def run_in(workspace: Path, command: str, kilobytes: int):
    """Exit code, error lines and files left, of a command whose disk has this size."""
    script = (
        f"mount -t tmpfs -o size={kilobytes}k none small; {FOOTAGE} {command}; code=$?;"
        " echo; find small -mindepth 1 -printf 'left %P\\n'; exit $code"
    )
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    left = [line[5:] for line in done.stdout.splitlines() if line.startswith("left ")]
    return done.returncode, done.stderr, left


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_small_disk_is_one_error_and_leaves_nothing_half_written(workspace, name, trials):
    codes = []
    for kilobytes in KILOBYTES:
        code, errors, left = run_in(workspace, COMMANDS[name], kilobytes)
        where = f"{name} with {kilobytes} kB: exit code {code}\n{errors}\n{left}"
        assert code in (0, 74), where
        assert "Traceback" not in errors, where
        assert not [one for one in left if re.search(r"partial|\.tmp|space", one)], where
        if code == 74:
            lines = [line for line in errors.splitlines() if re.match("error:|hint:", line)]
            assert [line.partition(":")[0] for line in lines] == ["error", "hint"], where
            assert re.search(r"No space left|MB are free", errors), where
        codes.append(code)
    assert codes[0] == 74
    assert codes[-1] == 0
    trials(len(KILOBYTES))
