"""experiments/compare.py: real arms, and its tables compared with hand-computed numbers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.compare import check_views, finished, main, read_arm, read_lines, run_folder
from experiments.compare_table import table
from footage.errors import ConfigError, FootageError

ROOT = Path(__file__).parents[2]


def line(label, seed, model, retrieved):
    """A made-up result: two tasks of one protocol, and the retrieval of shots."""
    baselines = {"chance": 10.0, "pixels": 30.0, "untrained": 20.0}
    test = {
        "same shot": {"chance": 1.0, "untrained": 50.0, "model": retrieved},
        "birds, knn": {**baselines, "model": model},
        "boats, knn": {name: value + 10 for name, value in {**baselines, "model": model}.items()},
    }
    return {"label": label, "seed": seed, "test": test, "validation": {"birds, knn": baselines}}


def test_a_table_has_mean_extremes_and_paired_differences():
    lines = [line("first", seed, 40.0 + 10 * seed, 80.0) for seed in range(3)]
    # Better by 1, 2 and 3 points: 2 on average, with a standard error of 1 / sqrt(3).
    lines += [line("second", seed, 41.0 + 11 * seed, 90.0) for seed in range(3)]
    means, differences = table(lines).split("Difference to first")
    assert "| same shot | 1.0 |  | 50.0 | 80.0 | 90.0 |" in means
    assert "| birds, knn | 10.0 | 30.0 | 20.0 | 50.0 (40.0..60.0) | 52.0 (41.0..63.0) |" in means
    assert "| mean of 2 sets, knn | 15.0 | 35.0 | 25.0 | 55.0 (45.0..65.0) |" in means
    assert "| birds, knn | +2.0 ± 0.6 |" in differences
    assert "| same shot | +10.0 ± 0.0 |" in differences


def test_one_seed_has_no_spread_and_validation_results_have_a_table():
    text = table([line("only", 0, 40.0, 80.0)], "validation")
    assert "| birds, knn | 10.0 | 30.0 | 20.0 |  |" in text
    assert "Difference" not in text


def test_every_run_has_its_own_folder():
    folder = run_folder("some.jsonl", "vivi-ex4, ViT-Ti/16", 0)
    assert folder.parent == Path("some.jsonl-runs")
    assert folder.name == "vivi-ex4,-ViT-Ti-16-0"


def test_arms_that_see_different_numbers_of_views_are_refused():
    arms = [
        read_arm("vivi-ex4-tiny"),
        read_arm("ex-shot-tiny:longer:steps=400,objective.frame_shot.loss.margin=1"),
    ]
    assert arms[1].config({"steps": 300}, 5).objective.frame_shot.loss.margin == 1.0
    with pytest.raises(ConfigError, match="different numbers of views"):
        check_views(arms, {"steps": 300})


def test_a_suite_has_means_of_its_groups_too():
    found = line("only", 0, 40.0, 80.0)
    found["test"]["bats, knn"] = {**found["test"]["birds, knn"], "model": 90.0}
    found["groups"] = {"birds": "natural", "bats": "natural", "boats": "structured"}
    text = table([found])
    assert "| mean of 2 natural sets, knn | 10.0 | 30.0 | 20.0 | 65.0 |" in text
    assert "| mean of 3 sets, knn | 13.3 | 33.3 | 23.3 | 60.0 |" in text
    assert "structured" not in text  # one task is not averaged


def test_arms_with_and_without_videos_are_run_once(
    tiny_store, shapes_folder, tmp_path, monkeypatch
):
    results = tmp_path / "results.jsonl"
    common = (
        "steps=2,backbone.architecture=test_resnet,augment.size=32,sampling.videos_per_batch=3,"
        "labelled.images_per_batch=6,held_out_fraction=0.3,compute.workers=1,compute.threads=1"
    )
    command = [
        "compare.py", str(results), "--store", str(tiny_store.path), "--images", str(shapes_folder),
        "--labelled", str(shapes_folder), "--arms", "vivi-ex4-co-tiny", "sup-tiny", "--seeds", "0",
        "--common", common,
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    main("Real arms.")
    cotrained, supervised = map(json.loads, results.read_text().splitlines())
    assert (cotrained["views"], cotrained["labelled_images"]) == (2 * 3 * 2 * 2, 12)
    assert (supervised["views"], supervised["labelled_images"]) == (0, 12)
    assert {*cotrained["test"]} - {*supervised["test"]} == {"same shot", "same video, another shot"}
    before = results.read_bytes()
    main("Real arms.")
    assert results.read_bytes() == before


def test_parallel_arms_have_the_results_of_sequential_ones(
    tiny_store, shapes_folder, tmp_path, monkeypatch
):
    common = (
        "steps=2,backbone.architecture=test_resnet,augment.size=32,sampling.videos_per_batch=3,"
        "held_out_fraction=0.3,compute.workers=1,compute.threads=1"
    )
    rest = [
        "--store", str(tiny_store.path), "--labelled", str(shapes_folder), "--seeds", "0",
        "--arms", "vivi-ex4-tiny", "ex-shot-tiny", "--common", common,
    ]  # fmt: skip
    sequential, parallel = tmp_path / "sequential.jsonl", tmp_path / "parallel.jsonl"
    monkeypatch.setattr("sys.argv", ["compare.py", str(sequential), *rest])
    main("Real arms.")
    module = [sys.executable, "-m", "experiments.compare"]
    subprocess.run([*module, parallel, *rest, "--processes", "2"], cwd=ROOT, check=True)
    found = [
        {line["label"]: (line["last_levels"], line["test"]) for line in read_lines(path)}
        for path in (sequential, parallel)
    ]
    assert found[0] == found[1]
    assert {*found[0]} == {"vivi-ex4-tiny", "ex-shot-tiny"}


def test_a_run_that_stopped_early_has_the_metrics_of_the_kept_weights():
    lines = [{"step": step, "probe": {"same_shot_hit": float(step)}} for step in (0, 10, 20, 30)]
    early = {"stopped_early": True, "best_step": 10}
    last, probes = finished(lines, early, 40)
    assert last == 30
    assert [probe["same_shot_hit"] for probe in probes] == [0, 10]
    assert len(finished(lines, {**early, "best_step": 0}, 40)[1]) == 1
    assert len(finished(lines, {"stopped_early": False, "best_step": 20}, 30)[1]) == 3
    assert finished(lines, {}, 30) == (30, [line["probe"] for line in lines])
    for stopping in ({}, {"stopped_early": False, "best_step": 30}):
        with pytest.raises(FootageError, match="training was stopped"):
            finished(lines, stopping, 40)
