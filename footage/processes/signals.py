"""Stop on request: remember the signal, finish the step, save, and only then stop.

The signal handler only sets a flag, because it may interrupt a checkpoint that is being written.
Clusters send SIGTERM or SIGUSR1 before they reclaim a machine; Ctrl-C sends SIGINT. SIGHUP is not
handled: it ends the process as SIGKILL does, and a resumed run continues from its checkpoint.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """Records such signals in `number` while open; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.number = 0
        """Number of the first signal; 0 before any signal."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # signals reach no other thread
            self._before = {one: signal.signal(one, self._remember) for one in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number
