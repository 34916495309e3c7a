"""Ingest a unit in a worker: fetch, hash and decode each file in confinement, and publish all."""

import contextlib
import dataclasses
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from footage.errors import FootageError, MachineError, MissingModuleError, VideoError
from footage.ingestion.receiving import Receiver
from footage.ingestion.source_table import Source
from footage.ingestion.sources import check_local, fetch
from footage.io.arrow import leave_out_pandas
from footage.io.files import sha256
from footage.store.places import place_of
from footage.store.records import Stamp, VideoRecord
from footage.store.units import UnitWriter
from footage.text import redacted
from footage.video.detectors.base import DETECTORS
from footage.video.detectors.transnet import TransnetCuts, TransnetProcess
from footage.video.extract import Extraction, extract
from footage.video.sandbox import DecoderChild, Limits, Sandbox, Send, opened

Decoder = Callable[[int, Extraction, int, Send], None]
"""Decodes an open file and sends the messages of `extract`; takes settings and a pixel limit."""

ATTEMPTS = 3
"""Number of attempts at a file when the machine fails, not the file."""
PAUSE_SECONDS = 0.5
"""Pause after the first failure; each later pause is twice as long."""
_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)

VIDEOS_PER_CHILD = 16
"""Maximum number of videos per confined child; see decisions/0180 [ours]."""

UNKNOWN_HASH = "unknown"
"""Placeholder hash in the id of a file whose bytes could not be read."""


class SourceTask(NamedTuple):
    """One file of a unit."""

    source: Source
    known: tuple[str, ...] = ()
    """Ids of the videos that the store contains under this name."""
    duplicate_of: str = ""
    """Id of a video with the same bytes; empty for none."""


class UnitTask(NamedTuple):
    """A unit of files, and everything needed to ingest it in any process."""

    sources: tuple[SourceTask, ...]
    store: str | Path
    """Path or URL."""
    settings: Extraction
    detector: str
    """Name of one of `DETECTORS`."""
    limits: Limits
    require_sandbox: bool = False
    quarantine_reason: str = ""
    """If set, the files are not decoded, but quarantined for this reason."""

    @property
    def num_bytes(self) -> int:
        """Size of all its files."""
        return sum(one.source.num_bytes for one in self.sources)


class IngestResult(NamedTuple):
    """The outcome for one file.

    `video` is its id, and `sandbox` contains the layers of its decoder (None if nothing was
    decoded). `failure` is the reason why it could not be processed this time; then nothing is
    recorded for it. It is `only_claimed` if the video itself could have caused the failure.
    """

    video: str
    sandbox: Sandbox | None = None
    failure: str = ""
    only_claimed: bool = False


def video_id(name: str, content_hash: str) -> str:
    """Return a video's id: its path relative to the given folder, and the hash of its content."""
    return f"{name}#{content_hash[:16] or UNKNOWN_HASH}"


class UnitResult(NamedTuple):
    """The outcome of a unit."""

    results: tuple[IngestResult, ...]
    """One for each of its files."""
    stored_bytes: int
    """Size of its part."""


def ingest_unit(task: UnitTask) -> UnitResult:
    """Ingest the files of a unit into one part, except those that the store contains.

    A fault of a file is recorded as the reason of its quarantine. A failure of the machine is not
    the file's fault: after some attempts it is returned as a failure, and nothing is recorded.
    """
    leave_out_pandas()
    place = place_of(task.store)
    with UnitWriter(place) as writer, contextlib.closing(Decoders(task)) as decoders:
        results = tuple(_ingest_one(decoders, one, writer) for one in task.sources)
        stamps = [
            Stamp(one.source.name, one.source.stamp, result.video)
            for one, result in zip(task.sources, results, strict=True)
            if one.source.stamp and not result.failure and not result.video.endswith(UNKNOWN_HASH)
        ]
        return UnitResult(results, writer.finish(dataclasses.asdict(task.limits), stamps))


def _ingest_one(decoders: "Decoders", one: SourceTask, writer: UnitWriter) -> IngestResult:
    for attempt in range(ATTEMPTS):
        try:
            with _machine_errors():
                return _ingest(decoders, one, writer)
        except MissingModuleError as error:  # another attempt would fail, too
            return IngestResult(
                video_id(one.source.name, ""), None, error.message, only_claimed=True
            )
        except MachineError as error:
            failure = error.message
            time.sleep(PAUSE_SECONDS * 2**attempt)
    return IngestResult(video_id(one.source.name, ""), None, failure)


@contextlib.contextmanager
def _machine_errors() -> Iterator[None]:
    """Turn a lack of memory or descriptors in this process into a `MachineError`."""
    try:
        yield
    except MemoryError as error:
        raise MachineError("a worker process ran out of memory") from error
    except (OSError, VideoError) as error:
        cause = error.__cause__ if isinstance(error, VideoError) else error
        if not isinstance(cause, OSError) or cause.errno not in _LACKS:
            raise
        raise MachineError(f"a worker process reached a limit: {cause.strerror}") from error


def _ingest(decoders: "Decoders", one: SourceTask, writer: UnitWriter) -> IngestResult:
    source, limits = one.source, decoders.task.limits
    path = writer.scratch / "fetched" if source.url else Path(source.location)
    content_hash, num_bytes, sandbox = "", source.num_bytes, None
    try:
        with _machine_errors():
            if source.url:
                fetch(source, path, limits.max_file_bytes)
            num_bytes = _size(path)
            content_hash = _hash(path, limits)
            video = video_id(source.name, content_hash)
            if video in one.known:
                return IngestResult(video)
            check_local(path, limits.max_file_bytes)
            about = _blank(source, content_hash, num_bytes)
            if one.duplicate_of.endswith(f"#{content_hash[:16]}"):
                writer.add(VideoRecord(**about, duplicate_of=one.duplicate_of))
                return IngestResult(video)
            if decoders.task.quarantine_reason:
                raise VideoError(decoders.task.quarantine_reason)
            sandbox = decode_into_unit(writer, decoders, path, about)
    except VideoError as error:
        video = video_id(source.name, content_hash)
        if video in one.known:
            return IngestResult(video)
        writer.add(quarantined(_blank(source, content_hash, num_bytes), error.message))
    finally:
        if source.url:
            path.unlink(missing_ok=True)
    return IngestResult(video, sandbox)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _hash(path: Path, limits: Limits) -> str:
    """Hash a file's content; "" for files that must not be read: pipes and files too large."""
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


def quarantined(known: dict[str, Any], reason: str) -> VideoRecord:
    """Return the record of a file of which no frame is kept, with the reason."""
    return VideoRecord(**known, status="quarantined", reason=redacted(" ".join(reason.split())))


class Decoders:
    """The confined children that decode the videos of one unit, one child after the other.

    A child is replaced after any fault, after a video with decode errors, and after
    `VIDEOS_PER_CHILD` videos.
    """

    def __init__(self, task: UnitTask) -> None:
        self.task = task
        self._child: DecoderChild | None = None
        self._transnet: TransnetProcess | None = None

    @property
    def has_served(self) -> bool:
        """Return whether the next video goes to a child that has decoded others."""
        return self._child is not None

    def run(
        self, file: int, receiver: Receiver, num_bytes: int, decoder: Decoder | None
    ) -> Sandbox:
        """Decode an open file in the current child, or in a new one if a `decoder` is given.

        Raises what `footage.video.sandbox.run_confined` raises.
        """
        limits, require_all = self.task.limits, self.task.require_sandbox
        if decoder is not None:
            self.close()
        if self._child is None:
            self._child = self._new_child(decoder)
        confinement = limits.confinement(num_bytes, require_all)
        try:
            return self._child.run(file, receiver.take, confinement)
        except FootageError as error:
            was_killed = self._transnet is not None and self._transnet.was_killed
            if was_killed:
                raise MachineError("the cut detector was killed from outside") from error
            raise

    def _new_child(self, decoder: Decoder | None) -> DecoderChild:
        task = self.task
        new_detector = DETECTORS.find(task.detector)
        transnet = TransnetProcess.of_this_worker() if new_detector is TransnetCuts else None
        self._transnet = transnet

        def decode(file: int, send: Send) -> None:
            if decoder is not None:
                decoder(file, task.settings, task.limits.max_pixels, send)
                return
            detector = transnet.detector() if transnet else new_detector()
            extract(file, task.settings, detector, task.limits.max_pixels, send)

        # Before the fork: a child would wait forever for the threads of its parent's pool.
        cv2.setNumThreads(1)
        confinement = task.limits.confinement(0, task.require_sandbox)
        return DecoderChild(decode, confinement, transnet.descriptors if transnet else ())

    def finished(self, record: VideoRecord, decoder: Decoder | None) -> None:
        """Replace the child if it should not decode another video after this one."""
        TransnetProcess.check_of_this_worker()
        is_clean = record.status == "ok" and not record.decode_errors
        may_go_on = is_clean and decoder is None and self._transnet is None
        if not may_go_on or (self._child and self._child.num_videos >= VIDEOS_PER_CHILD):
            self.close()

    def failed(self) -> None:
        """Replace the child, and the cut detector, which may be in the middle of this video."""
        self.close()
        TransnetProcess.end_of_this_worker()

    def close(self) -> None:
        """End the current child."""
        child, self._child = self._child, None
        if child is not None:
            child.end()


def decode_into_unit(
    writer: UnitWriter,
    decoders: Decoders,
    path: Path,
    known: dict[str, Any],
    decoder: Decoder | None = None,
) -> Sandbox:
    """Decode a file in a confined child and add it to a unit; return the layers of the sandbox.

    Raises:
        VideoError: Nothing can be kept; nothing was added.
        MachineError: The machine failed; nothing was added.
        SandboxError: A layer is missing and the task requires all.
    """
    with opened(path) as file:
        while True:
            has_served = decoders.has_served
            try:
                return _decode_once(writer, decoders, file, known, decoder)
            except (VideoError, MachineError, MissingModuleError):
                # An earlier video may be the cause: only a failure in a new child counts.
                if not has_served:
                    raise


def _decode_once(
    writer: UnitWriter,
    decoders: Decoders,
    file: int,
    known: dict[str, Any],
    decoder: Decoder | None,
) -> Sandbox:
    task = decoders.task
    with contextlib.closing(writer.frames_of(known["video"])) as frames:
        try:
            receiver = Receiver(frames, task.settings, task.limits, known["num_bytes"])
            sandbox = decoders.run(file, receiver, known["num_bytes"], decoder)
            record, shots = receiver.finish(known)
            writer.add(record, shots, frames)
        except BaseException:
            decoders.failed()
            raise
        decoders.finished(record, decoder)
    return sandbox
