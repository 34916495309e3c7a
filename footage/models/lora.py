"""LoRA: train low-rank updates of linear layers, and merge them into the weights.

    layer.weight  -->  layer.base_layer.weight               frozen
                       layer.lora_A.default.weight  [r D]    trained
                       layer.lora_B.default.weight  [E r]    trained, 0 at first

Hu et al. 2022, https://arxiv.org/abs/2106.09685, as implemented by peft, with alpha equal to the
rank, so that the merged weight is `base + B A`. Checkpoints keep the parts, so that training can
resume; whoever else reads weights merges them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from footage.errors import ConfigError
from footage.seeding import generator

ADAPTER = "default"
"""Name that peft gives to the only adapter of a layer."""

_BASE = ".base_layer."


def add_lora(network: nn.Module, *, rank: int, seed: int, name: str) -> None:
    """Replace the linear layers of a network by ones with a low-rank update; freeze the rest.

    Args:
        network: Changed in place.
        rank: Rank of the updates.
        seed: Seed of their initial weights.
        name: Name of the network for messages.

    Raises:
        ConfigError: peft is not installed, or the network has no linear layers inside.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model  # optional, and slow to import
    except ImportError as error:
        raise ConfigError(
            "adapt.lora_rank needs the package peft", "pip install 'footage[lora]'"
        ) from error
    layers = [key for key, module in network.named_modules() if type(module) is nn.Linear]
    if not layers:
        raise ConfigError(
            f"{name} has no linear layers, so adapt.lora_rank has no effect",
            "use a ViT, or set adapt.lora_rank to 0 and adapt.frozen_fraction instead",
        )
    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator("weights of LoRA", seed).integers(2**63 - 1)))
        inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    for key, parameter in network.named_parameters():
        parameter.requires_grad_(".lora_" in key)


def merged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge low-rank updates into the weights of a network; others are returned as they are.

    Args:
        tensors: Weights by name, of a network with or without updates.
    """
    result = {}
    for key, value in tensors.items():
        if ".lora_" in key:
            continue
        layer, base, field = key.partition(_BASE)
        down = tensors.get(f"{layer}.lora_A.{ADAPTER}.weight")
        up = tensors.get(f"{layer}.lora_B.{ADAPTER}.weight")
        if base and field == "weight" and down is not None and up is not None:
            value = value + up @ down
        result[f"{layer}.{field}" if base else key] = value
    return result
