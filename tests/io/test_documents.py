import json
import os
from typing import Annotated, Any

import msgspec
import pytest

from footage.errors import CheckpointError, StoreError
from footage.io import tensors as tensor_files
from footage.io.documents import CHECKSUM, Document
from tests.support.mutations import bit_flips, mutations

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate: Annotated[float, msgspec.Meta(gt=0)]
    names: list[str]


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    count: Count
    title: str
    inner: Inner
    extra: dict[str, Any]


DOCUMENT = Document[Outer](
    schema=Outer,
    name="a test document",
    error=StoreError,
    hint="make a new one",
    version_key="version",
    versions=(1, 2),
    most_bytes=2**20,
)
SOUND = {
    "version": 1,
    "count": 3,
    "title": "Grüße\n",
    "inner": {"rate": 2.5, "names": ["a", "b"]},
    "extra": {"anything": [1, 2.5, None]},
}


def test_what_was_written_is_read_back(tmp_path):
    DOCUMENT.write(tmp_path / "one.json", SOUND)
    assert msgspec.to_builtins(DOCUMENT.read(tmp_path / "one.json")) == SOUND
    DOCUMENT.write_lines(tmp_path / "many.jsonl", [SOUND, SOUND | {"count": 4}])
    assert [one.count for one in DOCUMENT.read_lines(tmp_path / "many.jsonl")] == [3, 4]


def test_files_of_earlier_versions_without_a_checksum_are_read():
    assert DOCUMENT.parse(json.dumps(SOUND), "old.json").count == 3


def test_every_mutation_is_one_error_with_a_hint():
    for name, data in mutations(SOUND, skip=[("extra",)]):
        if name in ("inner.names.0 missing", "inner.names.1 missing"):
            continue  # a list of any length is allowed
        with pytest.raises(StoreError) as caught:
            DOCUMENT.parse(data, "x.json")
        assert caught.value.hint, name
        assert "\n" not in caught.value.message, name


def test_hostile_values_are_errors_even_where_anything_is_allowed():
    for name, data in mutations(SOUND):
        if name.startswith("extra.") and name.split(": ")[-1] in (
            "NaN", "infinite", "a lone surrogate", "nested",
        ):  # fmt: skip
            with pytest.raises(StoreError):
                DOCUMENT.parse(data, name)


def test_a_future_version_names_the_cure():
    with pytest.raises(
        StoreError, match="has version 3; this version of footage reads 1, 2"
    ) as caught:
        DOCUMENT.parse(json.dumps(SOUND | {"version": 3, "new": 1}), "x.json")
    assert caught.value.hint == "use the version of footage that wrote it"


def test_no_flipped_bit_changes_a_value_unnoticed(tmp_path):
    DOCUMENT.write(tmp_path / "one.json", SOUND)
    for place, data in bit_flips((tmp_path / "one.json").read_bytes(), 3000):
        try:
            found = msgspec.to_builtins(DOCUMENT.parse(data, "x.json"))
        except StoreError:
            continue
        assert found == SOUND, place  # white space


def test_an_edited_file_is_refused_until_its_checksum_is_removed(tmp_path):
    path = tmp_path / "one.json"
    DOCUMENT.write(path, SOUND)
    edited = json.loads(path.read_text()) | {"count": 9}
    path.write_text(json.dumps(edited))
    with pytest.raises(StoreError, match=f"edited it on purpose, remove '{CHECKSUM}'"):
        DOCUMENT.read(path)
    del edited[CHECKSUM]
    path.write_text(json.dumps(edited))
    assert DOCUMENT.read(path).count == 9


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_text(DOCUMENT.line(SOUND) + DOCUMENT.line(SOUND)[:20])
    assert len(DOCUMENT.read_lines(path)) == 1
    path.write_text(DOCUMENT.line(SOUND)[:20] + "\n" + DOCUMENT.line(SOUND))
    with pytest.raises(StoreError, match=r"line 1 of .*many.jsonl"):
        DOCUMENT.read_lines(path)


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe", "large"])
def test_only_a_regular_file_of_bounded_size_is_opened(tmp_path, kind):
    path = tmp_path / "x.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(2**30)
    words = {
        "absent": "No such file",
        "folder": "(Is a directory|not a regular file)",
        "pipe": "not a regular file",
        "large": "larger than 1,048,576 bytes",
    }
    with pytest.raises(StoreError, match=words[kind]):
        DOCUMENT.read(path)


def test_numbers_that_json_cannot_hold_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        DOCUMENT.write(tmp_path / "one.json", SOUND | {"extra": {"x": float("nan")}})
    assert list(tmp_path.iterdir()) == []


def test_no_flipped_bit_in_a_tensor_file_goes_unnoticed(tmp_path):
    import torch

    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.zeros(0), "c": torch.tensor(3)}
    tensor_files.write(path, tensors, {"footage": '{"x": 1}'})
    found = tensor_files.read(path)
    assert found.is_verified
    assert found.metadata == {"footage": '{"x": 1}'}
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)
    for place, data in bit_flips(path.read_bytes(), 600):
        path.write_bytes(data)
        try:
            found = tensor_files.read(path)
        except CheckpointError:
            continue
        assert not found.is_verified, place  # a flip in the name of the checksum itself
