import json

import pytest

from footage.errors import CheckpointError, FootageError
from footage.io.documents import CHECKSUM
from footage.runs import layout
from footage.runs.environment import environment
from tests.support.hand_made_runs import hand_made_run, record_of
from tests.support.mutations import bit_flips, mutations, states


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; read only."""
    return hand_made_run(tmp_path_factory.mktemp("runs") / "run")


def test_a_record_comes_back_from_its_folder_or_its_file(run):
    record = record_of(run)
    found = layout.read_record(run)
    assert {name: found[name] for name in record} == record
    assert layout.read_record(run / layout.RUN) == found
    assert record["version"] == 2


def test_a_record_of_an_earlier_version_has_the_defaults_of_what_it_lacks(tmp_path, run):
    record = record_of(run)
    wanted = {name: record[name] for name in ("config", "model")}
    (tmp_path / layout.RUN).write_text(json.dumps({**wanted, "gone": 1}))
    found = layout.read_record(tmp_path)
    assert {name: found[name] for name in wanted} == wanted
    assert (found["store"], found["labels_used"], found["held_out"]) == ("", 0, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run: .* does not exist"),
        ("{", "cannot be read as the record of a run: Input data was truncated"),
        ("[]", "cannot be read as the record of a run: Expected `object`, got `array`"),
        ('{"config": {}}', "missing required field `model`"),
    ],
)
def test_what_is_not_a_record_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / layout.RUN).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        layout.read_record(tmp_path)


def test_every_mutation_is_one_error_with_a_hint_or_is_read_as_written(tmp_path, run):
    sound = record_of(run)
    unchecked = [("config",), ("machine",)]
    for what, data in mutations(sound, skip=unchecked):
        (tmp_path / layout.RUN).write_bytes(data)
        try:
            found = layout.read_record(tmp_path)
        except CheckpointError as error:
            found = error
        if isinstance(found, FootageError):
            assert found.hint, what
            assert "\n" not in found.message, what
        else:
            assert states(found, json.loads(data)), what


def test_no_flipped_bit_changes_a_record_unnoticed(tmp_path, run):
    sound = layout.read_record(run)
    for place, data in bit_flips((run / layout.RUN).read_bytes(), 500):
        (tmp_path / layout.RUN).write_bytes(data)
        try:
            assert layout.read_record(tmp_path) == sound, place
        except CheckpointError:
            continue


def test_an_edited_record_names_the_way_to_use_it(tmp_path, run):
    record = json.loads((run / layout.RUN).read_text())
    record["config"]["seed"] = 7
    (tmp_path / layout.RUN).write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=f"edited it on purpose, remove '{CHECKSUM}'"):
        layout.read_record(tmp_path)
    del record[CHECKSUM]
    (tmp_path / layout.RUN).write_text(json.dumps(record))
    assert layout.read_record(tmp_path)["config"]["seed"] == 7


def test_a_record_that_cannot_be_written_is_one_error(tmp_path, run):
    (tmp_path / "file").write_text("")
    with pytest.raises(FootageError, match="cannot be written: Not a directory"):
        layout.write_record(tmp_path / "file" / "run", record_of(run))


def test_the_environment_names_versions_commit_and_machine():
    found = environment()
    assert {"footage", "torch", "timm", "python"} <= set(found["versions"])
    assert found["commit"]
    assert found["machine"]["cores"] >= 1
