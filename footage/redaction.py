"""Remove passwords, keys and signatures from text that is printed, logged or stored.

URLs of videos may contain them: `https://user:password@host/a.mp4`, or signed links of S3, Google
Cloud Storage, Azure and CloudFront. The remaining text still identifies the video, and does not
change when a link is signed again.
"""

import re
from typing import Final

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
    """Text without the secrets of the URLs and tokens in it; other text stays as it is."""
    text = _USER_OF_URL.sub(f"{HIDDEN}@", text)
    text = _PARAMETER.sub(rf"\g<name>{HIDDEN}", text)
    return _TOKEN.sub(lambda found: (found["scheme"] or "") + HIDDEN, text)
