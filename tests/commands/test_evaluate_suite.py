"""`footage evaluate MODEL --suite ...` as a user calls it."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import footage
from footage import cli
from footage.commands.evaluate import EvaluateConfig, Results
from footage.commands.evaluate_suites import SUITES
from footage.errors import ConfigError
from footage.evaluation import models
from footage.evaluation.dataset import Task
from footage.evaluation.features import extract
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.results import read_rows
from footage.models.config import Preprocessing
from footage.suites.task_spec import TaskRow
from footage.suites.vtab.folder import open_suite
from tests.cli.test_cli import _quiet_root  # noqa: F401 (a fixture for every test here)
from tests.evaluation import miniature


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.write_suite(tmp_path_factory.mktemp("data") / "mini")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_line_evaluates_a_timm_model_on_a_folder(
    data: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"evaluate test_resnet --suite folder --data {data} --size 32"
    assert cli.main(line.split()) == 0
    said = capsys.readouterr()
    for words in (
        "test_resnet on mini, knn",
        "mean of 2 tasks",
        "32 px, area resize",
        "Very small test sets",
    ):
        assert words in said.out
    folders = said.out.splitlines()[-2:]
    place = hashlib.sha256(bytes(data.resolve())).hexdigest()[:8]
    assert folders == [f"evaluations/mini-{place}/test_resnet/{name}" for name in ("knn", "linear")]
    rows = read_rows(here / folders[1])
    assert [(row.task, row.group, row.num_classes) for row in rows] == [
        ("first", "other", 3),
        ("second", "other", 3),
    ]


def vtab_of(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the tasks of the tiny suite be some of VTAB, with the counts that they have."""
    rows = [
        TaskRow(name=name, group="natural", num_classes=3, num_train=24, num_val=12, num_test=18)
        for name in names
    ]
    monkeypatch.setitem(SUITES, "vtab", ("vtab-1k", rows))


def test_tasks_that_a_table_wants_are_missing_and_give_no_mean(
    data: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vtab_of(monkeypatch, "first", "caltech101", "cifar")
    line = f"evaluate pixels --suite vtab --data {data} --protocols linear --averaging groups"
    assert cli.main(line.split()) == 0
    said = capsys.readouterr().out
    assert "no mean: 2 tasks are missing: caltech101, cifar" in said
    assert "mean of" not in said.replace("no mean", "")


def test_chance_is_evaluated_like_a_model(data: Path, here: Path) -> None:
    found = footage.evaluate("chance", suite="folder", data=data)
    assert {(row.baseline, row.protocol) for row in found.rows} == {("chance", "majority")}
    assert [row.value for row in found.rows] == [row.chance for row in found.rows]
    assert found.summaries["majority"].headline[0].averaging == "mean of 2 tasks"
    assert [path.name for path in found.files] == ["majority"]


def test_a_folder_without_any_task_of_the_suite_is_refused(
    data: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suite, task in (("vtab", "caltech101"), ("pocket", "fashion")):
        assert cli.main(f"evaluate pixels --suite {suite} --data {data}".split()) == 1
        error, hint = capsys.readouterr().err.splitlines()
        assert "does not contain any task of" in error
        assert "it contains first, second" in error
        assert task in hint
        assert "--suite folder" in hint
    assert list(here.iterdir()) == []


def test_a_task_with_other_counts_than_the_suite_says_is_refused(data: Path, here: Path) -> None:
    shutil.copytree(data / "first", here / "mini" / "cifar")
    with pytest.raises(ConfigError, match=r"lists 24 images, cifar has 800"):
        footage.evaluate("pixels", suite="vtab", data=here / "mini")
    assert [path.name for path in here.iterdir()] == ["mini"]


def test_own_tasks_are_never_filed_under_a_known_suite(data: Path, here: Path) -> None:
    shutil.copytree(data, here / "vtab-1k")
    config = EvaluateConfig(protocols=("linear",))
    found = footage.evaluate("pixels", suite="folder", data=here / "vtab-1k", config=config)
    assert {row.suite for row in found.rows} == {"vtab-1k (own tasks)"}
    assert found.summaries["linear"].headline[0].identity.suite == "vtab-1k (own tasks)"


def test_two_folders_of_the_same_name_keep_results_of_their_own(data: Path, here: Path) -> None:
    shutil.copytree(data, here / "a" / "photos")
    shutil.copytree(data, here / "b" / "photos")
    for name in ("first", "second"):  # the same lists, other images
        for path in (here / "b" / "photos" / name / "images" / "train800").iterdir():
            pixels = cv2.imread(str(path))
            assert cv2.imwrite(str(path), 255 - np.random.default_rng(0).permutation(pixels))
    config = EvaluateConfig(protocols=("linear",))
    ours, theirs = (
        footage.evaluate("pixels", suite="folder", data=here / each / "photos", config=config)
        for each in ("a", "b")
    )
    assert set(ours.files).isdisjoint(theirs.files)
    assert [row.images for row in ours.rows] != [row.images for row in theirs.rows]
    again = footage.evaluate("pixels", suite="folder", data=here / "a" / "photos", config=config)
    assert again.rows == ours.rows
    with pytest.raises(ConfigError, match="contains results for other images"):
        footage.evaluate(
            "pixels", suite="folder", data=here / "b" / "photos", config=config,
            out=ours.files[0].parent,
        )  # fmt: skip


def test_tasks_left_out_are_missing_too(data: Path, here: Path) -> None:
    config = EvaluateConfig(protocols=("linear",), tasks=("first",))
    found = footage.evaluate("pixels", suite="folder", data=data, config=config)
    assert found.summaries["linear"].missing == ("second",)
    assert found.summaries["linear"].headline == ()


def test_a_task_that_was_dropped_is_neither_demanded_nor_averaged(
    data: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        TaskRow(name=name, group="structured", num_classes=3, num_train=24, num_val=12, num_test=18)
        for name in ("first", "second")
    ]
    config = EvaluateConfig(protocols=("linear",), size=32)

    def evaluated() -> Results:
        return footage.evaluate("test_resnet", suite="pocket", data=data, out="out", config=config)

    monkeypatch.setitem(SUITES, "pocket", ("pocket", rows))
    before = evaluated().summaries["linear"].headline[0]
    assert before.averaging == "mean of 2 tasks"
    monkeypatch.setitem(SUITES, "pocket", ("pocket", rows[:1]))
    found = evaluated()
    after = found.summaries["linear"].headline[0]
    assert (after.averaging, after.value) == ("mean of 1 tasks", found.rows[0].value)
    assert [(row.task, row.group) for row in found.rows if not row.baseline] == [
        ("first", "structured"),
        ("second", "other"),
    ]
    config = dataclasses.replace(config, tasks=("first",))
    assert [row.group for row in evaluated().rows if not row.baseline] == ["structured", "other"]


def write_digits(folder: Path) -> Path:
    """Real digits, of scikit-learn: 8 x 8, grey, PNG and JPEG; only the test part shows a 9."""
    images, labels = load_digits(return_X_y=True)
    known, unknown = np.flatnonzero(labels < 9), np.flatnonzero(labels == 9)
    parts = {
        "train800": known[:400],
        "val200": known[400:600],
        "test": np.concatenate([known[600:1180], unknown[:20]]),
    }
    for part, rows in parts.items():
        (folder / "images" / part).mkdir(parents=True)
        lines = []
        for place, row in enumerate(rows):
            name = f"images/{part}/{place:06}.{'jpg' if place % 3 == 0 else 'png'}"
            pixels = (images[row].reshape(8, 8) * 15.9).astype(np.uint8)
            assert cv2.imwrite(str(folder / name), pixels)
            lines.append(f"{name} {labels[row]}\n")
        (folder / f"{part}.txt").write_text("".join(lines))
    return folder


def features_by_part(task: Task, model: EvaluatedModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features and labels of training, validation and test part."""
    extractor = models.frozen(model, torch.device("cpu")).extractor
    return [
        (extract(part.paths, {"": extractor}).features[""].double().numpy(), part.labels)
        for part in (task.train, task.val, task.test)
    ]


def fitted(strength: float, *parts: tuple[np.ndarray, np.ndarray]) -> Pipeline:
    """The linear probe, all of it by others."""
    features, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    logistic = LogisticRegression(C=strength, max_iter=10_000, tol=1e-6)
    return make_pipeline(StandardScaler(), logistic).fit(features, labels)


def test_the_linear_probe_of_a_suite_agrees_with_scikit_learn_within_half_a_point(
    data: Path, here: Path
) -> None:
    config = EvaluateConfig(protocols=("linear",), size=32)
    found = footage.evaluate("test_resnet", suite="folder", data=data, config=config)
    rows = [row for row in found.rows if not row.baseline]
    for row, task in zip(rows, open_suite(data, ()).tasks, strict=True):
        train, val, test = features_by_part(task, EvaluatedModel(model="test_resnet", size=32))
        score = fitted(float(row.selected["C"]), train, val).score(*test)
        assert abs(score - row.value) <= 0.005


def test_so_does_the_selection_of_its_strength_on_digits(here: Path) -> None:
    data = write_digits(here / "tasks" / "digits").parent
    config = EvaluateConfig(protocols=("linear",))
    (row,) = footage.evaluate("pixels", suite="folder", data=data, config=config).rows
    assert (row.num_classes, row.num_train, row.num_val, row.num_test) == (10, 400, 200, 600)
    (task,) = open_suite(data, ()).tasks
    train, val, test = features_by_part(task, EvaluatedModel(model="pixels"))
    grid = [10.0**exponent for exponent in range(-6, 3)]
    validation = [fitted(strength, train).score(*val) for strength in grid]
    strength = grid[int(np.argmax(validation))]
    assert row.validation == pytest.approx(max(validation), abs=0.005)
    assert abs(fitted(strength, train, val).score(*test) - row.value) <= 0.005
    assert row.value > 0.8


def test_a_function_is_evaluated_by_frozen_protocols(data: Path, here: Path) -> None:
    def mean_colour(images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    wanted = Preprocessing(size=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    found = footage.evaluate(mean_colour, suite="folder", data=data, preprocessing=wanted)
    assert {row.model for row in found.rows} == {"mean_colour", "pixels"}
    assert {row.size for row in found.rows} == {16}
    assert found.verdict.endswith(
        "points in linear accuracy on the mean of 2 tasks (36 test images)."
    )
    assert [path.parent.name for path in found.files] == ["mean_colour"] * 2
    config = EvaluateConfig(protocols=("lightweight",))
    with pytest.raises(ConfigError, match="cannot be fine-tuned"):
        footage.evaluate(
            mean_colour, suite="folder", data=data, preprocessing=wanted, config=config
        )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--suite vtap --data mini", 2, "unknown suite 'vtap'\nhint: did you mean vtab?"),
        ("--suite vtab", 1, "needs its images"),
        ("--suite folder --data nowhere", 1, "folder nowhere does not exist"),
        ("--suite folder --data mini --tasks fist", 2, "'fist'\nhint: did you mean first?"),
        ("--protocols magic", 2, "unknown protocol 'magic'\nhint: choose from knn, linear, "),
        ("--protocols liner", 2, "unknown protocol 'liner'\nhint: did you mean linear?"),
        ("--labels mini --protocols lightweight", 1, "on labelled images protocols must be"),
        ("", 1, "no evaluation data given"),
        ("--data mini", 1, "no evaluation data given"),
        ("--suite folder --data mini --labels mini", 2, "--labels and --suite cannot be combined"),
    ],
)
def test_mistakes_are_one_error_and_one_hint(
    data: Path, here: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, message: str
) -> None:
    shutil.copytree(data, here / "mini")
    assert cli.main(["evaluate", "test_resnet", *words.split()]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
