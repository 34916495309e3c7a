"""Import torch on first use, so that configurations and help do not wait for it."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    from torch.nn import functional as functional
else:

    class _Module:
        """A stand-in for a module, which is imported when an attribute is first accessed."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the module contains)
            return getattr(importlib.import_module(self._name), name)

    torch = _Module("torch")
    functional = _Module("torch.nn.functional")
