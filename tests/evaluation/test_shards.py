"""A suite is evaluated in shards, or on Ray, with the records and rows of one process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from footage import cli
from footage.errors import ConfigError
from footage.evaluation import execution, runner
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.protocols import KNN, LINEAR
from footage.processes.shards import Shard
from tests.cli.test_cli import _quiet_root  # noqa: F401 (a fixture for every test here)
from tests.evaluation import miniature
from tests.evaluation.test_runner import files

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums depend on threads; workers of Ray have one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.write_suite(tmp_path_factory.mktemp("suite"))


def evaluation(data: Path, out: Path, **changes: object) -> execution.Evaluation:
    """Two tasks under two frozen protocols and a tuned one: four units."""
    model = EvaluatedModel(model="test_resnet", size=32)
    entries = tuple(
        execution.entry(model, protocol, out / protocol.name)
        for protocol in (KNN, LINEAR, miniature.TINY)
    )
    return miniature.evaluation(data, out, entries=entries, **changes)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOOTAGE_CACHE", str(tmp_path_factory.mktemp("cache of one process")))
        runner.run(evaluation(data, out))
    return out


def test_merged_shards_have_the_files_of_one_process(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    merge = evaluation(data, tmp_path, is_merge=True)
    with pytest.raises(ConfigError, match="4 of 4 parts are missing"):
        runner.run(merge)
    assert runner.run_shard(evaluation(data, tmp_path), Shard(1, 3)) == 1
    with pytest.raises(ConfigError, match="the shards 0/3, 2/3 are missing"):
        runner.run(merge)
    assert runner.run_shard(evaluation(data, tmp_path), Shard(0, 3)) == 2
    with pytest.raises(ConfigError, match="shard 2/3 is missing"):
        runner.run(merge)
    assert not list(tmp_path.rglob("results.jsonl"))
    assert runner.run_shard(evaluation(data, tmp_path), Shard(2, 3)) == 1
    assert len(runner.run(merge)) == 6
    assert files(tmp_path) == files(whole)


def test_more_shards_than_work_are_harmless(data: Path, whole: Path, tmp_path: Path) -> None:
    counts = [runner.run_shard(evaluation(data, tmp_path), Shard(n, 6)) for n in range(6)]
    assert counts == [1, 1, 1, 1, 0, 0]
    runner.run(evaluation(data, tmp_path, is_merge=True))
    assert files(tmp_path) == files(whole)


def test_one_shard_may_run_twice_at_once(data: Path, whole: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from tests.evaluation.test_shards import Shard, evaluation, runner\n"
        "runner.run_shard(evaluation(*map(Path, sys.argv[1:])), Shard(0, 1))"
    )
    command = [sys.executable, "-c", program, str(data), str(tmp_path)]
    both = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [one.wait(300) for one in both] == [0, 0]
    runner.run(evaluation(data, tmp_path, is_merge=True))
    assert files(tmp_path) == files(whole)


@pytest.mark.slow
def test_ray_has_the_files_of_one_process(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    runner.run(evaluation(data, tmp_path, executor="ray", workers=2))
    assert files(tmp_path) == files(whole)


def test_command_evaluates_shards_and_merges_them(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"evaluate test_resnet --suite folder --data {data} --size 32 --out {tmp_path / 'out'}"
    for index in range(2):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        monkeypatch.setenv("JOB_COMPLETIONS", "2")
        assert cli.main([*line.split(), "--shard", "auto"]) == 0
        assert f"shard {index}/2 is done" in capsys.readouterr().out
    assert cli.main([*line.split(), "--merge"]) == 0
    assert "mean of 2 tasks" in capsys.readouterr().out


def test_shards_of_labelled_images_are_rejected(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = data / "first" / "images"
    for option in ("--shard 0/2", "--merge", "--executor ray"):
        assert cli.main(f"evaluate test_resnet --labels {labels} {option}".split()) == 1
        assert "need a suite" in capsys.readouterr().err
