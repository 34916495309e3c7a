"""The code of the examples runs as shown, on small data."""

import ast
import re

import pytest

import footage
from docs.generate import ROOT

EXAMPLES = ROOT / "docs" / "examples"


def blocks(name):
    return re.findall(
        r"^```py(?:thon)?\n(.*?)^```$", (EXAMPLES / name).read_text("utf-8"), re.M | re.S
    )


def test_scikit_learn_groups_images_and_classifies_them(
    shapes_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    footage.embed("test_resnet", shapes_folder, out="photos.npy", size=32)
    exec("\n".join(blocks("scikit-learn.md")), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "cluster 0", "cluster 1", "cluster 2", "agreement with the folders",
        "accuracy with 15 labels", *["label next"] * 5,
    ]  # fmt: skip
    accuracy = float(lines[4].rpartition(" ")[2])
    assert 1 / 3 < accuracy <= 1
    assert sum(int(re.search(r"(\d+) images", line)[1]) for line in lines[:3]) == 120


@pytest.mark.parametrize("name", [path.name for path in EXAMPLES.glob("*.md")])
def test_the_code_of_an_example_is_one_program(name):
    ast.parse("\n".join(blocks(name)))
