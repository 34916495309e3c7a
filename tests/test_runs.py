import json

import pytest

from footage import runs
from footage.errors import CheckpointError


def test_a_record_comes_back_from_its_folder_or_its_file(tmp_path):
    runs.write_record(tmp_path / "run", {"config": {"steps": 3}})
    assert runs.read_record(tmp_path / "run") == {"config": {"steps": 3}}
    assert runs.read_record(tmp_path / "run" / runs.RUN) == {"config": {"steps": 3}}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is not a run"), ("{", "is not JSON"), ("[]", "no training configuration")],
)
def test_what_is_no_record_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / runs.RUN).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        runs.read_record(tmp_path)


def test_rewinding_drops_later_lines_and_a_line_cut_short(tmp_path):
    lines = [json.dumps({"step": step, "loss": 0.5}) for step in (1, 2, 3)]
    (tmp_path / runs.METRICS).write_text("\n".join(lines) + '\n{"step": 4, "lo')
    assert [line["step"] for line in runs.read_metrics(tmp_path)] == [1, 2, 3]
    runs.rewind_metrics(tmp_path, 2)
    assert [line["step"] for line in runs.read_metrics(tmp_path)] == [1, 2]


def test_the_environment_names_versions_commit_and_machine():
    found = runs.environment()
    assert {"footage", "torch", "timm", "python"} <= set(found["versions"])
    assert found["commit"]
    assert found["machine"]["cores"] >= 1
