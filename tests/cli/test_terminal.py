"""The command line as a Unix tool: its streams, its text, its errors, its exit codes."""

import os
import shlex
import subprocess
import sys

import pytest

from footage.cli import terminal

FOOTAGE = f"{shlex.quote(sys.executable)} -m footage"


def program(expression):
    """A program with one command, which evaluates an expression."""
    code = (
        "import logging; from footage.cli import run_program;"
        f" raise SystemExit(run_program({{'run': lambda words: {expression}}}, 'usage', ['run']))"
    )
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def shell(command, cwd, **options):
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Grüße 雪", "plain Grüße 雪"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("bell\x07 back\x08 return\r", r"bell\x07 back\x08 return\r"),
        ("c1\x9b31m", r"c1\x9b31m"),
        ("turned\u202egpj.exe", r"turned\u202egpj.exe"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        ("two\tcolumns\n", "two\tcolumns\n"),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert terminal.printable(text) == shown


def test_a_hostile_name_reaches_the_terminal_as_text(tmp_path):
    name = "x\x1b]0;owned\x07\n.mp4"
    (tmp_path / name).write_bytes(b"not a video")
    done = shell(f"{FOOTAGE} ingest . --out store", tmp_path)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "owned" in done.stdout
    done = shell(f"{FOOTAGE} embed {shlex.quote(name)} x --out e.parquet", tmp_path)
    assert "\x1b" not in done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        (f"set -o pipefail; {FOOTAGE} recipes | true", 141, ""),
        (
            f"{FOOTAGE} recipes > /dev/full",
            74,
            "error: standard output cannot be written: No space",
        ),
        (f"{FOOTAGE} recipes >&-", 0, ""),
        (f"{FOOTAGE} recipes 2>&-", 0, ""),
        (f"{FOOTAGE} recipes <&- >&- 2>&-", 0, ""),
        (f"{FOOTAGE} trian 2>&-", 2, ""),
        (f"{FOOTAGE} trian 2> /dev/full", 2, ""),
        (f"{program('logging.warning(words)')} 2> /dev/full", 0, ""),
        (f"{program('1 / 0')} 2> /dev/full", 1, ""),
        (f"{FOOTAGE} ingest missing --out store 2> /dev/full", 1, ""),
        (f"{FOOTAGE} recipes > /dev/full 2> /dev/full", 74, ""),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_are_closed_or_full_end_it_like_any_tool(
    command, code, error, unbuffered, tmp_path
):
    done = shell(command, tmp_path, env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == code
    assert done.stderr.startswith(error)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
