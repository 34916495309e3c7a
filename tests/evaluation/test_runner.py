"""Selection cannot be moved by the test part, and kills cannot be seen in the table."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from footage.errors import BusyError, ConfigError
from footage.evaluation import execution, features, jobs, records, runner, test_set
from footage.evaluation.averages import summarise
from footage.evaluation.models import EvaluatedModel, with_baselines
from footage.evaluation.protocols import KNN, LINEAR, Protocol
from footage.evaluation.records import ANSWERED, TRIED
from footage.evaluation.results import read_rows
from footage.evaluation.test_set import train_val
from footage.io.documents import Document
from footage.io.files import exclusive
from footage.suites.vtab.folder import open_suite
from tests.evaluation import miniature
from tests.evaluation.miniature import TINY, evaluate, tiny
from tests.evaluation.rows import earlier_identity

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums depend on threads, and this process has to agree with its workers to the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.write_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an evaluation that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    evaluate(data, out)
    return out


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the records but the one that names the machine."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", runner.IDENTITY)
    }


def test_rows_say_what_they_rest_on_and_come_back_from_their_file(whole: Path) -> None:
    rows = read_rows(whole / "tiny")
    assert [row.task for row in rows] == ["first", "second"]
    for row in rows:
        assert (row.protocol, row.sweep_size, row.seed_rule) == ("tiny", 2, "median of 2 seeds")
        assert (row.num_train, row.num_val, row.num_test) == (24, 12, 18)
        assert row.value == pytest.approx(sum(row.seed_values) / 2)
        assert (row.size, row.mean, row.resize) == (32, (0.5, 0.5, 0.5), "bilinear")
        assert row.selected["learning_rate"] in (0.05, 0.005)


def test_the_selected_setting_is_the_first_of_the_best_on_validation(
    data: Path, whole: Path
) -> None:
    task = train_val(open_suite(data, ()).tasks[0])
    tried = [TRIED.read(whole / f"tiny/select/first/{n}.json") for n in range(2)]
    validations = [found.validation for found in tried]
    number, selection = jobs.select(whole / "tiny", task, TINY)
    assert number == validations.index(max(validations))
    assert selection.validation == max(validations)


def test_other_test_labels_change_nothing_but_the_accuracy(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(data, tmp_path / "data")
    for name in ("first", "second"):
        miniature.relabel(other / name)
    evaluate(other, tmp_path / "out")
    for name in ("first", "second"):
        selected = f"tiny/select/{name}"
        assert files(tmp_path / "out" / selected) == files(whole / selected)
        for seed in (0, 1):
            answers = [
                ANSWERED.read(out / f"tiny/test/{name}/{seed}.answers.json")
                for out in (whole, tmp_path / "out")
            ]
            assert answers[0].answers == answers[1].answers
            assert answers[0].selection == answers[1].selection


@pytest.mark.parametrize("protocol", [LINEAR, KNN], ids=lambda protocol: protocol.name)
def test_frozen_protocols_answer_alike_whatever_the_test_labels_say(
    data: Path, tmp_path: Path, protocol: Protocol
) -> None:
    other = shutil.copytree(data, tmp_path / "data")
    for name in ("first", "second"):
        miniature.relabel(other / name)
    found = []
    for source, out in ((data, tmp_path / "a"), (other, tmp_path / "b")):
        evaluate(source, out, protocol=protocol)
        answers = [ANSWERED.read(path) for path in sorted(out.rglob("*.answers.json"))]
        found.append([(each.selection, each.answers) for each in answers])
    assert len(found[0]) == 2
    assert found[0] == found[1]


def test_settings_are_tried_without_the_images_of_the_test_part(data: Path, tmp_path: Path) -> None:
    blind = shutil.copytree(data, tmp_path / "data")
    evaluation = miniature.evaluation(blind, tmp_path / "out")
    shutil.rmtree(blind / "first" / "images" / "test")
    for job in execution._jobs(evaluation, ("select",)):
        execution.perform(evaluation, job, lambda _: None)
    with pytest.raises(ConfigError, match="18 of 18 images of first cannot be read"):
        execution.perform(evaluation, execution._jobs(evaluation, ("final",))[0], lambda _: None)


def test_a_stop_at_any_record_leaves_no_trace(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, left = records.publish, [0]

    def stopping(document: Document[Any], path: Path, record: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return publish(document, path, record)

    for module in (test_set, jobs):
        monkeypatch.setattr(module, "publish", stopping)
    stops = 0
    while True:
        left[0] = 1 + stops % 2  # one or two records further each time
        try:
            evaluate(data, tmp_path)
        except KeyboardInterrupt:
            stops += 1
            continue
        break
    assert stops >= 6
    assert files(tmp_path) == files(whole)


def test_after_a_kill_processes_end_in_the_table_of_an_undisturbed_one(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.evaluation.miniature", str(data), str(tmp_path), "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    while process.poll() is None and len(list(tmp_path.rglob("*.json"))) < 4:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "tiny" / "results.jsonl").exists()
    evaluate(data, tmp_path, workers=2)
    left = {name: content for name, content in files(tmp_path).items() if "/." not in name}
    assert left == files(whole)


def test_results_of_earlier_versions_resume(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    path = out / "tiny" / runner.IDENTITY
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content | {"identity": earlier_identity(content["identity"])}))
    performed: list[object] = []
    monkeypatch.setattr(execution, "perform", lambda _, job, __: performed.append(job))
    assert evaluate(data, out) == read_rows(whole / "tiny")
    assert performed == []


def test_only_a_whole_suite_has_a_mean(data: Path, tmp_path: Path) -> None:
    table = {"first": "other", "second": "other", "third": "other"}
    rows = runner.run(miniature.evaluation(data, tmp_path, protocol=LINEAR, table=table))
    summary = summarise(rows)
    assert (summary.headline, summary.missing) == ((), ("third",))


def test_tasks_may_be_evaluated_one_after_another(data: Path, tmp_path: Path) -> None:
    for name in ("second", "first"):
        tasks = open_suite(data, (), only=[name]).tasks
        rows = runner.run(miniature.evaluation(data, tmp_path, protocol=LINEAR, tasks=tasks))
    assert [row.task for row in rows] == ["first", "second"]
    assert all(row.missing == {} for row in rows)


def test_images_are_decoded_once_for_all_models_and_frozen_protocols(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    read_squares = features.read_squares

    def counting(paths: Sequence[Path], *more: Any, **options: Any) -> Any:
        decoded.extend(paths)
        return read_squares(paths, *more, **options)

    monkeypatch.setattr(features, "read_squares", counting)
    compared = with_baselines(EvaluatedModel(model="test_resnet", size=32))
    entries = tuple(
        execution.entry(model, protocol, tmp_path / model.name / protocol.name)
        for model in compared
        for protocol in execution.protocols_of(model, (KNN, LINEAR))
    )
    evaluation = miniature.evaluation(data, tmp_path, entries=entries)
    rows = runner.run(evaluation)
    assert len(rows) == 2 * (1 + 3 * 2)
    assert len(decoded) == len(set(decoded)) == sum(task.num_images for task in evaluation.tasks)
    chance = [row for row in rows if row.baseline == "chance"]
    assert {(row.protocol, row.value == row.chance) for row in chance} == {("majority", True)}
    decoded.clear()
    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "empty"))
    shutil.rmtree(tmp_path / "pixels" / "knn" / "test" / "first")
    assert runner.run(evaluation) == rows
    assert len(decoded) == evaluation.tasks[0].num_images


def test_a_folder_with_the_results_of_something_else_is_refused(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    other = tiny(settings=miniature.settings(0.1))
    with pytest.raises(ConfigError, match=r"for a different model or configuration: protocol\."):
        evaluate(data, out, protocol=other)


def test_two_evaluations_never_work_in_one_folder(data: Path, tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / ".lock", tmp_path),
        pytest.raises(BusyError, match=f"is being written by process {os.getpid()}"),
    ):
        evaluate(data, tmp_path, protocol=LINEAR)


def test_what_does_not_fit_into_memory_is_one_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", exhausted)
    with pytest.raises(ConfigError, match="tiny on first does not fit into the GPU") as caught:
        evaluate(data, tmp_path)
    assert "--workers" in caught.value.hint


@pytest.mark.parametrize("workers", [1, 2])
def test_images_that_cannot_be_read_are_named(data: Path, tmp_path: Path, workers: int) -> None:
    broken = shutil.copytree(data, tmp_path / "data")
    (broken / "first/images/train800/000003.png").write_bytes(b"junk")
    message = r"1 of 24 images of first cannot be read: .*000003"
    with pytest.raises(ConfigError, match=message) as caught:
        evaluate(broken, tmp_path / "out", workers=workers)
    assert "fix or remove them" in caught.value.hint
