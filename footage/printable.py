"""Make text safe to display: control characters and bidirectional overrides become escapes.

Names of files, tasks and models may contain escape codes that would change a terminal, or
characters that reverse the text after them. Lone surrogates, which represent bytes that are not
UTF-8, become escapes too, so that any stream can encode the text.
"""

import re

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that a terminal or browser would interpret; tabs and line ends are not included."""


def printable(text: str) -> str:
    """Text with control characters, and characters that no stream can encode, as escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Printable text without line ends."""
    return printable(text).replace("\n", "\\n")
