"""Finds where the host reads what only the device knows, on a machine without a GPU.

On a GPU each such read waits for all kernels before it. Some tensors, such as weights and pixels,
are marked as being on a device. Every result that an operation computes from a marked tensor is
marked, too. An operation whose answer the host needs, such as `item`, or the number of rows
that `nonzero` finds, is a read if its input is marked.
"""

import traceback
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique_dim", "_unique2",
         "masked_select", "unique_consecutive", "repeat_interleave", "bincount"}  # fmt: skip


class HostReads(TorchDispatchMode):
    """Collects reads in `found` while it is open: the operation and the lines that called it."""

    def __init__(self, tensors):
        super().__init__()
        self.found = []
        self._marked = {}
        for tensor in tensors:
            self.mark(tensor)

    def mark(self, tensor):
        storage = tensor.untyped_storage()
        if id(storage) not in self._marked:
            self._marked[id(storage)] = True
            weakref.finalize(storage, self._marked.pop, id(storage), None)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        marked = any(id(one.untyped_storage()) in self._marked for one in tensors)
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            one.dtype == torch.bool for one in tensors[1:]
        )
        if marked and (name in READS or by_mask):
            self.found.append((name, "".join(traceback.format_stack(limit=6)[:-1])))
        result = func(*args, **(kwargs or {}))
        if marked:
            for one in tree_leaves(result):
                if isinstance(one, torch.Tensor):
                    self.mark(one)
            if name.endswith("_") and tensors:
                self.mark(tensors[0])
        return result
