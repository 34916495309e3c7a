"""Backbones: any 2-D network of timm behind one interface.

    pixels [B 3 H W]  --network-->  patches [B D h w]  --its own pooling-->  features [B D]

The features before any head are what is trained, transferred and exported.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

import footage._torchvision_compat  # noqa: F401  (must come before timm)
from footage.errors import ConfigError
from footage.io import files
from footage.io import tensors as tensor_files
from footage.models import networks, pretrained
from footage.models.config import BackboneConfig, Preprocessing
from footage.models.options import Option
from footage.runs.records import PreprocessingRecord
from footage.shapes import Features, Images

import timm  # isort: skip
from timm.layers import resample_abs_pos_embed  # type: ignore[attr-defined]  # isort: skip


IMAGENET: Final = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Normalisation for networks that do not define their own."""


class Backbone(nn.Module):
    """A network without its classifier: one from timm, or one that a plugin registered.

    Args:
        architecture: A timm model name; a tag after a dot is allowed but loads no weights here.
        size: Input height and width in pixels; required to build networks such as ViT.
        options: Further arguments of the timm model.

    Raises:
        ConfigError: timm does not have the architecture or refuses an option.
    """

    network: Any  # timm's networks share these attributes, but no class that declares them

    def __init__(
        self, architecture: str, *, size: int, options: Mapping[str, Option] | None = None
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.options = dict(options or {})
        self._wrap(networks.create(architecture, size, self.options), size)

    def _wrap(self, network: Any, size: int) -> None:  # noqa: ANN401
        self.network = network
        self.constant_modules: tuple[nn.Module, ...] = ()
        """Modules that stay in evaluation mode in training, such as frozen batch norms."""
        self.feature_dim = networks.feature_dim(network)
        self.preprocessing = _preprocessing(getattr(network, "pretrained_cfg", IMAGENET), size)

    @classmethod
    def from_module(
        cls, network: nn.Module, *, size: int, name: str = "module", feature_dim: int = 0
    ) -> "Backbone":
        """Wrap any torch module that maps images `B 3 H W` to features `B D`.

        To train and load it by name, register it instead; see `register_backbone`.

        Args:
            network: The module. Its attribute `pretrained_cfg`, a mapping with `mean` and `std`,
                defines the normalisation; without it, that of ImageNet is used.
            size: Input height and width in pixels.
            name: Name in results.
            feature_dim: D; 0 reads the attribute `num_features`.
        """
        backbone = cls.__new__(cls)
        nn.Module.__init__(backbone)
        backbone.architecture, backbone.options = name, {}
        if feature_dim:
            network.num_features = feature_dim  # type: ignore[assignment]
        backbone._wrap(network, size)
        return backbone

    def train(self, mode: bool = True) -> "Backbone":
        """Set training or evaluation mode, except for the modules that are always constant."""
        super().train(mode)
        for module in self.constant_modules:
            module.eval()
        return self

    def forward(self, images: Images) -> Features:
        """Compute pooled features, before any head."""
        features: Tensor = self.network(images)
        return features

    def checkpoint_activations(self) -> None:
        """Keep only the inputs of the network's blocks, and compute the other activations again.

        Raises:
            ConfigError: The network does not support it.
        """
        try:
            self.network.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise ConfigError(
                f"{self.architecture!r} does not support activation checkpointing",
                "leave out --compute.checkpointing; --compute.accumulate saves memory with every"
                " architecture",
            ) from error

    def patch_features(self, images: Images) -> Float[Tensor, "B h w D"]:
        """Compute the last feature map: one vector for each cell of the network's grid."""
        maps: Tensor = self.network.forward_features(images)
        if maps.ndim == 3:  # tokens: class and register tokens first, then the grid row by row
            rows, columns = self.network.patch_embed.grid_size
            patches = maps[:, self.network.num_prefix_tokens :]
            return patches.reshape(len(maps), rows, columns, -1)
        channels_first = maps.shape[1] == self.network.num_features
        return maps.permute(0, 2, 3, 1) if channels_first else maps

    def feature_map(self, images: Images, max_stride: int) -> Float[Tensor, "B h w D"]:
        """Compute the deepest feature map whose stride is at most this, or else the last one.

        A ViT has one stride, so it is the map of its last block.
        """
        strides = [each["reduction"] for each in getattr(self.network, "feature_info", ())]
        usable = [place for place, stride in enumerate(strides) if stride <= max_stride]
        if not usable or not hasattr(self.network, "forward_intermediates"):
            return self.patch_features(images)
        (found,) = self.network.forward_intermediates(
            images, indices=usable[-1:], norm=True, stop_early=True, intermediates_only=True
        )
        return found.permute(0, 2, 3, 1)  # type: ignore[no-any-return]


def build(
    config: BackboneConfig, *, size: int, seed: int, use_tag: bool = False
) -> tuple[Backbone, str]:
    """Build a backbone and describe the origin of its weights, for logs and run records.

    Args:
        config: The network.
        size: Input height and width in pixels.
        seed: Seed of random weights; the global generators are not changed.
        use_tag: Load the weights of the architecture's tag; they are downloaded if necessary.

    Raises:
        ConfigError: The architecture is unknown, or has no such weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(config.architecture, size=size, options=config.options)
    if not use_tag:
        return backbone, f"random weights, seed {seed}"
    weights = pretrained.fetch(config.architecture)
    network = networks.create(config.architecture, size, config.options, weights=weights)
    backbone.network.load_state_dict(network.state_dict())
    return backbone, f"timm weights of {config.architecture}"


def usual_size(architecture: str) -> int:
    """Return timm's input size in pixels for an architecture; 224 if timm defines none."""
    name = architecture.partition(".")[0]
    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return cfg.input_size[-1] if cfg else 224


def load_weights(backbone: Backbone, path: Path) -> str:
    """Load a backbone's weights from a safetensors file of its architecture.

    A classifier in the file is ignored, because a backbone has none.

    Returns:
        A description of the origin of the weights.

    Raises:
        CheckpointError: The file cannot be read or is damaged.
        ConfigError: It lacks a tensor, or contains one of another shape.
    """
    tensors = tensor_files.read(path).tensors
    fill(backbone, tensors, f"weights {str(path)!r}")
    return f"weights of {path.name}, sha256 {files.sha256(path)[:12]}"


def fill(backbone: Backbone, tensors: Mapping[str, Tensor], what: str) -> None:
    """Copy weights into a backbone; every tensor of the network must be present.

    Position embeddings of a ViT for another image size are interpolated, as timm does.

    Args:
        backbone: The network.
        tensors: Tensors by their names in timm's network; others are ignored.
        what: Subject of the error message, such as "weights 'a.safetensors'".

    Raises:
        ConfigError: A tensor is missing or has another shape.
    """
    wanted = backbone.network.state_dict()
    tensors = _with_positions_for(backbone.network, tensors)
    wrong = [
        f"{name} {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name not in tensors or tensors[name].shape != tensor.shape
    ]
    if wrong:
        raise ConfigError(
            f"{what} do not fit {backbone.architecture}: "
            f"{len(wrong)} of {len(wanted)} tensors are missing or have another shape, first"
            f" {wrong[0]}",
            "name the architecture, options and image size that they were made with",
        )
    backbone.network.load_state_dict({name: tensors[name] for name in wanted})


def _with_positions_for(network: Any, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ANN401
    """Resize the position embeddings of a square image to the grid of a network."""
    wanted, found = network.state_dict().get("pos_embed"), tensors.get("pos_embed")
    if wanted is None or found is None or wanted.shape == found.shape:
        return tensors
    if wanted.ndim != 3 or found.ndim != 3 or wanted.shape[-1] != found.shape[-1]:
        return tensors
    prefix = 0 if getattr(network, "no_embed_class", False) else network.num_prefix_tokens
    cells = found.shape[1] - prefix
    if cells < 1 or math.isqrt(cells) ** 2 != cells:
        return tensors
    grid = list(network.patch_embed.grid_size)
    resized = resample_abs_pos_embed(found, grid, num_prefix_tokens=prefix)
    return {**tensors, "pos_embed": resized}


def preprocessing_of(record: PreprocessingRecord) -> Preprocessing:
    """Return the preprocessing that a model file describes."""
    return Preprocessing(size=record.size, mean=record.mean, std=record.std)


def _preprocessing(cfg: Mapping[str, Any], size: int) -> Preprocessing:
    return Preprocessing(size=size, mean=tuple(cfg["mean"]), std=tuple(cfg["std"]))
