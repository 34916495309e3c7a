"""Terminal handling of the command line: safe text, and streams that may fail.

Names of files may contain escape codes that would change a terminal; they are shown as escapes. A
closed or full stream ends the program without a traceback, like any Unix tool.
"""

import atexit
import io
import os
import sys
import traceback
from types import TracebackType
from typing import TextIO

from footage.text import printable, redacted

_COLLECTED_BYTES = 16 * 2**20


def print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of an uncaught error, without passwords and tokens."""
    lines = traceback.format_exception(kind, error, trace)
    sys.stderr.write(printable(redacted("".join(lines))))


def prepare_streams() -> None:
    """Make the standard streams safe to use in any inherited state.

    A closed stream becomes the null device: otherwise the next file that is opened would become
    standard output. Names that are not UTF-8 keep their bytes. Output that does not go to a
    terminal is buffered, so that writing it can only fail in `output_error`, after the work.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115
    if sys.stdout is sys.__stdout__ and not os.isatty(1):
        raw = io.FileIO(1, "w", closefd=False)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw, _COLLECTED_BYTES), "utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    atexit.register(_discard_unwritable_errors)


def output_error() -> OSError | None:
    """Flush standard output; return the error if this fails, or failed before."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def discard_output() -> None:
    """Discard the buffer of standard output, so that exiting works."""
    _discard(sys.stdout)


def _discard_unwritable_errors() -> None:
    """Discard the buffer of standard error if it cannot be written: Python would exit with 120."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
