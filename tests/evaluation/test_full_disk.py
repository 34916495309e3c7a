"""Writers of results on a disk that is full, and in a place that cannot be written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from footage.errors import OutputError
from footage.evaluation import records
from footage.evaluation.results import write_file, write_lines
from footage.invariance.results import write_profiles
from footage.io import files
from footage.reporting.profile_picture import draw_profiles
from footage.suites.vtab import manifest
from tests.evaluation.rows import HASH, labelled, suite
from tests.evaluation.test_result_files import DESCRIBED
from tests.reporting.test_invariance import MEASURED, MODELS
from tests.support.file_sizes import file_size_limit

ANSWERED = records.Answered(digest=HASH, selection=records.Selection({}, 0.5), answers=[1] * 500)
WRITERS: dict[str, Callable[[Path], Any]] = {
    "labelled": lambda folder: write_file(folder / "a.json", DESCRIBED, [labelled()] * 9),
    "suite": lambda folder: write_lines(folder, suite()),
    "profile": lambda folder: write_profiles(folder / "profile.json", MEASURED, MODELS),
    "picture": lambda folder: draw_profiles(folder / "profile.svg", MODELS),
    "answers": lambda folder: records.publish(records.ANSWERED, folder / "0.json", ANSWERED),
    "page": lambda folder: files.write_text(folder / "report.html", "x" * 9000),
    "manifest": lambda folder: manifest.write(
        folder, manifest.Manifest(origin="x" * 3000, marks=(), files={})
    ),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
def test_without_space_there_is_one_error_and_no_file(
    write: Callable[[Path], Any], tmp_path: Path
) -> None:
    message = r"cannot be written: (File too large|No space)"
    with file_size_limit(2000), pytest.raises(OutputError, match=message) as caught:
        write(tmp_path / "out")
    assert "free some space" in caught.value.hint
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
def test_below_a_file_there_is_one_error(write: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write(tmp_path / "out")
    assert caught.value.hint
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
