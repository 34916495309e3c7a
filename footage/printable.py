"""Text that is shown instead of obeyed: control characters and bidirectional overrides as escapes.

Names of files, tasks and models may hold escape codes that would change a terminal, or characters
that turn the text after them around. Lone surrogates, which stand for bytes that are not UTF-8,
become escapes too, so that any stream can hold the text.
"""

import re

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal or browser would obey instead of showing; tabs and line ends are left alone."""


def printable(text: str) -> str:
    """Text in which control characters, and characters that no stream can hold, are escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
