"""House rules that ruff and import-linter do not know."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("footage", "tests", "benchmarks", "experiments", "packages")
MOST_LINES = 400


def files_with(pattern, folders):
    """Python files in which a pattern occurs."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [
        path.relative_to(ROOT).as_posix()
        for path in paths
        if re.search(pattern, path.read_text(encoding="utf-8"))
    ]


def test_no_file_is_longer_than_can_be_read():
    paths = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_arrays_are_never_read_as_pickles():
    assert files_with(r"allow_pickle\s*=\s*True", ["footage", "packages"]) == []


def test_archives_are_never_extracted_as_a_whole():
    assert files_with(r"\.extractall\(", ["footage", "packages"]) == []


def committed_texts():
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".json", ".txt", "") and path.is_file():
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_no_machine_leaves_its_paths_behind():
    # Written in two parts, so that this file does not match itself.
    home = re.compile("(?<![\\w.])/" + r"(?:home|root|Users|work|mnt)" + r"/\w")
    found = [
        f"{name}: {line.strip()[:80]}"
        for name, text in committed_texts()
        if name != "LICENSE"
        for line in text.splitlines()
        if home.search(line)
    ]
    assert found == []
