"""Compute when frames are shown from the timestamps in a file, even if some are wrong.

A timestamp later than all before it is used unchanged. To distinguish wrong ones from good ones,
frames wait until a few more are read, and wrong timestamps are replaced by times in between:

    timestamp    0.0   0.1   0.1   0.3   9.9   0.5   none   0.7   0.2   0.9
    shown at     0.0   0.1   0.2   0.3   0.4   0.5   0.6    0.7   0.8   0.9

Only a clock that restarts, where two recordings were joined, shifts all following frames. See
decisions/0121.
"""

import collections
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

FEW, MANY = 16, 128
"""Lookahead in frames: at a timestamp out of order, and if none of those is good."""
NEAR_SECONDS, NEAR_STEPS = 0.5, 5
"""A timestamp later than both of these is compared with more of the following ones."""
SAME_SECONDS = 1e-6
"""Times that differ by no more than this are equal."""
JITTER_SECONDS = 0.1
"""A clock that goes back by less has not restarted; FFmpeg uses the same limit."""
LONGEST_GAP_SECONDS = 3600.0
"""A longer gap starts another clock, in containers whose clocks may restart."""


class Shown(NamedTuple):
    """A frame and its presentation time; `is_guessed` if its own timestamp cannot be right."""

    seconds: float
    is_guessed: bool
    item: Any


class _Rise(NamedTuple):
    """A longest increasing subsequence of times: position of its first element, and length."""

    place: int = -1
    length: int = 0


class Timeline:
    """Converts the timestamps of one video to strictly increasing times.

    Args:
        step: The usual time between two frames, in seconds.
        declared_seconds: Length of the video, if its container declares it; guessed times of frames
            at the end stay within it.
        clocks_restart: Whether the container allows clocks that restart, as MPEG-TS does.
        most_waiting: Maximum number of waiting frames, at least two.
    """

    def __init__(
        self,
        step: float,
        declared_seconds: float | None = None,
        *,
        clocks_restart: bool = False,
        most_waiting: int = MANY,
    ) -> None:
        self._step = step
        self._near = max(NEAR_SECONDS, NEAR_STEPS * step)
        self._declared = declared_seconds
        self._clocks_restart = clocks_restart
        self._few, self._many = min(FEW, most_waiting), min(MANY, most_waiting)
        self._source: Iterator[tuple[float | None, Any]] = iter(())
        self._waiting: collections.deque[tuple[float | None, Any]] = collections.deque()
        self._last = -math.inf
        self._first_stamp, self._latest_stamp = math.inf, -math.inf
        self._shift, self._shift_before = 0.0, 0.0
        self.end = math.inf
        """The end of the video according to its container; infinite if unknown."""
        self.has_restarted = False
        """Whether a clock has restarted; the declared length is then that of one part."""

    def times(self, frames: Iterable[tuple[float | None, Any]]) -> Iterator[Shown]:
        """Yield the time of each frame, given its timestamp in seconds or None, and its data."""
        self._source = iter(frames)
        while self._wait_for(2):
            seconds, is_guessed = self._next()
            if self._last == -math.inf and self._declared is not None:
                self.end = seconds + self._declared
            self._last = max(seconds, math.nextafter(self._last, math.inf))
            stamp, item = self._waiting.popleft()
            if stamp is not None:
                self._latest_stamp = max(self._latest_stamp, stamp)
            if stamp is not None and not is_guessed:
                self._first_stamp = min(self._first_stamp, stamp)
                if seconds > self.end + self._step:  # it continues after its declared end
                    self.end = math.inf
            yield Shown(self._last, is_guessed, item)

    @property
    def stamped_seconds(self) -> float:
        """Seconds from the first good timestamp to the latest of all, good or not."""
        return max(0.0, self._latest_stamp - self._first_stamp)

    def _wait_for(self, count: int) -> bool:
        """Read frames until `count` are waiting or none are left; return whether any is waiting."""
        while len(self._waiting) < count:
            frame = next(self._source, None)
            if frame is None:
                break
            self._waiting.append(frame)
        return bool(self._waiting)

    def _next(self) -> tuple[float, bool]:
        """Return the time of the frame that has waited longest, and whether it is a guess."""
        self._choose_clock()
        ahead = self._ahead(2)
        if self._continues(ahead):
            assert ahead[0] is not None
            return ahead[0], False
        rise = _Rise()
        for count in (self._few, self._many):
            self._wait_for(count)
            ahead = self._ahead(count)
            rise = _longest_rise(ahead, self._last, self._step)
            if self._starts_again(ahead, is_sure=count == self._many and not rise.length):
                return self._start_again(), False
            if self._is_clear(ahead, rise):
                break
        if not rise.length:
            return self._after_last(len(ahead)), ahead[0] is not None
        time = ahead[rise.place]
        assert time is not None
        if rise.place > 0:
            return self._before(time, rise.place), ahead[0] is not None
        if self._clocks_restart and LONGEST_GAP_SECONDS < time - self._last < math.inf:
            return self._start_again(), False
        return time, False

    def _ahead(self, count: int) -> list[float | None]:
        """Return the times of the first waiting frames by the current clock."""
        waiting = itertools.islice(self._waiting, count)
        return [None if stamp is None else stamp + self._shift for stamp, _ in waiting]

    def _choose_clock(self) -> None:
        """Return to the previous clock if only that one continues from the last frame."""
        stamp, _ = self._waiting[0]
        if stamp is None or self._shift == self._shift_before:
            return
        now, before = (
            0 < stamp + shift - self._last <= self._near
            for shift in (self._shift, self._shift_before)
        )
        if before and not now:
            self._shift, self._shift_before = self._shift_before, self._shift

    def _continues(self, ahead: Sequence[float | None]) -> bool:
        """Return whether the first frame closely follows the last one, and the second the first."""
        time, following = ahead[0], ahead[1] if len(ahead) > 1 else None
        if time is None or time <= self._last + SAME_SECONDS:
            return False
        if following is not None and following <= time + SAME_SECONDS:
            return False
        if self._last == -math.inf:
            return following is None or following - time <= self._near
        return time - self._last <= self._near

    def _is_clear(self, ahead: Sequence[float | None], rise: _Rise) -> bool:
        """Return whether no more frames are needed to decide about the first."""
        stamped = sum(time is not None for time in ahead)
        if not rise.length:
            return stamped == 0 and self._last > -math.inf
        time = ahead[0]
        is_near = time is not None and time - self._last <= self._near
        return rise.place > 0 or is_near or rise.length == stamped

    def _starts_again(self, ahead: Sequence[float | None], *, is_sure: bool) -> bool:
        """Return whether the clock has restarted at an earlier time.

        Two frames must lie before the last one. If clocks may restart, they are enough. Otherwise
        more frames are needed that continue from them, and they must start where the video started,
        or never return to the later time.
        """
        time = ahead[0]
        if time is None or time > self._last - JITTER_SECONDS or self._last == -math.inf:
            return False
        stamped = [one for one in ahead if one is not None]
        run = 1
        while run < len(stamped) and 0 <= stamped[run] - stamped[run - 1] <= self._near:
            run += 1
        if run < 2 or stamped[run - 1] == time or stamped[1] > self._last:
            return False
        if self._clocks_restart:
            return True
        is_beginning = time - self._shift <= self._first_stamp + self._step
        return run >= self._few and (is_beginning or is_sure)

    def _start_again(self) -> float:
        stamp, _ = self._waiting[0]
        assert stamp is not None
        self._shift_before, self._shift = self._shift, self._last + self._step - stamp
        self.has_restarted = True
        self.end = math.inf
        return self._last + self._step

    def _before(self, time: float, place: int) -> float:
        """Guess the time of a frame that is `place` frames before one with a good time."""
        if self._last == -math.inf:
            return time - self._step * place
        return self._last + min(self._step, (time - self._last) / (place + 1))

    def _after_last(self, count: int) -> float:
        """Guess the time of the first of `count` frames without a good time."""
        if self._last == -math.inf:
            return 0.0
        return self._last + min(self._step, max(0.0, self.end - self._last) / (count + 1))


class EvenTimes:
    """Selects frames at a constant rate, counted from the first frame.

    The first frame at or after each multiple of the interval is selected. A frame with a guessed
    time is skipped, unless no other frame occurs for a whole interval.
    """

    SLACK_SECONDS = 1e-3
    """Tolerance in seconds, for containers that round times to milliseconds."""

    def __init__(self, frames_per_second: float) -> None:
        self._rate = frames_per_second
        self._slack = min(self.SLACK_SECONDS, 0.1 / frames_per_second)
        self._start: float | None = None
        self._due = -math.inf

    def takes(self, seconds: float, *, is_guessed: bool = False) -> bool:
        """Return whether to take the next frame."""
        if self._start is None:
            self._start = seconds
        if seconds < self._due + (1 / self._rate if is_guessed else 0.0):
            return False
        passed = math.floor((seconds - self._start + 1.01 * self._slack) * self._rate)
        self._due = self._start + (passed + 1) / self._rate - self._slack
        return True


def _longest_rise(times: Sequence[float | None], last: float, step: float) -> _Rise:
    """Return the longest rise of times after `last`; of several, the one that starts as expected.

    The expected start is one step per frame after `last`, or before the next time of the rise.
    """
    rises: dict[int, tuple[int, float]] = {}
    for place in range(len(times) - 1, -1, -1):
        time = times[place]
        if time is None or time <= last + SAME_SECONDS:
            continue
        length, error = 1, 0.0
        for later, (more, _) in rises.items():
            gap = (times[later] or 0.0) - time
            off = abs(gap - step * (later - place))
            if gap > SAME_SECONDS and (more + 1 > length or (more + 1 == length and off < error)):
                length, error = more + 1, off
        if last > -math.inf:
            error = abs(time - last - step * (place + 1))
        rises[place] = (length, error)
    if not rises:
        return _Rise()
    place = min(rises, key=lambda one: (-rises[one][0], round(rises[one][1], 6), one))
    return _Rise(place, rises[place][0])
