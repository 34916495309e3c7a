"""Every results file: damage and invalid content are one error, never a different value."""

import json
import math
import re
from pathlib import Path

import msgspec
import pytest

from footage.errors import FootageError
from footage.evaluation import records
from footage.evaluation.averages import PUBLISHED
from footage.evaluation.leakage import Leakage
from footage.evaluation.results import RESULTS, ResultRow, read_rows, write_rows
from footage.evaluation.suite_results import ROWS
from footage.evaluation.suite_results import read_rows as read_suite
from footage.evaluation.suite_results import write_rows as write_suite
from footage.invariance.results import PROFILES, read_profiles, write_profiles
from footage.io.documents import CHECKSUM
from footage.runs.environment import environment
from footage.suites.vtab.manifest import MANIFEST
from tests.evaluation.suite_results import suite
from tests.reporting.test_invariance import MEASURED, MODELS
from tests.support.mutations import bit_flips, mutations

EXPERIMENTS = Path(__file__).parents[2] / "experiments" / "results"
DESCRIBED = {
    "architecture": "resnet18", "options": {}, "feature_dim": 512, "start": "step 12 of runs/first",
    "preprocessing": {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip
MACHINE = {
    "versions": {"torch": "2.13.0"}, "commit": "abc",
    "machine": {"system": "Linux", "processor": "a", "cores": 2, "accelerator": "none"},
}  # fmt: skip
HASH = "0123456789abcdef"


def row(**changes):
    made = ResultRow(
        model="runs/first", column="model", task="photos", protocol="knn", metric="top-1",
        value=0.75, standard_error=0.1, validation=0.8, selected={"temperature": 0.07},
        num_classes=2, num_train=60, num_val=20, num_test=20, split="60/20/20 per class, seed 0",
        seed=0, architecture="resnet18", start="step 12 of runs/first", size=32, images=HASH,
        weights=HASH, leakage=Leakage(images=3, frames=0, copies=1, unchecked=()),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def plain(value):
    return msgspec.to_builtins(value)


def profile_content(tmp_path):
    write_profiles(tmp_path / "profile.json", MEASURED, MODELS)
    content = json.loads((tmp_path / "profile.json").read_text())
    del content[CHECKSUM]
    return content | {"environment": MACHINE}


RESULT = {"schema_version": 2, "model": DESCRIBED, "environment": MACHINE, "rows": [plain(row())]}
SOUND = {
    "labelled": (RESULTS, RESULT, [("model", "options"), ("rows", 0, "selected")]),
    "suite row": (
        ROWS,
        plain(suite(missing={"cifar": "natural"})[0]),
        [("selected",), ("seed_values",), ("marks",), ("missing", "cifar")],
    ),
    "answers": (
        records.ANSWERED,
        {"digest": HASH, "choice": [{"C": 1.0}, 0.5], "answers": [0, 1, 2]},
        [("choice", 0), ("answers",)],
    ),
    "accuracy": (records.SCORED, {"accuracy": 0.5, "chance": 0.1}, []),
    "setting": (records.TRIED, {"digest": HASH, "validation": 0.5, "diverged": False}, []),
    "identity": (
        records.EVALUATED,
        {"identity": {"suite": "a"}, "environment": MACHINE},
        [("identity",)],
    ),
    "manifest": (
        MANIFEST,
        {"schema_version": 1, "origin": "here", "marks": ["a"], "files": {"a.png": "0" * 64}},
        [("marks",), ("files", "a.png")],
    ),
    "published": (
        PUBLISHED,
        {
            "about": "",
            "rows": [
                {
                    "suite": "vtab-1k", "model": "a", "protocol": "linear", "generation": "v2",
                    "sweep_size": 1, "seed_rule": "one", "averaging": "tasks", "mean": 43.1,
                    "groups": {"natural": 27.9}, "source": "b", "certain": True,
                }
            ],
        },
        [("rows", 0, "groups", "natural"), ("rows", 0, "missing")],
    ),
}  # fmt: skip
FREE = (
    "seed: negative", "interval", "mean.", "versions.torch missing", "machine.", "rows.0 missing",
    "diverged: true", "certain: true", "cores: null",
)  # fmt: skip
"""Variants that are sound: a seed may be negative, an interval is computed again, and so on."""
LATER = {
    f"{place}{name}"
    for place in ("", "rows.0.")
    for name in ("images missing", "weights missing", "leakage missing", "leakage: null")
}
"""Fields that earlier versions did not write."""


@pytest.mark.parametrize("name", SOUND)
def test_every_mutation_is_one_error_with_a_hint(name):
    document, content, skip = SOUND[name]
    assert document.parse(json.dumps(content), "x.json") is not None
    tried = 0
    for what, data in mutations(content, skip):
        if what in LATER or any(word in what for word in FREE):
            continue
        tried += 1
        with pytest.raises(FootageError) as caught:
            document.parse(data, "x.json")
        assert caught.value.hint, what
        assert "\n" not in caught.value.message, what
    assert tried > 20


def test_every_mutation_of_a_profile_is_one_error_with_a_hint(tmp_path):
    content = profile_content(tmp_path)
    content["models"] = content["models"][-1:]
    free = [
        ("environment",), ("ranges",), ("measured", "settings"), ("measured", "store", "views"),
        ("measured", "store"), ("measured", "videos", "classes"), ("models", 0, "described"),
        ("intervals",),
    ]  # fmt: skip
    optional = re.compile(
        r"digest|models\.0|measured\.(scenes|videos)|.*\.(levels|factors|robustness)\.\w+|.*steps\.\d"
    )
    tried = 0
    for what, data in mutations(content, free):
        place, _, new = what.partition(": ")
        if new in ("null", "negative", "a fraction") or (
            what.endswith(" missing") and optional.fullmatch(place.removesuffix(" missing"))
        ):
            continue  # a number that is not defined, or something that was not measured
        tried += 1
        with pytest.raises(FootageError) as caught:
            PROFILES.parse(data, "x.json")
        assert caught.value.hint, what
    assert tried > 500


# --- flipped bits --------------------------------------------------------------------------------


def unchanged_or_refused(path, read, flips):
    """Read many damaged copies of a file; each is an error, or gives the very same."""
    sound = repr(read(path))
    data = path.read_bytes()
    refused = 0
    for place, flipped in bit_flips(data, flips):
        path.write_bytes(flipped)
        try:
            found = read(path)
        except FootageError:
            refused += 1
            continue
        assert repr(found) == sound, place
    assert refused > flips / 2


@pytest.mark.parametrize("flips", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_flipped_bit_in_any_result_file_goes_unnoticed(tmp_path, flips):
    write_rows(tmp_path / "a.json", DESCRIBED, [row(), row(column="untrained")])
    unchanged_or_refused(tmp_path / "a.json", read_rows, flips)
    write_suite(tmp_path, suite()[:4])
    unchanged_or_refused(tmp_path / "results.jsonl", read_suite, flips)
    write_profiles(tmp_path / "profile.json", MEASURED, MODELS[:2])
    unchanged_or_refused(tmp_path / "profile.json", read_profiles, flips)
    for name in ("answers", "accuracy", "setting", "identity", "manifest"):
        document, content, _ = SOUND[name]
        document.write(tmp_path / "one.json", content)
        unchanged_or_refused(tmp_path / "one.json", document.read, flips)


# --- what is read back ---------------------------------------------------------------------------


def test_rows_of_the_first_version_without_a_checksum_are_read(tmp_path):
    later = ("interval", "images", "weights", "leakage")
    old = {name: value for name, value in plain(row()).items() if name not in later}
    (tmp_path / "old.json").write_text(json.dumps(RESULT | {"schema_version": 1, "rows": [old]}))
    assert read_rows(tmp_path / "old.json") == [row(images="", weights="", leakage=None)]


def test_suite_rows_of_an_earlier_version_are_read(tmp_path):
    later = ("interval", "images", "weights", "leakage")
    lines = [{k: v for k, v in plain(each).items() if k not in later} for each in suite()]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_suite(tmp_path) == suite()


def test_committed_profiles_are_read():
    for name, models in (("levels-profile.json", 7), ("levels-profile-one-by-one.json", 8)):
        found = read_profiles(EXPERIMENTS / name)
        assert len(found.models) == models
    assert found.measured.store.videos == 43
    assert found.models[0].profile.levels["view"].chance == pytest.approx(1 / 205)


def test_a_number_that_is_not_defined_comes_back_as_nan(tmp_path):
    write_profiles(tmp_path / "profile.json", MEASURED, MODELS)
    assert "NaN" not in (tmp_path / "profile.json").read_text()
    values = repr(read_profiles(tmp_path / "profile.json").models)
    assert values.count("nan") == repr(MODELS).count("nan") > 0
    assert math.isnan(float("nan"))


def test_the_environment_of_this_machine_fits_the_schema():
    assert msgspec.convert(environment(), records.Environment).commit
