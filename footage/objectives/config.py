"""Settings of the objective and its levels. This module does not import torch.

    L = L_frame/shot + lambda * L_video + gamma * L_supervised          VIVI, section 3 [paper]

    level        axis        contrasts                                config
    frame/shot   A, or A F   views of a frame, or frames of a shot    FrameShotConfig
    frame        A           views of a frame, next to a shot level   FrameConfig
    video        S           a future shot, against other videos      FutureConfig
    video        S           forward against backward                 OrderConfig
    teacher      V S F A     a frozen teacher's features of a view    TeacherConfig
    supervised   B           the classes of labelled images           SupervisedConfig

A level with weight 0 is off: it has no parameters and is not computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from footage.errors import ConfigError
from footage.models.config import ATTENTION_HEADS
from footage.objectives.levels.base import LevelConfig, check, plugin_levels
from footage.objectives.losses.base import EmbeddingLossConfig, LossConfig
from footage.objectives.losses.exemplar import ExemplarConfig
from footage.objectives.losses.feature_distillation import TeacherLoss
from footage.objectives.positives import PairPositives


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameShotConfig:
    """Frame or shot level: compare views of one frame, or frames of one shot."""

    weight: float = 1.0
    """Weight of the level; 0 disables it."""

    loss: LossConfig = field(default_factory=ExemplarConfig)
    """Loss and its settings. Choose another with --objective.frame-shot.loss NAME."""

    positives: PairPositives = "shot"
    """Positives of a view: frame (other views of its frame, the baseline), shot (all other views of
    its shot, VIVI), or other_frames (views of the other frames of its shot; not for exemplar).
    """

    projection: Literal["linear", "mlp"] = "linear"
    """Head: linear, as in the same lab's exemplar code [paper]; or mlp, as usual for nce [ours]."""

    embedding_dim: int = 1000
    """Width of the embedding [paper: same lab's exemplar code]; for distillation, the number of
    prototypes."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        check(self, where="frame_shot", above_0=("embedding_dim",))
        if self.positives not in self.loss.allowed_positives:
            raise ConfigError(
                f"objective.frame_shot.positives = {self.positives} is not defined for the loss "
                f"{self.loss.name}",
                f"use {' or '.join(self.loss.allowed_positives)}, or another loss",
            )

    def positives_of_a_view(self, frames: int, views: int) -> int:
        """Return the number of positives per view if every shot has its own identity."""
        if not self.loss.needs_pairs:
            return 1
        views_alike = {"frame": views, "shot": frames * views}
        return (
            views_alike[self.positives] - 1
            if self.positives in views_alike
            else views * (frames - 1)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameConfig:
    """Compare views of one frame in a separate head, in addition to a shot level [ours].

    The shot level discards distance, count and orientation; the views of one frame preserve them.
    Loss and head are those of `frame_shot`.
    """

    weight: float = 0.0
    """Weight of the level; 0 disables it."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        check(self, where="frame", above_0=())

    def level(self, frame_shot: FrameShotConfig) -> FrameShotConfig:
        """Return the settings of this level, derived from those of `frame_shot`."""
        return replace(frame_shot, weight=self.weight, positives="frame")


@dataclass(frozen=True, kw_only=True, slots=True)
class FutureConfig:
    """Predict the embeddings of a video's next shots from the preceding ones."""

    weight: float = 0.04
    """Weight of the level; 0 disables it. Recalled: lambda about 0.04 [.2]: tune it."""

    loss: Literal["nce", "mse"] = "nce"
    """nce: contrast with shots of other videos [recalled .75]. mse: regression [ours]."""

    steps: int = 3
    """Number of shots to predict ahead, summed over 1 to N; needs more than N shots per video."""

    predictor: Literal["lstm", "transformer"] = "lstm"
    """Predictor over the shots: an LSTM [recalled .75], or a causal transformer [ours]."""

    embedding_dim: int = 512
    """Width of the projection of the shot embedding. Recalled [.35]."""

    hidden_dim: int = 256
    """Width of the predictor. Recalled [.35]."""

    critic: Literal["bilinear", "inner_product"] = "bilinear"
    """Similarity between a prediction and a shot. Recalled: one of these two [.75]."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        check(self, where="future", above_0=("steps", "embedding_dim", "hidden_dim"))
        if self.predictor == "transformer" and self.hidden_dim % ATTENTION_HEADS:
            raise ConfigError(
                f"objective.future.hidden_dim = {self.hidden_dim} cannot be divided among "
                f"{ATTENTION_HEADS} heads of attention",
                f"give a multiple of {ATTENTION_HEADS}, or predictor = lstm",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderConfig:
    """Classify whether a video's shots are in forward or backward order."""

    weight: float = 0.04
    """Weight of the level; 0 disables it. Recalled: lambda about 0.04 [.2]: tune it."""

    predictor: Literal["mlp", "lstm"] = "mlp"
    """Predictor over the sequence: an MLP over all shots, or an LSTM. Recalled: both [.6]."""

    hidden_dim: int = 256
    """Width of the hidden layer or of the LSTM [ours]."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        check(self, where="order", above_0=("hidden_dim",))


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedConfig:
    """Classify labelled images."""

    weight: float = 0.0
    """Weight of the level (gamma); 0 disables it. Recalled: about 1 [.2]: tune it."""

    label_smoothing: float = 0.0
    """Label smoothing: probability mass spread evenly over all classes [ours]."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        check(self, where="supervised", above_0=())
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                "objective.supervised.label_smoothing must lie in [0, 1), "
                f"got {self.label_smoothing}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherConfig:
    """Predict the features of a frozen teacher on the same views [ours]."""

    weight: float = 0.0
    """Weight of the level; 0 disables it."""

    model: str = ""
    """Teacher: a run, an exported file or folder, or a timm name with a tag. Checkpoints do not
    contain it, so it must stay available."""

    loss: TeacherLoss = "cosine"
    """cosine: direction of the teacher's features. smooth_l1: regression of each of them."""

    projection: Literal["linear", "mlp"] = "mlp"
    """Head from the student's features to the teacher's: one linear layer, or a hidden layer."""

    size: int = 0
    """Input size of the teacher in pixels, to which views are resized; 0 is that of the views."""

    def __post_init__(self) -> None:
        """Reject invalid values."""
        check(self, where="teacher", above_0=())
        if self.size < 0:
            raise ConfigError(
                f"objective.teacher.size must be at least 0, got {self.size}",
                "give a number of pixels, or 0 for the size of the views",
            )


AnyLevelConfig = FrameShotConfig | FutureConfig | OrderConfig | TeacherConfig | LevelConfig
"""Settings of a level that needs no labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """The levels and their weights."""

    frame_shot: FrameShotConfig = field(default_factory=FrameShotConfig)
    """Frame or shot level."""

    frame: FrameConfig = field(default_factory=FrameConfig)
    """Frame level, in addition to the shot level."""

    future: FutureConfig = field(default_factory=FutureConfig)
    """Video level: prediction of future shots."""

    order: OrderConfig = field(default_factory=OrderConfig)
    """Video level: order of the shots."""

    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    """Teacher level: features of a frozen network."""

    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    """Supervised level: labelled images in addition to the videos."""

    extra_levels: Mapping[str, LevelConfig] = field(default_factory=plugin_levels)
    """Levels that plugins add, by name."""

    pooling: Literal["mean", "attention"] = "mean"
    """Video level: pooling of frames into a shot embedding. Recalled: mean is the default [.7]."""

    def __post_init__(self) -> None:
        """Reject an objective without any level."""
        if not self.has_unlabelled_level and not self.supervised.weight:
            raise ConfigError(
                "every level of the objective has weight 0",
                "set the weight of objective.frame_shot, .future, .order, .teacher or .supervised",
            )
        shot_level = self.frame_shot
        if self.frame.weight and not (
            isinstance(shot_level.loss, EmbeddingLossConfig) and shot_level.positives != "frame"
        ):
            raise ConfigError(
                "objective.frame requires a shot level with embeddings, but frame_shot has "
                f"loss = {shot_level.loss.name} and positives = {shot_level.positives}",
                "set frame_shot.loss to exemplar, nce or vicreg and its positives to shot, or "
                "frame.weight to 0",
            )

    def unlabelled_levels(self) -> dict[str, AnyLevelConfig]:
        """The levels that need no labels, by field name, plugins last."""
        frame = self.frame.level(self.frame_shot)
        own: dict[str, AnyLevelConfig] = {
            "frame_shot": self.frame_shot,
            "frame": frame,
            "future": self.future,
            "order": self.order,
            "teacher": self.teacher,
        }
        return own | dict(self.extra_levels)

    @property
    def has_video_level(self) -> bool:
        """Whether any level uses whole shots."""
        extra = any(level.weight > 0 and level.uses_shots for level in self.extra_levels.values())
        return self.future.weight > 0 or self.order.weight > 0 or extra

    @property
    def has_unlabelled_level(self) -> bool:
        """Whether any level uses unlabelled views."""
        return any(level.weight > 0 for level in self.unlabelled_levels().values())

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher backbone (an average of the weights) is needed."""
        return self.frame_shot.weight > 0 and self.frame_shot.loss.needs_teacher

    @property
    def rotates_views(self) -> bool:
        """Whether views are rotated before the backbone."""
        return self.frame_shot.weight > 0 and self.frame_shot.loss.rotates_views

    @property
    def least_videos(self) -> int:
        """Minimum number of videos per batch that every level needs."""
        return 2 if self.future.weight > 0 and self.future.loss == "nce" else 1

    def check(
        self,
        *,
        videos_per_batch: int,
        shots_per_video: int,
        frames_per_shot: int,
        views_per_frame: int,
    ) -> None:
        """Reject batches from which an active level cannot learn.

        Raises:
            ConfigError: The batch is too small; names the level's field and the sampling field.
        """
        if self.frame.weight > 0 and views_per_frame < 2:
            raise ConfigError(
                f"objective.frame.weight = {self.frame.weight}, but with {views_per_frame} view "
                "per frame there are no positive pairs",
                "set sampling.views_per_frame to 2 or more, or objective.frame.weight to 0",
            )
        level = self.frame_shot
        if level.weight > 0 and not level.positives_of_a_view(frames_per_shot, views_per_frame):
            raise ConfigError(
                f"objective.frame_shot.positives = {level.positives} finds no pair in "
                f"{frames_per_shot} frames per shot and {views_per_frame} views per frame",
                "raise sampling.views_per_frame, or sampling.frames_per_shot for shot positives",
            )
        if videos_per_batch < self.least_videos:
            raise ConfigError(
                f"objective.future.loss = nce compares videos, but a batch has {videos_per_batch}",
                f"set sampling.videos_per_batch to {self.least_videos} or more, or"
                " objective.future.weight to 0",
            )
        self.check_shots(shots_per_video)

    def check_shots(self, shots_per_video: int) -> None:
        """Reject videos with too few shots for an active video level.

        Raises:
            ConfigError: There are too few shots; names the field.
        """
        if self.future.weight > 0 and self.future.steps >= shots_per_video:
            raise ConfigError(
                f"objective.future.steps = {self.future.steps} needs at least "
                f"{self.future.steps + 1} shots per video, got {shots_per_video}",
                f"set sampling.shots_per_video to {self.future.steps + 1} or more, or lower steps",
            )
        if self.order.weight > 0 and shots_per_video < 2:
            raise ConfigError(
                f"objective.order.weight = {self.order.weight}, but {shots_per_video} shot per "
                "video has no order",
                "set sampling.shots_per_video to 2 or more, or objective.order.weight to 0",
            )
