"""Named complete configurations: name -> (one line, configuration).

A recipe is started by its name and changed by a few options:

    footage train vivi-ex4 --store store/ --out runs/first --objective.future.weight 0.1

Each carries what it reproduces, the command and what is known of its cost. Values that the paper
does not state for certain are marked `Recalled:`; our own choices `Deviation:` or [ours].
"""

import dataclasses
import difflib
from typing import NamedTuple

from footage.augment import AugmentConfig
from footage.backbone import BackboneConfig
from footage.errors import ConfigError
from footage.objective import FrameShotConfig, FutureConfig, ObjectiveConfig, OrderConfig
from footage.optim import OptimizerConfig
from footage.sampling import SamplingConfig
from footage.schedule import ScheduleConfig
from footage.verbs.train import ComputeConfig, TrainConfig


class Recipe(NamedTuple):
    """A configuration and what it is for."""

    summary: str
    config: TrainConfig


def _vivi_ex4() -> TrainConfig:
    """VIVI-Ex(4) with shot order and future-shot prediction, the paper's headline model.

    Tschannen et al. 2020, https://arxiv.org/abs/1912.02783: pre-activation ResNet-50, exemplar
    triplets over 4 frames of a shot [paper].
    Recalled: 1 frame a second, 4 to 8 shots and frames, SGD with momentum, 5k of 120k steps of
    warm-up, step-wise decay, hundreds of videos a batch, lambda 0.04, LSTM 256 after a layer of
    512.
    Deviation: the learning rate is BiT's 0.03 for 256 images, scaled to the batch.

    Command: torchrun --nproc-per-node 8 -m footage train vivi-ex4 --store STORE --out RUN
    """
    sampling = SamplingConfig(videos_per_batch=128, shots_per_video=4, frames_per_shot=4)
    return TrainConfig(
        steps=120_000,
        backbone=BackboneConfig(architecture="resnetv2_50"),
        sampling=sampling,
        augment=AugmentConfig(size=224),
        objective=ObjectiveConfig(
            frame_shot=FrameShotConfig(loss="exemplar", positives="shot"),
            future=FutureConfig(steps=3),
            order=OrderConfig(),
        ),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.03 * sampling.images_per_batch / 256, weight_decay=1e-4
        ),
        schedule=ScheduleConfig(name="steps", warmup_share=5 / 120),
    )


def _ex_frame(config: TrainConfig) -> TrainConfig:
    """The baseline without video: four views of one frame are the positives, no video level.

    Ex-YT-F of the paper. As many views a step as the recipe that it is compared with.
    """
    sampling = dataclasses.replace(
        config.sampling, frames_per_shot=1, views_per_frame=config.sampling.frames_per_shot
    )
    objective = ObjectiveConfig(
        frame_shot=dataclasses.replace(config.objective.frame_shot, positives="frame"),
        future=dataclasses.replace(config.objective.future, weight=0.0),
        order=dataclasses.replace(config.objective.order, weight=0.0),
    )
    return dataclasses.replace(config, sampling=sampling, objective=objective)


def _tiny() -> TrainConfig:
    """VIVI-Ex(4) for a laptop: ResNet-18, 64 px, about ten minutes on two CPU cores.

    The levels are those of vivi-ex4. Ours: network, image size, batch, optimiser, crops and the
    weight of the video level, chosen on held-out videos (docs/experiments.md).

    Command: footage train tiny --store STORE --out RUN
    """
    base = _vivi_ex4()
    return dataclasses.replace(
        base,
        steps=1000,
        backbone=BackboneConfig(architecture="resnet18"),
        sampling=SamplingConfig(videos_per_batch=8, shots_per_video=4, frames_per_shot=4),
        augment=AugmentConfig(size=64, crop_scale_min=0.2, blur_probability=0.2),
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=1e-4),
        schedule=ScheduleConfig(name="cosine", warmup_share=0.05),
        probe_every=200,
        checkpoint_every=100,
        compute=ComputeConfig(workers=1),
    )


RECIPES: dict[str, Recipe] = {
    "vivi-ex4": Recipe("VIVI-Ex(4), ResNet-50, 224 px: the paper's headline model", _vivi_ex4()),
    "ex-frame": Recipe("baseline: views of one frame, no video level", _ex_frame(_vivi_ex4())),
    "tiny": Recipe("VIVI-Ex(4), ResNet-18, 64 px: ten minutes on a laptop CPU", _tiny()),
    "tiny-ex-frame": Recipe("ex-frame at the scale of tiny", _ex_frame(_tiny())),
}


def recipe(name: str) -> TrainConfig:
    """The configuration of a recipe.

    Raises:
        ConfigError: There is no recipe of that name.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        known = ", ".join(RECIPES)
        raise ConfigError(
            f"there is no recipe {name!r}",
            f"did you mean {near[0]}? known: {known}" if near else f"known: {known}",
        )
    return RECIPES[name].config
