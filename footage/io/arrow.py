"""Import pyarrow without pandas."""

import functools
import sys
from collections.abc import Sequence
from types import ModuleType

import pyarrow as pa


class _NoPandas:
    """An import finder that reports pandas as missing."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  # as the import system calls it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


@functools.cache
def leave_out_pandas() -> None:
    """Keep pyarrow from importing pandas where footage owns the process.

    Before its first conversion of a Python value, pyarrow imports pandas if it is installed, only
    to recognise its types. That slows down every new process. `to_pandas` still imports it.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(finder)
