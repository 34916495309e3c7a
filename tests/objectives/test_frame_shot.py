import pytest
import torch

from footage.errors import ConfigError
from footage.objectives.config import FrameConfig, FrameShotConfig, ObjectiveConfig
from footage.objectives.losses.distillation import DistillationConfig
from footage.objectives.losses.exemplar import ExemplarConfig, exemplar
from footage.objectives.losses.nce import NCEConfig
from footage.objectives.losses.rotation import RotationConfig
from tests.support.objectives import (
    CONFIGS,
    SHAPE,
    SMALL,
    A,
    D,
    F,
    S,
    V,
    answer,
    features,
    inputs,
    objective,
)

BATCH = {"videos_per_batch": 4, "shots_per_video": 4}


def test_rotation_names_the_turns_that_were_asked_for():
    whole = objective(CONFIGS["rotation"])
    batch = inputs(whole)
    logits = whole.levels["frame_shot"].classify(batch.features).flatten(0, 3)
    expected = torch.nn.functional.cross_entropy(logits, batch.rotations.flatten())
    torch.testing.assert_close(whole(batch, 3)[1]["frame/rotation"], expected)


def test_turns_are_spread_evenly_in_each_shot_and_are_pure_functions_of_seed_and_step():
    whole = objective(CONFIGS["rotation"])
    rotations = whole.rotations((64, S, F, A), step=5)
    assert (rotations.flatten(2).sort(dim=2).values == torch.arange(4)).all()
    assert torch.equal(whole.rotations((64, S, F, A), step=5), rotations)
    assert not torch.equal(whole.rotations((64, S, F, A), step=6), rotations)
    assert not torch.equal(
        objective(CONFIGS["rotation"], seed=8).rotations((64, S, F, A), step=5), rotations
    )
    alone = whole.rotations((2000, 1, 1, 1), step=0).flatten().bincount(minlength=4)
    assert (alone > 400).all()


def test_the_teacher_gets_no_gradient_and_its_centre_follows_in_training_only():
    whole = objective(CONFIGS["distillation"])
    level = whole.levels["frame_shot"]
    before = level.centre.clone()
    whole.eval()
    answer(whole)
    assert torch.equal(level.centre, before)
    whole.train()
    batch = inputs(whole)
    whole(batch, 3)[0].backward()
    assert all(parameter.grad is None for parameter in level.teacher.parameters())
    expected = 0.1 * level.teacher(batch.teacher).flatten(0, 3).mean(dim=0)
    torch.testing.assert_close(level.centre, expected)


def test_the_level_is_named_after_its_positives_and_loss():
    config = ObjectiveConfig(frame_shot=FrameShotConfig(positives="frame", loss=NCEConfig()))
    assert next(iter(answer(objective(config))[1])) == "frame/nce"


def test_the_parts_of_one_shot_are_positives_and_never_negatives():
    whole, views = objective(), features()
    one_shot_a_video = torch.arange(V)[:, None].expand(V, S)
    _, values = answer(whole, views, one_shot_a_video)
    embeddings = whole.levels["frame_shot"].projection(views)
    joined = embeddings.reshape(V, 1, S * F, A, -1)
    expected = exemplar(joined, torch.arange(V)[:, None], "shot", 0.5)
    torch.testing.assert_close(values["shot/exemplar"], expected)


def test_the_soft_hinge_has_a_chance_value_of_its_own():
    config = ObjectiveConfig(
        frame_shot=FrameShotConfig(loss=ExemplarConfig(hinge="soft", mining="batch-hard"))
    )
    whole = objective(config)
    value = answer(whole, torch.ones(*SHAPE, D))[1]["shot/exemplar"]
    assert value.item() == pytest.approx(whole.chance(SHAPE)["shot/exemplar"])


def test_a_frame_level_beside_the_shot_level_has_a_head_of_its_own_and_other_identities():
    whole, views = objective(CONFIGS["frame beside shot"]), features()
    one_shot_a_video = torch.arange(V)[:, None].expand(V, S)
    _, values = answer(whole, views, one_shot_a_video)
    for name, positives in (("frame_shot", "shot"), ("frame", "frame")):
        embeddings = whole.levels[name].projection(views)
        expected = exemplar(embeddings, one_shot_a_video, positives, 0.5)
        torch.testing.assert_close(values[f"{positives}/exemplar"], expected)
    heads = (whole.levels[name].projection.layers[0].weight for name in ("frame_shot", "frame"))
    assert not torch.equal(*heads)


@pytest.mark.parametrize(
    "frame_shot",
    [{"positives": "frame"}, {"loss": RotationConfig()}, {"loss": DistillationConfig()}],
)
def test_a_frame_level_stands_only_beside_a_shot_level_of_embeddings(frame_shot):
    with pytest.raises(ConfigError, match=r"objective\.frame requires a shot level"):
        ObjectiveConfig(frame=FrameConfig(weight=1.0), frame_shot=FrameShotConfig(**frame_shot))


def test_a_frame_level_needs_two_views_of_a_frame():
    both = CONFIGS["frame beside shot"]
    with pytest.raises(ConfigError, match=r"objective.frame.weight = 0.5, but with 1 view"):
        both.check(**BATCH, frames_per_shot=2, views_per_frame=1)
    both.check(**BATCH, frames_per_shot=2, views_per_frame=2)


def test_batches_without_a_positive_pair_are_refused_by_the_name_of_the_field():
    views_of_a_frame = ObjectiveConfig(frame_shot=FrameShotConfig(positives="frame"))
    with pytest.raises(ConfigError, match=r"objective.frame_shot.positives = frame"):
        views_of_a_frame.check(
            videos_per_batch=4, shots_per_video=4, frames_per_shot=4, views_per_frame=1
        )
    views_of_a_frame.check(
        videos_per_batch=4, shots_per_video=4, frames_per_shot=1, views_per_frame=2
    )
    SMALL.check(**BATCH, frames_per_shot=4, views_per_frame=1)
    with pytest.raises(ConfigError, match=r"1 frames per shot and 1 views"):
        SMALL.check(**BATCH, frames_per_shot=1, views_per_frame=1)
    other_frames = CONFIGS["other frames"]
    with pytest.raises(ConfigError, match=r"other_frames finds no pair in 1 frames"):
        other_frames.check(
            videos_per_batch=4, shots_per_video=4, frames_per_shot=1, views_per_frame=4
        )
    CONFIGS["rotation"].check(
        videos_per_batch=4, shots_per_video=4, frames_per_shot=1, views_per_frame=1
    )
