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


def test_the_environment_names_versions_commit_and_machine():
    found = runs.environment()
    assert {"footage", "torch", "timm", "python"} <= set(found["versions"])
    assert found["commit"]
    assert found["machine"]["cores"] >= 1
