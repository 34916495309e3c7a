"""The documentation site builds without warnings and loads nothing from other hosts."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from docs.generate import ROOT
from docs.site_hooks import on_page_markdown

LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc(?:set)?=[\"']?(?:https?:)?//"
    r"|<link\b[^>]*\brel=[\"']?(?:stylesheet|preconnect|preload|icon)\b[^>]*href=[\"']?(?:https?:)?//"
    r"|@import\s+[\"'(]*(?:url\()?[\"']?(?:https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "-d", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_has_a_page_for_every_document(site):
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert len(sources) > 25
    assert all((site / path.with_suffix(".html")).is_file() for path in sources)
    assert not list(site.rglob("*.py"))


def test_the_site_loads_nothing_from_other_hosts(site):
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    found = {path.name: LOADED.findall(path.read_text("utf-8")) for path in files}
    assert not {name: loads for name, loads in found.items() if loads}


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js">',
        "<img src=//host/x.png>",
        "<link rel=stylesheet href=https://fonts.example/x.css>",
        '@import url("https://host/x.css")',
    ],
)
def test_a_load_from_another_host_would_be_noticed(text):
    assert LOADED.search(text)


@pytest.mark.parametrize(
    ("repo_url", "shown"),
    [("", "see the notebook"), ("https://host/r", "see [the notebook](https://host/r/n.md)")],
)
def test_a_link_that_leaves_the_folder_leads_to_the_repository_if_it_is_known(repo_url, shown):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="guides/train.md"))
    config = SimpleNamespace(repo_url=repo_url)
    assert on_page_markdown("see [the notebook](../../n.md)", page, config) == shown
    within = "[x](../index.md) and ![y](../images/a.svg)"
    assert on_page_markdown(within, page, config) == within
