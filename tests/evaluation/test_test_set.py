"""The test part answers once, and what leaks is caught."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from footage.errors import ConfigError
from footage.evaluation import jobs, test_set
from footage.evaluation.dataset import Task
from footage.evaluation.records import SCORED, Scored, Selection, folder_name, publish, read
from footage.evaluation.test_set import train_val
from footage.suites.vtab.folder import open_folder_task
from tests.evaluation import miniature

SELECTION = Selection({"C": 1.0}, 0.5)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return open_folder_task(miniature.write_task(tmp_path_factory.mktemp("sealed") / "first"))


class Counting:
    """Answers class 0, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, paths: Sequence[Path]) -> np.ndarray:
        self.asked += 1
        return np.zeros(len(paths), dtype=np.int64)


def test_the_test_part_is_read_by_one_classifier_however_often_it_is_asked_for(
    task: Task, tmp_path: Path
) -> None:
    classify = Counting()
    scores = [test_set.TestSet(task, tmp_path).score(0, SELECTION, classify) for _ in range(3)]
    assert classify.asked == 1
    assert scores == [scores[0]] * 3
    assert scores[0].accuracy == pytest.approx(1 / 3)
    assert scores[0].chance == pytest.approx(1 / 3)
    assert test_set.TestSet(task, tmp_path).recorded(1) is None


def test_a_second_selection_is_refused_for_the_same_seed(task: Task, tmp_path: Path) -> None:
    test = test_set.TestSet(task, tmp_path)
    test.score(0, SELECTION, Counting())
    with pytest.raises(ConfigError, match="was already read with"):
        test.score(0, Selection({"C": 2.0}, 0.5), Counting())


def test_answers_are_on_disk_before_any_label_is_looked_at(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: test_set.TestSet, seed: int, answered: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(test_set.TestSet, "_count", killed)
        with pytest.raises(KeyboardInterrupt):
            test_set.TestSet(task, tmp_path).score(0, SELECTION, Counting())
    assert [path.name for path in tmp_path.rglob("*.json")] == ["0.answers.json"]
    again = Counting()
    score = test_set.TestSet(task, tmp_path).score(0, SELECTION, again)
    assert again.asked == 0
    assert score.accuracy == pytest.approx(1 / 3)


def test_other_lists_of_images_are_refused(task: Task, tmp_path: Path) -> None:
    test_set.TestSet(task, tmp_path / "records").score(0, SELECTION, Counting())
    folder = shutil.copytree(task.train.paths[0].parents[2], tmp_path / "first")
    assert test_set.TestSet(open_folder_task(folder), tmp_path / "records").recorded(0) is not None
    miniature.relabel(folder)
    with pytest.raises(ConfigError, match="other lists of images"):
        test_set.TestSet(open_folder_task(folder), tmp_path / "records").recorded(0)


def test_what_selects_is_given_no_test_part(task: Task) -> None:
    seen = train_val(task)
    mentioned = [path for part in (seen.train, seen.val, seen.both) for path in part.paths]
    assert not set(mentioned) & set(task.test.paths)
    assert not hasattr(seen, "test")
    for function in (jobs.try_setting, jobs.select, jobs.tried):
        assert {"TestSet", "Task"}.isdisjoint(map(str, function.__annotations__.values()))


def test_a_protocol_that_selects_on_the_test_part_is_caught(task: Task, tmp_path: Path) -> None:
    test = test_set.TestSet(task, tmp_path)

    def leaking_selection() -> int:
        def accuracy(setting: int) -> float:
            selection = Selection({"setting": float(setting)}, 0.0)
            return test.score(0, selection, lambda paths: np.full(len(paths), setting)).accuracy

        return max(range(3), key=accuracy)

    with pytest.raises(ConfigError, match="select settings on the validation part"):
        leaking_selection()


def test_a_record_is_written_once_and_the_first_one_counts(tmp_path: Path) -> None:
    first, second = Scored(accuracy=0.5, chance=0.1), Scored(accuracy=0.75, chance=0.1)
    assert publish(SCORED, tmp_path / "a" / "b.json", first) == first
    assert publish(SCORED, tmp_path / "a" / "b.json", second) == first
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
    assert read(SCORED, tmp_path / "absent.json") is None


def test_a_name_that_is_too_long_for_a_folder_is_shortened_and_stays_unique() -> None:
    assert folder_name("photos") == "photos"
    long = [folder_name("x" * 300 + end) for end in "ab"]
    assert len(set(long)) == 2
    assert max(map(len, long)) < 100
