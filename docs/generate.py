"""Write the pages that are generated from code and results, and their pictures.

    python -m docs.generate

`tests/docs/test_documents.py` checks that they are up to date.
"""

from pathlib import Path

from docs.pages import (
    commands,
    configuration,
    cost,
    licences,
    losses,
    notebook,
    paper_map,
    recipes,
    reliability,
    sandbox,
)
from experiments import draw_results, draw_tasks, draw_tradeoff, results_page

ROOT = Path(__file__).parents[1]
PAGES = {
    "docs/reference/commands.md": commands.page,
    "docs/reference/configuration.md": configuration.page,
    "docs/reference/licences.md": licences.page,
    "docs/reference/losses.md": losses.page,
    "docs/reference/recipes.md": recipes.page,
    "docs/examples/own-videos.md": notebook.page,
    "docs/background/reliability.md": reliability.page,
    "docs/background/cost-at-scale.md": cost.page,
    "docs/background/paper-map.md": paper_map.page,
    "experiments/results.md": results_page.page,
    "docs/background/sandbox.md": sandbox.page,
}
"""Every generated page by its path in the repository."""

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
    draw_results.draw()
    draw_tasks.draw()
    draw_tradeoff.draw()
