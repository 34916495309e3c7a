"""Terminal handling of the command line: safe text, uniform errors, and streams that may fail.

Names of files may contain escape codes that would change a terminal; they are shown as escapes. A
closed or full stream ends the program without a traceback, like any Unix tool.
"""

import contextlib
import functools
import inspect
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import tyro

from footage.errors import UsageError
from footage.text import printable, redacted

_COLLECTED_BYTES = 16 * 2**20
_OPTION = re.compile(r"--[\w.-]+")
_PLAIN = {
    "Error parsing ": "",
    "Unrecognized option": "unrecognized option",
    "Missing value": "missing value",
    "invalid literal for int() with base 10:": "not a whole number:",
    "could not convert string to float:": "not a number:",
}
"""Messages of the parser, and their wording in footage."""


class PrintableFormatter(logging.Formatter):
    """Formats log lines as printable text."""

    def format(self, record: logging.LogRecord) -> str:
        """One log line."""
        return printable(super().format(record))


def print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print what Python prints of an error that nobody catches, without passwords and tokens."""
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


def output_error() -> OSError | None:
    """Flush the standard output; the error if that fails, or failed before."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def discard_output() -> None:
    """Discard the buffer of standard output, so that exiting works."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def run(command: Callable[..., None], words: Sequence[str], program: str) -> None:
    """Parse the words of a command line and call a command with the result.

    Raises:
        UsageError: The words do not match the command.
        SystemExit: Help was requested and printed.
    """
    parse(command, words, program)()


def parse(command: Callable[..., None], words: Sequence[str], program: str) -> Callable[[], None]:
    """The call that the words of a command line specify; see `run`."""

    @functools.wraps(command)
    def bind(*arguments: Any, **options: Any) -> Callable[[], None]:  # noqa: ANN401
        return functools.partial(command, *arguments, **options)

    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(bind, args=words, prog=program)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(*_message_and_hint(box.getvalue(), command, program)) from None


def _message_and_hint(box: str, command: Callable[..., None], program: str) -> tuple[str, str]:
    """The parser's error box as one message and one hint.

    The box has a title and sections between rules: what is wrong first, then help on the options
    concerned, then where to find more.
    """
    sections: list[list[str]] = [[]]
    for line in box.strip().splitlines()[1:-1]:
        content = line[1:-1].strip()
        if content.strip("─-"):
            sections[-1].append(content)
        else:
            sections.append([])
    sections = [section for section in sections if section]
    words = [" ".join(section) for section in sections]
    if any(text.startswith("Missing from") for text in words):
        message = f"missing: {', '.join(_missing(sections[0], command))}"
    else:
        message = words[0]
    for text in words:
        if re.match("Unrecognized options?:", text):
            message = text
    for jargon, plain in _PLAIN.items():
        message = message.replace(jargon, plain)
    near = [text for text in words if text.startswith("Perhaps you meant")]
    options = _OPTION.findall(near[0]) if near else []
    hint = f"did you mean {options[0]}? " if options else ""
    return message, f"{hint}`{program} --help` lists all options"


def _missing(lines: Sequence[str], command: Callable[..., None]) -> list[str]:
    """The options and arguments that a "Missing from" section lists; arguments lack their name."""
    options = [line.split()[0] for line in lines if line.startswith("--")]
    if not any(line.isupper() for line in lines):
        return options
    parameters = inspect.signature(command).parameters.values()
    return [next(one.name.upper() for one in parameters if one.default is one.empty), *options]
