"""Hooks of the site that `mkdocs.yml` describes.

A page may link to files of the repository outside docs/. The site has no such files: it links to
them at `repo_url`, or shows the text of the link where no `repo_url` is configured.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>\.\./[^)\s]*)\)")


def on_config(config: Any) -> Any:  # noqa: ANN401 (an object of mkdocs)
    """List all pages of a folder where an entry of `nav` is a folder, its index first."""
    root = Path(config.docs_dir)
    for entry in config.nav:
        for title, target in entry.items():
            if isinstance(target, str) and target.endswith("/"):
                pages = sorted((root / target).glob("*.md"), key=lambda page: page.stem != "index")
                entry[title] = [page.relative_to(root).as_posix() for page in pages]
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:  # noqa: ANN401
    """Redirect or remove links that leave docs/."""
    folder = posixpath.dirname(page.file.src_uri)

    def redirected(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        if path.startswith("docs/"):
            return link[0]
        return f"[{link['text']}]({config.repo_url}/{path})" if config.repo_url else link["text"]

    return _LINK.sub(redirected, markdown)
