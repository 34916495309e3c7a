"""Compile a backbone for training with torch.compile; a clear error if this machine cannot."""

from collections.abc import Callable

import torch
from torch import Tensor

from footage.errors import ConfigError
from footage.models.backbone import Backbone


def compiled(backbone: Backbone) -> Callable[[Tensor], Tensor]:
    """Return the backbone's forward pass, compiled at its first call.

    Weights, names and hooks of the backbone itself do not change, so everything else, such as
    online metrics, runs as before.

    Returns:
        A function of images `B 3 H W` that returns features `B D`. It raises `ConfigError` if the
        network cannot be compiled here, usually for lack of a C++ compiler or of Triton.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes seconds; most runs do not need it

    forward = torch.compile(backbone.network.forward)

    def run(images: Tensor) -> Tensor:
        try:
            return forward(images)  # type: ignore[no-any-return, no-untyped-call]
        except TorchDynamoException as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"{backbone.architecture!r} cannot be compiled on this machine: {reason}",
                "leave out --compute.compile, or install a C++ compiler (and Triton for a GPU)",
            ) from error

    return run
