"""The decisions: an index that lists each of them, three sections, and paths that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "decisions" / "README.md"
RECORDS = sorted((ROOT / "decisions").glob("[0-9]*.md"))
ENTRY = re.compile(r"^\| \[(?P<title>.+)\]\((?P<file>.+)\) \| (?P<status>.+?) \| ", re.MULTILINE)
TOP_LEVEL = "benchmarks|decisions|docs|experiments|footage|packages|tests"


def paths_in(document):
    """Targets of relative links, and code spans that start with a folder of the repository."""
    text = document.read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    spans = re.findall(rf"`((?:{TOP_LEVEL})/[^`\s]+)[^`]*`", text)
    return [document.parent / link for link in links] + [ROOT / span for span in spans]


def test_the_index_lists_every_decision_once_with_its_title():
    listed = [(entry["file"], entry["title"]) for entry in ENTRY.finditer(INDEX.read_text("utf-8"))]
    titles = [
        (record.name, record.read_text("utf-8").partition("\n")[0].removeprefix("# "))
        for record in RECORDS
    ]
    assert sorted(listed) == titles
    assert all(title.startswith(f"{name[:4]}: ") for name, title in titles)


def test_every_status_is_accepted_or_names_the_decision_that_replaced_it():
    for entry in ENTRY.finditer(INDEX.read_text("utf-8")):
        later = [record.name[:4] for record in RECORDS if record.name > entry["file"]]
        assert entry["status"] in ["accepted", *(f"superseded by {number}" for number in later)]


def test_every_decision_has_context_choice_and_consequence_in_this_order():
    heading = re.compile(r"^\*\*(Context|Choice|Consequence)\.\*\*", re.MULTILINE)
    sections = {record.name: heading.findall(record.read_text("utf-8")) for record in RECORDS}
    assert sections == {record.name: ["Context", "Choice", "Consequence"] for record in RECORDS}


def test_every_path_that_a_decision_names_exists():
    named = {path for document in [INDEX, *RECORDS] for path in paths_in(document)}
    assert len(named) > len(RECORDS)
    assert [path for path in named if not path.exists()] == []
