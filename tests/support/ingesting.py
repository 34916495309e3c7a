"""What the tests of ingest share."""

import hashlib
import os
import signal
from pathlib import Path

from footage.commands.ingest import IngestConfig
from footage.ingestion.worker import ingest_unit
from footage.processes.executors import Outcome
from footage.processes.executors.local import LocalProcesses
from footage.store.records import finished_units


class InThisProcess:
    """Runs tasks here, so that tests can reach into them."""

    def run(self, function, tasks):
        for task in tasks:
            yield Outcome(task, function(task), "")


HERE = InThisProcess()
CONFIG = IngestConfig(workers=2, short_side=64)


def hashes(store):
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(store).rglob("*"))
        if path.is_file()
    }


RUN = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from footage.commands.ingest import IngestConfig, ingest\n"
    "ingest([sys.argv[2]], sys.argv[3], IngestConfig(workers=2, short_side=64))\n"
)


RUN_THAT_KILLS_ITSELF = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from footage.commands.ingest import ingest\n"
    "from tests.support.ingesting import CONFIG, KilledAfterOneUnit\n"
    "ingest([sys.argv[2]], sys.argv[3], CONFIG, KilledAfterOneUnit())\n"
)


def ingest_one_unit(task):
    """Ingest a unit, or kill the whole process group if another unit is already finished."""
    if any(True for _ in finished_units(task.store)):
        os.killpg(0, signal.SIGKILL)
    return ingest_unit(task)


class KilledAfterOneUnit:
    """An executor with one local process, which kills ingest before the second unit."""

    def run(self, function, tasks):
        assert function is ingest_unit
        yield from LocalProcesses(1).run(ingest_one_unit, tasks)


def ingest_unless_deadly(task):
    """Ingest a unit; the process dies if it decodes deadly.mp4."""
    is_deadly = any(one.source.name == "deadly.mp4" for one in task.sources)
    if is_deadly and not task.quarantine_reason:
        os.kill(os.getpid(), signal.SIGKILL)
    return ingest_unit(task)


class WithDeadlyVideo:
    """Processes on this machine, which die if they decode deadly.mp4."""

    def run(self, function, tasks):
        assert function is ingest_unit
        yield from LocalProcesses(2).run(ingest_unless_deadly, tasks)
