"""Decode untrusted images in confined processes: a bad image never ends the command.

    this thread                                 confined process
    request, memory file, open files ---------> decodes, resizes, fills the memory file
    pixels or a reason for each <-------------- sizes or reasons

A process serves one thread and many images. A crash, a hang or more memory than `limits` computed
becomes an `ImageError` that names the image, and the next image gets a new process. Images are sent
in groups; if a group fails, each image is sent separately.

The memory file (memfd) is sealed at its size, so a process can write nothing but pixels into it.
"""

import atexit
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from jaxtyping import UInt8

from footage.errors import ConfinedError
from footage.images import limits
from footage.images.decode import open_regular
from footage.images.limits import ImageError
from footage.sandbox.messages import Confinement, plain_text
from footage.sandbox.worker import MOST_FILES, ConfinedWorker

MEMORY_BYTES: Final = limits.MAX_BYTES + limits.MAX_FILE_BYTES + 2**29
"""Address space of a process: decoding, the file, the memory file, and allocator overhead."""

CPU_SECONDS: Final = 20
"""CPU seconds per image; the largest picture of the slowest format takes about ten."""

WALL_SECONDS: Final = 200.0
"""Elapsed seconds per image: ten times the CPU time, for a busy machine."""

CALLS_PER_PROCESS: Final = 1_000
"""Number of calls after which a process is replaced, which takes half a second."""

IMAGES_PER_CALL: Final = MOST_FILES - 1
"""Images per call: all open files but one, which is the memory file."""

_LARGEST: Final = limits.RGB_BYTES * limits.MAX_PIXELS
NO_ROOM: Final = "needs a separate memory file"
_FUNCTION: Final = "footage.images.decoder_process:answer"
_CURE: Final = "fix it or remove it"

Filter = Literal["area", "linear"]
"""Method of resizing a picture to a square: `resize.resized` or `resize.stretched`."""

Picture = UInt8[np.ndarray, "_ _ 3"]
"""Images of different sizes, whereas `RGB` would require equal sizes."""

Content = Literal["colours", "indexes"]
"""Whether pixels are colours, or indexes of objects, see `decode.decode_indexes`."""

Squares = dict[int, Picture]
"""One picture in several sizes."""

Pictures = list[Picture]
"""One picture, or the squares that were resized from it."""


class Request(msgspec.Struct, frozen=True):
    """A request to decode some images; the first open file is for the pixels."""

    sizes: tuple[int, ...]
    """Sizes of the squares; empty requests the whole picture."""
    filter: Filter = "area"
    images: tuple[bytes, ...] = ()
    """The encoded images, unless they are the other open files."""
    content: Content = "colours"


class Answer(msgspec.Struct, frozen=True):
    """The outcome for one image."""

    reason: str = ""
    """Reason why the image cannot be decoded, without its name."""
    shapes: tuple[tuple[int, int], ...] = ()
    """Heights and widths of its pictures; their pixels follow those of the previous image."""


_ANSWERS = msgspec.msgpack.Decoder(list[Answer])


class Untrusted(NamedTuple):
    """An image from an untrusted source."""

    name: str
    source: bytes | int
    """Its bytes, or an open file."""


class ConfinedDecoders:
    """Confined processes for images, one per calling thread, started on first use.

    Args:
        function: The function that handles a `Request`, as `package.module:name`.
        confinement: Resource limits of one call.
    """

    def __init__(self, function: str = _FUNCTION, confinement: Confinement | None = None) -> None:
        self._function = function
        self._confinement = confinement or Confinement(
            memory_bytes=MEMORY_BYTES,
            cpu_seconds=CPU_SECONDS,
            wall_seconds=WALL_SECONDS,
            silent_seconds=WALL_SECONDS,
        )
        self._of_thread = threading.local()
        self._workers: list[ConfinedWorker] = []

    def squares(
        self, paths: Sequence[Path], sizes: Sequence[int], how: Filter = "area"
    ) -> list[Squares | ImageError]:
        """Decode image files into squares by size, in order; a failed image gives its error.

        Raises:
            MachineError: No process can be started, or it was killed from outside.
        """
        found: list[Squares | ImageError] = []
        for at in range(0, len(paths), IMAGES_PER_CALL):
            with ExitStack() as stack:
                opened = [_opened(path, stack) for path in paths[at : at + IMAGES_PER_CALL]]
                sent = [each for each in opened if isinstance(each, Untrusted)]
                answers = iter(self.decode(sent, sizes, how))
                found += [
                    _by_size(next(answers) if isinstance(each, Untrusted) else each, sizes)
                    for each in opened
                ]
        return found

    def whole(
        self, paths: Sequence[Path], content: Content = "colours"
    ) -> list[Picture | ImageError]:
        """Decode image files in their own sizes, in order; a failed image gives its error.

        Raises:
            MachineError: No process can be started, or it was killed from outside.
        """
        found: list[Picture | ImageError] = []
        for path in paths:  # separately: the memory file has space for one of the largest size
            with ExitStack() as stack:
                opened = _opened(path, stack)
                if isinstance(opened, Untrusted):
                    (decoded,) = self.decode([opened], content=content)
                    found.append(decoded if isinstance(decoded, ImageError) else decoded[0].copy())
                else:
                    found.append(opened)
        return found

    def decode(
        self,
        images: Sequence[Untrusted],
        sizes: Sequence[int] = (),
        how: Filter = "area",
        content: Content = "colours",
    ) -> list[Pictures | ImageError]:
        """Decode a few images into squares of some sizes or, without sizes, into whole pictures.

        Args:
            images: At most `IMAGES_PER_CALL`.
            sizes: Heights and widths of squares.
            how: Method of resizing pictures to squares.
            content: Whether pixels are colours or indexes; those are repeated in three channels.

        Raises:
            MachineError: No process can be started, or it was killed from outside.
        """
        request = Request(tuple(sizes), how, content=content)
        if not images:
            return []
        with suppress(ConfinedError, _NoRoomError):
            return self._call(request, images)
        # One of them ended the process: send each separately, the first to a new process.
        found: list[Pictures | ImageError] = []
        for image in images:
            try:
                found += self._call(request, [image])
            except (ConfinedError, _NoRoomError) as error:
                found.append(ImageError(f"{image.name} cannot be decoded: {error}", _CURE))
        return found

    def _call(self, request: Request, images: Sequence[Untrusted]) -> list[Pictures | ImageError]:
        capacity = len(images) * sum(limits.RGB_BYTES * size * size for size in request.sizes)
        files = [each.source for each in images if isinstance(each.source, int)]
        data = tuple(each.source for each in images if isinstance(each.source, bytes))
        for file in files:
            os.lseek(file, 0, os.SEEK_SET)
        with _memory_file(capacity or _LARGEST) as memory:
            message = msgspec.msgpack.encode(msgspec.structs.replace(request, images=data))
            answers = _read_answers(self._worker().call(message, [memory, *files]), len(images))
            pixels = _Pixels(memory, capacity or _LARGEST, request.sizes)
            return [
                pixels.take(answer, image.name)
                for image, answer in zip(images, answers, strict=True)
            ]

    def _worker(self) -> ConfinedWorker:
        worker: ConfinedWorker | None = getattr(self._of_thread, "worker", None)
        if worker is None:
            worker = ConfinedWorker(self._function, self._confinement, CALLS_PER_PROCESS)
            self._of_thread.worker = worker
            self._workers.append(worker)
        return worker

    def close(self) -> None:
        """End all processes; no thread may be waiting for one."""
        while self._workers:
            self._workers.pop().close()
        self._of_thread = threading.local()

    def __enter__(self) -> "ConfinedDecoders":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Pixels:
    """The pixels in a memory file, taken in order."""

    def __init__(self, memory: int, capacity: int, sizes: tuple[int, ...]) -> None:
        self._mapped = mmap.mmap(memory, capacity, prot=mmap.PROT_READ)
        self._capacity = capacity
        self._sizes = sizes
        self._place = 0

    def take(self, answer: Answer, name: str) -> Pictures | ImageError:
        """Return the next pictures, if they match the request."""
        if answer.reason:
            return ImageError(f"{name} {plain_text(answer.reason.encode())}", _CURE)
        squares = tuple((size, size) for size in self._sizes)
        is_wanted = (
            answer.shapes == squares
            if squares
            else len(answer.shapes) == 1 and min(answer.shapes[0]) > 0
        )
        needed = sum(limits.RGB_BYTES * height * width for height, width in answer.shapes)
        if not is_wanted or self._place + needed > self._capacity:
            raise ConfinedError("received pictures of a different size")
        return [self._next(height, width) for height, width in answer.shapes]

    def _next(self, height: int, width: int) -> Picture:
        count = limits.RGB_BYTES * height * width
        flat = np.frombuffer(self._mapped, np.uint8, count, self._place)
        self._place += count
        picture = flat.reshape(height, width, limits.RGB_BYTES)
        # A mapping uses a descriptor. A whole picture keeps it; there may be too many squares.
        return picture.copy() if self._sizes else picture


class _NoRoomError(Exception):
    """The pictures of several images do not fit into one memory file."""


def _read_answers(content: bytes, count: int) -> list[Answer]:
    try:
        answers = _ANSWERS.decode(content)
    except (ValueError, RecursionError) as error:
        raise ConfinedError("received an invalid message from the decoder process") from error
    if len(answers) != count:
        raise ConfinedError("received answers for a different number of images")
    if any(answer.reason == NO_ROOM for answer in answers):
        raise _NoRoomError(NO_ROOM)
    return answers


@contextmanager
def _memory_file(capacity: int) -> Iterator[int]:
    """Yield a file in memory whose size is sealed; its mappings outlive it."""
    memory = os.memfd_create("footage-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(memory, capacity)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        yield memory
    finally:
        os.close(memory)


def _opened(path: Path, stack: ExitStack) -> Untrusted | ImageError:
    try:
        return Untrusted(str(path), stack.enter_context(open_regular(path)).fileno())
    except ImageError as error:
        return error


def _by_size(found: Pictures | ImageError, sizes: Sequence[int]) -> Squares | ImageError:
    return found if isinstance(found, ImageError) else dict(zip(sizes, found, strict=True))


def check_sandbox() -> None:
    """Report the sandbox layers of a confined process before one is needed.

    Raises:
        SandboxError: A layer is missing, and all are required.
    """
    with ConfinedDecoders() as decoders:
        decoders.decode([Untrusted("nothing", b"")])


_shared: dict[int, ConfinedDecoders] = {}


def shared() -> ConfinedDecoders:
    """Return the decoders of this process; each lives as long as its calling thread."""
    process = os.getpid()  # a fork must not use the decoders of its parent
    if process not in _shared:
        _shared.clear()
        _shared[process] = ConfinedDecoders()
        atexit.register(_shared[process].close)
    return _shared[process]
