"""Create timm networks after checking names, options and the memory they need."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import footage._torchvision_compat  # noqa: F401  (must come before timm)
from footage.errors import ConfigError, PluginError
from footage.models.options import BACKBONES, NAME, OWN_OPTIONS, Option, check_options
from footage.registry import plugin_errors
from footage.runs.records import MOST_PIXELS

import timm  # isort: skip


def check(architecture: str, options: Mapping[str, Option]) -> str:
    """Check that a name is a timm network and that every option is allowed.

    Args:
        architecture: A timm name, with or without a tag.
        options: Arguments of the timm network.

    Returns:
        The name without its tag.

    Raises:
        ConfigError: The name is unknown, or an option is not allowed or out of bounds.
    """
    name = _known(architecture)
    check_options(name, options)
    return name


def require_known(spec: str) -> None:
    """Check a MODEL argument that is not a path.

    Raises:
        ConfigError: Neither timm nor a plugin has a network of this name.
    """
    if spec not in BACKBONES:
        _known(spec, f", and no run, file or folder {spec[:200]!r} exists")


def _known(architecture: str, note: str = "") -> str:
    """Return the name of a timm network without its tag."""
    found = NAME.fullmatch(architecture)
    name = found["network"] if found else ""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name or architecture[:100], timm.list_models(), n=3)
        raise ConfigError(
            f"timm has no model {architecture[:200]!r}{note}",
            (f"did you mean {' or '.join(near)}?" if near else "see timm.list_models().")
            + " Or load its plugin with --plugin",
        )
    return name


def _of_plugin(architecture: str, size: int, options: Mapping[str, Option]) -> torch.nn.Module:
    factory = BACKBONES[architecture]
    what = f"backbone {architecture!r}"
    with plugin_errors(f"{what} cannot be created with {dict(options)}", factory):
        network = factory(size, **options)
    if not isinstance(network, torch.nn.Module):
        raise PluginError(f"{what} is of type {type(network).__name__}", "return a torch.nn.Module")
    if not isinstance(getattr(network, "num_features", None), int):
        raise PluginError(
            f"{what} has no attribute num_features", "set it to the length of its features"
        )
    return network


def create(
    architecture: str,
    size: int,
    options: Mapping[str, Option],
    *,
    weights: Path | None = None,
) -> Any:  # noqa: ANN401 (timm's networks share no class)
    """Create a timm network without its classifier.

    Args:
        architecture: A timm name; the tag affects only how `weights` are read.
        size: Input height and width in pixels.
        options: Arguments of the timm network.
        weights: A safetensors file for this architecture as timm publishes it; random weights
            if empty.

    Raises:
        ConfigError: The name, the size or an option is not allowed, or timm refuses them; the
            network does not fit into memory; the weights do not fit the network.
    """
    if architecture in BACKBONES and weights is None:
        return _of_plugin(architecture, size, options)
    name = check(architecture, options)
    if not 1 <= size <= MOST_PIXELS:
        raise ConfigError(
            f"the image size must be from 1 to {MOST_PIXELS} pixels, got {size}",
            "choose a size such as 224",
        )
    cfg = timm.get_pretrained_cfg(name)
    own = {key: value for key, value in options.items() if key in OWN_OPTIONS}
    arguments: dict[str, Any] = {"num_classes": 0}
    arguments |= {key: value for key, value in options.items() if key not in own}
    if cfg is not None and cfg.fixed_input_size:
        arguments["img_size"] = size
    if weights is not None:
        assert weights.suffix == ".safetensors"  # timm unpickles every other kind of file
        source = {"file": str(weights), "custom_load": False}
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": source}
    try:
        _rehearse(name, size, arguments)
        network = timm.create_model(architecture if weights else name, **arguments)
        _set_epsilons(network, own)
        return network
    except ConfigError:
        raise
    except Exception as error:  # raised inside timm by any invalid combination of options
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"timm cannot create {architecture!r} at {size} px with {dict(options)}: {reason}",
            "check the options and the image size, and the tag if there is one",
        ) from error


def _set_epsilons(network: torch.nn.Module, own: Mapping[str, Option]) -> None:
    """Apply footage's own options; see `footage.models.options.OWN_OPTIONS`."""
    norms = [each for each in network.modules() if isinstance(each, torch.nn.LayerNorm)]
    if own and not norms:
        raise ValueError("it has no layer norm")
    for norm in norms if "layer_norm_eps" in own else []:
        norm.eps = float(own["layer_norm_eps"])
    if "final_norm_eps" in own:
        norms[-1].eps = float(own["final_norm_eps"])


def feature_dim(network: Any) -> int:  # noqa: ANN401
    """Return the length of a network's pooled features."""
    return int(getattr(network, "head_hidden_size", None) or network.num_features)


def _rehearse(name: str, size: int, arguments: Mapping[str, Any]) -> None:
    """Create the network without allocating weights, compute their size, and run it."""
    shapes = {key: value for key, value in arguments.items() if not key.startswith("pretrained")}
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = timm.create_model(name, **shapes)
    needed = sum(
        tensor.numel() * tensor.element_size()
        for tensors in (network.parameters(), network.buffers())
        for tensor in tensors
    )
    available = _available_bytes()
    if needed > available:
        raise ConfigError(
            f"{name!r} at {size} px needs {needed / 1e9:,.1f} GB for its weights, but only"
            f" {available / 1e9:,.1f} GB of memory are available",
            "choose a smaller network, smaller options or a smaller image size",
        )
    with torch.no_grad():
        features = network.eval()(torch.zeros(1, 3, size, size, device="meta"))
    if tuple(features.shape) != (1, feature_dim(network)):
        raise ValueError(f"one image yields features of shape {tuple(features.shape)}")


def _available_bytes() -> int:
    """Return the memory that can be used without swapping, in bytes."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
