"""Groups of near-duplicates are the connected components of all pairs of frames."""

import numpy as np
import pytest

from footage.retrieval import near_duplicates
from footage.retrieval.features import Part, unit
from footage.retrieval.near_duplicates import find_groups


@pytest.fixture
def parts(tmp_path):
    """Three parts of shots of one to four frames, many of which are similar."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(15, 8))
    found, row = [], 0
    for number in range(3):
        lengths = random.integers(1, 5, 12)
        places = random.integers(0, len(centres), lengths.sum())
        vectors = centres[places] + 0.15 * random.normal(size=(lengths.sum(), 8))
        vectors[random.integers(0, len(vectors), 3)] = 0
        np.save(tmp_path / f"{number}.npy", unit(vectors).astype(np.float16))
        rows = row + np.arange(12)[::-1]
        starts = np.cumsum(lengths) - lengths
        found.append(Part(tmp_path / f"{number}.npy", rows, starts, len(vectors)))
        row += 12
    return found


def expected_groups(parts, videos, threshold, within_videos):
    """Find groups by comparing everything with everything."""
    frames = [
        (*part.shot_of(number), np.float32(vector))
        for part in parts
        for number, vector in enumerate(part.vectors())
    ]
    best, neighbours = {}, {}
    for shot, _, vector in frames:
        for other, _, another in frames:
            similarity = float(vector @ another)
            allowed = shot != other if within_videos else videos[shot] != videos[other]
            if allowed and similarity >= threshold:
                neighbours.setdefault(shot, set()).add(other)
                best[shot] = max(best.get(shot, -1.0), similarity)
    groups, left = [], set(neighbours)
    while left:
        reached, new = set(), {min(left)}
        while new:
            reached |= new
            new = set().union(*(neighbours[shot] for shot in new)) - reached
        groups.append(sorted(reached))
        left -= reached
    return sorted(groups, key=len, reverse=True), best


@pytest.mark.parametrize("within_videos", [False, True])
@pytest.mark.parametrize("threshold", [0.8, 0.97, 0.99])
@pytest.mark.parametrize("at_once", [7, 1000])
@pytest.mark.parametrize("approximate", [False, True])
def test_groups_are_connected_shots(
    parts, within_videos, threshold, at_once, approximate, monkeypatch
):
    for name in ("FRAMES_AT_ONCE", "SEARCHED_AT_ONCE", "PAIRS_AT_ONCE"):
        monkeypatch.setattr(near_duplicates, name, at_once)
    videos = np.arange(36) // 5
    done = []
    found = find_groups(
        parts, videos, threshold, within_videos=within_videos, approximate=approximate,
        advance=done.append,
    )  # fmt: skip
    expected, best = expected_groups(parts, videos, threshold, within_videos)
    assert [[shot.row for shot in group] for group in found] == expected
    assert sum(done) == sum(part.num_frames for part in parts)
    vectors = {
        part.shot_of(number): np.float32(vector)
        for part in parts
        for number, vector in enumerate(part.vectors())
    }
    for group in found:
        for shot in group:
            assert shot.similarity == pytest.approx(min(best[shot.row], 1.0), abs=1e-5)
            others = [vector for (row, _), vector in vectors.items() if row != shot.row]
            assert max(others @ vectors[shot.row, shot.frame]) >= shot.similarity - 1e-5


def test_the_index_finds_the_groups_of_a_comparison_of_everything(tmp_path):
    random = np.random.default_rng(0)
    every = random.normal(size=(400, 1, 32)) + 0.3 * random.normal(size=(400, 5, 32))
    every[360:] = every[:40] + 0.05 * random.normal(size=(40, 5, 32))  # copies
    every[300:310] = every[200:201]
    vectors = unit(every.reshape(-1, 32)).astype(np.float16)
    np.save(tmp_path / "part.npy", vectors)
    rows = np.arange(400)
    parts = [Part(tmp_path / "part.npy", rows, 5 * rows, len(vectors))]
    exact, found = (
        find_groups(parts, rows, 0.97, within_videos=False, approximate=approximate)
        for approximate in (False, True)
    )
    assert [len(group) for group in exact] == [11] + 40 * [2]
    assert [[shot.row for shot in group] for group in found] == [
        [shot.row for shot in group] for group in exact
    ]


def test_a_store_without_near_duplicates_has_no_groups(parts):
    assert find_groups(parts, np.zeros(36, int), 0.5, within_videos=False) == []
    assert find_groups([], np.zeros(0, int), 0.5, within_videos=False) == []
