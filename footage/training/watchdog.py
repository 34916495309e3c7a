"""End a multi-process training run when one process hangs: the others would wait forever.

A process that is stopped, or stuck in a driver or on a file system, never reaches the collective
operation that the others wait in, and nothing fails. So a thread of each process watches the steps.
If no step finishes in time, the thread reports that, kills the other processes of the run on this
machine, and ends its own. It also ends with the launcher, which torchrun's processes do not.
"""

import contextlib
import hashlib
import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import TracebackType

import torch

from footage import distributed

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25


class Watchdog:
    """Watch the steps while open; do nothing in a single process without a launcher.

    Args:
        seconds: Longest time between two calls of `progress`, from the first call on. Time in
            which this process itself was stopped does not count.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._num_finished = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        if distributed.is_distributed():
            self._peers = _processes()
            self._launcher = os.getppid()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def progress(self) -> None:
        """Report that work that all processes wait for has finished."""
        self._num_finished += 1

    def _watch(self) -> None:
        seen, idle, before = 0, 0.0, time.monotonic()
        while not self._closing.wait(_TICK_SECONDS):
            now, finished = time.monotonic(), self._num_finished
            idle = idle + min(now - before, 2 * _TICK_SECONDS) if finished == seen else 0.0
            seen, before = finished, now
            if "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self._launcher:
                self._end("the launcher of this run has ended", "rerun to resume")
            if seen and idle > self._seconds:
                self._end(
                    f"no step finished for {self._seconds:g} s: {self._suspects()}",
                    "rerun to resume; raise --compute.stall-seconds if steps or saves take longer",
                )

    def _suspects(self) -> str:
        stopped = [
            f"rank {rank} (process {pid}) is stopped"
            for rank, pid in self._peers.items()
            if _state(pid) == "T"
        ]
        return ", ".join(stopped) or "a process of this run is hanging"

    def _end(self, message: str, hint: str) -> None:
        log.error("error: rank %d: %s", distributed.rank(), message)
        log.error("hint: %s", hint)
        for pid in self._peers.values():
            if pid != os.getpid():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        os._exit(1)


def _processes() -> dict[int, int]:
    """Return the process ids of the ranks on this machine, by rank."""
    machine = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/pid")
    key = int.from_bytes(hashlib.sha256(machine.encode()).digest()[:7], "big")
    everyone = distributed.gather(torch.tensor([[os.getpid(), key]]).to(distributed.device()))
    return {rank: pid for rank, (pid, where) in enumerate(everyone.tolist()) if where == key}


def _state(pid: int) -> str:
    """Return the state letter that `ps` shows; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
