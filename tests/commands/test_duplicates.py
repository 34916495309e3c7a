"""`footage duplicates`: copies of shots in other videos of a store."""

import json

import cv2
import numpy as np
import pytest
import simplejpeg

import footage
from footage import cli
from footage.errors import ConfigError
from tests.reporting.test_hostile_names import HOSTILE, Reader
from tests.support import synthetic
from tests.support.stores import write_store


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOOTAGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def changed(image):
    """A smaller, darker and more compressed copy."""
    small = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    return np.clip(small * 0.8, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Four videos of two shots; the second shot of `copy` is the first one of `first`."""

    def shot(seed, change=np.ascontiguousarray):
        images = list(synthetic.scene(seed, 2, size=(128, 96)))[::12]
        return [simplejpeg.encode_jpeg(change(image), quality=80) for image in images]

    black = [simplejpeg.encode_jpeg(np.zeros((96, 128, 3), np.uint8))]
    name = HOSTILE["image"].replace("/", "")
    videos = [
        ("first.mp4#01", [shot(1), shot(2)]),
        (f"{name}.mp4#02", [shot(3), shot(1, changed)]),
        ("other.mp4#03", [shot(4), black]),
        ("another.mp4#04", [black, shot(5), shot(5)]),
    ]
    return write_store(tmp_path_factory.mktemp("store"), videos)


def test_a_changed_copy_of_a_shot_is_found_with_its_times(store):
    found = footage.duplicates(store.path)
    (group,) = found.groups
    places = {(shot.video.rpartition("#")[2], shot.shot, shot.start_seconds) for shot in group}
    assert places == {("01", 0, 0.0), ("02", 1, 10.0)}
    assert all(shot.end_seconds > shot.start_seconds for shot in group)
    assert all(found.threshold <= shot.similarity <= 1 for shot in group)
    assert (found.threshold, found.num_shots, found.num_duplicates) == (0.93, 9, 2)
    assert "2 shots (22.2%) in 1 group" in repr(found)
    assert footage.duplicates(store.path, method="approximate") == found


def test_shots_of_one_video_count_on_request(store):
    found = footage.duplicates(store.path, within_videos=True)
    assert sorted(len(group) for group in found.groups) == [2, 2]
    twice = [shot for group in found.groups for shot in group if shot.video.endswith("#04")]
    assert [shot.shot for shot in twice] == [1, 2]


def test_features_of_a_model_need_a_threshold(store):
    with pytest.raises(ConfigError, match="threshold is missing"):
        footage.duplicates(store.path, model="test_resnet")
    with pytest.raises(ConfigError, match="threshold is out of range, got 2"):
        footage.duplicates(store.path, threshold=2.0)
    found = footage.duplicates(store.path, model="test_resnet", threshold=0.99, size=32)
    assert found.model == "test_resnet"
    assert any({shot.video[-2:] for shot in group} >= {"01", "02"} for group in found.groups)


def test_the_page_shows_groups_and_names_are_only_text(store, tmp_path):
    page = tmp_path / "page.html"
    found = footage.duplicates(store.path, html=page)
    assert found.page == page
    reader = Reader(page.read_text("utf-8"))
    images = [values for element, values in reader.elements if element == "img"]
    assert len(images) == 2
    assert all(values["src"].startswith("data:image/jpeg;base64,") for values in images)
    assert HOSTILE["image"] in "".join(reader.texts)
    page.write_text("notes")
    with pytest.raises(ConfigError, match="was not written by footage duplicates"):
        footage.duplicates(store.path, html=page)


def test_the_command_prints_a_table_or_json(store, capsys):
    words = ["duplicates", str(store.path), "--within-videos", "--top", "1"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[:3]] == ["group", "1", "1"]
    assert "4 shots (44.4%) in 2 groups; showing the largest 1" in printed
    assert cli.main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["groups"]) == 2
    assert printed["groups"][0][0].keys() >= {"video", "start_seconds", "end_seconds"}


def test_a_store_without_duplicates(tiny_store, capsys):
    assert footage.duplicates(tiny_store.path, threshold=1.0).groups == []
    assert cli.main(["duplicates", str(tiny_store.path), "--threshold", "1"]) == 0
    assert "0 shots (0.0%) in 0 groups" in capsys.readouterr().out
