"""Exact search returns the same shots as comparing everything with everything."""

import numpy as np
import pytest

from footage.retrieval import nearest
from footage.retrieval.features import Part, unit


@pytest.fixture
def parts(tmp_path):
    """Three parts of shots of one to five frames, whose rows in the store are interleaved."""
    random = np.random.default_rng(0)
    found = []
    for number in range(3):
        lengths = random.integers(1, 6, 20)
        vectors = unit(random.normal(size=(lengths.sum(), 8))).astype(np.float16)
        np.save(tmp_path / f"{number}.npy", vectors)
        rows = 3 * np.arange(20) + number
        starts = np.cumsum(lengths) - lengths
        found.append(Part(tmp_path / f"{number}.npy", rows, starts, len(vectors)))
    return found


@pytest.mark.parametrize("at_once", [1, 40, 2**20])
@pytest.mark.parametrize("top", [1, 7, 100])
def test_the_nearest_shots_are_those_of_a_comparison_of_everything(
    parts, top, at_once, monkeypatch
):
    monkeypatch.setattr(nearest, "SIMILARITIES_AT_ONCE", at_once)
    monkeypatch.setattr(nearest, "QUERIES_AT_ONCE", 2)
    random = np.random.default_rng(1)
    queries = [unit(random.normal(size=(count, 8))).astype(np.float32) for count in (1, 3, 1, 2, 4)]
    for query, found in zip(queries, nearest.nearest(parts, queries, top), strict=True):
        every = []
        for part in parts:
            similar = np.float32(part.vectors()) @ query.T
            for frame, row in enumerate(similar):
                shot, index = part.shot_of(frame)
                every += [(value, shot, index, place) for place, value in enumerate(row)]
        best = {}
        for value, shot, index, place in sorted(every, reverse=True):
            best.setdefault(shot, (value, shot, index, place))
        expected = list(best.values())[:top]
        assert [match[1:] for match in found] == [match[1:] for match in expected]
        similarities = [match.similarity for match in found]
        assert np.allclose(similarities, [match[0] for match in expected], atol=1e-6)


def test_zero_vectors_are_never_similar():
    assert unit(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]
