"""The sandbox layers that a process applies to itself, and which of them this machine supports.

Every available layer is applied; an unavailable one is reported as missing, with the reason.
Descriptors and the environment are always dropped. A process keeps its memory, its CPU time within
limits, and the descriptors that it is allowed to keep.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from footage.sandbox import landlock, seccomp
from footage.sandbox.system_calls import LIBC, call, check, release_thread_stacks

NO_NEW_PRIVILEGES = "no new privileges"
NAMESPACES = "namespaces"
EMPTY_ROOT = "empty root"
LANDLOCK = "Landlock"
SECCOMP = "seccomp"
NO_CAPABILITIES = "no capabilities"
RESOURCE_LIMITS = "resource limits"
LAYERS = (
    NO_NEW_PRIVILEGES,
    NAMESPACES,
    EMPTY_ROOT,
    LANDLOCK,
    NO_CAPABILITIES,
    RESOURCE_LIMITS,
    SECCOMP,
)
"""All layers, in the order in which they are applied."""
ACTIVE, MISSING = "decoder sandbox", "missing layers"
"""Labels of the two `Sandbox.lines` wherever they are shown."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_NEW_USER, _NEW_MOUNT, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x00020000, 0x40000000, 0x08000000
_PRIVATE = 0x44000  # changes of mounts stay here, recursively
_MOUNT_OPTIONS = 0b1111  # read-only, nosuid, nodev, noexec
_CAPABILITY_VERSION = 0x20080522
_CLOSE_RANGE = 436
_MOST_DESCRIPTORS = 2**31
OPEN_FILES = 64


class Sandbox(NamedTuple):
    """The layers that were applied, and why others were not (by name)."""

    active: tuple[str, ...]
    missing: dict[str, str]
    landlock_version: int = 0
    """Version of the kernel's Landlock; below 6 it lacks rules that other layers have."""

    def lines(self) -> tuple[str, str]:
        """Return the active and the missing layers as text."""
        version = f"{LANDLOCK} version {self.landlock_version}"
        active = [version if name == LANDLOCK else name for name in self.active]
        missing = [f"{name} ({reason})" for name, reason in self.missing.items()]
        return ", ".join(active) or "none", ", ".join(missing) or "none"

    @property
    def refusal(self) -> str:
        """The error message when all layers are required."""
        return f"sandbox layers are missing on this machine: {self.lines()[1]}"


def die_with(parent: int) -> None:
    """Kill this process when the thread that started it ends; exit if it has ended already."""
    LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def drop_descriptors(keep: Iterable[int]) -> None:
    """Close every descriptor but some, and connect standard streams to nothing."""
    kept = sorted(keep)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in {0, 1, 2}.difference(kept):
        os.dup2(null, descriptor)
    last = 2
    for descriptor in [*[one for one in kept if one > 2], _MOST_DESCRIPTORS]:
        if last + 1 < descriptor:
            _close(last + 1, descriptor - 1)
        last = descriptor


def _close(first: int, last: int) -> None:
    """Close a range of descriptors, including those above a limit that was lowered later."""
    try:
        call(_CLOSE_RANGE, "close_range", ctypes.c_uint(first), ctypes.c_uint(last), 0)
    except OSError:  # before Linux 5.9
        os.closerange(first, min(last + 1, os.sysconf("SC_OPEN_MAX")))


def wipe_environment() -> None:
    """Clear the environment and overwrite its text in memory."""
    variables = ctypes.POINTER(ctypes.c_void_p).in_dll(LIBC, "environ")
    position = 0
    while variables and variables[position]:
        address = variables[position] or 0
        ctypes.memset(address, 0, len(ctypes.string_at(address)))
        position += 1
    LIBC.clearenv()
    os.environ.clear()


class _Memory(NamedTuple):
    """Address space, and the part of it that can be written, in bytes."""

    total: int
    writable: int

    @classmethod
    def now(cls) -> "_Memory":
        pages = Path("/proc/self/statm").read_text().split()
        return cls(*(int(pages[place]) * resource.getpagesize() for place in (0, 5)))


def confine(memory_bytes: int, cpu_seconds: int, layers: Iterable[str] = LAYERS) -> Sandbox:
    """Apply layers to this process, permanently; it must have one thread.

    Args:
        memory_bytes: Address space that may be used in addition to what is in use already.
        cpu_seconds: CPU time after which the process is killed.
        layers: The layers to apply. Only tests omit some.
    """
    actions: dict[str, Callable[[], object]] = {
        NO_NEW_PRIVILEGES: _no_new_privileges,
        NAMESPACES: _namespaces,
        EMPTY_ROOT: _empty_root,
        LANDLOCK: landlock.restrict,
        NO_CAPABILITIES: _no_capabilities,
        RESOURCE_LIMITS: lambda: _limit(used, memory_bytes, cpu_seconds),
        SECCOMP: seccomp.restrict,
    }
    release_thread_stacks()
    used = _Memory.now()
    landlock_version = landlock.version_or_none()
    active: list[str] = []
    missing: dict[str, str] = {}
    wanted = set(layers)
    for name in LAYERS:
        if name not in wanted:
            missing[name] = "not requested"
            continue
        if name == EMPTY_ROOT and NAMESPACES not in active:  # it would be mounted for everyone
            missing[name] = "needs namespaces"
            continue
        try:
            actions[name]()
            active.append(name)
        except OSError as error:
            missing[name] = (error.strerror or str(error)).removeprefix(f"{name}: ")
    return Sandbox(tuple(active), missing, landlock_version)


def _no_new_privileges() -> None:
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), NO_NEW_PRIVILEGES)


def _namespaces() -> None:
    """Isolate network, System V memory and file system view; root needs no user namespace."""
    for user in (_NEW_USER, 0):
        result = LIBC.unshare(user | _NEW_MOUNT | _NEW_NETWORK | _NEW_IPC)
        if result == 0:
            return
    check(result, NAMESPACES)


def _empty_root() -> None:
    """Mount an empty, read-only folder over one that always exists, and make it the root."""
    check(LIBC.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None), EMPTY_ROOT)
    options = ctypes.c_ulong(_MOUNT_OPTIONS)
    check(LIBC.mount(b"none", b"/proc", b"tmpfs", options, b"size=4k"), EMPTY_ROOT)
    os.chroot("/proc")
    os.chdir("/")


def _no_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    check(LIBC.capset(header, (ctypes.c_uint32 * 6)()), NO_CAPABILITIES)


def _limit(used: _Memory, memory_bytes: int, cpu_seconds: int) -> None:
    """Set limits, each at most the limit of the process itself.

    The C library reserves address space for threads that a fork does not have, and could use it
    without a new reservation, so writable memory is limited, too.
    """
    cpu = _at_most_given(resource.RLIMIT_CPU, cpu_seconds + 5)
    # The kernel sends SIGKILL at the hard limit. The soft one comes first: its signal is a reason.
    resource.setrlimit(resource.RLIMIT_CPU, (max(1, min(cpu_seconds, cpu - 1)), cpu))
    for what, value in {
        resource.RLIMIT_AS: used.total + memory_bytes,
        resource.RLIMIT_DATA: used.writable + memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }.items():
        allowed = _at_most_given(what, value)
        resource.setrlimit(what, (allowed, allowed))
    LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # core dumps that are piped to a program have no limit


def _at_most_given(what: int, value: int) -> int:
    hard = resource.getrlimit(what)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
