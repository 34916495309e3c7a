"""Every results file: damage and invalid content are one error, never a different value."""

import json
import math
import re
from pathlib import Path

import msgspec
import pytest

from footage import configuration
from footage.errors import FootageError
from footage.evaluation import records
from footage.evaluation.averages import PUBLISHED
from footage.evaluation.protocols import PROTOCOLS
from footage.evaluation.results import RESULTS, ROWS, read_rows, write_file, write_lines
from footage.invariance.results import PROFILES, read_profiles, write_profiles
from footage.io.documents import CHECKSUM
from footage.runs import layout
from footage.runs.environment import environment
from footage.suites.vtab.manifest import MANIFEST
from tests.evaluation.rows import HASH, earlier_identity, labelled, suite, version_2
from tests.reporting.test_invariance import MEASURED, MODELS
from tests.support.hand_made_runs import hand_made_run
from tests.support.mutations import bit_flips, mutations

EXPERIMENTS = Path(__file__).parents[2] / "experiments" / "results"
DESCRIBED = {
    "architecture": "resnet18", "options": {}, "feature_dim": 512,
    "weights_origin": "step 12 of runs/first",
    "preprocessing": {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip
OF_RUN = "of runs/a, initialised from timm weights of x"
MACHINE = {
    "versions": {"torch": "2.13.0"}, "commit": "abc",
    "machine": {"system": "Linux", "processor": "a", "cores": 2, "accelerator": "none"},
}  # fmt: skip


def plain(value):
    return msgspec.to_builtins(value)


def profile_content(tmp_path):
    write_profiles(tmp_path / "profile.json", MEASURED, MODELS)
    content = json.loads((tmp_path / "profile.json").read_text())
    del content[CHECKSUM]
    return content | {"environment": MACHINE}


RESULT = {
    "schema_version": 3,
    "model": DESCRIBED,
    "environment": MACHINE,
    "rows": [plain(labelled())],
}
SOUND = {
    "labelled": (
        RESULTS,
        RESULT,
        [
            ("model", "options"),
            *(("rows", 0, name) for name in ("selected", "seed_values", "deviations", "missing")),
        ],
    ),
    "suite row": (
        ROWS,
        plain(suite(missing={"cifar": "natural"})[0]),
        [("selected",), ("seed_values",), ("deviations",), ("missing", "cifar")],
    ),
    "answers": (
        records.ANSWERED,
        {"digest": HASH, "choice": [{"C": 1.0}, 0.5], "answers": [0, 1, 2]},
        [("choice", 0), ("answers",)],
    ),
    "accuracy": (records.SCORED, {"accuracy": 0.5, "chance": 0.1}, []),
    "setting": (records.TRIED, {"digest": HASH, "validation": 0.5, "diverged": False}, []),
    "identity": (
        records.EVALUATION,
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
    for name in (
        "images missing",
        "weights missing",
        "leakage missing",
        "leakage: null",
        "leakage.near missing",
        "leakage.near: null",
        "leakage.labels missing",
        "leakage.distinct missing",
        "leakage.distinct: null",
        "hits missing",
        "clips missing",
        "recipe missing",
        "verdict missing",
        "differences missing",
        "model: null",
    )
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
    write_file(tmp_path / "a.json", DESCRIBED, [labelled(), labelled(baseline="untrained")])
    unchanged_or_refused(tmp_path / "a.json", read_rows, flips)
    write_lines(tmp_path, suite()[:4])
    unchanged_or_refused(tmp_path / "results.jsonl", read_rows, flips)
    write_profiles(tmp_path / "profile.json", MEASURED, MODELS[:2])
    unchanged_or_refused(tmp_path / "profile.json", read_profiles, flips)
    for name in ("answers", "accuracy", "setting", "identity", "manifest"):
        document, content, _ = SOUND[name]
        document.write(tmp_path / "one.json", content)
        unchanged_or_refused(tmp_path / "one.json", document.read, flips)


# --- what is read back ---------------------------------------------------------------------------


LATER_FIELDS = ("interval", "images", "weights", "leakage")
"""Fields that the first version did not write."""


def earlier_file(version):
    """Labelled results as versions 1 and 2 contained them."""
    chance = labelled(baseline="chance", protocol="majority", value=0.5, selected={})
    rows = [version_2(each) for each in (chance, labelled())]
    if version == 1:
        rows = [{k: v for k, v in row.items() if k not in LATER_FIELDS} for row in rows]
    return RESULT | {"schema_version": version, "rows": rows}


def test_labelled_results_of_earlier_versions_are_converted_with_a_notice(tmp_path, caplog):
    caplog.set_level("INFO")
    for version, unknown in ((1, {"images": "", "weights": "", "leakage": None}), (2, {})):
        path = tmp_path / f"{version}.json"
        earlier = earlier_file(version)
        earlier["model"] = {**earlier["model"], "start": earlier["model"]["weights_origin"]}
        del earlier["model"]["weights_origin"]
        path.write_text(json.dumps(earlier))
        assert RESULTS.read(path).model.weights_origin == "step 12 of runs/first"
        chance, model = read_rows(path)
        assert model == labelled(seed_values=(0.75,), **unknown)
        assert (chance.baseline, chance.value, chance.std) == ("chance", 0.5, (1.0, 1.0, 1.0))
        assert [r.getMessage() for r in caplog.records if str(path) in r.getMessage()] == [
            f"{path} was written by an earlier version of footage; converted on reading"
        ]


def test_suite_rows_of_an_earlier_version_are_converted_with_one_notice(tmp_path, caplog):
    caplog.set_level("INFO")
    new = (*LATER_FIELDS, "baseline", "metric", "split", "seed", "deviations", "weights_origin")
    models = {"a": "", "a untrained": "untrained", "pixels": "pixels"}
    expected = [row for model, baseline in models.items()
                for row in suite(model=model, baseline=baseline)]  # fmt: skip
    lines = [
        {k: v for k, v in plain(row).items() if k not in new}
        | {"marks": list(row.deviations), "start": row.weights_origin}
        for row in expected
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_rows(tmp_path) == expected
    assert caplog.text.count("converted on reading") == 1


@pytest.mark.parametrize(
    ("stopping", "expected"),
    [
        ({"last_step": 90, "best_step": 40}, f"step 40 {OF_RUN}"),
        ({"last_step": 90, "best_step": 90}, f"step 90 {OF_RUN}"),
        ({"last_step": 120, "best_step": 40}, f"step 90 {OF_RUN}"),  # extended after it
        ({}, f"step 90 {OF_RUN}"),
        (
            {"last_step": 90, "best_step": 0},
            "initial weights of runs/a, which early stopping kept: timm weights of x",
        ),
    ],
)
def test_earlier_results_in_a_run_name_the_step_that_early_stopping_kept(
    stopping, expected, tmp_path
):
    run = hand_made_run(tmp_path / "run")
    layout.write_record(run, layout.read_record(run) | {"stopping": stopping})
    rows = [labelled(weights_origin=f"step 90 {OF_RUN}"), labelled(weights_origin="random")]
    write_file(run / "evaluations" / "a.json", DESCRIBED, rows)
    write_file(run / "evaluations" / "comparisons" / "a.json", None, rows)
    write_lines(run / "evaluations" / "vtab" / "model", rows)
    for path in ("a.json", "vtab/model"):
        found = [row.weights_origin for row in read_rows(run / "evaluations" / path)]
        assert found == [expected, "random"]
    assert read_rows(run / "evaluations" / "comparisons" / "a.json") == rows  # of several models


def test_every_mutation_of_an_earlier_file_is_one_error_with_a_hint():
    tried = 0
    for what, data in mutations(earlier_file(2), [("model", "options"), ("rows", 1, "selected")]):
        place = what.replace("rows.1.", "rows.0.")
        if place in LATER or what.startswith("rows.0.") or any(word in what for word in FREE):
            continue
        if what in ("schema_version missing", "rows.1 missing"):
            continue  # the rows are then read as rows of this version; one row less is sound
        tried += 1
        with pytest.raises(FootageError) as caught:
            RESULTS.parse(data, "x.json")
        assert caught.value.hint, what
    assert tried > 20


def test_the_description_of_an_earlier_evaluation_is_read(tmp_path):
    content = {
        "identity": {"suite": "a", "contender": {"size": 8, "start": "x"}},
        "environment": MACHINE,
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    found = records.EVALUATION.read(tmp_path / "evaluation.json")
    assert found.identity == {"suite": "a", "model": {"size": 8, "weights_origin": "x"}}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_an_earlier_evaluation_has_the_present_settings_of_its_protocol(protocol, tmp_path):
    present = {"suite": "a", "model": {"size": 8}, "protocol": configuration.to_dict(protocol)}
    content = {"identity": earlier_identity(present), "environment": MACHINE}
    assert ("warmup_share" in json.dumps(content)) == (not protocol.frozen)
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    found = records.EVALUATION.read(tmp_path / "evaluation.json")
    assert list(configuration.differences(found.identity, present)) == []


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
