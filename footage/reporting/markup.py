"""HTML and SVG that cannot be broken by what is put into them.

Text is escaped unless it is `Markup`, and only `tag` and its friends make `Markup`: a video called
`<img src=x onerror=alert(1)>` is shown by that name and does nothing. Control characters and
characters that turn text around are shown as escapes.
"""

import base64
import html
from collections.abc import Iterable

import simplejpeg
from jaxtyping import UInt8
from numpy import ndarray

from footage.text import printable

VOID = frozenset({"img", "meta", "br", "line", "rect", "circle", "path", "polyline"})
"""Elements without content."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | int | float) -> Markup:
    """An element.

    Args:
        name: Of the element.
        content: Text, which is escaped, and markup, which is not.
        attributes: A trailing underscore is dropped and others become hyphens: `class_`,
            `aria_label`, `stroke_width`. Numbers are written with two decimals at most.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(_text(value))}"'
        for key, value in attributes.items()
    )
    if name in VOID and not content:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Pieces one after another, each escaped unless it is markup."""
    return Markup(
        "".join(piece if isinstance(piece, Markup) else _escaped(piece) for piece in content)
    )


def caution(sentences: Iterable[str]) -> Markup:
    """A box of warnings that the reader must not miss; nothing where all are empty."""
    given = [tag("p", sentence) for sentence in dict.fromkeys(sentences) if sentence]
    return tag("div", *given, class_="advice", role="note") if given else Markup("")


def photograph(image: UInt8[ndarray, "H W 3"], alt: str, quality: int = 82) -> Markup:
    """An image inside the page itself, as JPEG."""
    encoded = base64.b64encode(simplejpeg.encode_jpeg(image, quality=quality)).decode("ascii")
    return tag(
        "img",
        src=f"data:image/jpeg;base64,{encoded}",
        alt=alt,
        width=image.shape[1],
        height=image.shape[0],
    )


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _text(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
