"""Make text safe to show: hide secrets, and escape characters that would change a terminal.

Names of files, tasks and models may contain escape codes that would change a terminal, or
characters that reverse the text after them. Lone surrogates, which represent bytes that are not
UTF-8, become escapes too, so that any stream can encode the text.

URLs of videos may contain secrets: `https://user:password@host/a.mp4`, or signed links of S3,
Google Cloud Storage, Azure and CloudFront. The redacted text still identifies the video, and does
not change when a link is signed again.
"""

import re
from typing import Final

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that a terminal or browser would interpret; tabs and line ends are not included."""


def printable(text: str) -> str:
    """Escape control characters and characters that no stream can encode."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Return printable text without line ends."""
    return printable(text).replace("\n", "\\n")


_FOLDERS = re.compile(r"(?<![^\s'\"(])(?:~|\.{1,2})?/(?:[^\s'\"]*/)?(?=[^\s/'\"])")


def without_folders(text: str) -> str:
    """Replace each path that begins with `/`, `./`, `../` or `~/` with its last part."""
    return _FOLDERS.sub("", text)


HIDDEN: Final = "***"

_USER_OF_URL = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
_PARAMETER = re.compile(
    r"""(?P<name>[?&;]
        (?:x-(?:amz|goog|ms|oss|cos)-[\w%.-]*
        |(?:\w|%|-)*(?:signature|credential|token|secret|password|passwd|api_?key|access_?key)(?:\w|-)*
        |awsaccesskeyid|googleaccessid|expires|policy|key-pair-id|key|code|auth|authorization|pass|pwd
        |sig|se|st|sp|sr|sv|skoid|sktid|skt|ske|sks|skv|spr|sip)
        =)[^&;\#\s'"<>]+""",
    re.VERBOSE | re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Remove secrets from URLs and tokens in a text; other text is not changed."""
    text = _USER_OF_URL.sub(f"{HIDDEN}@", text)
    text = _PARAMETER.sub(rf"\g<name>{HIDDEN}", text)
    return _TOKEN.sub(lambda found: (found["scheme"] or "") + HIDDEN, text)


def duration(seconds: int | float) -> tuple[str, str]:
    """Return the unit that suits a duration (seconds, minutes or hours) and the number in it."""
    if seconds < 60:
        return "seconds", f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
    if seconds < 360:
        return "minutes", f"{seconds / 60:.1f}"
    return "hours", f"{seconds / 3600:.2f}"


def clock(seconds: int | float) -> str:
    """Format seconds as minutes and seconds: 83.4 is 1:23.4."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"
