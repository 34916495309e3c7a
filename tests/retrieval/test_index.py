"""The approximate index returns nearly the same shots as exact search, with exact similarities."""

import logging
import sys

import numpy as np
import pytest

from footage.errors import ConfigError
from footage.retrieval import index
from footage.retrieval.features import Part, unit
from footage.retrieval.index import Index, require_faiss
from footage.retrieval.nearest import nearest

SHOTS, DIM = 600, 16


@pytest.fixture(scope="module")
def vectors():
    random = np.random.default_rng(0)
    lengths = random.integers(1, 10, SHOTS)
    centres = random.normal(size=(SHOTS, DIM)).repeat(lengths, axis=0)
    found = unit(centres + 0.3 * random.normal(size=centres.shape))
    return lengths, found.astype(np.float16)


@pytest.fixture
def parts(vectors, tmp_path):
    lengths, every = vectors
    starts = np.cumsum(lengths) - lengths
    cut = SHOTS // 3
    np.save(tmp_path / "a.npy", every[: starts[cut]])
    np.save(tmp_path / "b.npy", every[starts[cut] :])
    rows = np.arange(SHOTS)
    return [
        Part(tmp_path / "a.npy", rows[:cut], starts[:cut], int(starts[cut])),
        Part(tmp_path / "b.npy", rows[cut:], starts[cut:] - starts[cut], int(lengths[cut:].sum())),
    ]


def test_nearly_the_same_shots_as_exact_search_with_exact_similarities(
    parts, vectors, caplog, monkeypatch
):
    monkeypatch.setattr(index, "VISITED", 16)
    caplog.set_level(logging.INFO, "footage")
    random = np.random.default_rng(1)
    places = [random.integers(0, len(vectors[1]), count) for count in (1, 1, 3, 1, 2)]
    noise = [0.1 * random.normal(size=(len(place), DIM)) for place in places]
    queries = [
        unit(np.float32(vectors[1][place]) + some).astype(np.float32)
        for place, some in zip(places, noise, strict=True)
    ]
    exact = nearest(parts, queries, 5)
    for _ in range(2):
        found = Index(parts).nearest(queries, 5)
        common = [len({*some} & {*every}) for some, every in zip(found, exact, strict=True)]
        assert min(common) >= 4
        for some in found:
            similarities = [match.similarity for match in some]
            assert similarities == sorted(similarities, reverse=True)
    assert sum("building an index" in line.msg for line in caplog.records) == 1


def test_all_shots_are_found_if_all_are_wanted(parts):
    query = np.ones((1, DIM), np.float32) / np.sqrt(DIM)
    found = Index(parts).nearest([query], SHOTS + 1)[0]
    assert [match.row for match in found] == [
        match.row for match in nearest(parts, [query], SHOTS)[0]
    ]


def test_a_damaged_index_is_replaced(parts, caplog):
    query = np.ones((1, DIM), np.float32) / np.sqrt(DIM)
    before = Index(parts).nearest([query], 3)
    (path,) = parts[0].path.parent.glob("*.faiss")
    path.write_bytes(path.read_bytes()[:100])
    assert Index(parts).nearest([query], 3) == before
    assert "cannot be used and is replaced" in caplog.text


def test_a_missing_package_is_an_error_with_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match="needs faiss") as caught:
        require_faiss()
    assert "footage[search]" in caught.value.hint
