"""A terminal of some width for a program's stderr, and what a person sees in it."""

import fcntl
import os
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence

_TOKENS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


def screens(command: Sequence[str], *, columns: int, **options: object) -> Iterator[list[str]]:
    """The lines on the terminal after each change, while a program runs."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    program = subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env=environment, **options
    )
    os.close(theirs)
    screen = _Screen(columns)
    while True:
        try:
            written = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        yield screen.write(written.decode())
    os.close(ours)
    assert program.wait() == 0


class _Screen:
    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lines = [""]
        self._row = self._column = 0

    def write(self, text: str) -> list[str]:
        for code, command, carriage_return, line_feed, plain in _TOKENS.findall(text):
            if carriage_return:
                self._column = 0
            elif line_feed:
                self._row += 1
            elif command == "A":
                self._row -= int(code or 1)
            elif command == "K":
                self._lines[self._row] = ""
            for character in plain:
                if self._column == self._columns:
                    self._row, self._column = self._row + 1, 0
                self._put(character)
            self._lines += [""] * (self._row + 1 - len(self._lines))
        return [line.rstrip() for line in self._lines if line.strip()]

    def _put(self, character: str) -> None:
        self._lines += [""] * (self._row + 1 - len(self._lines))
        line = self._lines[self._row].ljust(self._column)
        self._lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
        self._column += 1
