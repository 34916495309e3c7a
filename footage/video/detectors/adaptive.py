"""The fast detector: PySceneDetect's adaptive threshold, with tests for fades and dissolves."""

import collections

import cv2
import numpy as np
from jaxtyping import UInt8
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from footage.video.detectors.base import Boundary, TinyFrame, difference, register_detector


class _QuickAdaptiveDetector(AdaptiveDetector):  # type: ignore[misc]  # it has no types
    """PySceneDetect's detector with the same scores, found in a fifth of the time.

    Its own scoring widens three planes to 32 bits for each frame, which took 5 % of all of ingest.
    A test compares the two.
    """

    _last_hsv: UInt8[np.ndarray, "H W 3"] | None = None

    def _calculate_frame_score(
        self,
        timecode: FrameTimecode,  # noqa: ARG002  # theirs has it
        frame_img: UInt8[np.ndarray, "H W 3"],
    ) -> float:
        hsv = cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV)
        last, self._last_hsv = self._last_hsv, hsv
        return 0.0 if last is None else cv2.norm(hsv, last, cv2.NORM_L1) / hsv.size


@register_detector("adaptive")
class AdaptiveCuts:
    """Hard cuts by PySceneDetect's AdaptiveDetector, fades by brightness, dissolves by mixture.

    Its thresholds are PySceneDetect's defaults; its own minimum length is switched off because
    `ShotBuilder` merges by seconds. The score is the difference of the two frames at the cut.

    A frame that repeats the previous one is not passed to the detector: slow footage in a fast
    container has many, and compared with their zeros every ordinary change would look like a cut.
    A picture that stays still for longer is passed again, so that the next ones are compared to it.
    """

    REPEATED = 2.5e-3
    """Mean difference of tiny frames, 0 to 1, up to which a frame repeats the one before it."""
    LONGEST_REPEAT_SECONDS = 0.25

    def __init__(self) -> None:
        self._detector = _QuickAdaptiveDetector(min_scene_len=0)
        self._fades, self._dissolves = FadeTest(), DissolveTest()
        self._number = 0
        length = self._detector.event_buffer_length + 2
        self._recent: collections.deque[tuple[float, float]] = collections.deque(maxlen=length)
        self._last: TinyFrame | None = None

    def push(self, tiny: TinyFrame, seconds: float) -> list[Boundary]:
        """Take the next frame; cuts are known two frames late."""
        gradual = self._fades.push(sum(cv2.mean(tiny)) / 3, seconds)
        gradual += self._dissolves.push(tiny, seconds)
        change = 0.0 if self._last is None else difference(tiny, self._last)
        stands = self._recent and seconds - self._recent[-1][0] > self.LONGEST_REPEAT_SECONDS
        if self._last is not None and change <= self.REPEATED and not stands:
            return gradual
        self._recent.append((seconds, change))
        bgr = cv2.cvtColor(tiny, cv2.COLOR_RGB2BGR)
        found = self._detector.process_frame(FrameTimecode(self._number, 25.0), bgr)
        first = self._number + 1 - len(self._recent)
        cuts = [Boundary(*self._recent[cut.frame_num - first]) for cut in found]
        self._last = tiny
        self._number += 1
        return cuts + gradual

    @property
    def settled_seconds(self) -> float:
        """The oldest frame that may still become a cut, or the begin of a fade or dissolve."""
        oldest = self._recent[0][0] if self._recent else -np.inf
        return min(oldest, self._fades.settled_seconds, self._dissolves.settled_seconds)

    def finish(self) -> list[Boundary]:
        """A dissolve may wait for its end; a cut is detected two frames later."""
        return self._dissolves.finish()


class FadeTest:
    """Fades through black, from the mean brightness of frames.

    A short black stretch is one boundary in its middle. A longer one is a shot of its own, so that
    nothing has to wait for its end.
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
        """Take the next frame's brightness (0 to 255)."""
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
        if not self._has_seen_picture:  # black before the first picture is not a shot of its own
            self._has_seen_picture = True
            return [Boundary(seconds, 1.0)] if gap > self.LONGEST_GAP_SECONDS else []
        if self._is_long:
            return [Boundary(seconds, 1.0)]
        return [Boundary(begin + gap / 2, 1.0, begin, seconds)]

    @property
    def settled_seconds(self) -> float:
        """Black that may turn out to be a fade holds everything since it began."""
        waits = self._dark_since is not None and not self._is_long and self._has_seen_picture
        return self._dark_since if waits and self._dark_since is not None else self._now


class DissolveTest:
    """Dissolves: for a while every frame is a mixture of what was before and what comes after.

    Of each stretch of frames the one in the middle is compared with the mixture of the first and
    the last that its time asks for. Where things move, or at a hard cut, about half of the change
    is left unexplained; in a dissolve hardly any. A picture that only becomes brighter or darker
    is a mixture too, but its ends look alike. A blurred picture that glides by is nearly one: of a
    wave that moves on by 2 a, the ends correlate by cos 2a and tan(a / 2) / 2 is left.

    Ours; the thresholds were chosen on compilations of real clips, see experiments/notebook.md.
    """

    WINDOW_SECONDS = 0.9
    STRIDE_SECONDS = 0.06
    """Time between the stretches that are looked at: each frame would tell no more."""
    SMALLEST_CHANGE = 0.07
    """Mean difference of first and last, 0 to 1, without that of their brightness."""
    LARGEST_LIKENESS = 0.8
    """Correlation of first and last above which they are one picture."""
    LARGEST_REST = 0.3
    """Share of the change that the mixture may leave unexplained."""
    GLIDING_REST = 1.2
    """The same, in multiples of what a gliding wave would leave."""
    GAP_SECONDS = 0.25
    """Mixtures nearer than this are of one dissolve."""

    def __init__(self) -> None:
        self._recent: collections.deque[tuple[float, TinyFrame]] = collections.deque()
        self._next = -np.inf
        self._first, self._last, self._score = np.inf, -np.inf, 0.0

    def push(self, tiny: TinyFrame, seconds: float) -> list[Boundary]:
        """Take the next frame; a dissolve is known about half a second after its end."""
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
        """How much changes over the stretch if that is by mixture, else 0."""
        (begin, first), (end, last) = self._recent[0], self._recent[-1]
        if difference(first, last) < self.SMALLEST_CHANGE / 2:
            return 0.0
        time, middle = min(self._recent, key=lambda one: abs(one[0] - middle_seconds))
        share = (time - begin) / (end - begin)
        if not 0.35 < share < 0.65:  # so few frames that there is none in the middle
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

    @property
    def settled_seconds(self) -> float:
        """A dissolve that is not over holds everything since its begin."""
        oldest = self._recent[0][0] if self._recent else -np.inf
        return min(oldest, self._first - self.WINDOW_SECONDS / 2)

    def finish(self) -> list[Boundary]:
        """The dissolve that was seen and not yet returned.

        The middle frame is off by as much of the change as the stretch is off the dissolve's
        middle, in shares of its length: from how long it passes follows how long that is.
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
