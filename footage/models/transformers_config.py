"""Find the timm network that computes what a transformers config.json describes.

Every field that changes the features is either expressed by timm's architecture and options, or
refused. Dropout and stochastic depth affect only training and are not carried over. The defaults
are taken from transformers, which may omit fields that have their default.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from footage.errors import CheckpointError
from footage.io.documents import Document
from footage.models.options import Option

CONFIG: Final = "config.json"
PREPROCESSOR: Final = "preprocessor_config.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
"""Lists the files that contain the weights, if there are several."""
HINT: Final = "save it again with transformers"

Side = int | list[int]
_Width = Annotated[int, msgspec.Meta(ge=1, le=16_384)]

ACTIVATIONS: Final = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""timm's names for transformers activations."""


class NoCounterpart(ValueError):
    """A field of config.json has a value that timm's network cannot express."""

    def __init__(self, field: str, found: object, supported: str) -> None:
        super().__init__(f"{field} = {found!r}")
        self.supported = f"supported values of {field}: {supported}"


class Counterpart(NamedTuple):
    """A timm network."""

    architecture: str
    options: dict[str, Option]
    image_size: int
    """Height and width that its weights were made for, in pixels; 0 if not stated."""


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    hidden_act: str = "gelu"
    image_size: Side = 224
    num_channels: int = 3


class _Transformer(_Config, frozen=True, kw_only=True):
    hidden_size: _Width = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    layer_norm_eps: float = 1e-12
    patch_size: Side = 16
    qkv_bias: bool = True


class _Vit(_Transformer, frozen=True, kw_only=True):
    intermediate_size: _Width = 3072


class _Dinov2(_Transformer, frozen=True, kw_only=True):
    layer_norm_eps: float = 1e-6
    patch_size: Side = 14
    mlp_ratio: Annotated[float, msgspec.Meta(ge=0, le=64)] = 4
    use_swiglu_ffn: bool = False


class _Dinov2WithRegisters(_Dinov2, frozen=True, kw_only=True):
    patch_size: Side = 16
    num_register_tokens: int = 4


class _Dinov3(_Transformer, frozen=True, kw_only=True):
    hidden_size: _Width = 384
    num_attention_heads: int = 6
    intermediate_size: _Width = 1536
    layer_norm_eps: float = 1e-5
    num_register_tokens: int = 0
    rope_theta: float = 100.0
    query_bias: bool = True
    key_bias: bool = False
    value_bias: bool = True
    proj_bias: bool = True
    mlp_bias: bool = True
    use_gated_mlp: bool = False


class _ConvNext(_Config, frozen=True, kw_only=True):
    hidden_sizes: list[int] | None = None
    depths: list[int] | None = None
    layer_norm_eps: float = 1e-12
    layer_scale_init_value: float = 1e-6
    patch_size: Side = 4


class _ResNet(_Config, frozen=True, kw_only=True):
    hidden_act: str = "relu"
    image_size: Side = 0
    embedding_size: int = 64
    hidden_sizes: list[int] | None = None
    depths: list[int] | None = None
    layer_type: str = "bottleneck"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False


class _Named(NamedTuple):
    """A timm ViT: its name and the arguments that the name implies."""

    name: str
    embed_dim: int
    depth: int
    num_heads: int
    patch_size: int
    mlp_ratio: float = 4.0


_VITS: Final[tuple[_Named, ...]] = (
    _Named("vit_base_patch16_224", 768, 12, 12, 16),
    _Named("vit_tiny_patch16_224", 192, 12, 3, 16),
    _Named("vit_small_patch16_224", 384, 12, 6, 16),
    _Named("vit_large_patch16_224", 1024, 24, 16, 16),
    _Named("vit_huge_patch14_224", 1280, 32, 16, 14),
)
_DINOV2: Final[tuple[_Named, ...]] = (
    _Named("vit_base_patch14{}_dinov2", 768, 12, 12, 14),
    _Named("vit_small_patch14{}_dinov2", 384, 12, 6, 14),
    _Named("vit_large_patch14{}_dinov2", 1024, 24, 16, 14),
)
_DINOV2_SWIGLU: Final[tuple[_Named, ...]] = (
    _Named("vit_giant_patch14{}_dinov2", 1536, 40, 24, 14, 2.66667 * 2),
)
_DINOV3: Final[tuple[_Named, ...]] = (
    _Named("vit_small_patch16_dinov3", 384, 12, 6, 16),
    _Named("vit_base_patch16_dinov3", 768, 12, 12, 16),
    _Named("vit_large_patch16_dinov3", 1024, 24, 16, 16),
)
_DINOV3_GATED: Final[tuple[_Named, ...]] = (
    _Named("vit_small_plus_patch16_dinov3", 384, 12, 6, 16),
    _Named("vit_huge_plus_patch16_dinov3", 1280, 32, 20, 16),
    _Named("vit_7b_patch16_dinov3", 4096, 40, 32, 16, 2.0),
)
_CONVNEXTS: Final[Mapping[tuple[tuple[int, ...], int], str]] = {
    ((2, 2, 6, 2), 40): "atto",
    ((2, 2, 6, 2), 48): "femto",
    ((2, 2, 6, 2), 64): "pico",
    ((2, 2, 8, 2), 80): "nano",
    ((3, 3, 9, 3), 96): "tiny",
    ((3, 3, 27, 3), 96): "small",
    ((3, 3, 27, 3), 128): "base",
    ((3, 3, 27, 3), 192): "large",
    ((3, 3, 27, 3), 256): "xlarge",
    ((3, 3, 27, 3), 352): "huge",
}
"""timm's size names by stage depths and first width; the width doubles with every stage."""
_RESNETS: Final[Mapping[tuple[str, tuple[int, ...]], str]] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (2, 2, 2, 2)): "resnet26",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}


def _vit(config: _Vit) -> Counterpart:
    return _transformer(config, _VITS, config.intermediate_size, {})


def _deit(config: _Vit) -> Counterpart:
    # The distillation token is one more token with a position, like a register of timm's ViT.
    # transformers also uses the class token alone as features.
    return _transformer(config, _VITS, config.intermediate_size, {"reg_tokens": (1, 0)})


def _dinov2(config: _Dinov2) -> Counterpart:
    more: dict[str, tuple[Option, Option]] = {}
    if isinstance(config, _Dinov2WithRegisters):
        more["reg_tokens"] = (config.num_register_tokens, 4)
    hidden, named = int(config.hidden_size * config.mlp_ratio), _DINOV2
    if config.use_swiglu_ffn:  # its activation is always SiLU; two matrices are packed into one
        hidden, named = 2 * ((int(hidden * 2 / 3) + 7) // 8 * 8), _DINOV2_SWIGLU
        config = msgspec.structs.replace(config, hidden_act="gelu")
    tag = "_reg4" if more else ""
    named = tuple(each._replace(name=each.name.format(tag)) for each in named)
    return _transformer(config, named, hidden, more)


def _dinov3(config: _Dinov3) -> Counterpart:
    _require("hidden_act", config.hidden_act, "silu" if config.use_gated_mlp else "gelu")
    _require("rope_theta", config.rope_theta, 100.0)
    _require("key_bias", config.key_bias, False)
    _require("proj_bias", config.proj_bias, True)
    _require("mlp_bias", config.mlp_bias, True)
    more: dict[str, tuple[Option, Option]] = {
        "global_pool": ("token", "avg"),
        "num_reg_tokens": (config.num_register_tokens, 4),
    }
    named = _DINOV3_GATED if config.use_gated_mlp else _DINOV3
    has_bias = config.query_bias or config.value_bias
    config = msgspec.structs.replace(config, hidden_act="gelu", qkv_bias=has_bias)
    return _transformer(config, named, config.intermediate_size, more, eps=1e-5, qkv_bias=False)


def _transformer(
    config: _Transformer,
    named: tuple[_Named, ...],
    hidden: int,
    more: Mapping[str, tuple[Option, Option]],
    *,
    eps: float = 1e-6,
    qkv_bias: bool = True,
) -> Counterpart:
    """Return a named ViT, with options where the configuration differs from it.

    Args:
        config: The configuration.
        named: Networks to choose from; the first is used if none has the width and depth.
        hidden: Width of the hidden layer of its MLPs.
        more: Further options, with their values in the named networks.
        eps: `layer_norm_eps` of the named networks.
        qkv_bias: `qkv_bias` of the named networks.
    """
    width = config.hidden_size
    sizes = (width, config.num_hidden_layers, config.num_attention_heads)
    best = next((each for each in named if each[1:4] == sizes), named[0])
    pairs: dict[str, tuple[Option, Option]] = {
        "embed_dim": (width, best.embed_dim),
        "depth": (config.num_hidden_layers, best.depth),
        "num_heads": (config.num_attention_heads, best.num_heads),
        "patch_size": (_side("patch_size", config.patch_size), best.patch_size),
        "qkv_bias": (config.qkv_bias, qkv_bias),
        "act_layer": (_activation(config), "gelu"),
        "layer_norm_eps": (config.layer_norm_eps, eps),
        **more,
    }
    options = {name: value for name, (value, usual) in pairs.items() if value != usual}
    if int(width * best.mlp_ratio) != hidden:
        options["mlp_ratio"] = _ratio(hidden, width)
    return Counterpart(best.name, options, _side("image_size", config.image_size))


def _convnext(config: _ConvNext) -> Counterpart:
    if config.layer_scale_init_value <= 0:
        raise NoCounterpart("layer_scale_init_value", config.layer_scale_init_value, "above 0")
    return _convnext_of(config, "convnext")


def _convnextv2(config: _ConvNext) -> Counterpart:
    return _convnext_of(config, "convnextv2")


def _convnext_of(config: _ConvNext, prefix: str) -> Counterpart:
    widths = config.hidden_sizes or [96, 192, 384, 768]
    depths = tuple(config.depths or (3, 3, 9, 3))
    size = _CONVNEXTS.get((depths, widths[0]), "")
    without = "huge" if prefix == "convnext" else "xlarge"
    if not size or size == without or widths != [widths[0] * 2**stage for stage in range(4)]:
        known = ", ".join(f"{list(depths)} from {width}" for depths, width in _CONVNEXTS)
        raise NoCounterpart("depths and hidden_sizes", (list(depths), widths), known)
    options: dict[str, Option] = {}
    if size in ("atto", "femto", "pico", "nano"):  # timm's compute the same with convolutions
        options["conv_mlp"] = False
    options |= _changed("patch_size", _side("patch_size", config.patch_size), 4)
    options |= _changed("act_layer", _activation(config), "gelu")
    # All other layer norms use 1e-6 in transformers, whatever the field contains.
    options |= _changed("final_norm_eps", config.layer_norm_eps, 1e-6)
    return Counterpart(f"{prefix}_{size}", options, _side("image_size", config.image_size))


def _resnet(config: _ResNet) -> Counterpart:
    _require("hidden_act", config.hidden_act, "relu")  # transformers applies another only in places
    _require("downsample_in_first_stage", config.downsample_in_first_stage, False)
    _require("downsample_in_bottleneck", config.downsample_in_bottleneck, False)
    _require("embedding_size", config.embedding_size, 64)
    depths = tuple(config.depths or (3, 4, 6, 3))
    name = _RESNETS.get((config.layer_type, depths))
    if name is None:
        known = ", ".join(f"{list(depths)} of {kind}" for kind, depths in _RESNETS)
        found = (config.layer_type, list(depths))
        raise NoCounterpart("layer_type and depths", found, known)
    wide = 1 if config.layer_type == "basic" else 4
    widths = [64 * wide * 2**stage for stage in range(4)]
    _require("hidden_sizes", config.hidden_sizes or [256, 512, 1024, 2048], widths)
    return Counterpart(name, {}, 0)


def _changed(name: str, value: Option, usual: Option) -> dict[str, Option]:
    return {} if value == usual else {name: value}


def _require(field: str, found: object, supported: object) -> None:
    if found != supported:
        raise NoCounterpart(field, found, str(supported))


def _activation(config: _Config) -> str:
    if config.hidden_act not in ACTIVATIONS:
        raise NoCounterpart("hidden_act", config.hidden_act, ", ".join(ACTIVATIONS))
    return ACTIVATIONS[config.hidden_act]


def _side(field: str, found: Side) -> int:
    sides = [found, found] if isinstance(found, int) else found
    if len(sides) != 2 or sides[0] != sides[1]:
        raise NoCounterpart(field, found, "one number, or two equal ones")
    return sides[0]


def _ratio(hidden: int, width: int) -> float:
    """Return a ratio with `int(width * ratio) == hidden`."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else math.nextafter(ratio, math.inf)


FAMILIES: Final[Mapping[str, tuple[Any, Callable[[Any], Counterpart]]]] = {
    "vit": (_Vit, _vit),
    "deit": (_Vit, _deit),
    "dinov2": (_Dinov2, _dinov2),
    "dinov2_with_registers": (_Dinov2WithRegisters, _dinov2),
    "dinov3_vit": (_Dinov3, _dinov3),
    "convnext": (_ConvNext, _convnext),
    "convnextv2": (_ConvNext, _convnextv2),
    "resnet": (_ResNet, _resnet),
}
"""Schema and conversion of the configuration, by model type."""


def counterpart(model_type: str, path: Path) -> Counterpart:
    """Return the timm network that computes the same features.

    Args:
        model_type: A key of `FAMILIES`.
        path: The file config.json.

    Raises:
        CheckpointError: A field has a wrong type.
        NoCounterpart: timm cannot express a field.
    """
    schema, convert = FAMILIES[model_type]
    document = Document[Any](
        schema=schema,
        name="the configuration of a transformers model",
        error=CheckpointError,
        hint=HINT,
    )
    config = document.read(path)
    _require("num_channels", config.num_channels, 3)
    return convert(config)


class _Shards(msgspec.Struct, frozen=True, kw_only=True):
    weight_map: dict[
        str, Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors$")]
    ]


_SHARDS: Final = Document[_Shards](
    schema=_Shards,
    name="the index of the weights of a transformers model",
    error=CheckpointError,
    hint=HINT,
)


def files_of_index(path: Path) -> list[str]:
    """Return the names of the files that contain the weights.

    Args:
        path: The file model.safetensors.index.json.

    Raises:
        CheckpointError: It cannot be read.
    """
    return sorted(set(_SHARDS.read(path).weight_map.values()))
