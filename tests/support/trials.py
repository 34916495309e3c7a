"""A record of what every test tried: `pytest --trials FILE`, as `make nightly` calls it.

Each test function gets its outcome, how many cases it had, and how many trials: one per case, or
what the test counted itself with the `trials` fixture. `docs/background/reliability.md` is made
from the file.
"""

import datetime
import json
from pathlib import Path

import pytest

from footage.runs.environment import environment


def pytest_addoption(parser):
    parser.addoption("--trials", default="", help="write outcomes and trials to this JSON file")


@pytest.fixture
def trials(record_property):
    """Call it with the number of trials of a test."""

    def count(number):
        record_property("trials", number)

    return count


class Recorder:
    """Adds up the outcomes of the cases of each test function.

    Tests that did not run keep their row of an earlier run, with its date and commit.
    """

    def __init__(self, path):
        self.path = path
        self.tests = {}
        self.run = {
            "date": datetime.date.today().isoformat(),
            "commit": environment()["commit"],
        }

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and not (report.when == "setup" and not report.passed):
            return
        name = report.nodeid.partition("[")[0]
        empty = {"passed": 0, "failed": 0, "skipped": 0, "trials": 0, "seconds": 0.0}
        row = self.tests.setdefault(name, empty | self.run)
        row[report.outcome] += 1
        row["seconds"] = round(row["seconds"] + report.duration, 1)
        if report.passed:
            counted = [value for key, value in report.user_properties if key == "trials"]
            row["trials"] += sum(counted) if counted else 1

    def pytest_sessionfinish(self):
        earlier = json.loads(self.path.read_text())["tests"] if self.path.exists() else {}
        content = {
            "machine": environment()["machine"],
            "tests": dict(sorted((earlier | self.tests).items())),
        }
        self.path.write_text(json.dumps(content, indent=1) + "\n")


def pytest_configure(config):
    in_worker = hasattr(config, "workerinput")  # a pytest-xdist worker reports to its parent
    if config.getoption("--trials") and not in_worker:
        config.pluginmanager.register(Recorder(Path(config.getoption("--trials"))))
