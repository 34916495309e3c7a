"""The fast detector: an adaptive threshold for hard cuts, and tests for fades and dissolves."""

import collections

import cv2
import numpy as np

from footage.video.detectors.base import Boundary, TinyFrame, difference, register_detector


class HardCutTest:
    """Detects hard cuts: frames that change far more than their neighbours.

    The algorithm of PySceneDetect's AdaptiveDetector with its default thresholds, without importing
    the package and without its scoring in 32 bits, which are slow. A change is the mean absolute
    difference of hue, saturation and value. A test compares the two.
    """

    WIDTH = 2
    """Number of frames on either side with which a frame is compared."""
    SMALLEST_CHANGE = 15.0
    """Minimum mean difference from the previous frame, out of 255."""
    SMALLEST_RATIO = 3.0
    """Minimum ratio to the mean change of the neighbours."""

    def __init__(self) -> None:
        self._last: TinyFrame | None = None
        self._changes: collections.deque[float] = collections.deque(maxlen=2 * self.WIDTH + 1)

    def push(self, tiny: TinyFrame) -> bool:
        """Process the next frame; return whether the frame `WIDTH` before it follows a cut."""
        hsv = cv2.cvtColor(tiny, cv2.COLOR_RGB2HSV)
        last, self._last = self._last, hsv
        self._changes.append(0.0 if last is None else cv2.norm(hsv, last, cv2.NORM_L1) / hsv.size)
        if len(self._changes) < 2 * self.WIDTH + 1:
            return False
        change = self._changes[self.WIDTH]
        if change < self.SMALLEST_CHANGE:
            return False
        others = [*self._changes]
        del others[self.WIDTH]
        usual = sum(others) / (2 * self.WIDTH)
        return usual < 1e-5 or change / usual >= self.SMALLEST_RATIO


@register_detector("adaptive")
class AdaptiveCuts:
    """Detects hard cuts by their change, fades by brightness, and dissolves by mixture.

    The score of a hard cut is the difference of the two frames at the cut. There is no minimum
    length, because `ShotBuilder` merges by seconds.

    A frame that repeats the previous one is not tested for a hard cut. Slow footage in a fast
    container has many repeats, and next to their zero differences every ordinary change would look
    like a cut. A picture that stays still for longer is passed again, as a reference for the next.
    """

    REPEATED = 2.5e-3
    """Mean difference of tiny frames, 0 to 1, up to which a frame repeats the one before it."""
    LONGEST_REPEAT_SECONDS = 0.25

    def __init__(self) -> None:
        self._cuts, self._fades, self._dissolves = HardCutTest(), FadeTest(), DissolveTest()
        length = HardCutTest.WIDTH + 2
        self._recent: collections.deque[tuple[float, float]] = collections.deque(maxlen=length)
        self._last: TinyFrame | None = None

    def push(self, tiny: TinyFrame, seconds: float) -> list[Boundary]:
        """Process the next frame; cuts are detected two frames late."""
        gradual = self._fades.push(sum(cv2.mean(tiny)) / 3, seconds)
        gradual += self._dissolves.push(tiny, seconds)
        change = 0.0 if self._last is None else difference(tiny, self._last)
        stands = self._recent and seconds - self._recent[-1][0] > self.LONGEST_REPEAT_SECONDS
        if self._last is not None and change <= self.REPEATED and not stands:
            return gradual
        self._recent.append((seconds, change))
        self._last = tiny
        if self._cuts.push(tiny):
            return [Boundary(*self._recent[-1 - HardCutTest.WIDTH]), *gradual]
        return gradual

    @property
    def settled_seconds(self) -> float:
        """Time of the oldest frame that may become a cut, or the start of a fade or dissolve."""
        oldest = self._recent[0][0] if self._recent else -np.inf
        return min(oldest, self._fades.settled_seconds, self._dissolves.settled_seconds)

    def finish(self) -> list[Boundary]:
        """Return the remaining boundaries after the last frame."""
        return self._dissolves.finish()


class FadeTest:
    """Detects fades through black from the mean brightness of frames.

    A short black interval is one boundary, at its middle. A longer one is a separate shot, so that
    no frame has to wait for its end.
    """

    BLACK = 12.0
    """Mean brightness of 255 below which a frame is black, as in PySceneDetect."""
    LONGEST_GAP_SECONDS = 2.0

    def __init__(self) -> None:
        self._dark_since: float | None = None
        self._is_long = False
        self._has_seen_picture = False
        self._now = -np.inf

    def push(self, brightness: float, seconds: float) -> list[Boundary]:
        """Process the brightness of the next frame, 0 to 255."""
        self._now = seconds
        is_dark = brightness < self.BLACK
        if self._dark_since is None:
            if is_dark:
                self._dark_since, self._is_long = seconds, False
            self._has_seen_picture |= not is_dark
            return []
        gap = seconds - self._dark_since
        if is_dark:
            if gap <= self.LONGEST_GAP_SECONDS or self._is_long or not self._has_seen_picture:
                return []
            self._is_long = True
            return [Boundary(self._dark_since, 1.0)]
        begin, self._dark_since = self._dark_since, None
        if not self._has_seen_picture:  # black before the first picture is not a separate shot
            self._has_seen_picture = True
            return [Boundary(seconds, 1.0)] if gap > self.LONGEST_GAP_SECONDS else []
        if self._is_long:
            return [Boundary(seconds, 1.0)]
        return [Boundary(begin + gap / 2, 1.0, begin, seconds)]

    @property
    def settled_seconds(self) -> float:
        """Time before which no boundary follows: the start of black that may be a fade."""
        waits = self._dark_since is not None and not self._is_long and self._has_seen_picture
        return self._dark_since if waits and self._dark_since is not None else self._now


class DissolveTest:
    """Detects dissolves, in which every frame is a mixture of the two shots.

    In each window of frames, the middle frame is compared with the mixture of the first and the
    last frame that corresponds to its time. With motion or a hard cut, about half of the change
    remains unexplained; in a dissolve, hardly any. A picture that only becomes brighter or darker
    is a mixture too, but its ends look alike. A blurred picture that pans is nearly a mixture: for
    a wave that moves by 2 a, the ends correlate by cos 2a, and tan(a / 2) / 2 remains.

    Ours; the thresholds were chosen on compilations of real clips, see experiments/notebook.md.
    """

    WINDOW_SECONDS = 0.9
    STRIDE_SECONDS = 0.06
    """Time between windows, in seconds; testing at every frame finds no more dissolves."""
    SMALLEST_CHANGE = 0.07
    """Minimum mean difference of first and last, 0 to 1, without that of their brightness."""
    LARGEST_LIKENESS = 0.8
    """Correlation of first and last above which they count as one picture."""
    LARGEST_REST = 0.3
    """Maximum fraction of the change that the mixture leaves unexplained."""
    GLIDING_REST = 1.2
    """The same, as a multiple of the residual of a panning wave."""
    GAP_SECONDS = 0.25
    """Mixtures closer than this, in seconds, belong to one dissolve."""

    def __init__(self) -> None:
        self._recent: collections.deque[tuple[float, TinyFrame]] = collections.deque()
        self._next = -np.inf
        self._first, self._last, self._score = np.inf, -np.inf, 0.0

    def push(self, tiny: TinyFrame, seconds: float) -> list[Boundary]:
        """Process the next frame; a dissolve is detected about half a second after its end."""
        recent = self._recent
        recent.append((seconds, tiny))
        while len(recent) > 2 and recent[1][0] <= seconds - self.WINDOW_SECONDS:
            recent.popleft()
        if seconds - recent[0][0] < 0.9 * self.WINDOW_SECONDS or seconds < self._next:
            return []
        self._next = seconds + self.STRIDE_SECONDS
        middle = (recent[0][0] + seconds) / 2
        change = self._mixed_change(middle)
        found = self.finish() if middle > self._last + self.GAP_SECONDS else []
        if change > 0:
            self._first, self._last = min(self._first, middle), middle
            self._score = max(self._score, change)
        return found

    def _mixed_change(self, middle_seconds: float) -> float:
        """Return the change over the window if it is a mixture, else 0."""
        (begin, first), (end, last) = self._recent[0], self._recent[-1]
        if difference(first, last) < self.SMALLEST_CHANGE / 2:
            return 0.0
        time, middle = min(self._recent, key=lambda one: abs(one[0] - middle_seconds))
        share = (time - begin) / (end - begin)
        if not 0.35 < share < 0.65:  # too few frames: there is none near the middle
            return 0.0
        if self._is_clearly_no_mixture(first, middle, last, share):
            return 0.0
        before, between, after = (
            one.ravel().astype(np.float32) / 255 for one in (first, middle, last)
        )
        change = after - before
        amount = float(np.abs(change - change.mean()).mean())
        rest = np.abs(between - before - share * change).mean() / np.abs(change).mean()
        if amount < self.SMALLEST_CHANGE or rest > self.LARGEST_REST:
            return 0.0
        before, after = before - before.mean(), after - after.mean()
        contrast = float(np.sqrt((before @ before) * (after @ after)))
        likeness = float(before @ after) / max(contrast, 1e-6)
        angle = np.arccos(np.clip(likeness, -1, 1)) / 2
        is_glide = rest > self.GLIDING_REST * np.tan(angle / 2) / 2
        return 0.0 if is_glide or likeness > self.LARGEST_LIKENESS or contrast < 1e-3 else amount

    def _is_clearly_no_mixture(
        self, first: TinyFrame, middle: TinyFrame, last: TinyFrame, share: float
    ) -> bool:
        """Return whether, even in 8 bits, the mixture clearly leaves too much change unexplained.

        This saves the exact computation. Rounding to 8 bits changes each pixel of the mixture by at
        most half a level, plus the rounding of its weights.
        """
        mixture = cv2.addWeighted(first, 1 - share, last, share, 0.0)
        rest = cv2.norm(middle, mixture, cv2.NORM_L1) - 0.51 * middle.size
        change = cv2.norm(first, last, cv2.NORM_L1)
        return bool(rest > 1.001 * self.LARGEST_REST * change)

    @property
    def settled_seconds(self) -> float:
        """Time before which no boundary follows: the start of an unfinished dissolve."""
        oldest = self._recent[0][0] if self._recent else -np.inf
        return min(oldest, self._first - self.WINDOW_SECONDS / 2)

    def finish(self) -> list[Boundary]:
        """Return the dissolve that was detected but not yet returned.

        A window off the dissolve's middle has an unexplained fraction of change equal to its offset
        relative to the dissolve's length. So the time for which windows pass gives that length.
        """
        if self._last < self._first:
            return []
        first, last, score = self._first, self._last, self._score
        self._first, self._last, self._score = np.inf, -np.inf, 0.0
        half = (last - first) / (4 * self.LARGEST_REST) + self.STRIDE_SECONDS
        middle = (first + last) / 2
        begin = max(middle - half, first - self.WINDOW_SECONDS / 2)
        end = min(middle + half, last + self.WINDOW_SECONDS / 2)
        return [Boundary(middle, score, begin, end)]
