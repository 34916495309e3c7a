"""Retrieval in held-out videos: right for known features, kept, and refused with a reason."""

import numpy as np
import pytest
import torch

from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.commands.train import train
from footage.errors import ConfigError
from footage.evaluation import held_out
from footage.evaluation.comparisons import ROLES
from footage.evaluation.features import FeatureExtractor
from footage.evaluation.held_out import TASKS, questions, retrieval_rows
from footage.evaluation.held_out_frames import HeldOutFrames
from footage.evaluation.models import EvaluatedModel, Frozen
from footage.evaluation.results import NEAREST
from footage.runs import layout
from tests.support.training import smallest

HELD_OUT = EvaluateConfig(held_out=True)


@pytest.fixture(scope="module")
def run(tiny_store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    train(smallest(held_out_fraction=0.5), store=tiny_store.path, out=out)
    return out


def frames(videos, shots, images=None):
    count = len(videos)
    if images is None:
        images = torch.zeros((count, 8, 8, 3), dtype=torch.uint8)
    return HeldOutFrames(images, torch.tensor(videos), torch.tensor(shots))


def test_questions_leave_out_the_frame_itself_and_its_shot():
    same_shot, same_video = questions(frames([0, 0, 0, 1], [0, 0, 1, 2]))
    assert same_shot.right.int().tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert same_shot.allowed.int().tolist() == (1 - np.eye(4, dtype=int)).tolist()
    assert same_video.right.int().tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0] * 4]
    assert same_video.allowed.int().tolist() == [[0, 0, 1, 1]] * 2 + [[1, 1, 0, 1], [1, 1, 1, 0]]


def test_the_hit_rate_is_that_of_one_query_per_shot(monkeypatch):
    # Two videos of two shots of two frames; the third shot is more like the other video.
    colours = [(255, 0, 0), (255, 5, 0), (255, 20, 0), (255, 25, 0),
               (255, 40, 0), (255, 45, 0), (0, 255, 0), (5, 255, 0)]  # fmt: skip
    images = torch.tensor(colours, dtype=torch.uint8)[:, None, None, :].expand(-1, 8, 8, -1)
    asked = frames([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3], images)
    extractor = FeatureExtractor(8, lambda batch: torch.from_numpy(batch.mean(axis=(1, 2))).float())
    described = {
        "model": "m", "architecture": "", "weights_origin": "", "size": 8,
        "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    monkeypatch.setattr(held_out.models, "frozen", lambda *_: Frozen(extractor, described))
    rows = {
        (row.task, row.role): row
        for row in retrieval_rows(EvaluatedModel(model="test_resnet"), asked)
    }
    shot, video = (rows[task, "model"] for task in TASKS)
    assert (shot.value, shot.num_test, shot.num_classes) == (1.0, 4, 4)
    # Shots 0 and 1 find each other, shot 2 finds shot 1, and shot 3 finds shot 2.
    assert (video.num_test, video.num_classes) == (4, 2)
    assert video.value == 0.75
    assert rows[TASKS[0], "chance"].value == pytest.approx(1 / 7)
    assert rows[TASKS[1], "chance"].value == pytest.approx(2 / 6)


def test_a_video_of_one_shot_asks_no_question_about_videos(run):
    asked = frames([0, 0, 1, 1], [0, 0, 1, 1], torch.randint(0, 255, (4, 64, 64, 3)).byte())
    rows = retrieval_rows(EvaluatedModel(model=str(run)), asked)
    assert {row.task for row in rows} == {TASKS[0]}


def test_evaluate_keeps_the_rows_in_the_run_and_finds_them_again(run, monkeypatch):
    found = evaluate(run, config=HELD_OUT)
    assert {(row.task, row.role) for row in found.rows} == {
        (task, role) for task in TASKS for role in ROLES
    }
    assert {row.protocol for row in found.rows} == {NEAREST}
    (path,) = found.files
    assert path.parent == run / layout.EVALUATIONS
    monkeypatch.setattr(held_out, "retrieval_rows", None)  # would fail if it was called
    assert evaluate(run, config=HELD_OUT) == found


def test_with_labelled_images_both_are_returned(run, shapes_folder):
    found = evaluate(run, labels=shapes_folder, config=HELD_OUT)
    assert {row.task for row in found.rows} == {*TASKS, "shapes"}
    assert len(found.files) == 2


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ("test_resnet", {}, "held-out videos belong to a run, and 'test_resnet' is not a run"),
        ("run", {"out": "results.json"}, "saved in the run's folder"),
        ("none", {}, "has no held-out videos"),
        ("run", {"suite": "folder", "data": "x"}, "cannot be combined with"),
    ],
)
def test_what_cannot_be_done_is_one_error(run, tiny_store, tmp_path, model, more, message):
    if model == "none":
        model = tmp_path / "none"
        train(smallest(held_out_fraction=0.0), store=tiny_store.path, out=model)
    with pytest.raises(ConfigError, match=message) as error:
        evaluate(run if model == "run" else model, config=HELD_OUT, **more)
    assert error.value.hint


def test_a_question_that_cannot_be_answered_wrongly_is_not_asked(run):
    images = torch.randint(0, 255, (3, 64, 64, 3)).byte()
    alone = frames([0, 0, 0], [0, 0, 0], images)
    assert retrieval_rows(EvaluatedModel(model=str(run)), alone) == []
