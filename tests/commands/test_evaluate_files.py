"""Results files: recognised, never overwritten by default, and with counts of seen images."""

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from footage import cli
from footage.commands.evaluate import EvaluateConfig, Results, evaluate
from footage.commands.export import export
from footage.commands.train import train
from footage.errors import BusyError, CheckpointError, OutputError
from footage.evaluation import jobs, runner, test_set
from footage.evaluation.results import read_rows
from footage.evaluation.tables import tables
from footage.io import files
from footage.models.load import load
from footage.objectives.config import SupervisedConfig
from footage.reporting.inputs import gather
from footage.reporting.page import page
from footage.reporting.sections.videos import without_pictures
from footage.runs import layout
from footage.store.reader import Store
from footage.training.config import LabelledConfig
from tests.evaluation.rows import version_2
from tests.support.training import smallest

CONFIG = EvaluateConfig(protocols=("linear",))

CLAIM = "none of its paths, files or images is in the training data"
"""What the report says of a test set of which no image was seen before."""


@pytest.fixture(scope="module")
def trained(
    tiny_store: Store, shapes_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that was trained with half of the labels."""
    config = smallest(steps=1, checkpoint_every=1, metrics_every=1, label_fraction=0.5)
    objective = dataclasses.replace(config.objective, supervised=SupervisedConfig(weight=1.0))
    config = dataclasses.replace(
        config, objective=objective, labelled=LabelledConfig(images_per_batch=4)
    )
    out = tmp_path_factory.mktemp("runs") / "first"
    return train(config, store=tiny_store.path, labels=shapes_folder, out=out)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "first"))


def brighter(folder: Path, out: Path) -> Path:
    """Other images under the same names."""
    for path in folder.rglob("*.png"):
        copy = out / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(copy), cv2.imread(str(path)) // 2)
    return out


def stored(run: Path) -> list[Path]:
    return sorted((run / layout.EVALUATIONS).glob("*.json"))


def report_of(run: Path) -> str:
    """The rendered report in one line."""
    return " ".join(page(gather([run]), without_pictures("none")).split())


def text_of(evaluation: Results) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*tables(evaluation.rows, evaluation.summaries))
    return console.export_text()


def test_test_images_that_were_trained_on_are_reported_everywhere(
    run: Path, shapes_folder: Path
) -> None:
    evaluation = evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    (model,) = [row for row in evaluation.rows if not row.baseline]
    listed = (run / layout.LABELS).read_text()
    assert model.leakage is not None
    assert 0 < model.leakage.images <= 24
    assert listed.count("\n") == 60
    others = [row for row in evaluation.rows if row.baseline]
    assert all(row.leakage and row.leakage.images == 0 for row in others)
    words = f"{model.leakage.images} of 24 test images are among the labelled images that the model"
    assert words in text_of(evaluation)
    assert words in json.loads(stored(run)[0].read_text())["warnings"][1]
    report = report_of(run)
    assert words in report
    assert CLAIM not in report


def test_unseen_images_are_claimed_where_all_was_checked(
    run: Path, shapes_folder: Path, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    for path in brighter(shapes_folder, tmp_path / "other").rglob("*.png"):
        blocks = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        assert cv2.imwrite(str(path), np.kron(blocks, np.ones((12, 12, 1), np.uint8)))
    evaluate(str(run), labels=[tmp_path / "other"], config=CONFIG)
    report = report_of(run)
    assert CLAIM in report
    assert "test images are among" not in report


def test_results_and_warnings_stay_with_exports(run: Path, shapes_folder: Path) -> None:
    evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    for to in ("timm", "safetensors"):
        exported = str(export(str(run), to=to).path)
        evidence = load(exported).evidence
        assert evidence["training_data"]["labels"] == 60
        assert str(run.parent) not in json.dumps(evidence)
        assert any("are among the labelled images" in each for each in evidence["warnings"])
        assert evidence["results"][0]["seen_before"] > 0
        row = evaluate(exported, labels=[shapes_folder], config=CONFIG).rows[-1]
        assert row.leakage
        assert row.leakage.labels == 60
        assert "was exported without its training data" in row.leakage.unchecked[0]


def test_brighter_copies_are_reported_as_near_duplicates(
    run: Path, shapes_folder: Path, tmp_path: Path
) -> None:
    other = brighter(shapes_folder, tmp_path / "other")
    found = evaluate(str(run), labels=[other], config=CONFIG)
    assert "near-duplicates of" in text_of(found)
    report = report_of(run)
    assert CLAIM not in report
    assert "are among the labelled images that the model was trained on; the accuracy may" in report


def test_folders_of_the_same_name_have_a_file_each(
    run: Path, shapes_folder: Path, tmp_path: Path
) -> None:
    ours = Path(shutil.copytree(shapes_folder, tmp_path / "a" / "photos"))
    theirs = brighter(shapes_folder, tmp_path / "b" / "photos")
    for folder in (ours, theirs):
        evaluate(str(run), labels=[folder], config=CONFIG)
    names = [path.name for path in stored(run)]
    assert len(names) == 2
    assert all(name.startswith("photos-") for name in names)
    shown = {row.task for row in gather([run])[0].rows}
    assert len(shown) == 2
    assert all(name.startswith("photos (") for name in shown)


def test_the_same_evaluation_is_recognised_wherever_the_images_lie(
    run: Path, shapes_folder: Path, tmp_path: Path
) -> None:
    first = evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    before = stored(run)[0].stat()
    moved = Path(shutil.copytree(shapes_folder, tmp_path / "elsewhere" / "shapes"))
    again = evaluate(str(run), labels=[moved], config=CONFIG)
    assert again == first
    assert stored(run)[0].stat().st_ino == before.st_ino
    for other in (
        EvaluateConfig(protocols=("knn",)),
        EvaluateConfig(seed=1),
        EvaluateConfig(size=64),
    ):
        evaluate(str(run), labels=[moved], config=other)
    assert len(stored(run)) == 4
    evaluate(str(run), labels=[moved], config=CONFIG, overwrite=True)
    assert len(stored(run)) == 4
    assert before.st_ino not in [path.stat().st_ino for path in stored(run)]


def test_results_of_an_earlier_version_are_reused(
    run: Path, shapes_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    (path,) = stored(run)
    content = json.loads(path.read_text())
    rows = [version_2(row) for row in first.rows]
    del content["checksum"]
    path.write_text(json.dumps(content | {"schema_version": 2, "rows": rows}))
    before = path.read_bytes()
    monkeypatch.setattr(runner, "run", None)  # would fail if it was called
    again = evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    assert [row.value for row in again.rows] == [row.value for row in first.rows]
    assert (again.files, again.verdict) == (first.files, "")  # they contain no answers to compare
    assert path.read_bytes() == before


def test_after_a_kill_only_what_is_missing_is_computed(
    run: Path, shapes_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, left = test_set.publish, [5]  # answers and accuracy of two models, and answers

    def stopping(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return publish(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(test_set, "publish", stopping)
        with pytest.raises(KeyboardInterrupt):
            evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    assert stored(run) == []
    (records,) = (run / layout.EVALUATIONS).glob(".*")
    kept = {path: path.stat().st_ino for path in records.rglob("*.answers.json")}
    assert len(kept) == 3
    seen: list[int] = []

    def counting(*arguments: Any) -> None:
        seen.append(len(arguments[0]))
        evaluate_frozen(*arguments)
        if len(seen) == 1:
            assert all(path.stat().st_ino == node for path, node in kept.items())

    evaluate_frozen = jobs.evaluate_frozen
    monkeypatch.setattr(jobs, "evaluate_frozen", counting)
    resumed = evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    assert seen == [1]  # the model itself
    assert not records.exists()
    again = evaluate(str(run), labels=[shapes_folder], config=CONFIG, overwrite=True)
    assert again.rows == resumed.rows
    assert seen == [1, 4]


def test_a_damaged_file_in_the_run_is_one_error_with_a_cure(run: Path, shapes_folder: Path) -> None:
    evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    stored(run)[0].write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as evaluation results") as caught:
        evaluate(str(run), labels=[shapes_folder], config=CONFIG)
    assert "remove it" in str(caught.value)


def test_other_results_in_out_stay_until_overwritten(
    shapes_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    line = f"evaluate test_resnet --labels {shapes_folder} --size 32 --out {out} --protocols"
    assert cli.main([*line.split(), "linear"]) == 0
    first = out.read_bytes()
    assert cli.main([*line.split(), "linear"]) == 0  # the same again
    assert read_rows(out)[-1].protocol == "linear"
    capsys.readouterr()
    first = out.read_bytes()
    assert cli.main([*line.split(), "knn"]) == 1
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    assert error == f"error: '{out}' exists and contains other results"
    assert hint == "hint: choose another --out, or add --overwrite to replace it"
    assert out.read_bytes() == first
    assert cli.main([*line.split(), "knn", "--overwrite"]) == 0
    assert {row.protocol for row in read_rows(out)} == {"majority", "knn"}
    out.write_text("my notes")
    assert cli.main([*line.split(), "knn"]) == 1
    assert out.read_text() == "my notes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json"]


def test_two_evaluations_into_one_file_exclude_each_other(
    shapes_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.json"
    with (
        files.exclusive(tmp_path / ".results.json.lock", out),
        pytest.raises(BusyError, match="is being written by process"),
    ):
        evaluate("test_resnet", labels=[shapes_folder], out=out, config=EvaluateConfig(size=32))


def test_a_place_that_cannot_be_written_is_found_before_the_work(
    shapes_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate("test_resnet", labels=[shapes_folder], out=tmp_path / "file" / "results.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
