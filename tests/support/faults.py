"""`python -m tests.support.faults` is the command line of footage with a fault in one process.

The variable FAULT is KIND:RANK:STEP. At that step, `raise` raises an error and `bug` any other
exception, `nan-loss` and `nan-gradient` spoil a number, `loader` kills a loading worker, and
`kill`, `stop`, `term` and `usr1` send a signal to the process. Each process leaves its id, its exit
code, its steps, and the times of its fault and of the step before in FOLDER.
"""

import os
import signal
import sys
import time
from pathlib import Path

from footage import cli
from footage.errors import FootageError
from tests.support.training import at_steps

RANK = os.environ.get("RANK", "0")


def leave(folder, name, text):
    (Path(folder) / f"{name}-{RANK}").write_text(text)


def fault(kind, rank, at, folder):
    began = 0.0

    def action(step, output):
        nonlocal began
        loss, levels = output
        leave(folder, "step", str(step))
        before, began = began, time.time()
        if rank != RANK or step != int(at):
            return None
        leave(folder, "before", str(before))
        leave(folder, "time", str(began))
        if kind == "raise":
            raise FootageError("the fault of this test", "nothing")
        if kind == "bug":
            raise ZeroDivisionError("the fault of this test")
        if kind == "nan-loss":
            return loss * float("nan"), levels
        if kind == "nan-gradient":
            loss.register_hook(lambda gradient: gradient * float("nan"))
        if kind == "loader":
            pid = os.getpid()
            workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(workers[0]), signal.SIGKILL)
        if kind in ("kill", "stop", "term", "usr1"):
            os.kill(os.getpid(), getattr(signal, f"SIG{kind.upper()}"))
        return None

    return at_steps(action)


if __name__ == "__main__":
    folder = os.environ["FOLDER"]
    leave(folder, "pid", str(os.getpid()))
    with fault(*os.environ.get("FAULT", "none:0:0").split(":"), folder):
        code = cli.main(sys.argv[1:])
    leave(folder, "code", str(code))
    sys.exit(code)
