"""What the tests of ingest share."""

import hashlib
from pathlib import Path

from footage.commands.ingest import IngestConfig
from footage.processes.executors import Outcome


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
