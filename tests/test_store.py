import pickle

import pytest

from footage.errors import StoreError
from footage.store import Store


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
