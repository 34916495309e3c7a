"""`footage evaluate --dry-run`: estimates of an evaluation, without writing anything."""

import pytest

from footage import cli
from footage.commands import evaluate_dry_run, evaluate_measures
from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.commands.evaluate_dry_run import dry_run
from footage.commands.train import train
from footage.errors import ConfigError
from footage.models.export.safetensors import write_file
from footage.models.load import load
from tests.evaluation import miniature
from tests.support.ingesting import hashes
from tests.support.training import smallest

CONFIG = EvaluateConfig(size=32, batch_size=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return miniature.write_suite(tmp_path_factory.mktemp("data") / "mini")


def rows_of(found):
    return {name: value for name, value, _ in found.rows}


def test_a_suite_is_counted_and_measured_and_what_is_done_is_left_out(data, tmp_path):
    how = {"suite": "folder", "data": data, "out": tmp_path / "out"}
    both = EvaluateConfig(size=32, batch_size=16, protocols=("knn", "pocket-finetune"))
    rows = rows_of(dry_run("test_resnet", config=both, **how))
    assert list(tmp_path.iterdir()) == []
    assert (rows["models"], rows["tasks"], rows["protocols"]) == ("3", "2", "2")
    assert (rows["jobs"], rows["jobs left"]) == ("8", "8")  # 2 frozen, 4 settings, 2 final
    assert rows["images"] == f"{2 * (24 + 12 + 18) + 2 * 18}"
    assert float(rows["per image"].split(" ")[0]) > 0
    assert float(rows["per training image"].split(" ")[0]) > 0
    assert rows["fits"] == "yes"
    evaluate("test_resnet", config=EvaluateConfig(size=32, protocols=("knn",)), **how)
    before = hashes(tmp_path / "out")
    rows = rows_of(dry_run("test_resnet", config=both, **how))
    assert (rows["jobs"], rows["jobs left"], rows["images"]) == ("8", "6", "36")
    assert "per image" not in rows
    shards = [EvaluateConfig(size=32, protocols=both.protocols, shard=f"{n}/2") for n in (0, 1)]
    left = [int(rows_of(dry_run("test_resnet", config=each, **how))["jobs"]) for each in shards]
    assert sum(left) == 8
    with pytest.raises(ConfigError, match="contains results for a different model"):
        dry_run("test_resnet", config=EvaluateConfig(size=40, protocols=("knn",)), **how)
    assert hashes(tmp_path / "out") == before


def test_answers_without_a_score_count_as_done_and_are_not_scored(data, tmp_path):
    how = {"suite": "folder", "data": data, "out": tmp_path / "out"}
    config = EvaluateConfig(size=32, protocols=("knn",))
    evaluate("test_resnet", config=config, **how)
    scores = [*(tmp_path / "out/knn/test").rglob("0.json")]
    assert len(scores) == 2
    for score in scores:
        score.unlink()
    assert rows_of(dry_run("test_resnet", config=config, **how))["jobs left"] == "0"
    assert not any(score.exists() for score in scores)


def test_labelled_images_have_baselines_and_earlier_results_are_recognised(shapes_folder, tmp_path):
    how = {"labels": [shapes_folder], "out": tmp_path / "results.json", "config": CONFIG}
    found = dry_run("test_resnet", **how)
    assert list(tmp_path.iterdir()) == []
    rows = rows_of(found)
    assert (rows["models"], rows["jobs left"], rows["images"]) == ("4", "1", "120")
    evaluate("test_resnet", **how)
    before = hashes(tmp_path)
    found = dry_run("test_resnet", **how)
    assert (rows_of(found)["jobs left"], found.fits, found.changes) == ("0", True, [])
    assert rows_of(dry_run("test_resnet", overwrite=True, **how))["jobs left"] == "1"
    assert hashes(tmp_path) == before


def test_cached_answers_are_left_out_and_baselines_of_several_models_count_once(
    shapes_folder, tmp_path
):
    how = {"labels": [shapes_folder], "config": CONFIG}
    weights = tmp_path / "b.safetensors"
    write_file(load("test_resnet", seed=5), weights)
    both = ["test_resnet", weights]
    plans = evaluate_dry_run._plans

    def entries_left(models):
        found = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                evaluate_dry_run, "_plans", lambda *given: found.extend(plans(*given)) or found
            )
            rows = rows_of(dry_run(models, **how))
        assert rows["jobs left"] == f"{sum(bool(plan.left) for plan in found)}"
        return [len(plan.entries) for plan in found]

    assert entries_left(both) == [7, 2]  # of the second model only its own answers
    evaluate("test_resnet", **how)
    assert entries_left(both) == [0, 2]
    before = hashes(tmp_path)
    evaluate(weights, **how)
    assert entries_left(both) == [0, 0]
    assert rows_of(dry_run(both, overwrite=True, **how))["jobs left"] == "2"
    assert hashes(tmp_path) == before


def test_results_that_would_be_moved_aside_do_not_count(data, tmp_path, tiny_store):
    run = train(smallest(steps=1, checkpoint_every=1), store=tiny_store.path, out=tmp_path / "run")
    how = {"suite": "folder", "data": data, "config": EvaluateConfig(protocols=("linear",))}
    evaluate(run, **how)
    assert rows_of(dry_run(run, **how))["jobs left"] == "0"
    train(smallest(steps=2, checkpoint_every=1), store=tiny_store.path, out=run)
    before = hashes(tmp_path)
    assert rows_of(dry_run(run, **how))["jobs left"] == "2"
    assert hashes(tmp_path) == before


def test_too_little_memory_does_not_fit(shapes_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("footage.commands.evaluate_dry_run.free_memory", lambda _: 1000)
    found = dry_run("test_resnet", labels=[shapes_folder], config=CONFIG)
    assert (rows_of(found)["fits"], found.fits) == ("no", False)
    assert found.changes == ["less memory: a smaller --batch-size"]


def test_a_larger_batch_needs_more_memory(shapes_folder):
    def megabytes(batch_size):
        config = EvaluateConfig(size=64, batch_size=batch_size)
        rows = rows_of(dry_run("test_resnet", labels=[shapes_folder], config=config))
        return float(rows["memory"].split(" ")[0])

    assert 3 < megabytes(64) / megabytes(8) < 8.5


def test_what_takes_seconds_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--held-out has no dry run"):
        dry_run(str(tmp_path), config=EvaluateConfig(held_out=True))


def test_the_command_prints_a_table_and_what_is_next(data, tmp_path, capsys):
    words = f"evaluate test_resnet --suite folder --data {data} --size 32 --out {tmp_path / 'out'}"
    assert cli.main([*words.split(), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"models", "jobs left", "total time", "memory", "fits"} <= {
        line.split("  ")[0] for line in lines if line
    }
    assert lines[-1] == "next: rerun without --dry-run"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("times", "seconds"), [((0, 1, 4), 2.0), ((0, 5, 8), 1.5)])
def test_time_of_a_training_step_is_positive_on_a_busy_machine(monkeypatch, times, seconds):
    clock = iter(times)
    monkeypatch.setattr(evaluate_measures.time, "perf_counter", lambda: float(next(clock)))
    assert evaluate_measures._timed(lambda *_: None, 1) == seconds
