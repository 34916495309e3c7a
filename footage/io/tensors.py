"""Safetensors files with a checksum of their whole content, verified on every read."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from footage.errors import CheckpointError
from footage.io import files

CHECKSUM = "footage.sha256"
"""Header key of the checksum; files from other programs do not have one."""


class TensorFile(NamedTuple):
    """Content of one safetensors file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    is_verified: bool
    """Whether the file has a checksum, which has been verified."""


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and text metadata with their checksum; complete or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    signed = {**metadata, CHECKSUM: _checksum(copies, metadata)}
    with files.atomic_write(path) as temporary:
        save_file(copies, temporary, signed)


def read(path: Path) -> TensorFile:
    """Read all tensors of a safetensors file and verify its checksum if it has one.

    Raises:
        CheckpointError: The file cannot be read, or differs from what was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{str(path)!r} cannot be read as safetensors: {error}",
            "restore it from a copy, or export it again",
        ) from error
    expected = metadata.pop(CHECKSUM, None)
    if expected is not None and expected != _checksum(tensors, metadata):
        raise CheckpointError(
            f"{str(path)!r} is damaged: its checksum does not match",
            "restore it from a copy, or export it again",
        )
    return TensorFile(tensors, metadata, expected is not None)


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for key in sorted(metadata):
        digest.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
