"""Compile a backbone for training with torch.compile; a clear error if this machine cannot."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from footage.errors import ConfigError
from footage.models.backbone import Backbone


def compiled(backbone: Backbone, method: str = "forward") -> Callable[..., Any]:
    """Return a method of the backbone's network, compiled at its first call.

    Weights, names and hooks of the backbone itself do not change, so everything else, such as
    online metrics, runs as before.

    Args:
        backbone: The backbone.
        method: Name of the network's method to compile.

    Returns:
        A function with the arguments and result of the method; `forward` takes images `B 3 H W` and
        returns features `B D`. The function raises `ConfigError` if the network cannot be compiled
        here, usually for lack of a C++ compiler or of Triton.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes seconds; most runs do not need it

    forward = torch.compile(getattr(backbone.network, method))

    def run(images: Tensor, **options: Any) -> Any:  # noqa: ANN401
        try:
            return forward(images, **options)  # type: ignore[no-untyped-call]
        except TorchDynamoException as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"{backbone.architecture!r} cannot be compiled on this machine: {reason}",
                "leave out --compute.compile, or install a C++ compiler (and Triton for a GPU)",
            ) from error

    return run
