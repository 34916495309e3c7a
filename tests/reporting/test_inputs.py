"""A report from run folders with invalid files: one error with a hint, or a page."""

import json
import re
from pathlib import Path

import pytest

from footage import configuration
from footage.errors import CheckpointError, FootageError
from footage.evaluation.results import NEAREST, write_file
from footage.recipes.methods import recipe
from footage.reporting.inputs import gather, newest
from footage.reporting.page import page
from footage.reporting.sections.videos import without_pictures
from footage.runs import layout
from tests.evaluation.rows import HASH
from tests.evaluation.rows import labelled as row
from tests.evaluation.test_leakage import MODEL
from tests.evaluation.test_result_files import DESCRIBED
from tests.support.mutations import mutations

RECORD = {
    "version": 1, "recipe": "vivi-ex4-tiny", "store": "/stores/a", "store_hash": "ab",
    "images": "", "images_hash": "", "classes": [], "videos_used": 64, "labels_used": 0,
    "held_out": ["a"], "seed": 0, "model": MODEL, "chance": {"frame/nce": 4.5},
    "versions": {"torch": "2"}, "commit": "c",
    "machine": {"processor": "p", "cores": 2, "accelerator": "none"},
    "config": configuration.to_dict(recipe("vivi-ex4-tiny")),
}  # fmt: skip
PROBE = {"step": 0, "probe": {"rankme": 2.0}, "advice": ["a"]}
STEP = {
    "step": 1, "loss": 1.0, "learning_rate": 0.1, "gradient_norm": 1.0, "images_per_second": 5.0,
    "data_wait": 0.1, "levels": {"frame/nce": 1.0},
}  # fmt: skip


def shown(run: Path) -> str:
    return page(gather([run]), without_pictures("none"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / layout.RUN).write_text(json.dumps(RECORD))
    lines = json.dumps(PROBE) + "\n" + json.dumps(STEP) + "\n"
    (tmp_path / layout.METRICS).write_text(lines)
    return tmp_path


def test_counts_in_the_headline_are_those_of_the_run(run: Path) -> None:
    assert "self-supervised training on 64 videos<" in shown(run)
    (run / layout.RUN).write_text(json.dumps(RECORD | {"videos_used": 0}))  # not recorded
    assert "self-supervised training on videos<" in shown(run)
    labels = {"labels_used": 60, "images": "/photos"}
    (run / layout.RUN).write_text(json.dumps(RECORD | labels))
    assert ": training on 64 videos and 60 labelled images<" in shown(run)
    config = {**RECORD["config"], "init": "resnet18.a1_in1k"}  # type: ignore[dict-item]
    (run / layout.RUN).write_text(json.dumps(RECORD | {"config": config}))
    assert "on 64 videos, initialised from resnet18.a1_in1k<" in shown(run)


def test_the_setup_names_the_teacher_and_the_weights_that_early_stopping_kept(run: Path) -> None:
    assert "weights kept" not in shown(run)
    teacher = {"name": "/models/large", "weights_origin": "x", "digest": "y"}
    record = RECORD | {"teacher": teacher, "chance": {"teacher/cosine": 1.0}}
    stopping = {"first_score": 0.601, "best_score": 0.625, "best_step": 30}
    (run / layout.RUN).write_text(json.dumps(record | {"stopping": stopping}))
    text = shown(run)
    assert ">Frozen teacher: features (cosine) (large)<" in text
    assert ">step 30; retrieval in held-out videos 62.5 %, initially 60.1 %<" in text
    never = {"first_score": 0.601, "best_score": 0.601, "best_step": 0}
    (run / layout.RUN).write_text(json.dumps(record | {"stopping": never}))
    assert "initial weights; retrieval in held-out videos never exceeded 60.1 %" in shown(run)


def test_nonsense_in_the_record_is_one_error_with_a_hint_or_a_page(run: Path) -> None:
    record = {key: value for key, value in RECORD.items() if key != "config"}
    skipped = [("config",), ("model",)]  # of which the reader of records has tests of its own
    variants = list(mutations({**record, "config": {"steps": 3}}, skipped))
    hints = []
    for _, data in variants:
        (run / layout.RUN).write_bytes(data)
        try:
            shown(run)
        except FootageError as error:
            hints.append(error.hint)
    assert all(hints)
    assert len(hints) > 100
    config = {key: value for key, value in RECORD["config"].items() if key != "steps"}  # type: ignore[attr-defined]
    (run / layout.RUN).write_text(json.dumps(RECORD | {"config": config}))
    with pytest.raises(CheckpointError, match="does not contain the number of steps"):
        shown(run)


def test_the_newest_row_of_each_number_is_shown() -> None:
    first = row(images="", weights="", leakage=None, value=0.1)
    second, third = row(value=0.2), row(value=0.3)
    other = row(images="fedcba9876543210", value=0.4)
    assert newest([first]) == [first]
    assert newest([first, second, other, third]) == [third, other]


def test_retrieval_is_shown_with_its_baselines_and_apart_from_labelled_images(run: Path) -> None:
    values = {"chance": 0.05, "pixels": 0.7, "untrained": 0.2, "": 0.4}
    rows = [
        row(
            baseline=baseline, task="same video", protocol=NEAREST, value=value, num_test=400,
            weights=HASH if baseline else HASH[::-1],
        )
        for baseline, value in values.items()
    ]  # fmt: skip
    write_file(run / layout.EVALUATIONS / "held-out-videos-1.json", DESCRIBED, rows)
    text = " ".join(re.sub(r"<[^>]+>", " ", shown(run)).split())
    assert "Retrieval in held-out videos" in text
    assert "Evaluation on labelled images" not in text
    assert (
        "Raw pixels beat the model. Nearest frame from the same video, held-out videos: 40.0 %, "
        "compared with 20.0 % for the untrained network, 70.0 % for raw pixels and 5.0 % for "
        "chance. "
        "The model is better than the untrained network." in text
    )
    assert "Raw pixels beat the model on: nearest frame from the same video, held-out" in text
    assert "Raw pixels are ahead on same video (nearest frame)." in text
    assert "test images in training data" not in text
