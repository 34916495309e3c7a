"""The model card: valid metadata, the run's numbers with their warnings, and no local paths."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from footage.evaluation.digests import weights_digest
from footage.evaluation.results import NEAREST, write_file, write_lines
from footage.models import load as models
from footage.models.load import Model
from footage.reporting.card import TAGS, model_card
from footage.reporting.inputs import gather
from footage.runs import layout
from tests.evaluation.rows import HASH, labelled, suite
from tests.evaluation.test_result_files import DESCRIBED
from tests.reporting.test_inputs import RECORD, STEP

HOSTILE = "a|b<script>alert(1)</script>`x` [y](http://z) *c* \n# heading"


@pytest.fixture(scope="module")
def model() -> Model:
    loaded = models.load("test_resnet")
    origin = "step 12 of /data/me/runs/first, initialised from ./weights/a.safetensors"
    return loaded._replace(name="/data/me/runs/first", weights_origin=origin)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / layout.RUN).write_text(json.dumps(RECORD))
    (folder / layout.METRICS).write_text(json.dumps(STEP) + "\n")
    return folder


def card(model: Model, run: Path, license: str = "unknown") -> str:
    return model_card(model, gather([run])[0], license)


def table(text: str, title: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    part = text.partition(f"# {title}\n")[2].partition("\n#")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_metadata_is_what_the_hub_reads(model: Model, run: Path) -> None:
    config = {**RECORD["config"], "init": "hf-hub:owner/name"}  # type: ignore[dict-item]
    (run / layout.RUN).write_text(json.dumps(RECORD | {"config": config}))
    text = card(model, run, "cc-by-4.0")
    assert ModelCard(text).data.to_dict() == {
        "library_name": "timm",
        "pipeline_tag": "image-feature-extraction",
        "license": "cc-by-4.0",
        "tags": list(TAGS),
        "base_model": "owner/name",
    }
    assert "released under: cc-by-4.0" in text
    assert "and of the initial weights (hf-hub:owner/name) may restrict" in text
    assert ModelCard(card(model, run)).data.license == "unknown"


def test_data_and_recipe_are_those_of_the_run(model: Model, run: Path) -> None:
    text = card(model, run)
    assert "\n# first\n" in text
    assert "“first”: self-supervised training on 64 videos.\n" in text
    found = dict(row for row in table(text, "Training") if len(row) == 2)
    assert found["data"] == "a (ab)"
    assert found["training videos"] == "64"
    assert found["videos held out"] == "1"
    assert found["recipe"] == "vivi-ex4-tiny"
    assert found["losses"] == "Frame level: InfoNCE"
    assert "No evaluation is recorded." in text
    assert "- The features were not evaluated on labelled images." in text
    assert "No licence was chosen" in text
    assert "- Training ended after 1 of" in text
    stopping = {"first_score": 0.5, "best_score": 0.6, "best_step": 1}
    (run / layout.RUN).write_text(json.dumps(RECORD | {"stopping": stopping}))
    text = card(model, run)
    assert (
        "| weights kept | step 1; retrieval in held-out videos 60.0 %, initially 50.0 % |" in text
    )
    assert "Training ended" not in text


def test_results_keep_their_intervals_and_warnings(model: Model, run: Path) -> None:
    rows = [
        labelled(),
        labelled(baseline="untrained", value=0.7, weights=HASH[::-1]),
        labelled(baseline="pixels", value=1.0),
        labelled(task="same video", protocol=NEAREST, num_test=400, value=0.4),
        labelled(task="same video", protocol=NEAREST, num_test=400, value=0.1, baseline="pixels"),
    ]
    write_file(run / layout.EVALUATIONS / "photos-1.json", DESCRIBED, rows)
    write_lines(run / layout.EVALUATIONS / "vtab" / "lightweight", suite())
    text = card(model, run)
    assert table(text, "Labelled images") == [
        ["photos", "kNN", "75.0 [53.1, 88.8]", "70.0 [48.1, 85.5]", "100.0 [83.9, 100.0]", "50.0",
         "20", "up to 4"],
    ]  # fmt: skip
    (retrieval,) = table(text, "Retrieval in held-out videos")
    assert retrieval[2] == "40.0 [35.3, 44.9]"
    assert len(table(text, "Suite vtab-1k, lightweight: 4 settings tried, median of 3 seeds")) == 19
    assert "These results belong to other weights: step 12 of runs/first." in text
    assert "Deviations from the exact tasks: lossy JPEG dump." in text
    assert "- photos: 3 of 20 test images are among the labelled images that the" in text
    assert "- The model is worse than raw pixels on: photos (kNN).\n" in text
    assert "- There is no clear difference from the untrained network on: photos (kNN).\n" in text
    assert "not evaluated on labelled images" not in text
    assert "mean" in text


def test_results_of_the_same_weights_have_no_warning_about_others(model: Model, run: Path) -> None:
    rows = [labelled(weights=weights_digest(model.backbone))]
    write_file(run / layout.EVALUATIONS / "photos-1.json", DESCRIBED, rows)
    assert "other weights" not in card(model, run)


def test_names_of_users_have_no_effect_and_paths_are_not_published(model: Model, run: Path) -> None:
    hostile = RECORD | {
        "store": f"/data/me/{HOSTILE.replace('/', '')}",
        "recipe": HOSTILE,
        "plugins": [],
    }
    (run / layout.RUN).write_text(json.dumps(hostile))
    rows = [labelled(task=HOSTILE)]
    write_file(run / layout.EVALUATIONS / "photos-1.json", DESCRIBED, rows)
    text = card(model._replace(weights_origin=f"step 1 of /data/me/{HOSTILE}"), run)
    page = MarkdownIt("commonmark").enable("table").render(text.split("---\n", 2)[2])
    assert "<script" not in page
    assert '<a href="http://z"' not in page
    assert "<em>c</em>" not in page
    assert page.count("<h1>") == 1
    widths = {row.count("<td>") for row in page.split("<tr>") if "alert(1)" in row}
    assert widths <= {2, 8}
    assert "/data/me" not in card(model, run)
    assert "| weights | step 12 of first, initialised from a.safetensors |" in card(model, run)


def test_a_model_without_its_run_has_a_card_that_states_so(model: Model) -> None:
    text = model_card(model, None, "unknown")
    assert ModelCard(text).data.library_name == "timm"
    assert "data and recipe are unknown" in text
    assert "| architecture | test_resnet |" in text
    assert "Citation" not in text
