"""Writes the pages that come out of code and results, and their pictures: python -m docs.generate.

`tests/test_documents.py` checks that they are up to date.
"""

from pathlib import Path

from docs.images import draw_results, draw_tasks
from docs.pages import losses, paper_map, recipes, reliability, results, sandbox

FOLDER = Path(__file__).parent
PAGES = {
    "losses.md": losses.page,
    "recipes.md": recipes.page,
    "reliability.md": reliability.page,
    "paper-map.md": paper_map.page,
    "results.md": results.page,
    "sandbox.md": sandbox.page,
}
"""Every generated page by its file name in this folder."""

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    draw_results.draw()
    draw_tasks.draw()
