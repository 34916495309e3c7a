import math

import pytest
import torch

from footage.evaluation.held_out_frames import held_out_frames
from footage.metrics import representation
from footage.models.backbone import build
from footage.models.config import BackboneConfig
from footage.training import online_metrics


def test_constant_features_are_called_collapsed():
    features = torch.ones(50, 8) + 1e-4 * torch.randn(50, 8)
    probed = {
        "embedding_std": representation.embedding_std(features),
        "rankme": representation.rankme(features),
    }
    assert any("collapsed" in sentence for sentence in online_metrics.advice(probed, {}, {}))


def test_healthy_features_and_losses_raise_no_alarm():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        features = torch.randn(200, 32, generator=generator).relu()
        probed = {
            "embedding_std": representation.embedding_std(features),
            "rankme": representation.rankme(features),
        }
        assert (
            online_metrics.advice(probed, {"video/order": 0.4}, {"video/order": math.log(2)}) == []
        )


def test_a_level_at_chance_is_named():
    found = online_metrics.advice({}, {"video/order": 0.70}, {"video/order": math.log(2)})
    assert len(found) == 1
    assert "video/order is at chance" in found[0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((10, 0, 5), "only 10 videos"),
        ((100, 80, 5), "split into parts"),
        ((100, 0, 1), "negatives"),
    ],
)
def test_too_few_videos_or_shots_are_said_before_the_first_step(arguments, word):
    assert any(word in sentence for sentence in online_metrics.advice_on_data(*arguments))
    assert online_metrics.advice_on_data(1000, 10, 50) == []


def test_the_probe_set_holds_only_held_out_videos_and_keeps_to_its_bound(tiny_store):
    videos = sorted(set(tiny_store.shots["video"].to_pylist()))
    frames = held_out_frames(tiny_store, videos[:2], size=32, frames=16, frames_per_shot=2)
    assert frames.images.shape[1:] == (32, 32, 3)
    assert len(frames.images) <= 16
    assert set(frames.videos.tolist()) == {0, 1}
    rows = tiny_store.shots["video"].to_pylist()
    assert {rows[row] for row in frames.shots.tolist()} == set(videos[:2])


def test_a_probe_reports_every_number_and_leaves_the_backbone_in_its_mode(tiny_store):
    videos = sorted(set(tiny_store.shots["video"].to_pylist()))
    frames = held_out_frames(tiny_store, videos[:3], size=32, frames=32)
    backbone, _ = build(BackboneConfig(architecture="test_resnet"), size=32, seed=0)
    backbone.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    probed = online_metrics.compute(backbone, frames, torch.device("cpu"))
    assert set(probed) == {
        "embedding_std", "rankme",
        "same_shot_hit", "same_shot_chance", "same_video_hit", "same_video_chance",
    }  # fmt: skip
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_without_held_out_videos_there_is_nothing_to_probe(tiny_store):
    frames = held_out_frames(tiny_store, [], size=32, frames=32)
    backbone, _ = build(BackboneConfig(architecture="test_resnet"), size=32, seed=0)
    assert online_metrics.compute(backbone, frames, torch.device("cpu")) == {}
