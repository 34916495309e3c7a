"""Small training modules in double precision, and one batch for each recipe method."""

import dataclasses

import numpy as np
import torch

from footage import distributed
from footage.data.sampling import BatchPlan
from footage.models.backbone import Backbone, build
from footage.models.config import BackboneConfig
from footage.models.frozen_teacher import FrozenTeacher
from footage.models.load import Model
from footage.objectives.objective import Objective
from footage.recipes.methods import recipe
from footage.training.loader import Batch
from footage.training.module import TrainModule

SIZE, CLASSES, IMAGES = 32, 3, 8


def small_config(method, architecture="test_vit", **changes):
    """A method of the tiny scale with a network without batch norm and a small batch."""
    config = recipe(f"{method}-tiny")
    videos = {"images": 8, "videos": 4}[config.unlabelled_source]
    sampling = dataclasses.replace(config.sampling, videos_per_batch=videos)
    return dataclasses.replace(
        config, backbone=BackboneConfig(architecture=architecture), sampling=sampling, **changes
    )


def learner(config, *, accumulate=1, backbone=None, double=True):
    """The module that trains with a configuration."""
    if backbone is None:
        backbone, _ = build(config.backbone, size=SIZE, seed=0)
    teacher = frozen_teacher() if config.objective.teacher.weight else None
    objective = Objective(
        backbone.feature_dim, config.objective, config.sampling.shots_per_video,
        num_classes=CLASSES, teacher_dim=teacher.feature_dim if teacher else 0,
    )  # fmt: skip
    whole = TrainModule(
        backbone, objective, bf16=False, statistics=config.labelled.statistics,
        accumulate=accumulate, frozen_teacher=teacher,
    ).train()  # fmt: skip
    if double:
        whole.double()
        networks = [whole.backbone, whole.teacher, teacher and teacher.backbone.double()]
        for network in networks:
            if network is not None:
                network.register_forward_pre_hook(lambda _, given: (given[0].double(),))
    return whole


def frozen_teacher(architecture="test_resnet"):
    """A teacher of another architecture, with another normalisation, that sees smaller images."""
    backbone, origin = build(BackboneConfig(architecture=architecture), size=SIZE - 8, seed=1)
    return FrozenTeacher(Model(architecture, backbone, origin))


def batch(config, seed=0):
    """This rank's part of a batch for a configuration."""
    generator = torch.Generator().manual_seed(seed)
    draw = {"dtype": torch.uint8, "generator": generator}
    rank, world = distributed.rank(), distributed.world_size()
    views = plan = images = labels = whole_rows = None
    if config.objective.has_unlabelled_level:
        shape = config.views_shape
        rows = np.arange(shape[0] * shape[1]).reshape(shape[:2])
        plan = BatchPlan(np.arange(shape[0]), rows, np.zeros(shape[:3], dtype=np.int64))
        whole_rows = torch.from_numpy(rows)
        plan = plan.part(rank, world)
        views = torch.randint(0, 256, (*shape, SIZE, SIZE, 3), **draw)[rank::world]
    if config.objective.supervised.weight:
        images = torch.randint(0, 256, (IMAGES, SIZE, SIZE, 3), **draw)[rank::world]
        labels = (torch.arange(IMAGES) % CLASSES)[rank::world]
    return Batch(3, views, plan, images, labels, whole_rows)


def gradients(whole):
    """All gradients by name."""
    return {name: one.grad for name, one in whole.named_parameters() if one.grad is not None}


def step(whole, one, seed=5):
    """Compute loss and gradients of a batch; the loss and the levels."""
    torch.manual_seed(seed)
    loss, levels = whole(one)
    whole.backward(loss)
    return loss.detach(), levels


def with_dropout():
    """A network whose result depends on the random state."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 4, stride=4),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    return Backbone.from_module(network, size=SIZE, feature_dim=8)
