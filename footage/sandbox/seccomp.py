"""seccomp: the kernel refuses all system calls except those that computing and reading need.

The program is classic BPF over `struct seccomp_data` (number, architecture, arguments). A refused
call returns an error instead of killing, because libraries try optional calls.
Source: the kernel's `Documentation/userspace-api/seccomp_filter.rst`.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import struct
from collections.abc import Sequence
from typing import NamedTuple

from footage.sandbox.system_calls import LIBC, Architecture, check, this_architecture

# fmt: off
ALLOWED = (
    # memory
    "brk", "munmap", "mremap", "madvise",
    # descriptors that are open already
    "read", "readv", "pread64", "preadv", "recvmsg", "write", "writev", "lseek", "fstat", "close",
    "dup", "poll", "ppoll", "select", "pselect6", "fadvise64",
    # time
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    # itself
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrlimit",
    "getrusage", "times", "getcpu", "sched_getaffinity", "sched_yield", "uname", "sysinfo",
    "getrandom", "futex", "set_robust_list", "rseq", "membarrier", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group",
)
_ERRORS = {
    "clone3": errno.ENOSYS, "statx": errno.ENOSYS, "openat2": errno.ENOSYS,
    "faccessat2": errno.ENOSYS, "ioctl": errno.ENOTTY,
    **dict.fromkeys(
        ["open", "openat", "stat", "lstat", "newfstatat", "access", "faccessat", "readlink",
         "readlinkat"],
        errno.EACCES,
    ),
}
"""Errors of refused calls other than EPERM: those that callers expect and can handle."""
# fmt: on

_AT_EMPTY_PATH = 0x1000
_X32 = 0x40000000
_PR_SET_SECCOMP, _FILTER_MODE = 22, 2
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST = 0x15, 0x35


class _Condition(NamedTuple):
    """A condition on an argument: its lower word, after a mask, is one of some values."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    is_upper: bool = False


def conditions() -> dict[str, tuple[_Condition, ...]]:
    """Return the conditions on arguments of calls, so that none can affect other processes."""
    own_process = _Condition(0, (os.getpid(),))
    abort = signal.SIGABRT  # SIGKILL would look as if it came from outside
    not_executable = _Condition(2, (0,), mask=mmap.PROT_EXEC)
    plain = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL)
    return {
        "kill": (own_process, _Condition(1, (abort,))),
        "tgkill": (own_process, _Condition(2, (abort,))),
        "mmap": (not_executable,),
        "mprotect": (not_executable,),
        "fcntl": (_Condition(1, plain),),
        "newfstatat": (_Condition(3, (_AT_EMPTY_PATH,), mask=_AT_EMPTY_PATH),),
        "prlimit64": (
            _Condition(0, (0,)),
            _Condition(2, (0,)),  # the new limits: none, so it only reads the old ones
            _Condition(2, (0,), is_upper=True),
        ),
    }


def program(architecture: Architecture) -> list[tuple[int, int, int, int]]:
    """Build the filter program: instructions as code, jump if true, jump if false, operand."""
    numbers = architecture.numbers
    code = [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for name in ALLOWED:
        if name in numbers:
            code += [(_IF_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _ALLOW)]
    for name, needed in conditions().items():
        code += _if_number(numbers[name], _checked(needed, _ERRORS.get(name, errno.EPERM)))
    for name, error in _ERRORS.items():
        if name in numbers:
            code += _if_number(numbers[name], [(_RETURN, 0, 0, _ERRNO | error)])
    return [*code, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]


def _if_number(
    number: int, block: list[tuple[int, int, int, int]]
) -> list[tuple[int, int, int, int]]:
    return [(_IF_EQUAL, 0, len(block), number), *block]


def _checked(needed: Sequence[_Condition], error: int) -> list[tuple[int, int, int, int]]:
    """Build instructions that allow the call if all conditions hold; they always return."""
    block: list[tuple[int, int, int, int]] = []
    for condition in needed:
        refuse = (_RETURN, 0, 0, _ERRNO | error)
        block += [
            (_LOAD, 0, 0, 16 + 8 * condition.argument + 4 * condition.is_upper),
            (_AND, 0, 0, condition.mask),
        ]
        for left, value in zip(range(len(condition.values), 0, -1), condition.values, strict=True):
            block.append((_IF_EQUAL, left, 0, value))
        block.append(refuse)
    return [*block, (_RETURN, 0, 0, _ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def restrict() -> None:
    """Apply the filter to this thread, permanently. Needs `no_new_privs`.

    Raises:
        OSError: seccomp is not available, or the processor is not supported here.
    """
    architecture = this_architecture()
    if architecture is None:
        raise OSError(errno.ENOSYS, "seccomp: no filter for this processor")
    code = program(architecture)
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    filter_ = _Program(len(code), packed)
    null = ctypes.c_ulong(0)
    result = LIBC.prctl(
        _PR_SET_SECCOMP, ctypes.c_ulong(_FILTER_MODE), ctypes.byref(filter_), null, null
    )
    check(result, "seccomp")
