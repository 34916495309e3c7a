import csv
import io
import json
from itertools import islice
from pathlib import Path

import av
import cv2
import pytest
from rich.console import Console

from footage.commands.profile import PIXELS, ProfileConfig, _unseen, profile
from footage.errors import ConfigError
from footage.invariance.tables import tables
from footage.runs import layout
from tests.evaluation.test_leakage import MODEL
from tests.support import rendered_videos
from tests.support.stores import write_store

TINY = "test_resnet"
UNTRAINED = "test_resnet untrained"
CONFIG = ProfileConfig(size=32, scenes=2, reach=2)
REAL_CLIPS = Path(__file__).parents[3] / "shared" / "clips"
"""Clips that are not part of the repository."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return rendered_videos.draw(tmp_path_factory.mktemp("rendered"))


@pytest.fixture(scope="module")
def found(tiny_store, rendered, tmp_path_factory):
    videos, labelled = rendered
    out = tmp_path_factory.mktemp("profile") / "deep"
    return profile(
        [TINY], store=tiny_store.path, videos=videos, labels=labelled, out=out, config=CONFIG
    )


def test_models_stand_beside_pixels_and_the_network_untrained(found):
    assert [model.name for model in found.models] == [PIXELS, UNTRAINED, TINY]
    for model in found.models:
        assert set(model.profile.levels) == {"view", "shot", "video"}
        assert set(model.robustness) == {"knn", "linear"}
        assert len(model.factors) == 6
    # A random model of the same seed is its own baseline.
    assert found.models[1].profile == found.models[2].profile
    assert found.models[1].factors == found.models[2].factors


def test_what_is_known_of_the_levels_of_a_video_holds_for_pixels(found):
    levels = found.models[0].profile.levels
    assert levels["shot"].ratio.high < 0.7 < levels["video"].ratio.high
    assert levels["shot"].hit.value > 0.8 > 3 * levels["shot"].chance


def test_rendered_videos_are_harder_at_their_worst_frame(found):
    for model in found.models:
        for measured in model.robustness.values():
            assert (measured.anchors, measured.videos, measured.reach) == (9, 9, 2)
            assert measured.worst.value <= measured.anchor.value
            assert measured.worst.value <= measured.average.value
            assert measured.drop.value == pytest.approx(
                measured.anchor.value - measured.worst.value
            )
    # Three objects in random places: the pixels tell them apart, and far from perfectly.
    linear = found.models[0].robustness["linear"]
    assert linear.average.value > 0.4


def test_the_file_holds_what_every_number_depends_on(found, tiny_store):
    path = found.files[0]
    content = json.loads(path.read_text())
    assert content["environment"]["commit"]
    assert content["measured"]["settings"]["scenes"] == 2
    assert content["measured"]["store"]["content_hash"] == tiny_store.content_hash
    assert content["measured"]["store"]["videos"] == 6
    assert content["measured"]["videos"]["anchors"] == 9
    first = content["models"][2]
    assert first["described"]["architecture"] == TINY
    ratio = first["profile"]["levels"]["shot"]["ratio"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]


def test_the_picture_is_the_same_bytes_for_the_same_numbers(found, tiny_store, rendered, tmp_path):
    videos, labelled = rendered
    again = profile(
        [TINY], store=tiny_store.path, videos=videos, labels=labelled, out=tmp_path, config=CONFIG
    )
    assert again.models == found.models
    assert again.files[1].read_bytes() == found.files[1].read_bytes()
    assert again.files[1].read_text().startswith("<?xml")


def test_every_measurement_has_its_table(found):
    text = io.StringIO()
    for view in tables(found.models):
        Console(width=160, file=text).print(view)
    for word in (
        "shot, chance",
        "orientation",
        "worst",
        "uniformity",
        "(linear): accuracy in percent on 9",
    ):
        assert word in text.getvalue()


def test_only_what_is_asked_for_is_measured(tmp_path):
    found = profile([TINY], out=tmp_path, config=ProfileConfig(size=32, scenes=1))
    assert all(model.profile is None and not model.robustness for model in found.models)
    assert len(tables(found.models)) == 2


def test_videos_that_a_run_was_trained_on_are_left_out(tiny_store, tmp_path):
    names = sorted(set(tiny_store.shots["video"].to_pylist()))
    record = {
        "config": {}, "model": MODEL, "store_hash": tiny_store.content_hash,
        "held_out": names[:3],
    }  # fmt: skip
    layout.write_record(tmp_path / "run", record)
    assert _unseen(tiny_store, [TINY, str(tmp_path / "run")]) == (names[:3], [])
    layout.write_record(tmp_path / "run", record | {"store_hash": "another store"})
    assert _unseen(tiny_store, [str(tmp_path / "run")]) == (names, [])


def test_videos_of_another_store_that_are_the_same_files_are_left_out(tiny_store, tmp_path):
    names = sorted(set(tiny_store.shots["video"].to_pylist()))
    elsewhere = tmp_path / "elsewhere"
    frame = tiny_store.frames_of_shot(0)[0].jpeg
    other = write_store(elsewhere, [("renamed.mp4#000000000002", [[frame]])])
    record = {
        "config": {}, "model": MODEL, "store": str(elsewhere),
        "store_hash": other.content_hash, "held_out": [],
    }  # fmt: skip
    layout.write_record(tmp_path / "run", record)
    assert _unseen(tiny_store, [str(tmp_path / "run")]) == ([names[0], *names[2:]], [])
    layout.write_record(tmp_path / "run", record | {"store": str(tmp_path / "gone")})
    eligible, unchecked = _unseen(tiny_store, [str(tmp_path / "run"), "resnet50.a1_in1k"])
    assert eligible == names
    assert len(unchecked) == 2
    assert "cannot be read" in unchecked[0]
    assert unchecked[1] == "the training data of resnet50.a1_in1k is not recorded"


@pytest.mark.parametrize(
    ("models", "more", "message"),
    [
        ([], {}, "no model was given"),
        ([TINY, TINY], {}, "test_resnet is given twice"),
        (
            [TINY],
            {"videos": "somewhere"},
            "labelled videos and labelled images must be given together",
        ),
        ([TINY], {"config": ProfileConfig(scenes=0)}, "there is nothing to measure"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, models, more, message):
    with pytest.raises(ConfigError, match=message):
        profile(models, out=tmp_path, **more)


def test_numbers_out_of_range_are_refused_by_name():
    with pytest.raises(ConfigError, match="reach must be at least 1, got 0"):
        ProfileConfig(reach=0)
    with pytest.raises(ConfigError, match="unknown protocol 'magic'"):
        ProfileConfig(protocols=("magic",))


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="no real clips beside this checkout")
def test_real_frames_in_the_same_layout(tmp_path):
    with (REAL_CLIPS / "MANIFEST.csv").open() as file:
        rows = list(csv.DictReader(file))
    for subject in ("cat", "dog"):
        clips = [row["file"] for row in rows if row["subject"] == subject][:4]
        assert len(clips) == 4, subject
        for number, clip in enumerate(clips):
            folder = tmp_path / ("videos" if number < 2 else "images") / subject / f"v{number}"
            folder.mkdir(parents=True)
            with av.open(str(REAL_CLIPS / clip)) as container:
                for place, frame in enumerate(islice(container.decode(video=0), 11)):
                    pixels = frame.to_ndarray(format="bgr24")
                    assert cv2.imwrite(str(folder / f"{place:06d}.jpg"), pixels)
    found = profile(
        [TINY],
        videos=tmp_path / "videos",
        labels=tmp_path / "images",
        out=tmp_path / "out",
        config=ProfileConfig(size=32, scenes=0, reach=5),
    )
    for model in found.models:
        for measured in model.robustness.values():
            assert (measured.anchors, measured.videos) == (4, 4)
            assert 0 <= measured.worst.value <= measured.anchor.value <= 1
