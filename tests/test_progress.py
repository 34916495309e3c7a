"""The progress bar as a person sees it on a terminal."""

import subprocess
import sys

import pytest

from tests.support.screen import screens

PROGRAM = """
import logging, time
from footage.cli.logs import StderrHandler
from footage.progress import progress_bar

logging.basicConfig(handlers=[StderrHandler()], level=logging.INFO)
with progress_bar(DESCRIPTION, total=TOTAL, unit=UNIT) as bar:
    for step in range(1, 13):
        time.sleep(0.2)
        bar.update(step * AMOUNT)
        if step % 4 == 0:
            logging.info("step %d: %s", step, "a long line of the log, " * 5)
    FAIL
"""


def program(description="train", total=12.0, unit="steps", amount=1, fail=""):
    values = {"DESCRIPTION": repr(description), "TOTAL": total, "UNIT": repr(unit)}
    values |= {"AMOUNT": amount, "FAIL": fail}
    text = PROGRAM
    for name, value in values.items():
        text = text.replace(name, str(value))
    return [sys.executable, "-c", text]


@pytest.mark.parametrize(
    ("shown", "options"),
    [
        (["train ", "/12 steps", "/s", "0:00:0"], {}),
        (["ingest ", " kB of 120.0 kB", " kB/s"],
         {"description": "ingest", "total": 120_000, "unit": "bytes", "amount": 10_000}),
        (["evaluate pocket ", " %"], {"description": "evaluate pocket", "unit": ""}),
        (["a name that is far too long", "…"],
         {"description": "a name that is far too long for the screen of a person"}),
    ],
)  # fmt: skip
def test_a_bar_has_one_line_of_the_terminal_and_leaves_none_behind(shown, options):
    start = options.get("description", "train")[:8]
    bars, screen = [], []
    for screen in screens(program(**options), columns=80):
        drawn = [line for line in screen if line.startswith(start)]
        assert len(drawn) <= 1, screen
        bars += drawn
    assert any(all(part in line for part in shown) for line in bars), bars[-1]
    assert all("━" in line and len(line) <= 80 for line in bars)
    assert not [line for line in screen if "━" in line]
    assert sum(line.startswith("step ") for line in screen) == 3


def test_a_bar_disappears_when_the_work_fails():
    *_, screen = screens(program(fail="raise SystemExit(0)"), columns=80)
    assert sum(line.startswith("step ") for line in screen) == 3
    assert not [line for line in screen if "━" in line]


def test_without_a_terminal_there_is_no_bar():
    done = subprocess.run(program(), capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert all(line.startswith("step ") for line in done.stderr.splitlines())
