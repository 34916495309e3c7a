"""`footage evaluate A B ...`: one table, one verdict, and only new models are evaluated."""

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import footage
from footage import cli
from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.commands.train import train
from footage.errors import ConfigError
from footage.evaluation import jobs
from footage.evaluation.results import RESULTS
from footage.models.export.safetensors import write_file
from footage.models.load import load
from footage.runs import layout
from footage.store.reader import Store
from tests.cli.test_cli import _quiet_root  # noqa: F401 (a fixture for every test here)
from tests.evaluation import miniature
from tests.support.labelled_shapes import drawn
from tests.support.training import smallest

CONFIG = EvaluateConfig(size=32, protocols=("linear",))
CONFIG_LINEAR = EvaluateConfig(protocols=("linear",))
KINDS = ("disc", "bars")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of shapes, 100 images each."""
    folder = tmp_path_factory.mktemp("labels") / "photos"
    for number, kind in enumerate(KINDS):
        (folder / kind).mkdir(parents=True)
        for index in range(100):
            image = drawn(kind, 1000 * number + index)
            assert cv2.imwrite(str(folder / kind / f"{index:03}.png"), image)
    return folder


@pytest.fixture(scope="module")
def runs(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one recipe with different seeds."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        train(
            smallest(steps=1, checkpoint_every=1, metrics_every=1, seed=seed),
            store=tiny_store.path,
            out=folder / f"seed{seed}",
        )
        for seed in (0, 1)
    ]


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all models whose features are extracted."""
    names: list[str] = []
    real = jobs.extract

    def recorded(paths, extractors, **options):  # type: ignore[no-untyped-def]
        names.extend(model.name for model in extractors)
        return real(paths, extractors, **options)

    monkeypatch.setattr(jobs, "extract", recorded)
    return names


def contrast(images: torch.Tensor) -> torch.Tensor:
    """Features that tell bars from discs: variation along each axis."""
    return torch.cat([images.diff(dim=2).abs().mean((2, 3)), images.std((2, 3))], dim=1)


def nothing(images: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(images), 1)


WANTED = footage.Preprocessing(size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_the_better_model_wins_whichever_comes_first(photos: Path) -> None:
    for models in ([contrast, nothing], [nothing, contrast]):
        found = evaluate(models, labels=photos, preprocessing=WANTED, config=CONFIG)
        assert found.verdict.startswith("contrast is better than nothing: +")
        (difference,) = found.comparisons[0].differences
        assert difference.verdict == ("better" if models[0] is contrast else "worse")
    assert [row.model for row in found.rows] == ["chance", "pixels", "nothing", "contrast"]


def test_equal_models_show_no_difference(photos: Path) -> None:
    def other(images: torch.Tensor) -> torch.Tensor:
        return contrast(images) + 1e-4

    found = evaluate([contrast, other], labels=photos, preprocessing=WANTED, config=CONFIG)
    assert found.verdict.startswith("No difference between contrast and other was found: ")


def test_adding_a_model_evaluates_only_that_model(
    photos: Path, extracted: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = str(tmp_path / "b.safetensors")
    write_file(load("test_resnet", seed=5), Path(weights))
    with caplog.at_level(logging.INFO):
        evaluate(["test_resnet"], labels=photos, config=CONFIG)
        assert sorted(extracted) == ["chance", "pixels", "test_resnet", "test_resnet untrained"]
        extracted.clear()
        evaluate(["test_resnet", weights], labels=photos, config=CONFIG)
        assert extracted == [weights]
        assert f"evaluating {weights} on photos" in caplog.messages
        assert "cached: test_resnet, linear on photos" in caplog.text
        assert f"cached: {weights}, linear" not in caplog.text
        extracted.clear()
        moved = str(Path(weights).rename(tmp_path / "renamed.safetensors"))
        copy = Path(shutil.copytree(photos, tmp_path / "elsewhere" / "photos"))
        evaluate([moved, "test_resnet"], labels=copy, config=CONFIG)
        assert extracted == []
    write_file(load("test_resnet", seed=6), Path(moved))
    evaluate([moved, "test_resnet"], labels=copy, config=CONFIG)
    assert extracted == [moved]
    extracted.clear()
    evaluate([moved], labels=copy, config=CONFIG, overwrite=True)
    assert moved in extracted


def test_other_images_are_evaluated_again(
    photos: Path, extracted: list[str], tmp_path: Path
) -> None:
    evaluate("test_resnet", labels=photos, config=CONFIG)
    copy = Path(shutil.copytree(photos, tmp_path / "photos"))
    cv2.imwrite(str(copy / "disc" / "000.png"), drawn("disc", 99_999))
    extracted.clear()
    evaluate("test_resnet", labels=copy, config=CONFIG)
    assert len(extracted) == 4


def test_a_damaged_entry_of_the_cache_is_computed_again(
    photos: Path, extracted: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path))
    before = evaluate("test_resnet", labels=photos, config=CONFIG).rows
    for file in (tmp_path / "evaluations").rglob("*.json"):
        file.write_text(file.read_text().replace("0", "1", 1))
    extracted.clear()
    assert evaluate("test_resnet", labels=photos, config=CONFIG).rows == before
    assert len(extracted) == 4


def test_runs_of_one_recipe_are_one_model_and_keep_the_comparison(
    photos: Path, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = [Path(shutil.copytree(run, tmp_path / run.name)) for run in runs]
    found = evaluate([*copies, "test_resnet"], labels=photos, config=CONFIG_LINEAR)
    (compared,) = found.comparisons
    assert compared.first.name == f"{copies[0]}, {copies[1]} (2 seeds)"
    assert [each.other for each in compared.differences] == ["test_resnet"]
    for run in copies:
        (file,) = (run / layout.EVALUATIONS / "comparisons").glob("photos-*.json")
        assert RESULTS.read(file).verdict == found.verdict
    out = tmp_path / "report.html"
    assert cli.main(["report", str(copies[0]), "--out", str(out)]) == 0
    text = " ".join(out.read_text().split())
    assert found.verdict.replace("+", "+") in text
    assert "seeds)" in text


def test_the_output_file_grows_with_the_comparison(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison.json"
    other = tmp_path / "b.safetensors"
    third = tmp_path / "c.safetensors"
    write_file(load("test_resnet", seed=5), other)
    write_file(load("test_resnet", seed=6), third)
    evaluate(["test_resnet", other], labels=photos, out=out, config=CONFIG)
    more = evaluate(["test_resnet", other, third], labels=photos, out=out, config=CONFIG)
    content = json.loads(out.read_text())
    assert content["verdict"] == more.verdict
    assert [each["other"] for each in content["differences"]] == [str(other), str(third)]
    with pytest.raises(ConfigError, match="contains other results"):
        evaluate(["test_resnet", third], labels=photos, out=out, config=CONFIG)
    page = tmp_path / "report.html"
    footage.report(out, out=page)
    assert "Comparison of models" in page.read_text()


def test_one_command_compares_models_on_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    extracted: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    data = miniature.write_suite(tmp_path / "mini")
    write_file(load("test_resnet", seed=5), tmp_path / "b.safetensors")
    line = f"evaluate test_resnet b.safetensors --suite folder --data {data} --size 32"
    assert cli.main([*line.split(), "--protocols", "linear", "--out", "out"]) == 0
    said, log = capsys.readouterr()
    lines = [line for line in log.splitlines() if line.startswith(("evaluating", "1 of", "2 of"))]
    tasks = [line.rpartition(" ")[2] for line in lines[1:3]]
    assert lines == [
        "evaluating test_resnet on mini",
        f"1 of 2 done: linear on {tasks[0]}",
        f"2 of 2 done: linear on {tasks[1]}",
        "evaluating b.safetensors on mini",
        f"1 of 2 done: linear on {tasks[0]}",
        f"2 of 2 done: linear on {tasks[1]}",
    ]
    table = said[said.index("mean of 2 tasks") :]
    names = ("test_resnet ", "b.safetensors ", "untrained network", "raw pixels", "chance")
    places = [table.index(f"│ {name}") for name in names]
    assert places == sorted(places)
    assert "verdict: " in said
    assert sorted(path.name for path in Path("out").iterdir() if path.is_dir()) == [
        "b.safetensors", "test_resnet",
    ]  # fmt: skip
    assert RESULTS.read(Path("out/comparison.json")).verdict in said.replace("\n", " ")
    extracted.clear()
    assert cli.main([*line.split(), "--protocols", "linear", "--json"]) == 0
    assert extracted == []
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == RESULTS.read(Path("out/comparison.json")).verdict
    (compared,) = document["comparisons"]
    assert [each["name"] for each in compared["models"]] == [
        "test_resnet", "b.safetensors", "untrained network", "raw pixels", "chance",
    ]  # fmt: skip
    others = [each["other"] for each in compared["differences"]]
    assert others == ["b.safetensors", "untrained network", "raw pixels"]
    footage.report("out", out="report.html")
    assert "mean of 2 tasks" in Path("report.html").read_text()


def test_a_renamed_or_trained_further_run_keeps_its_suite_results(
    runs: list[Path], tmp_path: Path, tiny_store: Store, extracted: list[str]
) -> None:
    data = miniature.write_suite(tmp_path / "mini")
    run = Path(shutil.copytree(runs[0], tmp_path / "first"))
    config = EvaluateConfig(protocols=("linear",))
    before = evaluate(run, suite="folder", data=data, config=config)
    extracted.clear()
    renamed = run.rename(tmp_path / "second")
    after = evaluate(renamed, suite="folder", data=data, config=config)
    assert extracted == []
    assert [row.value for row in after.rows] == [row.value for row in before.rows]
    assert {row.model for row in after.rows if not row.baseline} == {str(renamed)}
    train(
        smallest(steps=2, checkpoint_every=1, metrics_every=1, seed=0),
        store=tiny_store.path, out=renamed,
    )  # fmt: skip
    evaluate(renamed, suite="folder", data=data, config=config)
    assert set(extracted) == {str(renamed)}
    (earlier,) = after.files[0].parent.glob("earlier/*/linear/results.jsonl")
    assert earlier.is_file()


def test_a_model_is_given_once(photos: Path) -> None:
    with pytest.raises(ConfigError, match="'test_resnet' was given twice"):
        evaluate(["test_resnet", "test_resnet"], labels=photos, config=CONFIG)
    with pytest.raises(ConfigError, match="no model was given"):
        evaluate([], labels=photos, config=CONFIG)


def test_near_duplicates_in_the_store_stay_attached(
    runs: list[Path], tiny_store: Store, tmp_path: Path
) -> None:
    held_out = set(layout.read_record(runs[0])["held_out"])
    names = tiny_store.shots["video"].to_pylist()
    frames = [
        (names[shot], frame.jpeg)
        for shot in range(len(names))
        for frame in tiny_store.frames_of_shot(shot)
        if names[shot] not in held_out
    ]
    folder = tmp_path / "frames"
    for number, (video, data) in enumerate(frames):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        place = folder / video.split("/")[0]
        place.mkdir(parents=True, exist_ok=True)
        smaller = cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
        path = str(place / f"{number}.jpg")
        assert cv2.imwrite(path, smaller, [cv2.IMWRITE_JPEG_QUALITY, 60])
    found = evaluate(runs[0], labels=folder, config=CONFIG_LINEAR)
    (model,) = [row for row in found.rows if not row.baseline]
    assert model.leakage is not None
    assert model.leakage.near is not None
    assert model.leakage.near.frames == model.num_test
    words = f"near-duplicates of {model.num_test} of {model.num_test} test images are frames"
    assert words in " ".join(RESULTS.read(found.files[0]).warnings)
    out = tmp_path / "comparison.json"
    both = evaluate([runs[0], "test_resnet"], labels=folder, out=out, config=CONFIG_LINEAR)
    for warnings in (RESULTS.read(out).warnings, both.to_dict()["warnings"]):
        assert any(each.startswith(str(runs[0])) and words in each for each in warnings)
