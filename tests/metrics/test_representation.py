import math

import pytest
import torch

from footage.metrics import representation


def test_isotropic_features_have_spread_one_and_full_rank():
    features = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    assert representation.embedding_std(features) == pytest.approx(1.0, abs=0.02)
    assert representation.rankme(features) == pytest.approx(16, rel=0.01)


def test_rankme_of_a_low_rank_matrix_is_its_rank():
    basis = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))[0]
    features = basis[:, :8] @ torch.linalg.qr(torch.randn(32, 32))[0][:8]
    assert representation.rankme(features) == pytest.approx(8, rel=0.01)
    assert representation.rankme(torch.zeros(4, 4)) == 0.0


def test_distances_are_one_minus_the_cosine_whatever_the_length():
    features = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0], [5.0, 5.0]])
    found = representation.distances(features)
    assert found[0].tolist() == pytest.approx([0, 1, 2, 1 - math.sqrt(0.5)])
    assert torch.allclose(found, found.T)
    rows = representation.paired_distances(features[:2], features[2:])
    assert rows.tolist() == pytest.approx([2, 1 - math.sqrt(0.5)])


def test_uniformity_of_known_arrangements():
    assert representation.uniformity(representation.distances(torch.ones(5, 3))) == pytest.approx(
        0.0
    )
    # Two opposite points: every distinct pair is 2 apart, and |f - g|^2 is 4.
    opposite = representation.distances(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert representation.uniformity(opposite) == pytest.approx(-8.0)
    # The uniform sphere of many dimensions: |f - g|^2 is 2 nearly everywhere.
    sphere = torch.randn(500, 512, generator=torch.Generator().manual_seed(0))
    assert representation.uniformity(representation.distances(sphere)) == pytest.approx(
        -4.0, abs=0.05
    )


def _retrieval_by_loops(features, right, allowed):
    hits, chances = [], []
    unit = features / features.norm(dim=1, keepdim=True)
    for query in range(len(features)):
        if not right[query].any():
            continue
        best = max(
            (j for j in range(len(features)) if allowed[query, j]),
            key=lambda j: float(unit[query] @ unit[j]),
        )
        hits.append(float(right[query, best]))
        chances.append(float(right[query].sum()) / float(allowed[query].sum()))
    return sum(hits) / len(hits), sum(chances) / len(chances), len(hits)


def test_retrieval_agrees_with_its_brute_force_twin():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(30, 5, generator=generator).double()
    shots = torch.randint(0, 12, (30,), generator=generator)
    videos = shots // 3
    same_shot, same_video = shots[:, None] == shots, videos[:, None] == videos
    right, allowed = same_video & ~same_shot, ~same_shot
    found = representation.retrieval(features, right, allowed)
    assert found == pytest.approx(_retrieval_by_loops(features, right, allowed))
