"""The interface of cut detectors, and their registry."""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from footage.registry import Registry

TinyFrame = UInt8[np.ndarray, "27 48 3"]


class Boundary(NamedTuple):
    """The time of the first frame of a new shot, and the detector's confidence (0 to 1).

    A gradual transition also has a start and an end.
    """

    seconds: float
    score: float
    begin_seconds: float = np.inf
    end_seconds: float = -np.inf


@runtime_checkable
class CutDetector(Protocol):
    """Finds boundaries in a stream of tiny RGB frames; one instance per video."""

    def push(self, tiny: TinyFrame, seconds: float) -> list[Boundary]:
        """Process the next frame; return the boundaries that are certain now."""

    @property
    def settled_seconds(self) -> float:
        """Time before which no further boundary will be reported."""

    def finish(self) -> list[Boundary]:
        """Return the remaining boundaries after the last frame."""


def difference(tiny: TinyFrame, other: TinyFrame) -> float:
    """Return the mean absolute difference of two tiny frames, 0 to 1."""
    return float(cv2.norm(tiny, other, cv2.NORM_L1)) / (255 * tiny.size)


DETECTORS: Final = Registry[Callable[..., CutDetector]]("detector", "footage.video.detectors")
"""Cut detectors by name: classes or functions without arguments that return a new detector."""

Factory = TypeVar("Factory", bound=Callable[..., CutDetector])


def register_detector(name: str) -> Callable[[Factory], Factory]:
    """Register a cut detector for `footage ingest --detector NAME`.

    Args:
        name: Name on the command line and in the store.

    Raises:
        ConfigError: Another detector has this name.
    """

    def register(factory: Factory) -> Factory:
        DETECTORS.register(name, factory)
        return factory

    return register
