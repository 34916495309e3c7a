"""The frames of all parts of a store, numbered consecutively."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from footage.retrieval.features import Part, Vectors

Numbers = Int[np.ndarray, " n"]


class Frames:
    """Frames by their number."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._firsts = np.cumsum([0, *(part.num_frames for part in parts)])
        lengths = [np.diff([*part.starts, part.num_frames]) for part in parts]
        shots = [np.repeat(part.rows, each) for part, each in zip(parts, lengths, strict=True)]
        self.shots: Numbers = np.concatenate(shots)
        """Row of the shot of each frame."""

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def vectors(self, start: int, stop: int) -> Vectors:
        """Read the vectors of consecutive frames, as 32-bit floats."""
        found = []
        number = int(np.searchsorted(self._firsts, start, side="right")) - 1
        while number < len(self._parts) and self._firsts[number] < stop:
            first = int(self._firsts[number])
            found.append(self._parts[number].vectors()[max(start - first, 0) : stop - first])
            number += 1
        return np.concatenate(found, dtype=np.float32)

    def at(self, frames: Numbers) -> Vectors:
        """Read the vectors of any frames, as 32-bit floats."""
        found = np.empty((len(frames), self._parts[0].vectors().shape[1]), np.float32)
        numbers = np.searchsorted(self._firsts, frames, side="right") - 1
        for number in np.unique(numbers).tolist():
            here = numbers == number
            found[here] = self._parts[number].vectors()[frames[here] - self._firsts[number]]
        return found

    def place(self, frame: int) -> tuple[Part, int]:
        """Return the part that contains a frame, and the position of the frame in the part."""
        number = int(np.searchsorted(self._firsts, frame, side="right")) - 1
        return self._parts[number], frame - int(self._firsts[number])

    def index(self, frame: int) -> int:
        """Return the index of a frame in its shot."""
        part, position = self.place(frame)
        return part.shot_of(position)[1]
