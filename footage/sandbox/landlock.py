"""Landlock: no file can be opened, created, removed or renamed by path; no TCP; no foreign signals.

Source: the kernel's `Documentation/userspace-api/landlock.rst`. The ruleset has no rule that allows
anything, so only descriptors that are open already can be used.
"""

import ctypes
import os

from footage.sandbox.system_calls import call

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""System call numbers, the same on every architecture."""
_VERSION = 1
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""File access rights by the version of Landlock that introduced them."""
_TCP = {4: 0b11}
_SCOPES = {6: 0b11}
"""Abstract Unix sockets and signals of processes outside."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


def version() -> int:
    """Return the newest version of Landlock that this kernel has.

    Raises:
        OSError: It has none, or it is switched off.
    """
    return call(_CREATE_RULESET, "Landlock", None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def version_or_none() -> int:
    """Return the newest version, or 0 if Landlock is not available."""
    try:
        return version()
    except OSError:
        return 0


def restrict() -> None:
    """Take every right that this kernel's Landlock supports from this thread.

    Needs `no_new_privs`.

    Raises:
        OSError: Landlock is not available.
    """
    newest = version()

    def rights(by_version: dict[int, int]) -> int:
        return sum(bits for number, bits in by_version.items() if number <= newest)

    rules = _Ruleset(rights(_FILES), rights(_TCP), rights(_SCOPES))
    size = 24 if newest >= 6 else 16 if newest >= 4 else 8
    ruleset = call(
        _CREATE_RULESET, "Landlock", ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    try:
        call(_RESTRICT_SELF, "Landlock", ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
