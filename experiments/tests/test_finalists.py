"""Arms of an experiment can be evaluated by fine-tuning afterwards."""

import pytest

from experiments import compare, finalists
from experiments.compare import read_lines
from footage.commands.evaluate_suites import SUITES
from footage.suites.task_spec import TaskRow
from tests.evaluation import miniature


@pytest.fixture
def suite(tmp_path, monkeypatch):
    rows = [
        TaskRow(name=name, group="structured", num_classes=3, num_train=24, num_val=12, num_test=18)
        for name in ("first", "second")
    ]
    monkeypatch.setitem(SUITES, "pocket", ("pocket", rows))
    return miniature.write_suite(tmp_path / "mini")


def test_an_arm_is_evaluated_again_with_another_protocol(
    tiny_store, suite, tmp_path, monkeypatch, capsys
):
    of, again = tmp_path / "arms.jsonl", tmp_path / "again.jsonl"
    common = (
        "steps=2,backbone.architecture=test_resnet,augment.size=32,sampling.videos_per_batch=3,"
        "held_out_fraction=0.3,compute.workers=1,compute.threads=1"
    )
    arms = ["compare.py", str(of), "--store", str(tiny_store.path), "--suite", str(suite)]
    arms += ["--arms", "vivi-ex4-tiny:the arm", "--seeds", "0", "--common", common]
    monkeypatch.setattr("sys.argv", arms)
    compare.main("Real arms.")
    # Fine-tuning takes a minute and has its own tests; a probe must reproduce the arm's results.
    assert finalists.PROTOCOLS == ("pocket-finetune",)
    monkeypatch.setattr(finalists, "PROTOCOLS", ("linear",))
    command = ["finalists.py", str(again), "--of", str(of), "--suite", str(suite)]
    monkeypatch.setattr("sys.argv", [*command, "--labels", "the arm"])
    finalists.main()
    (arm,), (found,) = read_lines(of), read_lines(again)
    evaluated = {"test", "validation", "evaluate_seconds", "environment"}
    assert {**found, **dict.fromkeys(evaluated)} == {**arm, **dict.fromkeys(evaluated)}
    for part in ("test", "validation"):
        linear = {name: at for name, at in arm[part].items() if name.endswith(", linear")}
        assert found[part] == linear
        assert len(linear) == 2
    assert found["environment"]["trained"] == arm["environment"]
    before = again.read_bytes()
    again.write_bytes(before + before[:20])  # as a kill would leave it
    finalists.main()
    assert again.read_bytes() == before
    of.write_text(of.read_text().replace('"steps": 2', '"steps": 3'))
    with pytest.raises(SystemExit):
        finalists.main()
    assert "again.jsonl has 'the arm' with" in capsys.readouterr().err


def test_an_arm_that_was_not_run_is_refused(tmp_path, monkeypatch, capsys):
    command = ["finalists.py", str(tmp_path / "tuned.jsonl"), "--of", str(tmp_path / "none.jsonl")]
    monkeypatch.setattr("sys.argv", [*command, "--suite", "suite", "--labels", "vivi-ex4"])
    with pytest.raises(SystemExit):
        finalists.main()
    assert "has no 'vivi-ex4' with seed 0 (hint: it has nothing)" in capsys.readouterr().err
