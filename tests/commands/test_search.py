"""`footage search`: shots of a store by image and by video, with a cache and a page."""

import json
import logging

import pytest
import simplejpeg

import footage
from footage import cli
from footage.errors import ConfigError, FootageError, StoreError
from footage.io import cache
from tests.reporting.test_hostile_names import HOSTILE, Reader
from tests.support import synthetic
from tests.support.stores import write_store

MODEL = "test_resnet"


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOOTAGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def photo(tiny_store, tmp_path_factory):
    """A frame of the store as an image file: the fourth of the second shot of the third video."""
    row = 3 * 4 + 1  # the videos of group1 come after those of group0
    (jpeg,) = tiny_store.encoded(row, [3])
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    path.write_bytes(jpeg)
    return path, tiny_store.shots.slice(row, 1).to_pylist()[0]


def search(query, store, **options):
    return footage.search(MODEL, query, store=store, size=32, **options)


def test_a_frame_finds_its_own_shot_and_its_time(tiny_store, photo):
    path, shot = photo
    found = search(path, tiny_store.path, top=5)
    (query,) = found.queries
    assert (query.query, len(query.shots)) == (str(path), 5)
    first = query.shots[0]
    assert first.similarity > 0.9999
    assert (first.video, first.shot, first.frame) == (shot["video"], shot["shot"], 3)
    assert (first.start_seconds, first.end_seconds) == (shot["start_seconds"], shot["end_seconds"])
    assert first.frame_seconds == shot["start_seconds"] + 3 / 2
    assert first.query_seconds is None
    similarities = [each.similarity for each in query.shots]
    assert similarities == sorted(similarities, reverse=True)
    assert (found.num_shots, found.num_frames) == (18, tiny_store.totals["frames"])
    assert "similarity" in repr(found)
    assert "0:10.0" in repr(found)
    assert search(path, tiny_store.path, top=5, method="approximate") == found


def test_a_video_finds_itself_at_the_times_of_its_frames(whole, video_folder):
    video = sorted(video_folder.rglob("*.mp4"))[1]
    found = search(video, whole[1], top=3, frames_per_second=2)
    (query,) = found.queries
    assert {shot.video.partition("#")[0].rpartition("/")[2] for shot in query.shots} == {video.name}
    for shot in query.shots:
        assert shot.query_seconds == pytest.approx(shot.frame_seconds, abs=0.51)
        assert shot.start_seconds <= shot.frame_seconds < shot.end_seconds


def test_the_features_of_a_store_are_computed_once(tmp_path, photo, caplog):
    caplog.set_level(logging.INFO, "footage")
    path, _ = photo

    def computed(store, **options):
        caplog.clear()
        search(path, store, **options)
        return [line.args[0] for line in caplog.records if "computing the features" in line.msg]

    def shots(seed):
        return [[simplejpeg.encode_jpeg(image) for image in list(synthetic.scene(seed, 1))[::12]]]

    videos = [("a.mp4#01", shots(1)), ("b.mp4#02", shots(2))]
    store = write_store(tmp_path / "store", videos[:1])
    count = store.totals["frames"]
    assert computed(store.path) == [count]
    assert computed(store.path, top=1) == []
    assert computed(store.path, batch_size=1) == []
    store = write_store(tmp_path / "store", videos[1:])  # only the new part
    assert computed(store.path) == [store.totals["frames"] - count]

    damaged = max(
        (cache.folder() / "features").rglob("*.npy"), key=lambda path: path.stat().st_mtime
    )
    for content in (damaged.read_bytes()[:100], b"", b"no array"):
        damaged.write_bytes(content)
        assert computed(store.path) == [store.totals["frames"] - count]


def test_the_page_shows_queries_and_shots_and_names_are_only_text(tmp_path, photo):
    path, _ = photo
    name = HOSTILE["image"] + HOSTILE["attribute"].replace("/", "")
    jpegs = [simplejpeg.encode_jpeg(image) for image in list(synthetic.scene(1, 1))[::12]]
    store = write_store(tmp_path / "store", [(f"{name}#01", [jpegs])])
    page = tmp_path / "page.html"
    queries = [tmp_path / "a.jpg", tmp_path / f"{HOSTILE['image']}.jpg"]
    for query in queries:
        query.write_bytes(path.read_bytes())
    for _ in range(2):  # a page may be replaced
        found = search(queries, store.path, html=page)
    assert found.page == page
    assert [each.query for each in found.queries] == list(map(str, queries))
    reader = Reader(page.read_text("utf-8"))
    images = [values for element, values in reader.elements if element == "img"]
    assert len(images) == 4
    assert all(values["src"].startswith("data:image/jpeg;base64,") for values in images)
    assert not any(key.startswith("on") for _, values in reader.elements for key in values)
    assert name in "".join(reader.texts)
    page.write_text("notes")
    with pytest.raises(ConfigError, match="exists and was not written by footage search"):
        search(queries, store.path, html=page)
    assert page.read_text() == "notes"


def test_a_query_that_cannot_be_read_is_reported(tiny_store, photo, tmp_path):
    path, _ = photo
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    found = search([bad, path], tiny_store.path, top=1)
    assert [each.query for each in found.queries] == [str(path)]
    assert [each.input for each in found.failures] == [str(bad)]
    with pytest.raises(ConfigError, match=r"none of 1 queries can be read; .*bad\.jpg: "):
        search(bad, tiny_store.path)


def test_settings_and_stores_are_checked(tiny_store, photo, tmp_path):
    with pytest.raises(ConfigError, match="top is out of range, got 0"):
        search(photo[0], tiny_store.path, top=0)
    with pytest.raises(StoreError):
        search(photo[0], tmp_path / "none")
    with pytest.raises(FootageError, match="file or folder not found"):  # before the model is read
        footage.search("no model", tmp_path / "none.jpg", store=tiny_store.path)


def test_the_command_prints_a_table_or_json(tiny_store, photo, capsys):
    path, shot = photo
    words = ["search", MODEL, str(path), "--in", str(tiny_store.path), "--size", "32", "--top", "2"]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == str(path)
    assert lines[2].split() == ["1.000", "0:10.0", "0:12.5", "0:11.5", shot["video"]]
    assert cli.main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["queries"][0]["shots"][0]["shot"] == shot["shot"]
    assert printed["page"] is None
    assert cli.main(words[:3]) == 2
    assert "missing: --in" in capsys.readouterr().err
