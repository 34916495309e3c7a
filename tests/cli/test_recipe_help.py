import pytest

from footage import cli
from footage.cli.recipe_help import groups_without_effect
from footage.recipes.methods import recipe


def help_of(*words, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", *words])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_of_a_recipe_hides_levels_that_are_off(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of("vivi-nce-tiny", "--help", capsys=capsys)
    assert "--objective.frame-shot.loss.temperature" in text
    assert "--objective.future.steps" in text
    assert "--objective.order.hidden-dim" not in text
    assert "--labelled.view.policy" not in text
    assert "To enable: --objective.frame.weight, --objective.order.weight" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    everything = help_of("vivi-nce-tiny", "--help-all", capsys=capsys)
    assert "--objective.order.hidden-dim" in everything
    assert "--labelled.view.policy" in everything


def test_nothing_that_matters_is_hidden():
    assert groups_without_effect(recipe("vivi-ex4-co-tiny")) == [
        "objective.frame",
        "objective.teacher",
    ]
    levels = ["frame-shot", "frame", "future", "order", "teacher"]
    off = [*(f"objective.{level}" for level in levels), "sampling"]
    assert groups_without_effect(recipe("sup-tiny")) == off


def test_hidden_options_still_work(capsys, tmp_path):
    words = ["train", "vivi-nce-tiny", "--objective.order.weight", "0.1"]
    places = ["--store", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    assert cli.main([*words, *places]) == 1
    assert "none" in capsys.readouterr().err
