import pickle

import pytest

from footage.errors import StoreError
from footage.store.reader import Store
from tests.support.stores import write_store


def test_store_gives_back_the_frames_of_every_shot(tiny_store):
    assert tiny_store.shots.num_rows == 18
    for row in range(18):
        frames = tiny_store.frames_of_shot(row)
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert all(frame.jpeg[:2] == b"\xff\xd8" for frame in frames)
        assert tiny_store.encoded(row, [2, 0]) == [frames[2].jpeg, frames[0].jpeg]
    tiny_store.verify()


def test_store_travels_to_another_process(tiny_store):
    tiny_store.frames_of_shot(0)
    assert pickle.loads(pickle.dumps(tiny_store)).encoded(3, [1]) == tiny_store.encoded(3, [1])


def test_absent_store_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(StoreError, match="footage ingest"):
        Store.open(tmp_path)


def test_store_of_many_videos_is_read(tmp_path):
    """Arrow gives groups in no particular order once there are more than a few."""
    names = [f"video{number:02d}.mp4#{number:016x}" for number in range(40)]
    store = write_store(tmp_path, [(name, [[b"\xff\xd8\xff\xd9"]]) for name in names])
    assert store.videos["video"].to_pylist() == sorted(store.videos["video"].to_pylist())
    assert store.shots.num_rows == 40


def test_a_folder_of_other_files_is_not_taken_for_a_missing_store(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(StoreError, match="is not a frame store: it contains other files") as error:
        Store.open(tmp_path)
    assert error.value.hint == "pass the folder that `footage ingest` wrote"
    with pytest.raises(StoreError, match="frame store not found"):
        Store.open(tmp_path / "none")
