"""Recipes and controls on the tasks of the pocket-video suite."""

import pytest

from experiments import compare, compare_suites, video_tasks
from experiments.compare import check_views, read_arm, read_lines, read_settings
from footage.commands.evaluate_suites import SUITES
from footage.suites.task_spec import TaskRow
from tests.evaluation import miniature
from tests.support.mask_clips import write_clip


def test_all_arms_use_equal_views_and_four_learning_rates():
    arms = [read_arm(text) for text in video_tasks.ARMS]
    check_views(arms, read_settings(video_tasks.COMMON))
    rates = {arm.config({}, 0).optimizer.learning_rate for arm in arms}
    assert sorted(rates) == pytest.approx([0.0003, 0.001, 0.003, 0.01])
    assert len(arms) == 16


def test_an_arm_has_measures_of_both_suites_and_of_masks(tiny_store, tmp_path, monkeypatch):
    rows = [
        TaskRow(name=name, group="structured", num_classes=3, num_train=24, num_val=12, num_test=18)
        for name in ("first", "second")
    ]
    monkeypatch.setitem(SUITES, "pocket", ("pocket", rows[:1]))
    monkeypatch.setitem(SUITES, "pocket-video", ("pocket-video", rows[1:]))
    monkeypatch.setattr(compare_suites, "FEW_LABELS", ("linear", "2-shot"))
    monkeypatch.setattr(compare_suites, "MASKS_SIZE", 64)
    first = miniature.write_suite(tmp_path / "one", ("first",))
    second = miniature.write_suite(tmp_path / "two", ("second",))
    masks = tmp_path / "propagation"
    write_clip(masks)
    results = tmp_path / "results.jsonl"
    common = (
        "steps=2,backbone.architecture=test_resnet,augment.size=32,sampling.videos_per_batch=3,"
        "held_out_fraction=0.3,compute.workers=1,compute.threads=1"
    )
    command = [
        "video_tasks.py", str(results), "--store", str(tiny_store.path), "--suite", str(first),
        "--video-suite", str(second), "--masks", str(masks), "--arms", "vivi-ex4-tiny",
        "--seeds", "0", "--common", common,
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    compare.main("Real arms.")
    (found,) = read_lines(results)
    labelled = {"first, knn", "first, linear", "second, linear", "second, 2-shot"}
    assert labelled <= found["test"].keys()
    assert labelled <= found["validation"].keys()
    columns = {"chance", "pixels", "untrained", "model"}
    assert all(found["test"][measure].keys() == columns for measure in labelled)
    assert any(
        found["test"][measure]["model"] != found["test"][measure]["untrained"]
        for measure in labelled
    )
    propagated = found["test"]["propagation, propagation"]
    assert propagated.keys() == {"chance", "pixels", "untrained", "model"}
    assert "propagation, propagation" not in found["validation"]
    assert {"same shot", "same video, another shot"} <= found["test"].keys()
