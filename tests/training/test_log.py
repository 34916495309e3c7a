import json
import random

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from footage.errors import CheckpointError
from footage.runs import layout
from footage.training.log import TrainingLog
from tests.support.mutations import bit_flips, mutations

VALUES = {
    "loss": 0.1 + 0.2,
    "learning_rate": 0.03,
    "gradient_norm": 1.5,
    "images_per_second": 200.0,
    "data_wait": 0.25,
}


def written(run, steps, *, first_step=0, probes=()):
    with TrainingLog(run, first_step=first_step, total_steps=100, active=True) as journal:
        if first_step == 0:
            journal.probe(0, {"rankme": 3.0}, [])
        for step in steps:
            journal.step(step, {"shot/exemplar": step / 3}, **VALUES)
            if step in probes:
                journal.probe(step, {"rankme": float(step)}, ["more videos"])
        journal.flush()


def kinds(run):
    return [(line["step"], "probe" in line) for line in layout.read_metrics(run)]


def test_what_was_recorded_is_read_back_to_the_last_bit(tmp_path):
    written(tmp_path, [1, 2], probes=[2])
    lines = layout.read_metrics(tmp_path)
    assert lines[1] == {"step": 1, **VALUES, "levels": {"shot/exemplar": 1 / 3}}
    assert lines[3] == {"step": 2, "probe": {"rankme": 2.0}, "advice": ["more videos"]}


def test_every_resume_repeats_no_line_and_loses_none(tmp_path):
    written(tmp_path, [1, 2], probes=[2])
    written(tmp_path, [1, 2, 3], probes=[2])  # killed before the first checkpoint
    expected = [(0, True), (1, False), (2, False), (2, True), (3, False)]
    assert kinds(tmp_path) == expected
    written(tmp_path, [3, 4], first_step=2, probes=[4])
    assert kinds(tmp_path) == [*expected, (4, False), (4, True)]


def test_a_line_cut_short_by_a_kill_is_left_out_and_written_again(tmp_path):
    written(tmp_path, [1, 2])
    path = tmp_path / layout.METRICS
    path.write_bytes(path.read_bytes()[:-9])
    assert kinds(tmp_path) == [(0, True), (1, False)]
    written(tmp_path, [2], first_step=1)
    assert kinds(tmp_path) == [(0, True), (1, False), (2, False)]


def test_lines_of_earlier_versions_without_a_checksum_are_read_and_kept(tmp_path):
    line = json.dumps({"step": 1, **VALUES, "levels": {"a": 1.0}, "note": "not known here"})
    (tmp_path / layout.METRICS).write_text(line + "\n")
    written(tmp_path, [2], first_step=1)
    assert (tmp_path / layout.METRICS).read_text().splitlines()[0] == line
    assert kinds(tmp_path) == [(1, False), (2, False)]


def test_every_damaged_line_is_one_error_that_names_the_line_and_says_what_to_do(tmp_path):
    written(tmp_path, [1], probes=[1])
    lines = (tmp_path / layout.METRICS).read_text().splitlines()[1:]
    for line, skip in zip(lines, ([("levels",)], [("probe",), ("advice",)]), strict=True):
        value = json.loads(line)
        del value["checksum"]
        for name, data in mutations(value, skip=skip):
            is_number = name.endswith((": a fraction", ": negative"))
            if is_number and not name.startswith("step"):
                continue
            (tmp_path / layout.METRICS).write_bytes(data + b"\n")
            with pytest.raises(CheckpointError, match=r"line 1 of .*metrics\.jsonl") as error:
                layout.read_metrics(tmp_path)
            assert "remove that line" in error.value.hint, name


def test_a_flipped_bit_in_a_line_is_found(tmp_path):
    written(tmp_path, range(1, 6), probes=[3])
    path = tmp_path / layout.METRICS
    sound, lines = path.read_bytes(), layout.read_metrics(tmp_path)
    for place, data in bit_flips(sound, 200):
        path.write_bytes(data)
        try:
            found = layout.read_metrics(tmp_path)
        except CheckpointError:
            continue
        # of the last newline: as if a kill had cut the line; of white space: nothing
        assert found in (lines, lines[:-1]), place
        assert found == lines or place[0] == len(sound) - 1, place


def test_numbers_that_are_not_finite_become_advice(tmp_path):
    with TrainingLog(tmp_path, first_step=0, total_steps=9, active=True) as journal:
        journal.probe(0, {"rankme": float("nan"), "same_shot_hit": 0.5}, [])
    assert layout.read_metrics(tmp_path) == [
        {"step": 0, "probe": {"same_shot_hit": 0.5}, "advice": ["rankme is not a finite number"]}
    ]


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    written(tmp_path, [1, 2, 3], probes=[3])
    written(tmp_path, [3, 4], first_step=2)
    board = EventAccumulator(str(tmp_path / layout.TENSORBOARD)).Reload()
    scalars = board.Scalars("level/shot/exemplar")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    assert scalars[3].value == pytest.approx(4 / 3)
    assert board.Scalars("loss")[0].value == pytest.approx(0.3)


def test_a_kill_at_any_byte_of_the_file_leaves_lines_that_a_resume_completes(tmp_path):
    written(tmp_path, range(1, 6), probes=[2, 4])
    path = tmp_path / layout.METRICS
    whole, expected = path.read_bytes(), kinds(tmp_path)
    draws = random.Random(0)
    for _ in range(20):
        path.write_bytes(whole[: draws.randrange(whole.index(b'"step": 3'), len(whole))])
        written(tmp_path, range(3, 6), first_step=2, probes=[4])
        assert kinds(tmp_path) == expected


def test_the_first_and_the_last_step_are_always_printed(tmp_path, caplog):
    with (
        caplog.at_level("INFO", "footage"),
        TrainingLog(tmp_path, first_step=2, total_steps=6, active=True) as journal,
    ):
        for step in range(3, 7):
            journal.step(step, {"shot/exemplar": 0.5}, **VALUES)
    printed = [record.getMessage() for record in caplog.records]
    assert [line.partition("  ")[0] for line in printed] == ["step 3 of 6", "step 6 of 6"]
    assert "shot/exemplar 0.500" in printed[0]


def test_online_metrics_do_not_wrap_inside_a_value_on_a_terminal(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    values = {"embedding_std": 0.1, "same_shot_hit": 0.2, "same_video_chance": 0.3}
    with (
        caplog.at_level("INFO", "footage"),
        TrainingLog(tmp_path, first_step=0, total_steps=6, active=True) as journal,
    ):
        journal.probe(0, values, [])
        journal._bar.is_shown = True
        journal.probe(0, values, [])
    printed = [record.getMessage() for record in caplog.records]
    assert printed == [
        "step 0: embedding_std 0.100  same_shot_hit 0.200  same_video_chance 0.300",
        "step 0: embedding_std 0.100",
        "  same_shot_hit 0.200",
        "  same_video_chance 0.300",
    ]
