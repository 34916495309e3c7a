"""experiments/results.md: means, differences and costs are those of the committed lines."""

import dataclasses
import json
import re
import statistics

import pytest

from experiments import draw_results, draw_tasks, draw_tradeoff, results_page, video_measures
from experiments.compare import Arm, read_lines
from experiments.compare_table import difference
from experiments.results_page import Experiment
from footage.recipes.methods import recipe

REFERENCE = results_page.WORDS.parents[1] / "benchmarks" / "results" / "pocket-reference.json"
SUITE = (results_page.WORDS.parents[1] / "packages/pocket-suite/README.md").read_text("utf-8")
README = (results_page.WORDS.parents[1] / "README.md").read_text("utf-8")
SUMMARY = (results_page.WORDS.parents[1] / "docs" / "background" / "results.md").read_text("utf-8")
GROUPS = {"fashion": "natural", "clipart": "natural", "landcover": "specialized"}


def line(label, seed, accuracies, shot=None):
    """As experiments/compare.py writes it, with the accuracies of the three tasks."""
    test = {
        f"{task}, {protocol}": {"chance": 10.0, "untrained": 20.0, "model": value}
        for task, value in zip(GROUPS, accuracies, strict=True)
        for protocol in ("linear", "knn")
    }
    if shot is not None:
        test["same shot"] = {"chance": 1.0, "untrained": 50.0, "model": shot}
    machine = {
        "machine": {"processor": "a CPU", "accelerator": "none"},
        "versions": {"torch": "2.13"},
    }
    return {
        "label": label,
        "seed": seed,
        "groups": GROUPS,
        "test": test,
        "validation": {
            name: {column: value - 1 for column, value in values.items()}
            for name, values in test.items()
            if ", " in name
        },
        "views": 128_000,
        "train_seconds": 60 * (seed + 1),
        "environment": {"commit": "1234567abcdef", **machine},
    }


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    lines = [
        line("ours", 0, [40, 50, 60], shot=90.0), line("theirs", 0, [30, 40, 50], shot=80.0),
        line("ours", 1, [42, 52, 62], shot=94.0), line("theirs", 1, [35, 45, 55], shot=80.0),
        line("alone", 2, [30, 30, 30]),
    ]  # fmt: skip
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    monkeypatch.setattr(results_page, "RESULTS", tmp_path)
    return Experiment(("some.jsonl",), "theirs")


def test_a_row_has_means_over_seeds_and_the_difference_seed_by_seed(experiment):
    rows = [row.split(" | ") for row in results_page.table(experiment).splitlines()]
    cells = {row[0].removeprefix("| "): [cell.strip(" |") for cell in row[1:]] for row in rows}
    assert cells["ours"][:3] == ["2", "51.0 (50.0..52.0)", "+8.5 ± 1.5"]
    assert cells["ours"][3:6] == ["46.0 (45.0..47.0)", "61.0 (60.0..62.0)", ""]
    assert cells["ours"][7:] == ["92.0 (90.0..94.0)", ""]
    assert cells["theirs"][:3] == ["2", "42.5 (40.0..45.0)", ""]
    assert cells["alone"][:3] == ["1", "30.0", ""]  # no seed that both have
    assert cells["untrained"][:3] == ["", "20.0", ""]


def test_tasks_and_held_out_videos_are_averaged_into_one_mean(experiment):
    path = results_page.RESULTS / "some.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    for made in lines[:4]:
        made["test"]["same video, another shot"] = {"chance": 0.0, "untrained": 9.0, "model": 60.0}
    path.write_text("".join(json.dumps(made) + "\n" for made in lines))
    table = results_page.together(experiment).splitlines()
    rows = [row.removeprefix("| ").removesuffix(" |").split(" | ") for row in table]
    assert rows[0][2::2] == ["13 tasks", "2 held-out retrievals", "half and half", "all 15"]
    cells = {row[0]: row[1:] for row in rows}
    # Three tasks of 40, 50 and 60 with retrievals of 90 and 60; then of 42, 52, 62, 94 and 60.
    assert cells["ours"][:4] == ["2", "51.0 (50.0..52.0)", "+8.5 ± 1.5", "76.0 (75.0..77.0)"]
    # Halves of 50 and 75, then of 52 and 77; theirs of 40 and 70, then of 45 and 70.
    assert cells["ours"][5:8] == ["63.5 (62.5..64.5)", "+7.2 ± 0.2", "61.0 (60.0..62.0)"]
    # No held-out videos, and no seed that the base has.
    assert cells["alone"][1:] == ["30.0", "", "", "", "", "", "", ""]


def test_rendered_tasks_are_separate_from_found_ones(experiment):
    path = results_page.RESULTS / "some.jsonl"
    path.write_text(path.read_text().replace("landcover", "doom"))
    rows = [row.strip("| ").split(" | ") for row in results_page.kinds(experiment).splitlines()]
    cells = {row[0]: row[1:] for row in rows}
    # Fashion and clip art have 40 and 50, then 42 and 52; the rendered one 60, then 62.
    found, rendered = ["46.0 (45.0..47.0)", "+8.5 ± 1.5"], ["61.0 (60.0..62.0)", "+8.5 ± 1.5"]
    assert cells["ours"] == ["2", *found, *found, *rendered, *rendered]


def test_the_validation_results_come_before_the_test_results(experiment):
    rows = [row.strip("| ").split(" | ") for row in results_page.tuned(experiment).splitlines()]
    cells = {row[0]: row[1:] for row in rows}
    assert rows[0][1:4:2] == ["validation split, linear and kNN", "13 tasks"]
    assert cells["ours"][1:4:2] == ["50.0 (49.0..51.0)", "51.0 (50.0..52.0)"]
    assert cells["untrained"][1:4:2] == ["19.0", "20.0"]


def test_an_arm_is_named_after_the_recipe_that_it_has_become():
    committed = {
        line["label"]: line for line in read_lines(results_page.RESULTS / "shipped-cuts.jsonl")
    }
    for before, now in results_page.NAMED_LATER.items():
        line = committed[before]
        arm = Arm(line["recipe"], before, line["settings"])
        threads = {"compute": recipe(f"{now}-tiny").compute}
        assert dataclasses.replace(arm.config({}, 0), **threads) == recipe(f"{now}-tiny")


def test_only_the_requested_seeds_are_shown(experiment):
    arms = {arm.label: arm for arm in results_page.arms_of(experiment._replace(seeds=(1, 2)))}
    assert {label: sorted(arm.lines) for label, arm in arms.items()} == {
        "chance": [1], "untrained": [1], "ours": [1], "theirs": [1], "alone": [2],
    }  # fmt: skip


def test_only_the_requested_arms_are_shown(experiment):
    chosen = experiment._replace(arms=("theirs", "alone"))
    labels = [arm.label for arm in results_page.arms_of(chosen)]
    assert labels == ["chance", "untrained", "theirs", "alone"]


def test_the_cost_lists_views_minutes_machine_and_commit(experiment):
    assert results_page.cost(experiment) == (
        "128,000 views per arm, 1 to 3 minutes of one busy core; a CPU, torch 2.13, commit 1234567."
    )


def test_the_cost_lists_minutes_once_if_all_arms_took_the_same_time(experiment):
    assert ", 3 minutes of one" in results_page.cost(experiment._replace(arms=("alone",)))


def test_the_cost_marks_a_commit_with_uncommitted_changes(experiment):
    path = results_page.RESULTS / "some.jsonl"
    path.write_text(path.read_text().replace('"1234567abcdef', '"1234567abcdef-dirty', 1))
    assert results_page.cost(experiment).endswith("commit 1234567, 1234567 with changes.")


def test_the_cost_names_the_gpu_that_the_arms_shared(experiment):
    path = results_page.RESULTS / "some.jsonl"
    path.write_text(
        path.read_text().replace('"accelerator": "none"', '"accelerator": "a GPU", "cores": 16')
    )
    assert "a CPU, 16 cores and one a GPU for all arms, torch" in results_page.cost(experiment)


def test_another_protocol_is_shown_without_knn_and_retrievals(experiment):
    head, _, *rows = results_page.table(experiment._replace(protocol="knn")).splitlines()
    assert (
        head
        == "|  | seeds | mean of 13 | vs. theirs | natural, 4 | specialized, 1 | structured, 8 |"
    )
    assert (
        "| ours | 2 | 51.0 (50.0..52.0) | +8.5 ± 1.5 | 46.0 (45.0..47.0) | 61.0 (60.0..62.0) |  |"
        in rows
    )


def test_the_page_contains_every_experiment_and_no_others():
    asked = {
        name for _, name in results_page.DIRECTIVE.findall(results_page.WORDS.read_text("utf-8"))
    }
    assert asked == set(results_page.EXPERIMENTS)


@pytest.mark.parametrize("picture", [draw_results, draw_tasks, draw_tradeoff])
def test_the_committed_pictures_show_the_committed_results(picture):
    assert picture.digest() in picture.PATH.read_text(), "run: python -m docs.generate"


def test_every_setting_has_its_recipe_and_a_control_with_a_common_seed():
    for setting in draw_results.SETTINGS:
        ours, *controls = list(setting.arms().values())[1:]
        assert ours.label.startswith(setting.recipe)
        assert controls
        assert all(ours.lines.keys() & control.lines.keys() for control in controls)


@pytest.mark.parametrize("picture", [draw_results, draw_tasks, draw_tradeoff])
def test_a_picture_is_drawn_with_its_digest(picture, tmp_path):
    drawn = picture.draw(tmp_path / "picture.svg").read_text()
    assert picture.digest() in drawn
    assert drawn.count("<svg") == 1


def test_the_figure_of_tasks_shows_every_task_found_ones_first():
    arms = {arm.label: arm for arm in results_page.arms_of(results_page.EXPERIMENTS["cuts"])}
    names = draw_tasks.tasks(arms)
    assert names[:3] == list(results_page.FOUND)
    assert len(names) == len(set(names)) == sum(results_page.GROUPS.values())


SCORES = video_measures.read(
    results_page.RESULTS / "video-tasks.jsonl", results_page.RESULTS / "interventions.jsonl"
)
COLUMNS = ("13 tasks", "propagation", "robustness", "search", "in-domain", "mean of five")
BASELINES = {"chance": "chance", "pixels": "raw pixels", "untrained": "untrained"}
SHARED = "vivi-ex4, shared draws"
NAMES = ("vivi-ex4", "vivi-full", "ex-frame", "frames-as-images", SHARED)
WORDS = {name: f"`{name}`" for name in NAMES} | BASELINES
WORDS[SHARED] = "`vivi-ex4` with shared draws"


@pytest.mark.parametrize("name", [*BASELINES, *NAMES])
def test_the_table_of_the_summary_has_the_numbers_of_the_results(name):
    assert re.search(row(name, means(name, COLUMNS)), SUMMARY, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "other"),
    [("vivi-ex4", "ex-frame"), ("vivi-ex4", "frames-as-images"), (SHARED, "vivi-ex4")],
)
def test_the_table_of_the_summary_has_the_differences_of_the_results(name, other):
    ours, theirs = SCORES.best()[name], SCORES.best()[other]
    cells = [
        difference(SCORES.values(ours, column), SCORES.values(theirs, column)) for column in COLUMNS
    ]
    assert f"| {WORDS[name]} - {WORDS[other]} | {' | '.join(cells)} |" in SUMMARY


@pytest.mark.parametrize("name", ["pixels", "untrained", *NAMES])
def test_the_table_of_the_readme_has_the_numbers_of_the_results(name):
    columns = ("13 tasks", "propagation", "search", "in-domain")
    assert re.search(row(name, means(name, columns)), README, re.MULTILINE)


def test_references_have_the_values_that_the_suites_report():
    def accuracy(column):
        rows = json.loads(REFERENCE.read_text())["rows"]
        found = [r["value"] for r in rows if (r["column"], r["protocol"]) == (column, "linear")]
        return f"{100 * statistics.mean(found):.1f}"

    assert means("pixels", COLUMNS)[0] == accuracy("pixels")
    (propagation,) = re.findall(r"^\| Lite0, ImageNet \| ([\d.]+) \[", SUITE, re.MULTILINE)
    shown = f"has {accuracy('reference')} on the 13 tasks and {propagation} in propagation"
    assert shown in SUMMARY
    adapted = video_measures.read(results_page.RESULTS / "adapted-gameplay.jsonl")
    in_domain = adapted.baselines["original"].parts["in-domain"]
    assert f"EfficientNet-Lite0 with ImageNet labels ({in_domain:.1f})" in SUMMARY.replace(
        "\n ", ""
    )


def means(name, columns):
    """The mean over the seeds of each measure at the best rate, empty where there is none."""
    if name in BASELINES:
        values = [SCORES.baselines[name].parts.get(column) for column in columns]
    else:
        label = SCORES.best()[name]
        values = [statistics.mean(SCORES.values(label, column).values()) for column in columns]
    return ["" if value is None else f"{value:.1f}" for value in values]


def row(name, cells):
    """A pattern of a row of a table, whose name may be explained."""
    values = "".join(rf" {re.escape(cell)} \|" if cell else r" \|" for cell in cells)
    return rf"^\| {WORDS[name]}[^|]* \|{values}$"
