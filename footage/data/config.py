"""Settings of batches and of their augmentation. Importing them loads neither NumPy nor OpenCV."""

from dataclasses import dataclass
from typing import Literal

from footage.errors import ConfigError
from footage.runs.records import MOST_PIXELS


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """Number of videos, shots, frames and views per batch, and policies for short videos."""

    videos_per_batch: int = 16
    """V: videos per batch, summed over all processes."""
    shots_per_video: int = 4
    """S: shots per video, in temporal order. Recalled: 4 to 8 in the paper."""
    frames_per_shot: int = 4
    """F: consecutive sampled frames per shot; the M of VIVI-Ex(M)."""
    views_per_frame: int = 1
    """A: augmented views per frame."""
    frame_stride: int = 1
    """Distance between the frames of a shot, in stored frames; 1 selects consecutive frames."""
    structure: Literal["video", "shuffled"] = "video"
    """video: keep the shots of a video together. shuffled: draw every frame independently, as a
    control; requires frames_per_shot = 1."""
    short_video_policy: Literal["split", "drop"] = "split"
    """Policy for a video with too few shots: split its longest shots, or drop the video."""
    short_shot_policy: Literal["wrap", "drop"] = "wrap"
    """Policy for a shot with too few frames: wrap around to its start, or drop the shot."""

    def __post_init__(self) -> None:
        for name in (
            "videos_per_batch",
            "shots_per_video",
            "frames_per_shot",
            "views_per_frame",
            "frame_stride",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.structure == "shuffled" and self.frames_per_shot != 1:
            raise ConfigError(
                "structure = shuffled draws every frame independently, but frames_per_shot is "
                f"{self.frames_per_shot}",
                "set frames_per_shot to 1, and views_per_frame higher for as many views",
            )
        if self.short_video_policy not in ("split", "drop"):
            raise ConfigError(
                f"short_video_policy must be 'split' or 'drop', got {self.short_video_policy!r}"
            )
        if self.short_shot_policy not in ("wrap", "drop"):
            raise ConfigError(
                f"short_shot_policy must be 'wrap' or 'drop', got {self.short_shot_policy!r}"
            )

    @property
    def span(self) -> int:
        """Number of stored frames from the first to the last sampled frame of a shot."""
        return (self.frames_per_shot - 1) * self.frame_stride + 1

    @property
    def images_per_batch(self) -> int:
        """Number of images per batch: V x S x F x A."""
        return (
            self.videos_per_batch
            * self.shots_per_video
            * self.frames_per_shot
            * self.views_per_frame
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Augmentation settings for the views of a frame."""

    size: int = 224
    """Height and width of a view, in pixels, at most 4096."""
    crop_scale_min: float = 0.08
    """Smallest crop, as a fraction of the frame's area."""
    crop_scale_max: float = 1.0
    """Largest crop, as a fraction of the frame's area."""
    crop_stretch: float = 4 / 3
    """Largest aspect ratio of a crop, in either direction; at least 1."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    colour_probability: float = 0.8
    """Probability of colour jitter: brightness, contrast, saturation and hue together."""
    brightness: float = 0.4
    """Maximum relative change of brightness."""
    contrast: float = 0.4
    """Maximum relative change of contrast, about the mean brightness."""
    saturation: float = 0.2
    """Maximum relative change of saturation, about grey."""
    hue: float = 0.1
    """Maximum hue shift in either direction, as a fraction of the colour circle; at most 0.5."""
    grey_probability: float = 0.2
    """Probability of conversion to greyscale."""
    blur_probability: float = 0.5
    """Probability of Gaussian blur."""
    blur_sigma_min: float = 0.1
    """Minimum blur: standard deviation in pixels of a 224-pixel view; it scales with the size."""
    blur_sigma_max: float = 2.0
    """Maximum blur, in the same unit."""
    draw_per: Literal["frame", "shot"] = "frame"
    """Draw crop, flip, colours and blur for each frame, or once for all frames of a shot. With
    shot, frames differ only by what changes in the video; the views of a frame still differ."""

    def __post_init__(self) -> None:
        if self.draw_per not in ("frame", "shot"):
            raise ConfigError(f"draw_per must be 'frame' or 'shot', got {self.draw_per!r}")
        if not 1 <= self.size <= MOST_PIXELS:
            raise ConfigError(
                f"size must be from 1 to {MOST_PIXELS} pixels, got {self.size}",
                "choose the size that the backbone was made for, such as 224",
            )
        for name in ("flip", "colour", "grey", "blur"):
            _check(f"{name}_probability", getattr(self, f"{name}_probability"), 0.0, 1.0)
        for name in ("brightness", "contrast", "saturation"):
            _check(name, getattr(self, name), 0.0, 1.0)
        _check("hue", self.hue, 0.0, 0.5)
        _check("crop_scale_max", self.crop_scale_max, 1e-4, 1.0)
        _check("crop_scale_min", self.crop_scale_min, 1e-4, self.crop_scale_max)
        _check("crop_stretch", self.crop_stretch, 1.0, 100.0)
        _check("blur_sigma_max", self.blur_sigma_max, 0.0, 100.0)
        _check("blur_sigma_min", self.blur_sigma_min, 0.0, self.blur_sigma_max)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}, got {value}")


EXEMPLAR = AugmentConfig(
    crop_scale_min=0.05,
    colour_probability=1.0,
    brightness=0.3,
    contrast=0.0,
    saturation=0.5,
    hue=0.1,
    grey_probability=0.66,
    blur_probability=0.0,
)
"""Views of the exemplar method: inception crop, flip, colour jitter, and greyscale for 2 in 3.

The operations and this probability are those of the public `google/revisiting-self-supervised`.
Recalled: crops from 5 % of the area. Ours: the strengths of the colour jitter.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledViewConfig:
    """Augmentation settings for labelled images."""

    crop_scale_min: float = 0.05
    """Smallest crop, as a fraction of the image's area. Recalled: 5 % in the code of the paper's
    lab; Szegedy et al. 2015 used 8 %."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    policy: Literal["none", "randaugment", "autoaugment"] = "none"
    """Additional augmentation: RandAugment, or AutoAugment's policy for ImageNet."""
    operations: int = 2
    """Number of RandAugment operations per view. Recalled: 2 for ResNet-50 in its paper."""
    magnitude: int = 9
    """Strength of RandAugment's operations in tenths of AutoAugment's ranges, 0 to 10. Recalled: 9
    for ResNet-50 in its paper; torchvision would call it 27 of 30."""

    def __post_init__(self) -> None:
        if self.policy not in ("none", "randaugment", "autoaugment"):
            raise ConfigError(
                f"policy must be 'none', 'randaugment' or 'autoaugment', got {self.policy!r}"
            )
        if self.operations < 1:
            raise ConfigError(f"operations must be at least 1, got {self.operations}")
        if not 0 <= self.magnitude <= 10:
            raise ConfigError(f"magnitude must be from 0 to 10, got {self.magnitude}")
        self.crops(1)

    def crops(self, size: int) -> AugmentConfig:
        """Return the crop and the flip as an augmentation without colour jitter and blur.

        Args:
            size: Height and width of a view, in pixels.
        """
        return AugmentConfig(
            size=size,
            crop_scale_min=self.crop_scale_min,
            flip_probability=self.flip_probability,
            colour_probability=0.0,
            grey_probability=0.0,
            blur_probability=0.0,
        )
