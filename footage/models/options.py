"""Names and options of timm networks that footage accepts, with the bounds of each option.

Names and options also come from files that others wrote (run.json, headers of exported files,
config.json of timm folders). timm accepts options that open files or download weights.
Therefore only the options listed here reach timm.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from footage.errors import ConfigError
from footage.registry import Registry

Option = int | float | str | bool

NAME: Final = re.compile(r"(?P<network>[A-Za-z0-9_]{1,100})(\.[A-Za-z0-9_.-]{1,100})?")
"""A timm name, with or without the tag of its weights; never a path, a URL or a repository."""


class Numbers(NamedTuple):
    """Range of numbers that an option accepts; integers only if both bounds are integers."""

    least: float
    most: float


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHARE = Numbers(0.0, 0.99)
_SCALE = Numbers(0.01, 64.0)
_SMALL = Numbers(0.0, 100.0)
_COUNT = Numbers(1, 256)
_CHANNELS = Numbers(1, 16_384)
_ACTIVATIONS = _names(
    "relu relu6 leaky_relu prelu elu celu selu gelu gelu_tanh quick_gelu silu swish mish "
    "hard_sigmoid hard_swish hard_mish sigmoid tanh"
)
_NORMS = _names(
    "batchnorm batchnorm2d frozenbatchnorm2d groupnorm groupnorm1 layernorm layernorm2d "
    "rmsnorm rmsnorm2d simplenorm simplenorm2d"
)
_SWITCHES = _names(
    "always_partition avg_down class_token conv_bias conv_mlp dynamic_img_pad dynamic_img_size "
    "fc_norm final_norm fix_stem head_norm head_norm_first input_3x3 memory_efficient "
    "no_embed_class patch_norm pool_include_prefix pre_norm preact proj_bias qk_norm qkv_bias "
    "qkv_fused replace_stem_pool scale_attn_inner scale_attn_norm scale_mlp scale_mlp_norm "
    "sep_pos_embed small_kernels swiglu_mlp use_abs_pos_emb use_grn use_layer_scale use_pos_embed "
    "use_rel_pos_bias use_rot_pos_emb use_shared_rel_pos_bias zero_init_last"
)

OPTIONS: Final[Mapping[str, Numbers | frozenset[str] | type[bool]]] = {
    **dict.fromkeys(_SWITCHES, bool),
    "act_layer": _ACTIVATIONS,
    "attn_drop_rate": _SHARE,
    "base_width": _CHANNELS,
    "block_reduce_first": _COUNT,
    "bottle_ratio": _SCALE,
    "cardinality": _COUNT,
    "channel_multiplier": _SCALE,
    "deepen_factor": Numbers(0.01, 8.0),
    "depth": _COUNT,
    "depth_mult": Numbers(0.01, 8.0),
    "drop_block_rate": _SHARE,
    "drop_path_rate": _SHARE,
    "drop_rate": _SHARE,
    "embed_dim": _CHANNELS,
    "expand_ratio": _SCALE,
    "expansion_ratio": _SCALE,
    "final_norm_eps": Numbers(0.0, 1.0),
    "global_pool": _names("avg max avgmax token map"),
    "growth_rate": _CHANNELS,
    "head_dim": _CHANNELS,
    "head_hidden_size": _CHANNELS,
    "head_init_scale": _SMALL,
    "init_values": _SMALL,
    "kernel_size": _COUNT,
    "layer_norm_eps": Numbers(0.0, 1.0),
    "layer_scale_init_value": _SMALL,
    "ls_init_value": _SMALL,
    "mlp_ratio": _SCALE,
    "norm_eps": Numbers(0.0, 1.0),
    "norm_layer": _NORMS,
    "num_heads": _COUNT,
    "num_reg_tokens": Numbers(0, 1024),
    "output_stride": Numbers(1, 64),
    "patch_drop_rate": _SHARE,
    "patch_size": Numbers(1, 1024),
    "pos_drop_rate": _SHARE,
    "pos_embed": frozenset(("learn", "none", "")),
    "proj_drop_rate": _SHARE,
    "reg_tokens": Numbers(0, 1024),
    "stem_chs": _CHANNELS,
    "stem_size": _CHANNELS,
    "stem_type": _names("deep deep_tiered deep_tiered_narrow overlap patch s16"),
    "stem_width": _CHANNELS,
    "weight_init": frozenset(("jax", "jax_nlhb", "moco", "reset", "")),
    "widen_factor": Numbers(0.01, 16.0),
    "width": _SCALE,
    "width_factor": Numbers(0.01, 16.0),
    "width_mult": _SCALE,
    "window_size": _COUNT,
}
"""Options of timm's networks that change the architecture, with their allowed values."""

OWN_OPTIONS: Final = frozenset({"layer_norm_eps", "final_norm_eps"})
"""Options that footage applies itself, because not every timm network has an argument for them: the
epsilon of all layer norms, and of the last one."""


BackboneFactory = Callable[..., Any]

BACKBONES: Final = Registry[BackboneFactory]("backbone")
"""Networks outside timm, by name: functions of the input size and options that return a module."""


def register_backbone(name: str) -> Callable[[BackboneFactory], BackboneFactory]:
    """Register a network outside timm for `--backbone.architecture NAME`.

    The function takes the input size in pixels, and options as keywords. It returns a torch module
    that maps images `B 3 H W` to features `B D` and has the attribute `num_features`, D. If the
    module has a mapping `pretrained_cfg` with `mean` and `std`, images are normalised with these,
    otherwise with those of ImageNet.

    Args:
        name: Name on the command line and in files; it hides a timm network of the same name.

    Raises:
        ConfigError: Another function has this name.
    """

    def register(factory: BackboneFactory) -> BackboneFactory:
        BACKBONES.register(name, factory)
        return factory

    return register


def check_options(architecture: str, options: Mapping[str, Option]) -> None:
    """Check that every option of a timm network is allowed and within its bounds.

    Args:
        architecture: Name of the network; options of registered backbones are not checked.
        options: Arguments of the network.

    Raises:
        ConfigError: An option is not allowed, or out of bounds.
    """
    if architecture in BACKBONES:
        return
    for name, value in options.items():
        _check_option(name, value)


def _check_option(name: str, value: Option) -> None:
    allowed = OPTIONS.get(name)
    if allowed is None:
        near = difflib.get_close_matches(name[:100], OPTIONS, n=3)
        raise ConfigError(
            f"backbone.options: {name[:100]!r} is not an option that footage passes to timm",
            f"did you mean {' or '.join(near)}?" if near else f"options: {', '.join(OPTIONS)}",
        )
    wanted = _mismatch(allowed, value)
    if wanted:
        raise ConfigError(
            f"backbone.options: {name} must be {wanted}, got {str(value)[:100]!r}",
            f"set {name} to {wanted}, or remove it",
        )


def _mismatch(allowed: Numbers | frozenset[str] | type[bool], value: object) -> str:
    """Return the requirement that the value violates; empty if it is valid."""
    if isinstance(allowed, frozenset):
        listed = isinstance(value, str) and value in allowed
        return "" if listed else f"one of {', '.join(filter(None, sorted(allowed)))}"
    if allowed is bool:
        return "" if isinstance(value, bool) else "true or false"
    assert isinstance(allowed, Numbers)
    whole = isinstance(allowed.least, int)
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_kind = isinstance(value, int) or not whole
        if is_kind and allowed.least <= value <= allowed.most:
            return ""
    kind = "a whole number" if whole else "a number"
    return f"{kind} from {allowed.least} to {allowed.most}"
