import dataclasses

import pytest
import torch

from footage.data.sampling import BatchPlan
from footage.models.backbone import build
from footage.models.config import BackboneConfig
from footage.objectives.config import (
    FrameShotConfig,
    FutureConfig,
    ObjectiveConfig,
    OrderConfig,
    SupervisedConfig,
)
from footage.objectives.losses.distillation import DistillationConfig
from footage.objectives.losses.rotation import RotationConfig
from footage.objectives.objective import Objective
from footage.training.loader import Batch
from footage.training.module import TrainModule, rotated

V, S, F, A, SIZE = 2, 4, 2, 1, 32
CO_TRAINING = ObjectiveConfig(supervised=SupervisedConfig(weight=1.0))
DISTILLATION = ObjectiveConfig(
    frame_shot=FrameShotConfig(loss=DistillationConfig(), embedding_dim=8)
)


def learner(config, statistics="separate"):
    backbone, _ = build(BackboneConfig(architecture="test_resnet"), size=SIZE, seed=0)
    objective = Objective(backbone.feature_dim, config, S, num_classes=3)
    return TrainModule(backbone, objective, bf16=False, statistics=statistics).train()


def batch(step=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = {"dtype": torch.uint8, "generator": generator}
    rows = torch.arange(V * S).view(V, S).numpy()
    frames = torch.zeros(V, S, F, dtype=torch.int64).numpy()
    return Batch(
        step=step,
        views=torch.randint(0, 256, (V, S, F, A, SIZE, SIZE, 3), **draw),
        plan=BatchPlan(torch.arange(V).numpy(), rows, frames),
        images=torch.randint(0, 128, (6, SIZE, SIZE, 3), **draw),
        labels=torch.arange(6) % 3,
        rows=torch.from_numpy(rows),
    )


def _seen_by(whole, one):
    """What the supervised head and the video levels are given."""
    inputs = {}
    whole.objective.register_forward_pre_hook(
        lambda _, given: inputs.update(features=given[0].features, labelled=given[0].labelled)
    )
    whole(one)
    return inputs["features"].flatten(0, 3), inputs["labelled"].features


def _normalised(whole, pixels):
    return whole._pixels(pixels)


def test_separate_statistics_are_those_of_each_source_alone():
    whole, one = learner(CO_TRAINING), batch()
    of_views, of_images = _seen_by(whole, one)
    alone = learner(CO_TRAINING).backbone
    torch.testing.assert_close(of_images, alone(_normalised(whole, one.images)))
    torch.testing.assert_close(of_views, alone(_normalised(whole, one.views)))


def test_joint_statistics_are_those_of_one_common_batch():
    whole, one = learner(CO_TRAINING, "joint"), batch()
    of_views, of_images = _seen_by(whole, one)
    both = torch.cat([_normalised(whole, one.views), _normalised(whole, one.images)])
    expected = learner(CO_TRAINING).backbone(both)
    torch.testing.assert_close(torch.cat([of_views, of_images]), expected)
    separate = _seen_by(learner(CO_TRAINING), one)[0]
    assert not torch.allclose(of_views, separate, atol=1e-3)


def test_the_running_averages_follow_both_sources():
    one = batch()
    after = {}
    for name, config in {"both": CO_TRAINING, "videos": ObjectiveConfig()}.items():
        whole = learner(config)
        whole(one if name == "both" else one._replace(images=None, labels=None))
        after[name] = whole.backbone.network.bn1.running_mean.clone()
    assert not torch.allclose(after["both"], after["videos"])


def test_quarter_turns_are_those_of_rot90():
    images = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    turned = rotated(images, torch.tensor([0, 1, 2, 3]))
    for turn in range(4):
        assert torch.equal(turned[turn], torch.rot90(images[turn], turn, dims=(1, 2)))


def test_rotation_turns_the_views_that_the_backbone_sees():
    config = ObjectiveConfig(frame_shot=FrameShotConfig(loss=RotationConfig()))
    whole, one = learner(config), batch()._replace(images=None, labels=None)
    inputs = []
    whole.backbone.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    whole(one)
    rotations = whole.objective.rotations((V, S, F, A), one.step).flatten()
    assert len(rotations.unique()) == 4
    assert torch.equal(inputs[0], rotated(whole._pixels(one.views), rotations))


def test_a_teacher_exists_only_where_it_is_asked_for_and_gets_no_gradient():
    assert learner(CO_TRAINING).teacher is None
    whole = learner(DISTILLATION)
    whole(batch()._replace(images=None, labels=None))[0].backward()
    assert all(parameter.grad is None for parameter in whole.teacher.parameters())
    assert all(
        parameter.grad is not None for parameter in whole.parameters() if parameter.requires_grad
    )


def test_the_teacher_follows_by_its_decay():
    whole = learner(DISTILLATION)
    student, teacher = whole.objective.teaching()
    pairs = [(whole.backbone, whole.teacher), (student, teacher)]
    with torch.no_grad():
        for own, _ in pairs:
            for parameter in own.parameters():
                parameter.add_(1.0)
    before = [[p.clone() for p in average.parameters()] for _, average in pairs]
    whole.follow(0.9)
    for (_, average), old in zip(pairs, before, strict=True):
        for now, then in zip(average.parameters(), old, strict=True):
            torch.testing.assert_close(now, then + 0.1)


@pytest.mark.parametrize("level", ["future", "order"])
def test_switching_a_level_off_leaves_the_values_of_the_others(level):
    one = batch()._replace(images=None, labels=None)
    config = ObjectiveConfig(future=FutureConfig(), order=OrderConfig())
    off = dataclasses.replace(
        config, **{level: dataclasses.replace(getattr(config, level), weight=0.0)}
    )
    every, fewer = (learner(each)(one)[1] for each in (config, off))
    assert len(fewer) == len(every) - 1
    assert all(torch.equal(fewer[name], every[name]) for name in fewer)


def test_labels_alone_are_learned_from_without_views():
    nothing = ObjectiveConfig(
        frame_shot=FrameShotConfig(weight=0.0),
        future=FutureConfig(weight=0.0),
        order=OrderConfig(weight=0.0),
        supervised=SupervisedConfig(weight=1.0),
    )
    total, levels = learner(nothing)(batch()._replace(views=None, plan=None))
    assert list(levels) == ["supervised"]
    assert total.item() == levels["supervised"].item()
