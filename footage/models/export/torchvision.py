"""Export the weights of networks that torchvision has, too, by the names that it gives them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import nn

import footage._torchvision_compat  # noqa: F401  (must come before torchvision)
from footage import configuration
from footage.errors import ConfigError
from footage.io import tensors
from footage.models.export.base import Exporter, register_exporter, weights
from footage.models.load import Model
from footage.models.options import BACKBONES
from footage.shapes import Features, Images

from torchvision import models as torchvision_models  # isort: skip


class Counterpart(NamedTuple):
    """A network of torchvision that computes the same function as one of timm."""

    name: str
    """Name of the function in `torchvision.models`."""
    head: str
    """Expression of its last layer, which maps features to classes."""

    def build(self) -> nn.Module:
        """Create the network without its last layer, with random weights."""
        network: nn.Module = getattr(torchvision_models, self.name)()
        if self.head.endswith("[-1]"):
            layers = network.get_submodule(self.head.removesuffix("[-1]"))
            assert isinstance(layers, nn.Sequential)
            layers[-1] = nn.Identity()
        else:
            setattr(network, self.head, nn.Identity())
        return network


def _same_names(text: str, head: str) -> dict[str, Counterpart]:
    return {name: Counterpart(name, head) for name in text.split()}


COUNTERPARTS: Final[Mapping[str, Counterpart]] = {
    **_same_names("resnet18 resnet34 resnet50 resnet101 resnet152", "fc"),
    **_same_names("wide_resnet50_2 wide_resnet101_2", "fc"),
    **_same_names("resnext50_32x4d resnext101_32x8d resnext101_64x4d", "fc"),
    **_same_names("densenet121 densenet161 densenet169 densenet201", "classifier"),
    **_same_names(
        "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4",
        "classifier[-1]",
    ),
    "mobilenetv2_100": Counterpart("mobilenet_v2", "classifier[-1]"),
    **_same_names("convnext_tiny convnext_small convnext_base convnext_large", "classifier[-1]"),
    **_same_names("vgg11 vgg13 vgg16 vgg19", "classifier[-1]"),
    **_same_names("vgg11_bn vgg13_bn vgg16_bn vgg19_bn", "classifier[-1]"),
}
"""Counterparts by timm's names; all have their tensors in the same order.

Further names that occur in both libraries stand for different functions: padding, activations or
layers differ.
"""
HARMLESS: Final = frozenset({"drop_rate", "drop_path_rate", "drop_block_rate", "zero_init_last"})
"""Options of timm without effect on features in evaluation mode."""
VGG_SIZE_LIMIT: Final = 256
"""From this size on, timm's VGG averages several vectors; torchvision's pools pixels before."""


@register_exporter("torchvision")
class TorchvisionExporter(Exporter):
    """One safetensors file for `load_state_dict` of a network of torchvision."""

    default_name = "torchvision.safetensors"
    suffix = ".safetensors"
    imports_torchvision = True

    def write(self, model: Model, path: Path) -> None:
        """Write the file.

        Raises:
            ConfigError: torchvision does not have the network.
        """
        self._counterpart = _counterpart(model)
        with torch.device("meta"):
            shapes = self._counterpart.build().state_dict()
        named = {
            name: tensor.reshape(shape.shape).contiguous()
            for (name, shape), tensor in zip(shapes.items(), weights(model).values(), strict=True)
        }
        metadata = {
            "format": "pt",
            "architecture": f"torchvision.models.{self._counterpart.name}",
            "preprocessing": json.dumps(configuration.to_dict(model.preprocessing)),
            "weights_origin": model.weights_origin,
            "evidence": json.dumps(dict(model.evidence)),
        }
        tensors.write(path, named, metadata)

    def load(self, path: Path) -> Callable[[Images], Features]:
        """The network of torchvision with the weights."""
        network = self._counterpart.build()
        network.load_state_dict(tensors.read(path).tensors)
        return network.eval()

    def usage(self, path: Path) -> str:
        """A call of torchvision, without the layer that maps features to classes."""
        name, head = self._counterpart
        return (
            "import safetensors.torch, torch, torchvision;"
            f" network = torchvision.models.{name}(); network.{head} = torch.nn.Identity();"
            f" network.load_state_dict(safetensors.torch.load_file({str(path)!r}))"
        )


def _counterpart(model: Model) -> Counterpart:
    architecture = model.backbone.architecture
    found = COUNTERPARTS.get(architecture.partition(".")[0])
    hint = f"use --to timm; --to torchvision supports {', '.join(COUNTERPARTS)}"
    if found is None or architecture in BACKBONES:
        raise ConfigError(f"torchvision has no network equal to {architecture!r} of timm", hint)
    changed = sorted(set(model.backbone.options) - HARMLESS)
    if changed:
        raise ConfigError(
            f"torchvision has no {found.name} with the option {changed[0]!r} of timm", hint
        )
    if found.name.startswith("vgg") and model.preprocessing.size >= VGG_SIZE_LIMIT:
        raise ConfigError(
            f"{architecture} of timm and torchvision differ for images of"
            f" {model.preprocessing.size} pixels",
            f"use --to timm; they are equal for fewer than {VGG_SIZE_LIMIT} pixels",
        )
    return found
