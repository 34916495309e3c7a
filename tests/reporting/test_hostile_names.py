"""Names of videos, tasks, models and runs are always escaped in HTML, SVG and JSON."""

import dataclasses
import html.parser
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
import simplejpeg
from rich.console import Console

from footage import configuration
from footage.evaluation.averages import summarise
from footage.evaluation.results import RESULTS, read_rows, write_file, write_lines
from footage.evaluation.tables import tables
from footage.invariance.results import ProfileFile, write_profiles
from footage.recipes.methods import recipe
from footage.reporting.inputs import GatheredProfile, Run, SuiteResults
from footage.reporting.page import page
from footage.reporting.profile_picture import draw_profiles
from footage.reporting.retrieval import Answer, Found
from footage.reporting.sections.videos import Comparison, StorePictures
from footage.reporting.thumbnails import ShownFrame, ShownShot, ShownVideo
from footage.text import printable
from tests.evaluation.rows import labelled as row
from tests.evaluation.rows import row as suite_row
from tests.evaluation.test_result_files import DESCRIBED, MACHINE
from tests.reporting.test_invariance import MEASURED, profiled
from tests.support import synthetic

HOSTILE = {
    "image": "<img src=x onerror=alert(1)>",
    "script": "</script><script>alert(2)</script>",
    "style": "</style><style>*{display:none}</style>",
    "title": "</title><svg onload=alert(3)>",
    "attribute": '" onmouseover="alert(4)" x="\' onfocus=\'alert(5)',
    "comment": "--><!-- <![CDATA[ ]]> <?php",
    "entity": "&lt;img&gt; &#60;b&#62; &amp;",
    "link": "javascript:alert(6)",
    "template": "{{7*7}} ${7*7} %s {0} $x^2$ $\\frac{1}{$",
    "terminal": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x00\x08",
    "override": "photo\u202egpj.exe \u2066x\u2069 \u200f",
    "surrogate": "bytes \udcff\udcfe",
    "line ends": "a\r\nb\u2028c\u2029d",
    "markup of rich": "[bold red]x[/] [/nothing] [link=file:///etc/passwd]y[/link]",
    "underscore": "_hidden",
    "long": "x" * 4000,
    "unicode": "Grüße 日本 🎬",
}
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section",
    "article", "p", "h1", "h2", "h3", "div", "span", "strong", "code", "small", "dl", "dt", "dd",
    "ul", "li", "figure", "figcaption", "img", "table", "thead", "tbody", "tr", "th", "td", "svg",
    "g", "line", "rect", "circle", "path", "polyline", "text", "nav", "ol", "a",
}  # fmt: skip
"""All elements of the page: no script, frame or form, and links only within the page."""


class Reader(html.parser.HTMLParser):
    """Elements, attributes and text as a browser's parser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")


def video_of(name: str) -> tuple[ShownVideo, Comparison]:
    """A contact sheet's row and a retrieval, with one real frame under the name."""
    image = next(iter(synthetic.scene(1, 1)))
    frame = ShownFrame(f"{name}#0123", 0, 0.5, simplejpeg.encode_jpeg(image))
    shot = ShownShot(0, 0.0, 2.0, [frame])
    answer = Answer(frame, [Found(frame, 0.5)])
    sheet = ShownVideo(f"{name}#0123", name, 2.0, 1, 1, [1.0], [shot])
    return sheet, Comparison(name, [answer], [answer], 1, True)


def page_of(name: str) -> str:
    """The whole page, with the name everywhere a name can occur."""
    text = name.encode("utf-8", "backslashreplace").decode()  # as results hold it
    rows = [
        row(
            model=text, task=text, baseline=baseline, protocol=protocol, split=text,
            weights_origin=text,
        )
        for baseline, protocol in (
            ("chance", "majority"), ("pixels", "linear"), ("untrained", "linear"), ("", "linear"),
        )
    ]  # fmt: skip
    suites = [suite_row(text, 0.5, model=text, weights_origin=text, deviations=(text,), suite=text)]
    config = configuration.to_dict(recipe("vivi-ex4-tiny")) | {"init": name}
    run = Run(
        path=Path("runs") / name.replace("\0", ""),
        name=name,
        record={
            "config": config, "store": f"/stores/{name}", "store_hash": "12", "images": name,
            "images_hash": "34", "labels_used": 3, "videos_used": 64, "held_out": [],
            "model": {"architecture": name, "weights_origin": name, "preprocessing": {"size": 32}},
            "chance": {}, "seed": 0, "recipe": name, "commit": name, "versions": {name: name},
            "machine": {"processor": name, "accelerator": name, "cores": 2},
        },
        steps=[{"step": 1, "loss": 1.0, "images_per_second": 1.0, "levels": {name: 1.0}}],
        probes=[{"step": 1, "probe": {"rankme": 2.0}, "advice": [name]}],
        rows=rows,
        suite_rows=suites,
    )  # fmt: skip
    measured = msgspec.convert(
        MEASURED | {"videos": {**MEASURED["videos"], "videos": text, "labelled": text}},
        ProfileFile.__annotations__["measured"],
    )
    environment = msgspec.convert(
        MACHINE | {"commit": text}, ProfileFile.__annotations__["environment"]
    )
    profile = GatheredProfile(name, ProfileFile([profiled(text)], measured, environment))
    sheet, comparison = video_of(name)
    totals = {"shots": 1, "frames": 1, "seconds": 2.0}
    pictures = StorePictures(totals, [sheet], [comparison], "")
    return page([run, run], pictures, [SuiteResults(name, suites)], [profile, profile])


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_name_is_shown_as_text_and_does_nothing(name: str) -> None:
    shown = page_of(name)
    reader = Reader(shown)
    assert {element for element, _ in reader.elements} <= ELEMENTS
    for element, attributes in reader.elements:
        assert not any(key.startswith("on") for key in attributes), element
        assert not {"srcset", "action", "xlink:href", "style"} & set(attributes), element
        assert (attributes.get("href") or "#").startswith("#")
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;")
    assert any(printable(name).strip() in text for text in reader.texts)
    assert printable(shown) == shown  # no control character, override or surrogate is left
    shown.encode("utf-8")
    policy = [
        attributes["content"]
        for element, attributes in reader.elements
        if element == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    head = [element for element, _ in reader.elements[:6]]
    assert head == ["html", "head", "meta", "meta", "meta", "meta"]  # before any content
    assert "url(" not in shown.replace(printable(name), "")
    assert "@import" not in shown


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_name_is_one_text_in_the_picture_of_a_profile(name: str, tmp_path: Path) -> None:
    model = dataclasses.replace(profiled("a"), name=name[:200])
    path = draw_profiles(tmp_path / "profile.svg", [model])
    root = ElementTree.parse(path).getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {
        "svg", "style", "g", "path", "rect", "circle", "line", "text", "title",
    }  # fmt: skip
    assert "".join(printable(name[:80]).split()) in "".join("".join(root.itertext()).split())
    text = path.read_text("utf-8")
    assert printable(text) == text
    assert "url(" not in text
    assert "@import" not in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["profile.svg"]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_name_comes_back_from_result_files_as_it_was(name: str, tmp_path: Path) -> None:
    text = name.encode("utf-8", "backslashreplace").decode()
    write_file(tmp_path / "a.json", DESCRIBED, [row(task=text, model=text)])
    assert RESULTS.read(tmp_path / "a.json").rows[0].task == text
    write_lines(tmp_path, [suite_row(text, 0.5, model=text)])
    assert read_rows(tmp_path)[0].task == text
    write_profiles(tmp_path / "p.json", MEASURED, [profiled(text)])
    for path in tmp_path.glob("*.json*"):
        for line in path.read_bytes().splitlines():
            assert line.isascii()
    json.loads((tmp_path / "a.json").read_text())


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_name_is_text_in_the_tables_of_a_terminal(name: str) -> None:
    rows = [
        row(task=name, baseline=baseline, protocol=protocol)
        for baseline, protocol in (
            ("chance", "majority"), ("pixels", "knn"), ("untrained", "knn"), ("", "knn"),
        )
    ]  # fmt: skip
    suites = [suite_row(name, 0.5, model=name, suite=name)]
    console = Console(width=160, markup=False, record=True, file=io.StringIO())
    for view in (*tables(rows, {}), *tables(suites, {"lightweight": summarise(suites)})):
        console.print(view)
    assert console.export_text()
