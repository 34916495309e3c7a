"""docs/examples/own-videos.md: the example notebook as a page, without outputs."""

import json
import re
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / "examples" / "own-videos.ipynb"


def page() -> str:
    """Render the page."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    title, *others = [_shown(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    note = (
        f"Generated from the notebook [{NOTEBOOK.name}]({NOTEBOOK.name}) by"
        " `python -m docs.generate`. Download the notebook to run it."
    )
    heading, _, introduction = title.partition("\n\n")
    return "\n\n".join([heading, note, introduction, *others]) + "\n"


def _shown(kind: str, source: str) -> str:
    if kind != "code":
        return source
    uses_footage = re.search(r"\bfootage\.\w+\(", source)  # tests check what it calls
    return f"```{'python' if uses_footage else 'py'}\n{source}\n```"
