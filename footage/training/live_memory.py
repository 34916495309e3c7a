"""Count the bytes of tensors that are alive at the same time, operation by operation.

The count is exact for tensors and works on any device. It lacks what kernels allocate for
themselves, and the memory that an allocator keeps.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows all tensors that operations return while it is open.

    Args:
        tensors: Tensors that exist before, such as the weights, and count from the start.
    """

    def __init__(self, tensors: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = 0
        """Bytes of the tensors that are alive now."""
        self.peak_bytes = 0
        """Most bytes of tensors alive at the same time so far."""
        self._sizes: dict[int, int] = {}
        for tensor in tensors:
            self._add(tensor)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._sizes:
            return
        self._sizes[key] = size = storage.nbytes()
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.live_bytes -= self._sizes.pop(key, 0)


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Return the parameters, their gradients and the buffers of a module."""
    parameters = list(module.parameters())
    gradients = [one.grad for one in parameters if one.grad is not None]
    return [*parameters, *gradients, *module.buffers()]


def peak_bytes(action: Callable[[], object], tensors: Iterable[Tensor] = ()) -> int:
    """Return the most bytes of tensors that are alive at the same time during an action.

    Args:
        action: Called once.
        tensors: Tensors that exist before it.
    """
    memory = LiveMemory(tensors)
    with memory:
        action()
    return memory.peak_bytes
