"""Read a folder in the transformers format as the equivalent timm network.

    config.json               -->  architecture and options      (transformers_config.py)
    model.safetensors         -->  tensors under timm's names    (this file)
    preprocessor_config.json  -->  size, mean and standard deviation of the input

The transformers library is not needed. Every tensor is used or belongs to a part that features do
not depend on (`UNUSED`); unknown and missing tensors are errors.
"""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import torch
from torch import Tensor

import footage._torchvision_compat  # noqa: F401  (must come before timm)
from footage.errors import CheckpointError, ConfigError
from footage.io import tensors as tensor_files
from footage.io.documents import Document
from footage.models.backbone import IMAGENET, Backbone, fill
from footage.models.config import Preprocessing
from footage.models.transformers_config import (
    CONFIG,
    FAMILIES,
    HINT,
    INDEX,
    PREPROCESSOR,
    WEIGHTS,
    Counterpart,
    NoCounterpart,
    counterpart,
    files_of_index,
)
from footage.runs import records

from timm.layers import resample_abs_pos_embed  # type: ignore[attr-defined]  # isort: skip

log = logging.getLogger(__name__)

USUAL_SIZE: Final = 224
HALF: Final = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

PREFIX: Final = re.compile(r"(vit|deit|dinov2|dinov2_with_registers|convnext|convnextv2|resnet)\.")
"""Prefix of the tensors of a network with a head."""
UNUSED: Final = re.compile(
    r"(classifier|cls_classifier|distillation_classifier|pooler|decoder)\..*"
    r"|embeddings\.mask_token"
)
"""Heads and the token of masked patches, on which features do not depend."""

_BLOCK: Final = r"encoder\.layer\.(\d+)\."
_VIT: Final = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.(?:distillation_token|register_tokens)": "reg_token",
    r"embeddings\.position_embeddings": "pos_embed",
    r"embeddings\.patch_embeddings\.projection\.(\w+)": r"patch_embed.proj.\1",
    _BLOCK + r"(?:layernorm_before|norm1)\.(\w+)": r"blocks.\1.norm1.\2",
    _BLOCK + r"attention\.attention\.([qkv])(?:uery|ey|alue)\.(\w+)": r"blocks.\1.attn.\2.\3",
    _BLOCK + r"attention\.output\.dense\.(\w+)": r"blocks.\1.attn.proj.\2",
    _BLOCK + r"(?:layernorm_after|norm2)\.(\w+)": r"blocks.\1.norm2.\2",
    _BLOCK + r"(?:intermediate\.dense|mlp\.fc1|mlp\.weights_in)\.(\w+)": r"blocks.\1.mlp.fc1.\2",
    _BLOCK + r"(?:output\.dense|mlp\.fc2|mlp\.weights_out)\.(\w+)": r"blocks.\1.mlp.fc2.\2",
    _BLOCK + r"layer_scale([12])\.lambda1": r"blocks.\1.ls\2.gamma",
    r"layernorm\.(\w+)": r"norm.\1",
}
_LAYER: Final = r"(?:model\.)?layer\.(\d+)\."
_DINOV3: Final = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.register_tokens": "reg_token",
    r"embeddings\.patch_embeddings\.(\w+)": r"patch_embed.proj.\1",
    _LAYER + r"norm([12])\.(\w+)": r"blocks.\1.norm\2.\3",
    _LAYER + r"attention\.([qkv])_proj\.weight": r"blocks.\1.attn.\2.weight",
    _LAYER + r"attention\.([qv])_proj\.bias": r"blocks.\1.attn.\2_bias",
    _LAYER + r"attention\.o_proj\.(\w+)": r"blocks.\1.attn.proj.\2",
    _LAYER + r"layer_scale([12])\.lambda1": r"blocks.\1.gamma_\2",
    _LAYER + r"mlp\.gate_proj\.(\w+)": r"blocks.\1.mlp.fc1_g.\2",
    _LAYER + r"mlp\.up_proj\.(\w+)": r"blocks.\1.mlp.fc1.\2",  # fc1_x if there is a gate
    _LAYER + r"mlp\.down_proj\.(\w+)": r"blocks.\1.mlp.fc2.\2",
    r"norm\.(\w+)": r"norm.\1",
}
_STAGE: Final = r"encoder\.stages\.(\d+)\."
_CONVNEXT: Final = {
    r"embeddings\.patch_embeddings\.(\w+)": r"stem.0.\1",
    r"embeddings\.layernorm\.(\w+)": r"stem.1.\1",
    _STAGE + r"downsampling_layer\.([01])\.(\w+)": r"stages.\1.downsample.\2.\3",
    _STAGE + r"layers\.(\d+)\.dwconv\.(\w+)": r"stages.\1.blocks.\2.conv_dw.\3",
    _STAGE + r"layers\.(\d+)\.layernorm\.(\w+)": r"stages.\1.blocks.\2.norm.\3",
    _STAGE + r"layers\.(\d+)\.pwconv([12])\.(\w+)": r"stages.\1.blocks.\2.mlp.fc\3.\4",
    _STAGE + r"layers\.(\d+)\.grn\.(\w+)": r"stages.\1.blocks.\2.mlp.grn.\3",
    _STAGE + r"layers\.(\d+)\.layer_scale_parameter": r"stages.\1.blocks.\2.gamma",
    r"layernorm\.(\w+)": r"head.norm.\1",
}
_RESNET: Final = {
    r"embedder\.embedder\.convolution\.(\w+)": r"conv1.\1",
    r"embedder\.embedder\.normalization\.(\w+)": r"bn1.\1",
    _STAGE + r"layers\.(\d+)\.shortcut\.convolution\.(\w+)": r"layer\1+.\2.downsample.0.\3",
    _STAGE + r"layers\.(\d+)\.shortcut\.normalization\.(\w+)": r"layer\1+.\2.downsample.1.\3",
    _STAGE + r"layers\.(\d+)\.layer\.(\d)\.convolution\.(\w+)": r"layer\1+.\2.conv\3+.\4",
    _STAGE + r"layers\.(\d+)\.layer\.(\d)\.normalization\.(\w+)": r"layer\1+.\2.bn\3+.\4",
}
"""timm counts layers from 1: a plus stands for the next number."""

NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "vit": _VIT,
    "deit": _VIT,
    "dinov2": _VIT,
    "dinov2_with_registers": _VIT,
    "dinov3_vit": _DINOV3,
    "convnext": _CONVNEXT,
    "convnextv2": _CONVNEXT,
    "resnet": _RESNET,
}
"""timm's tensor names by patterns of transformers names, for each model type."""

_Values = float | Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]
_Sides = int | dict[str, int | None]


class _Preprocessor(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of preprocessor_config.json that footage reads."""

    size: _Sides | None = None
    crop_size: _Sides | None = None
    do_center_crop: bool | None = None
    do_rescale: bool | None = None
    rescale_factor: float | None = None
    do_normalize: bool | None = None
    image_mean: _Values | None = None
    image_std: _Values | None = None


_PREPROCESSOR: Final = Document[_Preprocessor](
    schema=_Preprocessor,
    name="the preprocessing of a transformers model",
    error=CheckpointError,
    hint=HINT,
)


def read_backbone(spec: str, folder: Path, size: int) -> Backbone:
    """Read a folder in the transformers format as a timm network.

    Args:
        spec: Name of the model in errors.
        folder: A folder with config.json and weights as safetensors.
        size: Input height and width in pixels; 0 keeps those of the preprocessing.

    Raises:
        CheckpointError: A file is missing or damaged.
        ConfigError: The network cannot be converted, or its tensors do not fit.
    """
    model_type = str(records.KIND.read(folder / CONFIG).model_type)
    if model_type not in FAMILIES:
        raise _unsupported(spec, model_type)
    try:
        found = counterpart(model_type, folder / CONFIG)
    except NoCounterpart as error:
        raise ConfigError(
            f"{spec!r} has {error} in its {CONFIG}, which timm's {model_type} cannot express",
            str(error.supported),
        ) from error
    preprocessing = _preprocessing(spec, folder, model_type, found)
    size = size or preprocessing.size
    backbone = Backbone(found.architecture, size=size, options=found.options)
    named = _renamed(spec, model_type, read_weights(spec, folder))
    tensors = _converted(backbone.network, named)
    antialias = model_type == "dinov2_with_registers"  # as in transformers
    _resize_positions(backbone.network, tensors, antialias=antialias)
    _require_used(spec, tensors, backbone.network.state_dict())
    fill(backbone, tensors, f"the weights of {spec!r}")
    backbone.preprocessing = Preprocessing(
        size=size, mean=preprocessing.mean, std=preprocessing.std
    )
    return backbone


def read_weights(spec: str, folder: Path) -> dict[str, Tensor]:
    """Read all tensors of a folder, in one file or in several.

    Raises:
        CheckpointError: A file is missing or damaged.
    """
    if (folder / WEIGHTS).is_file():
        return tensor_files.read(folder / WEIGHTS).tensors
    if not (folder / INDEX).is_file():
        raise CheckpointError(
            f"{spec!r} contains neither {WEIGHTS} nor {INDEX}; footage reads no other weights",
            "save it again with transformers' save_pretrained, which writes safetensors",
        )
    tensors: dict[str, Tensor] = {}
    for name in files_of_index(folder / INDEX):
        tensors |= tensor_files.read(folder / name).tensors
    return tensors


def _unsupported(spec: str, model_type: str) -> ConfigError:
    words = re.findall(r"[a-z0-9]+", model_type.lower())
    word = words[0] if words else "vit"
    return ConfigError(
        f"{spec!r} is a transformers model of type {model_type[:100]!r}; footage converts"
        f" {', '.join(FAMILIES)}",
        "timm may provide the same weights; search with"
        f" timm.list_models('*{word}*', pretrained=True)",
    )


# --- tensors -------------------------------------------------------------------------------------


def _renamed(spec: str, model_type: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the used tensors under timm's names, in float32, with separate q, k and v."""
    renamed: dict[str, Tensor] = {}
    unknown = []
    for full_name, tensor in tensors.items():
        name = PREFIX.sub("", full_name) if PREFIX.match(full_name) else full_name
        if UNUSED.fullmatch(name):
            continue
        new = _new_name(NAMES[model_type], name)
        if not new or new in renamed:
            unknown.append(full_name)
        elif tensor.numel():  # zero register tokens are saved as an empty tensor
            renamed[new] = tensor.float() if tensor.is_floating_point() else tensor
    if unknown:
        raise _unknown_tensors(spec, unknown)
    return renamed


def _new_name(names: Mapping[str, str], name: str) -> str:
    for pattern, replacement in names.items():
        if match := re.fullmatch(pattern, name):
            new = match.expand(replacement)
            return re.sub(r"(\d+)\+", lambda number: str(int(number[1]) + 1), new)
    return ""


def _converted(network: Any, renamed: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ANN401
    """Convert tensors to timm's shapes."""
    tensors = dict(renamed)
    for name in renamed:
        joined = name.replace(".attn.q.", ".attn.qkv.")
        parts = [name.replace(".attn.q.", f".attn.{letter}.") for letter in "qkv"]
        if joined != name and all(part in tensors for part in parts):
            tensors[joined] = torch.cat([tensors.pop(part) for part in parts])
        elif ".mlp.grn." in name:
            tensors[name] = tensors[name].flatten()
        elif ".mlp.fc1_g." in name:
            up = name.replace("fc1_g", "fc1")
            if up in tensors:
                tensors[name.replace("fc1_g", "fc1_x")] = tensors.pop(up)
        elif name.endswith((".q_bias", ".v_bias")):  # with only one of them, the other is zero
            other = name[:-6] + ("v_bias" if name.endswith("q_bias") else "q_bias")
            tensors.setdefault(other, torch.zeros_like(tensors[name]))
    if getattr(network, "no_embed_class", False) and {"cls_token", "pos_embed"} <= set(tensors):
        tensors["cls_token"] = tensors["cls_token"] + tensors["pos_embed"][:, :1]
        tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
    return tensors


def _resize_positions(network: Any, tensors: dict[str, Tensor], *, antialias: bool) -> None:  # noqa: ANN401
    """Resize position embeddings to a network's grid, as transformers does and timm does not."""
    positions = tensors.get("pos_embed")
    if positions is None or positions.ndim != 3:
        return
    prefix = 0 if network.no_embed_class else network.num_prefix_tokens
    cells, grid = positions.shape[1] - prefix, list(network.patch_embed.grid_size)
    if cells < 1 or math.isqrt(cells) ** 2 != cells or cells == math.prod(grid):
        return
    tensors["pos_embed"] = resample_abs_pos_embed(
        positions, grid, num_prefix_tokens=prefix, antialias=antialias
    )


def _require_used(spec: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    unknown = [name for name in tensors if name not in wanted]
    if unknown:
        raise _unknown_tensors(spec, unknown)


def _unknown_tensors(spec: str, names: list[str]) -> ConfigError:
    return ConfigError(
        f"{spec!r} contains {len(names)} tensors that its {CONFIG} does not describe, such"
        f" as {min(names)[:200]!r}",
        "save the whole model again with transformers' save_pretrained",
    )


# --- preprocessing -------------------------------------------------------------------------------


def _preprocessing(spec: str, folder: Path, model_type: str, found: Counterpart) -> Preprocessing:
    usual = HALF if model_type == "vit" else IMAGENET
    size = found.image_size or USUAL_SIZE
    path = folder / PREPROCESSOR
    if not path.is_file():
        log.warning(
            "%s has no %s: using %d pixels, mean %s and standard deviation %s, the usual values"
            " for %s", spec, PREPROCESSOR, size, usual["mean"], usual["std"], model_type
        )  # fmt: skip
        return Preprocessing(size=size, **usual)
    stated = _PREPROCESSOR.read(path)
    crops = stated.crop_size is not None and stated.do_center_crop is not False
    sides = stated.crop_size if crops else stated.size
    factor = 1.0 if stated.do_rescale is False else stated.rescale_factor or 1 / 255
    scale = 255 * factor  # transformers normalises pixels * factor, footage pixels / 255
    scale = 1.0 if math.isclose(scale, 1.0) else scale
    means, stds = _three(stated.image_mean, usual["mean"]), _three(stated.image_std, usual["std"])
    if stated.do_normalize is False:
        means, stds = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean = (means[0] / scale, means[1] / scale, means[2] / scale)
    std = (stds[0] / scale, stds[1] / scale, stds[2] / scale)
    return Preprocessing(size=_square(spec, sides) or size, mean=mean, std=std)


def _three(values: _Values | None, usual: tuple[float, float, float]) -> tuple[float, float, float]:
    if values is None:
        return usual
    red, green, blue = [values] * 3 if isinstance(values, float | int) else values
    return red, green, blue


def _square(spec: str, sides: _Sides | None) -> int:
    """Return the side of a square input; 0 if none is stated."""
    if sides is None or isinstance(sides, int):
        return sides or 0
    stated = {key: value for key, value in sides.items() if value is not None}
    found = {value for key, value in stated.items() if key in ("height", "width", "shortest_edge")}
    if len(found) != 1:
        raise ConfigError(
            f"{spec!r} has the input size {stated} in its {PREPROCESSOR}, which is not a square",
            "footage resizes images to squares; set a square size, such as"
            ' {"height": 224, "width": 224}',
        )
    return found.pop()
