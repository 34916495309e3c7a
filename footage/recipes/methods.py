"""Recipes: named complete configurations, each a method at a scale.

Start a recipe by its name and override a few options:

    footage train vivi-ex4 --store store/ --out runs/first --objective.future.weight 0.1

Every method comes at three scales. At one scale, a method and its controls use equally many views:

    vivi-ex4         as in the paper: a cluster, millions of videos
    vivi-ex4-gpu     one GPU, hours of video, under an hour
    vivi-ex4-tiny    a laptop CPU, minutes

A docstring states what a method reproduces, where it departs from the source, and what a step
costs relative to `vivi-ex4` at the tiny scale (benchmarks/recipe_costs.py). `Recalled:` marks what
the paper does not state for certain, `Deviation:` known differences, and [ours] our own choices.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from footage.data.config import SamplingConfig
from footage.errors import UnknownNameError
from footage.models.config import BackboneConfig
from footage.objectives.config import (
    FrameConfig,
    FrameShotConfig,
    FutureConfig,
    ObjectiveConfig,
    OrderConfig,
    SupervisedConfig,
    TeacherConfig,
)
from footage.objectives.losses.distillation import DistillationConfig
from footage.objectives.losses.exemplar import ExemplarConfig
from footage.objectives.losses.nce import NCEConfig
from footage.objectives.losses.rotation import RotationConfig
from footage.objectives.losses.vicreg import VICRegConfig
from footage.recipes.adapting import adapted
from footage.recipes.scales import SCALES
from footage.training.config import TrainConfig


class Recipe(NamedTuple):
    """A configuration and its description."""

    summary: str
    """One-line summary."""
    config: TrainConfig
    notes: str
    """What the method reproduces and where it departs, followed by the scale and its cost."""


# --- methods: each takes a scale's configuration -----------------------------------------------


def _vivi_ex4(scale: TrainConfig) -> TrainConfig:
    """VIVI-Ex(4), the paper's headline model.

    Tschannen et al. 2020, https://arxiv.org/abs/1912.02783, section 3: exemplar triplets over 4
    frames of a shot, shot order and future-shot prediction [paper].
    Recalled: lambda 0.04, LSTM 256 after a layer of 512, mean pooling.
    Deviation: both video losses together, where the paper uses one or the other [recalled].
    """
    objective = ObjectiveConfig(
        frame_shot=FrameShotConfig(loss=ExemplarConfig(), positives="shot"),
        future=FutureConfig(steps=scale.objective.future.steps),
        order=OrderConfig(),
    )
    return dataclasses.replace(scale, objective=objective)


def _vivi_full(scale: TrainConfig) -> TrainConfig:
    """All three self-supervised levels, with separate heads for frames and shots.

    [ours] vivi-ex4 on half as many videos, with two views of each frame that are also compared in a
    head of their own: the shot level captures identity, the frame level pose and count
    (decisions/0099).
    Relative cost: 1.01
    """
    config = _vivi_ex4(scale)
    sampling = dataclasses.replace(
        config.sampling,
        videos_per_batch=config.sampling.videos_per_batch // 2,
        views_per_frame=2 * config.sampling.views_per_frame,
    )
    objective = dataclasses.replace(config.objective, frame=FrameConfig(weight=1.0))
    return dataclasses.replace(config, sampling=sampling, objective=objective)


def _vivi_rot(scale: TrainConfig) -> TrainConfig:
    """VIVI-Rot: rotation prediction instead of exemplars.

    Section 3 [paper]. Only the video level compares shots [recalled .8].
    Deviation: each view is shown in one of the four rotations; see `levels.rotation`.
    Relative cost: 1.0
    """
    return _with_frame_shot(_vivi_ex4(scale), FrameShotConfig(loss=RotationConfig()))


def _vivi_ex4_big(scale: TrainConfig) -> TrainConfig:
    """VIVI-Ex(4) with a network three times as wide.

    "Big", R50x3 [paper]. At the tiny scale, a pre-activation ResNet-18, three times as wide [ours].
    Relative cost: 12.73
    """
    small = {"resnet18": "resnetv2_18"}  # timm's resnet18 has no width option
    architecture = small.get(scale.backbone.architecture, scale.backbone.architecture)
    backbone = BackboneConfig(architecture=architecture, options={"width_factor": 3})
    return dataclasses.replace(_vivi_ex4(scale), backbone=backbone)


def _vivi_ex4_co(scale: TrainConfig) -> TrainConfig:
    """VIVI-Ex(4) co-trained on labelled images.

    Each batch of videos comes with a batch of labelled images, for which a linear head is trained
    with cross-entropy. The paper uses 10 % or all of the labels [paper]: add --labels DIR, and
    --label-fraction 0.1 for 10 %.
    Recalled: gamma about 1; an AutoAugment-style policy in the strongest models, here an option:
    --labelled.view.policy autoaugment.
    Deviation: batch statistics are separate for each source; the paper's are unknown.
    Relative cost: 1.58
    """
    return _with_labels(_vivi_ex4(scale))


def _ex_shot(scale: TrainConfig) -> TrainConfig:
    """Control without the video level: 4 frames of a shot as positives.

    Ex-YT-S of the paper [paper].
    Relative cost: 0.97
    """
    return _without_video_level(_vivi_ex4(scale))


def _ex_frame(scale: TrainConfig) -> TrainConfig:
    """Control without shots or the video level: 4 views of one frame as positives.

    Ex-YT-F of the paper [paper]. Frames of one shot or video can still meet as negatives.
    Relative cost: 1.0
    """
    return _views_of_one_frame(_ex_shot(scale))


def _frames_as_images(scale: TrainConfig) -> TrainConfig:
    """Control without videos: ex-frame with frames shuffled across shots and videos.

    [ours] Every frame of a batch is drawn independently, so video structure is lost.
    Relative cost: 0.97
    """
    config = _ex_frame(scale)
    return dataclasses.replace(
        config, sampling=dataclasses.replace(config.sampling, structure="shuffled")
    )


def _sup(scale: TrainConfig) -> TrainConfig:
    """Baseline: supervised training on labelled images only.

    [paper] Same network, schedule and labelled batch as vivi-ex4-co, without video. Requires
    --labels and does not accept --store.
    Relative cost: 0.51
    """
    objective = ObjectiveConfig(
        frame_shot=FrameShotConfig(weight=0.0),
        future=FutureConfig(weight=0.0),
        order=OrderConfig(weight=0.0),
        supervised=SupervisedConfig(weight=1.0),
    )
    return dataclasses.replace(scale, objective=objective)


def _sup_rot(scale: TrainConfig) -> TrainConfig:
    """Baseline: labelled images plus rotation prediction on the same images.

    Sup-Rot of the same laboratory (Zhai et al. 2019, S4L) [paper]. Requires --labels and does not
    accept --store.
    Deviation: the rotated views are a second draw of the same images, with as many views as other
    methods take from videos.
    Relative cost: 1.49
    """
    config = _with_labels(
        _with_frame_shot(_ex_frame(scale), FrameShotConfig(loss=RotationConfig()))
    )
    return _on_images(config, views=1)


def _sup_ex(scale: TrainConfig) -> TrainConfig:
    """Baseline: labelled images plus the exemplar loss on the same images.

    Sup-Exemplar of the same laboratory (Zhai et al. 2019, S4L) [paper]. Requires --labels and does
    not accept --store.
    Deviation: 4 views instead of 8, from a second draw of the same images.
    Relative cost: 1.47
    """
    return _on_images(_with_labels(_ex_frame(scale)), views=4)


def _semi_ex(scale: TrainConfig) -> TrainConfig:
    """Baseline: 10 % of the labels, plus the exemplar loss on all images.

    Semi-Exemplar-10 % of the same laboratory (Zhai et al. 2019, S4L) [paper]. Requires --labels and
    does not accept --store.
    Deviation: 4 views instead of 8.
    Relative cost: 1.47
    """
    return dataclasses.replace(_sup_ex(scale), label_fraction=0.1)


def _vivi_nce(scale: TrainConfig) -> TrainConfig:
    """Modern variant: InfoNCE with all frames of a shot as positives and a transformer over shots.

    [ours] SupCon's loss (Khosla et al. 2020) with an MLP head, attention pooling, and future-shot
    prediction by a causal transformer.
    Relative cost: 1.0
    """
    level = FrameShotConfig(loss=NCEConfig(), projection="mlp", embedding_dim=256)
    return _modern(scale, level)


def _vivi_vicreg(scale: TrainConfig) -> TrainConfig:
    """Modern variant: VICReg across the frames of a shot and a transformer over shots.

    [ours] Bardes et al. 2022, with its weights divided by 25 to balance the video level.
    Relative cost: 1.0
    """
    level = FrameShotConfig(loss=VICRegConfig(), weight=0.04, projection="mlp", embedding_dim=1024)
    return _modern(scale, level)


def _vivi_dino(scale: TrainConfig) -> TrainConfig:
    """Modern variant: self-distillation across the frames of a shot and a transformer over shots.

    [ours] The loss, temperatures, centring and teacher of DINO (Caron et al. 2021) with 4096
    prototypes, without multi-crop; the teacher is the network that is exported.
    Relative cost: 1.33
    """
    return _modern(scale, FrameShotConfig(loss=DistillationConfig(), embedding_dim=4096))


def _vivi_distil(scale: TrainConfig) -> TrainConfig:
    """VIVI-Ex(4) with a frozen teacher: learn from its features, frames, shots and videos at once.

    [ours] vivi-ex4 with the teacher level: a head predicts the features of another network on the
    same views. The relative cost excludes the teacher's forward pass, which depends on the teacher.
    Relative cost: 0.96
    """
    config = _vivi_ex4(scale)
    objective = dataclasses.replace(config.objective, teacher=TeacherConfig(weight=1.0))
    return dataclasses.replace(config, objective=objective)


def _vivi_ex4_adapt(scale: TrainConfig) -> TrainConfig:
    """Adapt pretrained weights to your videos with VIVI-Ex(4).

    [ours] vivi-ex4 from the weights of --init, for a fifth of the steps: the first two fifths of
    the stages and all batch norm statistics are frozen, the learning rate decays from layer to
    layer, and training stops early when retrieval in held-out videos no longer improves.
    Relative cost: 0.68
    """
    return adapted(_vivi_ex4(scale))


def _ex_frame_adapt(scale: TrainConfig) -> TrainConfig:
    """Adapt pretrained weights to your videos by single frames: the control of vivi-ex4-adapt.

    [ours] ex-frame from the weights of --init, with the settings of vivi-ex4-adapt.
    Relative cost: 0.64
    """
    return adapted(_ex_frame(scale))


#
# --- building blocks of methods ----------------------------------------------------------------


def _modern(scale: TrainConfig, frame_shot: FrameShotConfig) -> TrainConfig:
    objective = ObjectiveConfig(
        frame_shot=frame_shot,
        future=FutureConfig(steps=scale.objective.future.steps, predictor="transformer"),
        order=OrderConfig(weight=0.0),
        pooling="attention",
    )
    return dataclasses.replace(scale, objective=objective)


def _with_frame_shot(config: TrainConfig, frame_shot: FrameShotConfig) -> TrainConfig:
    objective = dataclasses.replace(config.objective, frame_shot=frame_shot)
    return dataclasses.replace(config, objective=objective)


def _with_labels(config: TrainConfig) -> TrainConfig:
    objective = dataclasses.replace(config.objective, supervised=SupervisedConfig(weight=1.0))
    return dataclasses.replace(config, objective=objective)


def _on_images(config: TrainConfig, *, views: int) -> TrainConfig:
    """Train the unlabelled levels on still images, with as many views per step as before."""
    sampling = SamplingConfig(
        videos_per_batch=config.sampling.images_per_batch // views,
        shots_per_video=1,
        frames_per_shot=1,
        views_per_frame=views,
    )
    return dataclasses.replace(config, unlabelled_source="images", sampling=sampling)


def _without_video_level(config: TrainConfig) -> TrainConfig:
    objective = dataclasses.replace(
        config.objective,
        future=dataclasses.replace(config.objective.future, weight=0.0),
        order=dataclasses.replace(config.objective.order, weight=0.0),
    )
    return dataclasses.replace(config, objective=objective)


def _views_of_one_frame(config: TrainConfig) -> TrainConfig:
    """Use as many views as before, with all views of a shot taken from one frame."""
    sampling = dataclasses.replace(
        config.sampling, frames_per_shot=1, views_per_frame=config.sampling.frames_per_shot
    )
    objective = dataclasses.replace(
        config.objective,
        frame_shot=dataclasses.replace(config.objective.frame_shot, positives="frame"),
    )
    return dataclasses.replace(config, sampling=sampling, objective=objective)


METHODS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "vivi-ex4": _vivi_ex4,
    "vivi-full": _vivi_full,
    "vivi-rot": _vivi_rot,
    "vivi-ex4-big": _vivi_ex4_big,
    "vivi-ex4-co": _vivi_ex4_co,
    "ex-frame": _ex_frame,
    "ex-shot": _ex_shot,
    "frames-as-images": _frames_as_images,
    "sup": _sup,
    "sup-rot": _sup_rot,
    "sup-ex": _sup_ex,
    "semi-ex": _semi_ex,
    "vivi-nce": _vivi_nce,
    "vivi-vicreg": _vivi_vicreg,
    "vivi-dino": _vivi_dino,
    "vivi-distil": _vivi_distil,
    "vivi-ex4-adapt": _vivi_ex4_adapt,
    "ex-frame-adapt": _ex_frame_adapt,
}
"""All methods by name."""


class _Recipes(Mapping[str, Recipe]):
    """Every method at every scale, configured on demand."""

    def __init__(self) -> None:
        self._parts = {
            method if scale == "paper" else f"{method}-{scale}": (configure, base)
            for method, configure in METHODS.items()
            for scale, base in SCALES.items()
        }

    def __getitem__(self, name: str) -> Recipe:
        configure, base = self._parts[name]
        about_method, about_scale = inspect.getdoc(configure) or "", inspect.getdoc(base) or ""
        summary = about_method.splitlines()[0].rstrip(".")
        config = configure(base())
        notes = f"{about_method}\n\n{about_scale}".replace("RECIPE DATA", f"{name} {_data(config)}")
        return Recipe(summary, config, notes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _data(config: TrainConfig) -> str:
    """Return the options for data and weights that a recipe requires."""
    on_labels = config.objective.supervised.weight > 0
    data = ["--store STORE"] * config.learns_from_videos + ["--labels DIR"] * on_labels
    data += ["--init WEIGHTS"] * config.adapt.needs_weights
    return " ".join(
        [*data, *["--objective.teacher.model MODEL"] * (config.objective.teacher.weight > 0)]
    )


RECIPES: Mapping[str, Recipe] = _Recipes()
"""All recipes by name."""


def recipe(name: str) -> TrainConfig:
    """Return the configuration of a recipe.

    Raises:
        UnknownNameError: There is no recipe of that name.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES, listing="footage recipes")
    return RECIPES[name].config
