"""Linux system calls that the standard library lacks, and the numbers of those that a filter needs.

Numbers: the kernel's `syscall_64.tbl` (x86_64) and `include/uapi/asm-generic/unistd.h` (aarch64).
"""

import ctypes
import os
import platform
from typing import NamedTuple

LIBC = ctypes.CDLL(None, use_errno=True)


class Architecture(NamedTuple):
    """Processor data for a filter: the audit number and the system calls by name."""

    audit: int
    numbers: dict[str, int]


# fmt: off
_X86_64 = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7,
    "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20,
    "access": 21, "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32,
    "nanosleep": 35, "getpid": 39, "recvmsg": 47, "exit": 60, "kill": 62, "uname": 63, "fcntl": 72,
    "readlink": 89, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99,
    "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
    "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204,
    "restart_syscall": 219, "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "openat": 257, "newfstatat": 262,
    "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273,
    "preadv": 295, "prlimit64": 302, "getcpu": 309, "getrandom": 318, "membarrier": 324,
    "statx": 332, "rseq": 334, "clone3": 435, "openat2": 437, "faccessat2": 439,
}
_AARCH64 = {
    "dup": 23, "fcntl": 25, "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57, "lseek": 62,
    "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "preadv": 69, "pselect6": 72,
    "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94,
    "futex": 98, "set_robust_list": 99, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114,
    "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128,
    "kill": 129, "tgkill": 131, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "times": 153, "uname": 160, "getrlimit": 163, "getrusage": 165,
    "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174,
    "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179, "recvmsg": 212,
    "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "fadvise64": 223, "mprotect": 226,
    "madvise": 233, "prlimit64": 261, "getrandom": 278, "membarrier": 283, "statx": 291,
    "rseq": 293, "clone3": 435, "openat2": 437, "faccessat2": 439,
}
# fmt: on

ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, _X86_64),
    "aarch64": Architecture(0xC00000B7, _AARCH64),
}


def this_architecture() -> Architecture | None:
    """Return the architecture of this process, or None if its system calls are not listed."""
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    return ARCHITECTURES.get(platform.machine())


def check(result: int, what: str) -> int:
    """Return the result of a call into libc.

    Raises:
        OSError: It is negative: the call failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(number: int, what: str, *arguments: object) -> int:
    """Make a system call by its number.

    Raises:
        OSError: It failed.
    """
    return check(LIBC.syscall(ctypes.c_long(number), *arguments), what)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _LARGEST_KEPT = 256 * 2**20, 32 * 2**20


def keep_freed_memory() -> None:
    """Let the C library reuse freed memory instead of returning it to the kernel.

    Decoding allocates and frees pictures at the end of the heap, and mapping their pages again for
    each picture is slow. This only affects glibc.
    """
    mallopt = getattr(LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)


def release_thread_stacks() -> None:
    """Unmap the stacks of threads that a forked process does not have.

    The C library keeps them for new threads, and unmaps all but a few when a thread ends. If that
    happened after a limit on memory was computed, as much could be allocated in their place.
    """
    thread = ctypes.c_ulong()
    start = ctypes.cast(LIBC.getpid, ctypes.c_void_p)  # does nothing, and needs no Python
    if LIBC.pthread_create(ctypes.byref(thread), None, start, None) == 0:
        LIBC.pthread_join(thread, None)
