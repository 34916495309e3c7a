"""The headline shows one measure for every run, and names the baselines that beat a run."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from footage import configuration
from footage.evaluation.results import NEAREST, ResultRow
from footage.recipes.methods import recipe
from footage.reporting.inputs import Run
from footage.reporting.sections.headline import Finding, view
from tests.evaluation.rows import HASH
from tests.evaluation.rows import labelled as row

VALUES = {"chance": 0.05, "pixels": 0.3, "untrained": 0.2, "model": 0.4}
ONLINE = {"same_video_hit": 0.6, "same_video_chance": 0.1, "rankme": 9.0}


def run(name: str, rows: Sequence[ResultRow] = (), probes: Sequence[object] = ()) -> Run:
    record = {
        "config": configuration.to_dict(recipe("vivi-ex4-tiny")), "store": "s", "images": "",
        "labels_used": 0, "videos_used": 8,
    }  # fmt: skip
    lines = [{"step": step, "probe": probe} for step, probe in enumerate(probes)]
    return Run(
        path=Path(name), name=name, record=record, steps=[{"step": 7}], probes=lines,
        rows=list(rows), suite_rows=[],
    )  # fmt: skip


def rows(
    values: Mapping[str, float], *, task: str = "same video", protocol: str = NEAREST
) -> list[ResultRow]:
    return [
        row(
            baseline="" if role == "model" else role, task=task, protocol=protocol, value=value,
            num_test=400, weights=HASH[::-1] if role == "model" else HASH,
        )
        for role, value in values.items()
    ]  # fmt: skip


def finding(*runs: Run) -> Finding:
    return view(runs).findings[0]


def test_a_model_that_beats_its_baselines_has_no_warning() -> None:
    found = view([run("a", rows(VALUES))])
    assert found.findings[0].warning == ""
    assert "better than the untrained network and raw pixels" in found.findings[0].text
    assert list(found.advice) == []


def test_baselines_that_beat_the_model_are_named_first() -> None:
    pixels = finding(run("a", rows(VALUES | {"pixels": 0.7})))
    assert pixels.warning == "Raw pixels beat the model."
    assert "better than the untrained network." in pixels.text
    untrained = finding(run("a", rows(VALUES | {"untrained": 0.7})))
    assert untrained.warning == "The untrained network beats the model."
    both = finding(run("a", rows(VALUES | {"untrained": 0.7, "pixels": 0.8})))
    assert both.warning == "The untrained network and raw pixels beat the model."


def test_test_images_that_were_seen_before_are_mentioned() -> None:
    caution = "Some of the test images are in the training data; see below."
    probe = rows(VALUES, task="colours", protocol="linear")
    assert caution in finding(run("a", probe)).text
    unseen = [msgspec.structs.replace(each, leakage=None) for each in probe]
    assert caution not in finding(run("a", unseen)).text


def test_without_an_untrained_network_the_others_are_compared() -> None:
    found = finding(run("a", rows({"chance": 0.05, "pixels": 0.3, "model": 0.4})))
    assert "better than raw pixels." in found.text
    assert "untrained" not in found.text


def test_a_difference_within_the_interval_is_not_a_win() -> None:
    found = finding(run("a", rows(VALUES | {"pixels": 0.42, "untrained": 0.39})))
    assert found.warning == ""
    assert "There is no clear difference from the untrained network and raw pixels." in found.text


def test_a_defeat_on_another_measure_is_listed_as_advice() -> None:
    probe = rows(VALUES | {"pixels": 0.9}, task="colours", protocol="linear")
    found = view([run("a", [*rows(VALUES), *probe])])
    assert found.findings[0].warning == ""
    assert list(found.advice) == ["Raw pixels beat the model on: colours, linear probe."]


def test_all_runs_show_the_same_measure() -> None:
    evaluated = run("a", rows(VALUES), [ONLINE | {"same_video_hit": 0.5}, ONLINE])
    monitored = run("b", probes=[ONLINE, ONLINE])
    assert view([evaluated]).figures[0].value == "40.0\u00a0%"
    found = view([evaluated, monitored])
    assert [figure.title for figure in found.figures] == [
        "nearest frame from the same video, online metric"
    ] * 2
    assert [figure.run for figure in found.figures] == ["a", "b"]
    assert "not higher than before training" not in found.findings[0].text
    assert "not higher than before training" in found.findings[1].text


def test_online_metrics_are_those_of_the_weights_that_early_stopping_kept() -> None:
    scores = (0.5, 0.6, 0.4)
    probes = [ONLINE | {"same_video_hit": score, "rankme": 10 * score} for score in scores]

    def stopped(best_step: int) -> Run:
        stopping = {"best_step": best_step, "first_score": 0.5, "best_score": scores[best_step]}
        found = run("a", probes=probes)
        return dataclasses.replace(found, record=found.record | {"stopping": stopping})

    found = view([stopped(0)])
    assert found.findings[0].text == (
        "Nearest frame from the same video, online metric: 50.0\u00a0%, compared with"
        " 10.0\u00a0% for chance. Trained for 7 steps. Weights kept: initial weights; retrieval in"
        " held-out videos never exceeded 50.0 %."
    )
    rank = next(each for each in found.figures if "rank" in each.title)
    assert (rank.value, rank.context) == ("5.0", "")
    found = view([stopped(1)])
    assert "compared with 50.0\u00a0% for the network before training" in found.findings[0].text
    assert "not higher than before training" not in found.findings[0].text
    assert "Weights kept: step 1; retrieval in held-out" in found.findings[0].text
    rank = next(each for each in found.figures if "rank" in each.title)
    assert (rank.value, rank.context) == ("6.0", "the network before training 5.0")


def test_the_title_has_no_path_of_the_initial_weights() -> None:
    found = run("a")
    config = found.record["config"] | {"init": "/data/me/original.safetensors"}
    found = dataclasses.replace(found, record=found.record | {"config": config})
    assert view([found]).title.endswith(", initialised from original.safetensors")


def test_a_run_without_the_measure_says_so() -> None:
    found = view([run("a", rows(VALUES)), run("b")])
    assert found.findings[1].text.startswith("The headline measure is not available.")
    assert [figure.run for figure in found.figures] == ["a"]


def test_a_network_that_was_never_trained_is_not_compared_with_itself() -> None:
    same = [
        msgspec.structs.replace(each, weights=HASH) for each in rows(dict.fromkeys(VALUES, 0.2))
    ]
    found = finding(run("a", same))
    assert "The model has random weights, like the untrained network." in found.text
    assert "difference from raw pixels" in found.text
