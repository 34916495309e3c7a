"""Let timm be imported with a CPU build of torch. Import this module before every import of timm.

timm imports torchvision, and the registry's torchvision is built for CUDA. With a CPU build of
torch, its compiled operators cannot be loaded, and its import fails because it registers shapes
for operators (`nms`, `qnms`) that were never declared. Declaring their two schemas is enough:
timm calls neither. If torchvision's own library loads, or does not exist, nothing is done.
"""

import importlib.util
from pathlib import Path

import torch


def _loads_its_operators(package: Path) -> bool:
    libraries = [*package.glob("_C*.so"), *package.glob("_C*.pyd"), *package.glob("_C*.dylib")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return bool(libraries)


def _declare_missing_operators() -> list[torch.library.Library]:
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or _loads_its_operators(Path(found.origin).parent):
        return []
    declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        declared.define(schema)  # type: ignore[no-untyped-call]
    return [declared]


KEPT_ALIVE = _declare_missing_operators()
"""Keeps the declarations alive as long as the process."""

IMPORT_LINE = "import footage._torchvision_compat; " if KEPT_ALIVE else ""
"""Begin of a line of Python that imports torchvision in this environment; usually empty."""
