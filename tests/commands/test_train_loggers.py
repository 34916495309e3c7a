"""`footage train --log`: what a real training passes to its loggers."""

import json

import pytest
import simplejpeg
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from footage import cli
from footage.runs import layout
from tests.support.training import AS_OPTIONS

CELL = 32 + 2 * 3
"""Size of an image in a picture, with its frame."""


@pytest.fixture(scope="module")
def run(tiny_store, tmp_path_factory):
    """A run of two steps that was extended by one."""
    run = tmp_path_factory.mktemp("logged") / "run"
    words = ["train", "vivi-ex4-tiny", "--store", str(tiny_store.path), "--out", str(run)]
    words += [*AS_OPTIONS, "--log", "jsonl", "--log", "tensorboard", "--steps"]
    assert cli.main([*words, "2"]) == 0
    assert cli.main([*words, "3"]) == 0
    return run


@pytest.fixture(scope="module")
def logged(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_values_configuration_and_results_continue_in_a_run_that_is_extended(run, logged):
    losses = [line["values"]["loss"] for line in logged if "loss" in line.get("values", {})]
    assert losses == [line["loss"] for line in layout.read_metrics(run) if "loss" in line]
    assert [line["config"]["config"]["steps"] for line in logged if "config" in line] == [2, 3]
    assert [line["summary"]["steps"] for line in logged if "summary" in line] == [2, 3]
    assert logged[-1]["summary"]["final/probe/rankme"] >= 1
    figures = [line for line in logged if "system/memory_gib" in line.get("values", {})]
    assert len(figures) == 2
    events = EventAccumulator(str(run / layout.TENSORBOARD)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]


def test_pictures_show_the_views_of_a_batch_and_neighbours_of_held_out_shots(run, logged):
    pictures = [(line["step"], line["images"]) for line in logged if "images" in line]
    assert [step for step, _ in pictures] == [2, 3]
    views, neighbours = (
        simplejpeg.decode_jpeg((run / pictures[-1][1][name]).read_bytes())
        for name in ("views", "neighbours")
    )
    assert views.shape == (3 * CELL, 4 * CELL, 3)  # three videos, two frames of each of two shots
    assert neighbours.shape == (6 * CELL, 6 * CELL, 3)  # three shots of each of two videos


def test_the_help_shows_the_option_and_not_the_setting(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "vivi-ex4-tiny", "--help"])
    shown = capsys.readouterr().out
    assert "--log" in shown
    assert "--compute.loggers" not in shown


def test_the_earlier_option_still_works_and_is_reported(capsys):
    words = ["train", "vivi-ex4-tiny", "--store", "none", "--out", "run"]
    assert cli.main([*words, "--compute.loggers", "tensorboard", "no-logger"]) == 2
    errors = capsys.readouterr().err
    assert "--compute.loggers is deprecated; use --log" in errors
    assert "unknown logger 'no-logger'" in errors
