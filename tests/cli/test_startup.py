"""Help appears at once: it loads nothing that only the work needs."""

import os
import subprocess
import sys

import pytest

from footage import cli

HEAVY = {"torch", "torchvision", "timm", "pyarrow", "av", "cv2", "numpy", "matplotlib"}
OF_RECIPES = {"numpy"}
"""jaxtyping imports it, and levels state their shapes with jaxtyping."""
CODE = f"""
import sys
from footage.cli import main
try:
    main(sys.argv[1:])
finally:
    loaded = {HEAVY!r} & set(sys.modules)
    sys.stderr.write(" ".join(sorted(loaded)))
"""


def help_of(words):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *words, "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        [],
        *([name] for name in cli.COMMANDS),
        ["train", "vivi-nce-tiny"],
        ["store", "verify"],
        ["vtab", "doctor"],
        ["vtab", "export"],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy_and_fits_80_columns(words):
    process = help_of(words)
    text, loaded = process.communicate()
    assert process.returncode == 0
    assert set(loaded.split()) <= (OF_RECIPES if words[:1] == ["train"] else set())
    assert "STR" not in text.replace("STORE", "")
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("usage:"))


@pytest.mark.parametrize("words", [["evaluate"], ["train", "vivi-ex4-tiny"]], ids=" ".join)
def test_help_takes_less_than_two_seconds_of_cpu_time(words):
    process = help_of(words)
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < 2
