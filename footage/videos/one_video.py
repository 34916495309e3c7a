"""What a worker does with one file: fetch, hash, decode in confinement, and seal the result."""

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2

from footage.errors import VideoError
from footage.files import sha256
from footage.redaction import redacted
from footage.store_writing import ShotRecord, VideoRecord, VideoWriter
from footage.videos.extract import ALIVE, FRAME, FRAME_HEADER, REPORT, Extraction, extract
from footage.videos.sandbox import Limits, Send, opened, run_confined
from footage.videos.shots import AdaptiveCuts
from footage.videos.sources import Source, check_local, fetch
from footage.videos.transnet_client import TransnetProcess

Decoder = Callable[[int, Extraction, int, Send], None]
"""Decodes an open file (settings, largest picture in pixels) and sends what `extract` sends."""

UNKNOWN_HASH = "unknown"
"""Stands in the id of a file whose bytes could not be read."""


class Known(NamedTuple):
    """A video that an earlier run has finished."""

    video: str
    num_bytes: int


class Task(NamedTuple):
    """One file, and all that is needed to ingest it anywhere."""

    source: Source
    store: Path
    settings: Extraction
    detector: Literal["adaptive", "transnet"]
    limits: Limits
    known: tuple[Known, ...]


class Result(NamedTuple):
    """The id that the file got, and the layers of protection that were active (none if known)."""

    video: str
    layers: list[str]


def video_id(name: str, content_hash: str) -> str:
    """A video's id: where it lies below the folder asked for, and what is in it."""
    return f"{name}#{content_hash[:16] or UNKNOWN_HASH}"


def ingest_one(task: Task) -> Result:
    """Ingest one file unless that is done already; whatever is wrong with it is only noted."""
    source, limits = task.source, task.limits
    for known in task.known if source.url else ():
        if known.num_bytes == source.num_bytes:  # hashing would mean to fetch it once more
            return Result(known.video, [])
    scratch = task.store / ".work" / "fetched"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder, "video") if source.url else Path(source.location)
        content_hash, num_bytes = "", source.num_bytes
        try:
            if source.url:
                fetch(source, path, limits.max_file_bytes)
            num_bytes = _size(path)
            content_hash = _hash(path, limits)
            video = video_id(source.name, content_hash)
            if any(known.video == video for known in task.known):
                return Result(video, [])
            check_local(path, limits.max_file_bytes)
            layers = decode_into_store(task, path, _blank(source, content_hash, num_bytes))
        except VideoError as error:
            video = video_id(source.name, content_hash)
            if any(known.video == video for known in task.known):
                return Result(video, [])
            quarantine(task, _blank(source, content_hash, num_bytes), error.message)
            layers = []
    return Result(video, layers)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _hash(path: Path, limits: Limits) -> str:
    """Hash of a file's content; "" for what must not be read: a pipe, or a file too large."""
    try:
        check_local(path, limits.max_file_bytes)
    except VideoError:
        if not path.is_file() or _size(path) > 0:
            raise
    try:
        return sha256(path)
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error


def _blank(source: Source, content_hash: str, num_bytes: int) -> dict[str, Any]:
    return {
        "video": video_id(source.name, content_hash),
        "path": redacted(f"{source.url}::{source.location}") if source.url else source.name,
        "content_hash": content_hash,
        "num_bytes": num_bytes,
    }


def quarantine(task: Task, known: dict[str, Any], reason: str) -> None:
    """Note that nothing is kept of a file, and why."""
    record = VideoRecord(**known, status="quarantined", reason=redacted(" ".join(reason.split())))
    with VideoWriter(task.store, record.video) as writer:
        writer.finish(record, [], dataclasses.asdict(task.limits))


def decode_into_store(
    task: Task, path: Path, known: dict[str, Any], decoder: Decoder | None = None
) -> list[str]:
    """Decode a file in a confined child and seal its frames; return the layers of protection.

    Raises:
        VideoError: Nothing can be kept; nothing was written.
    """
    transnet = TransnetProcess.of_this_worker() if task.detector == "transnet" else None

    # Before the fork: a child waits for ever for the threads of a pool that only its parent has.
    cv2.setNumThreads(1)
    with opened(path) as file, VideoWriter(task.store, known["video"]) as writer:

        def decode(send: Send) -> None:
            if decoder is not None:
                decoder(file, task.settings, task.limits.max_pixels, send)
                return
            detector = transnet.detector() if transnet else AdaptiveCuts()
            extract(file, task.settings, detector, task.limits.max_pixels, send)

        receiver = _Receiver(writer)
        keep = (file, *transnet.descriptors) if transnet else (file,)
        try:
            layers = list(run_confined(decode, receiver.take, task.limits, keep).active)
            record, shots = receiver.finish(known)
        except VideoError:
            TransnetProcess.end_of_this_worker()  # it may be in the middle of this video
            raise
        writer.finish(record, shots, dataclasses.asdict(task.limits))
    return layers


class _Receiver:
    """Takes the child's messages. The child may have been taken over by a file: believe nothing."""

    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer
        self._report: dict[str, Any] = {}
        self._counts: list[int] = []
        self._seconds = -math.inf

    def take(self, kind: bytes, content: bytes) -> None:
        """Write a frame, or keep the report."""
        if kind == FRAME:
            shot, number, seconds = FRAME_HEADER.unpack_from(content)
            jpeg = content[FRAME_HEADER.size :]
            self._counts += [0] * min(shot + 1 - len(self._counts), 10**6)
            if (
                shot != len(self._counts) - 1
                or number != self._counts[shot]
                or not self._seconds < seconds < math.inf
                or jpeg[:2] != b"\xff\xd8"
            ):
                raise VideoError("the decoder process sent nonsense")
            self._counts[shot] += 1
            self._seconds = seconds
            self._writer.add(shot, number, seconds, jpeg)
        elif kind == REPORT:
            self._report = json.loads(content)
        elif kind != ALIVE:
            raise VideoError("the decoder process sent nonsense")

    def finish(self, known: dict[str, Any]) -> tuple[VideoRecord, list[ShotRecord]]:
        """The record and the shots that the messages add up to."""
        told = self._report
        try:
            spans = [(float(a), float(b), float(score)) for a, b, score in told.pop("shots")]
            counts = self._counts + [0] * (len(spans) - len(self._counts))
            shots = [
                ShotRecord(start, end, score, count)
                for (start, end, score), count in zip(spans, counts, strict=True)
            ]
            record = VideoRecord(
                **known, **told, num_shots=len(shots), num_frames=sum(self._counts)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise VideoError("the decoder process sent nonsense") from error
        return record, shots
