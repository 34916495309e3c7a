"""docs/background/paper-map.md: where each piece of the paper is in the code."""

from docs.pages import paper_method, paper_practice
from docs.pages.deviations import Deviation, deviations
from docs.pages.paper_row import Row
from docs.pages.references import link

HEAD = """# Paper map

Generated from `docs/pages/` by `python -m docs.generate`, which fails if a name no longer exists in
the code; a test keeps it up to date.

The paper is Tschannen et al., *Self-Supervised Learning of Video-Induced Visual Invariances*, CVPR
2020 ([arXiv 1912.02783](https://arxiv.org/abs/1912.02783)). Its authors published no code. Rows
follow the paper's order. Column *known*:

- **paper**: certain, from the paper or from code that the same laboratory published;
- **recalled**: from memory of the paper, with confidence from 0 to 1 where there is an estimate;
- **ours**: our choice.

A value after a name is the field's default, or the relevant choice; a recipe may set another.
*not yet*: footage does not implement it.
"""
SECTIONS = {**paper_method.SECTIONS, **paper_practice.SECTIONS}
"""The rows of the map by heading."""


def page() -> str:
    """Render the page.

    Raises:
        ValueError: A row refers to something that does not exist.
    """
    parts = [HEAD]
    for heading, rows in SECTIONS.items():
        table = "\n".join(_line(row) for row in rows)
        parts.append(
            f"## {heading}\n\n| piece | known | where | deviation |\n"
            f"| --- | --- | --- | --- |\n{table}\n"
        )
    listed = "\n".join(_item(deviation) for deviation in deviations())
    parts.append(f"## All deviations in the code\n\n{listed}\n")
    return "\n".join(parts)


def _line(row: Row) -> str:
    where = ", ".join(link(place) for place in row.places.split()) or "*not yet*"
    return f"| {row.piece} | {row.mark} | {where} | {row.departs} |"


def _item(deviation: Deviation) -> str:
    owner = f", `{deviation.owner}`" if deviation.owner else ""
    return f"- [{deviation.path}](../../{deviation.path}){owner}: {deviation.text}."
