"""The example notebook runs from top to bottom, on small data."""

import json
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "own-videos.ipynb"
SMALL = '\nNUM_RENDERED, STEPS, ARCHITECTURE, SCALE = 12, 2, "test_resnet", 0.1'


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    )
    parameters.source += SMALL
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=folder).execute()
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    shown = [each.data for each in outputs if "data" in each]
    tables = [data for data in shown if "<table>" in data.get("text/html", "")]
    assert len(tables) == 5  # the results of ingest, train, search, embed and evaluate
    assert [data for data in shown if "<iframe" in data.get("text/html", "")]
    assert (tmp_path / "found.html").is_file()
    assert "accuracy" in "".join(each.get("text", "") for each in outputs)


def test_the_notebook_contains_no_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
