"""Named complete configurations: a method at a scale.

A recipe is started by its name and changed by a few options:

    footage train vivi-ex4 --store store/ --out runs/first --objective.future.weight 0.1

Every method comes at three scales, and a method at one scale sees as many views as its controls:

    vivi-ex4         as the paper trains: a cluster, millions of videos
    vivi-ex4-gpu     one GPU, hours of video, under an hour (planned; not yet measured)
    vivi-ex4-tiny    a laptop CPU, minutes

A docstring says what a method reproduces and where it departs. What the paper does not state for
certain is marked `Recalled:`; what is known to differ `Deviation:`; our own choices [ours].
"""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterator
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
    """One line."""
    config: TrainConfig
    notes: str
    """What the method reproduces and departs from, then what the scale is and costs."""


# --- scales ------------------------------------------------------------------------------------


def _paper() -> TrainConfig:
    """Paper scale: pre-activation ResNet-50 at 224 px, 120k steps of 128 videos.

    Command: torchrun --nproc-per-node 8 -m footage train RECIPE --store STORE --out RUN
    Cost: not measured; in the paper a slice of a TPU pod.
    Recalled: 1 frame a second, 4 to 8 shots and frames, SGD with momentum, 5k of 120k steps of
    warm-up, step-wise decay, hundreds of videos a batch.
    Deviation: the learning rate is BiT's 0.03 for 256 images, scaled to the batch.
    """
    sampling = SamplingConfig(videos_per_batch=128, shots_per_video=4, frames_per_shot=4)
    return TrainConfig(
        steps=120_000,
        backbone=BackboneConfig(architecture="resnetv2_50"),
        sampling=sampling,
        augment=AugmentConfig(size=224),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.03 * sampling.images_per_batch / 256, weight_decay=1e-4
        ),
        schedule=ScheduleConfig(name="steps", warmup_share=5 / 120),
    )


def _gpu() -> TrainConfig:
    """GPU scale: pre-activation ResNet-50 at 128 px, 12k steps of 32 videos, 6.1 million views.

    Command: footage train RECIPE --store STORE --out RUN
    Cost: not measured; meant to end within an hour on one data-centre GPU with 16 cores.
    Deviation: image size, batch, steps and a cosine instead of steps [ours]; nothing was tuned.
    """
    sampling = SamplingConfig(videos_per_batch=32, shots_per_video=4, frames_per_shot=4)
    return dataclasses.replace(
        _paper(),
        steps=12_000,
        sampling=sampling,
        augment=AugmentConfig(size=128, crop_scale_min=0.2),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.03 * sampling.images_per_batch / 256, weight_decay=1e-4
        ),
        schedule=ScheduleConfig(name="cosine", warmup_share=0.05),
        compute=ComputeConfig(workers=14),
    )


def _tiny() -> TrainConfig:
    """Tiny scale: ResNet-18 at 64 px, 1000 steps of 8 videos, 128,000 views.

    Command: footage train RECIPE --store STORE --out RUN
    Cost: about ten minutes on two CPU cores (docs/experiments.md).
    Deviation: network, image size, batch, optimiser and crops are ours, chosen on held-out videos.
    """
    return dataclasses.replace(
        _paper(),
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


# --- methods: each takes a scale's configuration -----------------------------------------------


def _vivi_ex4(scale: TrainConfig) -> TrainConfig:
    """VIVI-Ex(4), the paper's headline model.

    Tschannen et al. 2020, https://arxiv.org/abs/1912.02783, section 3: exemplar triplets over 4
    frames of a shot, shot order and future-shot prediction [paper].
    Recalled: lambda 0.04, LSTM 256 after a layer of 512, mean pooling.
    """
    objective = ObjectiveConfig(
        frame_shot=FrameShotConfig(loss="exemplar", positives="shot"),
        future=FutureConfig(steps=3),
        order=OrderConfig(),
    )
    return dataclasses.replace(scale, objective=objective)


def _ex_shot(scale: TrainConfig) -> TrainConfig:
    """Control without the video level: 4 frames of a shot alike, and nothing else.

    Ex-YT-S of the paper [paper].
    """
    return _without_video_level(_vivi_ex4(scale))


def _ex_frame(scale: TrainConfig) -> TrainConfig:
    """Control without shots: 4 views of one frame alike, no video level.

    Ex-YT-F of the paper [paper]. Frames of one shot and video still meet in a batch, as negatives.
    """
    return _views_of_one_frame(_ex_shot(scale))


def _frames_as_images(scale: TrainConfig) -> TrainConfig:
    """Control without videos: ex-frame on frames whose shots and videos are shuffled away.

    [ours] Every frame of a batch is drawn by itself, so nothing tells that it came from a video.
    """
    config = _ex_frame(scale)
    return dataclasses.replace(
        config, sampling=dataclasses.replace(config.sampling, structure="shuffled")
    )


def _without_video_level(config: TrainConfig) -> TrainConfig:
    objective = dataclasses.replace(
        config.objective,
        future=dataclasses.replace(config.objective.future, weight=0.0),
        order=dataclasses.replace(config.objective.order, weight=0.0),
    )
    return dataclasses.replace(config, objective=objective)


def _views_of_one_frame(config: TrainConfig) -> TrainConfig:
    """As many views as before, all of a shot's now of one frame."""
    sampling = dataclasses.replace(
        config.sampling, frames_per_shot=1, views_per_frame=config.sampling.frames_per_shot
    )
    objective = dataclasses.replace(
        config.objective,
        frame_shot=dataclasses.replace(config.objective.frame_shot, positives="frame"),
    )
    return dataclasses.replace(config, sampling=sampling, objective=objective)


SCALES: dict[str, Callable[[], TrainConfig]] = {"paper": _paper, "gpu": _gpu, "tiny": _tiny}
"""Every scale by its name; the paper's adds nothing to a recipe's name."""

METHODS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "vivi-ex4": _vivi_ex4,
    "ex-frame": _ex_frame,
    "ex-shot": _ex_shot,
    "frames-as-images": _frames_as_images,
}
"""Every method by its name."""


def _every_recipe() -> Iterator[tuple[str, Recipe]]:
    for method, configure in METHODS.items():
        for scale, base in SCALES.items():
            name = method if scale == "paper" else f"{method}-{scale}"
            about_method, about_scale = inspect.getdoc(configure) or "", inspect.getdoc(base) or ""
            summary = f"{about_method.splitlines()[0].rstrip('.')} ({scale} scale)"
            notes = f"{about_method}\n\n{about_scale}".replace("RECIPE", name)
            yield name, Recipe(summary, configure(base()), notes)


RECIPES: dict[str, Recipe] = dict(_every_recipe())


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
