"""Attacks by hostile code inside a decoder, and the layers that must stop each one.

`docs/background/sandbox.md` shows this list; `test_layers.py` attempts every entry: without any
layer, where it must work, with each layer that the entry names alone, and with all of them.
"""

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from footage.sandbox.layers import EMPTY_ROOT, LANDLOCK, NAMESPACES, RESOURCE_LIMITS, SECCOMP

LIBC = ctypes.CDLL(None, use_errno=True)
IS_X86 = platform.machine() == "x86_64"
PATHS = (LANDLOCK, EMPTY_ROOT, SECCOMP)
CANARY = "canary-of-the-environment"
PRIORITY = os.getpriority(os.PRIO_PROCESS, 0)
"""Priority of the parent, so that the attack changes nothing for later tests."""


class Target(NamedTuple):
    """The targets of the attacks: a folder, sockets and the parent process."""

    folder: Path
    parent: int
    port: int
    abstract: str
    input: int
    """Descriptor of the input file, read-only."""
    environment: tuple[int, int]
    """Where the environment of the process begins in memory, and its length."""


class Attack(NamedTuple):
    """One attempt; the function raises OSError or MemoryError if it is refused."""

    kind: str
    name: str
    stopped_by: tuple[str, ...]
    attempt: Callable[[Target], object]


def _call(x86_64: int, aarch64: int, *arguments: object) -> int:
    result = LIBC.syscall(ctypes.c_long(x86_64 if IS_X86 else aarch64), *arguments)
    return _checked(int(result))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _exit_at_once(process: int) -> None:
    """After a fork that worked: end the new process, and wait for it in the old one."""
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)


def _fork(target: Target) -> None:
    _exit_at_once(os.fork())


def _daemon(target: Target) -> None:
    process = os.fork()
    if process == 0:
        os.setsid()
    _exit_at_once(process)


def _execute(target: Target) -> None:
    """The program need not start: a refusal of the call is told from a file without a format."""
    try:
        os.execv(target.folder / "program", ["program"])
    except OSError as error:
        if error.strerror != "Exec format error":
            raise


def _thread(target: Target) -> None:
    try:
        thread = threading.Thread(target=int)
        thread.start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    thread.join()


def _overwrite_through_mmap(target: Target) -> None:
    with mmap.mmap(target.input, 4, mmap.MAP_SHARED, mmap.PROT_WRITE) as memory:
        memory[:4] = b"evil"


def _executable_memory(target: Target) -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def _connect(family: int, kind: int, address: object) -> None:
    with socket.socket(family, kind) as connection:
        connection.connect(address)
        connection.send(b"stolen")


def _tcp(target: Target) -> None:
    _connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", target.port))


def _udp(target: Target) -> None:
    _connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", target.port))


def _unix(target: Target) -> None:
    _connect(socket.AF_UNIX, socket.SOCK_STREAM, str(target.folder / "socket"))


def _abstract(target: Target) -> None:
    _connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + target.abstract)


def _listen(target: Target) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))


def _netlink(target: Target) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def _signals_by_descriptor(target: Target) -> None:
    fcntl.fcntl(target.input, fcntl.F_SETOWN, target.parent)


def _read_memory(target: Target) -> None:
    """One byte of the parent's memory, at an address that a forked child knows."""
    here, there = ctypes.create_string_buffer(1), ctypes.create_string_buffer(b"x")
    local = (ctypes.c_void_p * 2)(ctypes.addressof(here), 1)
    remote = (ctypes.c_void_p * 2)(ctypes.addressof(there), 1)
    _checked(
        LIBC.process_vm_readv(
            target.parent, local, ctypes.c_ulong(1), remote, ctypes.c_ulong(1), ctypes.c_ulong(0)
        )
    )


def _trace(target: Target) -> None:
    seize, detach = 0x4206, 17
    null = ctypes.c_void_p(0)
    _checked(LIBC.ptrace(ctypes.c_long(seize), target.parent, null, null))
    LIBC.ptrace(ctypes.c_long(detach), target.parent, null, null)


def _steal_descriptor(target: Target) -> None:
    process = os.pidfd_open(target.parent)
    _call(438, 438, process, target.input, 0)


def _io_uring(target: Target) -> None:
    os.close(_call(425, 425, 1, ctypes.create_string_buffer(128)))


def _shared_memory(target: Target) -> None:
    identifier = _checked(LIBC.shmget(0, ctypes.c_size_t(4096), 0o1600))
    LIBC.shmctl(identifier, 0, None)


def _own_user_namespace(target: Target) -> None:
    _checked(LIBC.unshare(0x10000000))


def _set_limits(target: Target) -> None:
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)


def _set_limits_of_parent(target: Target) -> None:
    limits = resource.prlimit(target.parent, resource.RLIMIT_MEMLOCK)
    resource.prlimit(target.parent, resource.RLIMIT_MEMLOCK, limits)


def _outlive(target: Target) -> None:
    _checked(LIBC.prctl(1, 0, 0, 0, 0))


def _read_environment(target: Target) -> None:
    if CANARY in os.environ:
        return
    if CANARY.encode() in ctypes.string_at(*target.environment):
        return
    raise PermissionError("it has been wiped")


def _take_memory(target: Target) -> None:
    mmap.mmap(-1, 2**29)  # bytearray would find as much in the heap of a long test run


def _empty_path_stat(target: Target) -> None:
    empty_path, here = 0x1000, -100
    path = os.fsencode(target.folder / "secret")
    buffer = ctypes.create_string_buffer(256)
    _call(262, 79, here, path, buffer, empty_path)


# fmt: off
ATTACKS = (
    Attack("Files", "read a file", PATHS, lambda at: (at.folder / "secret").read_text()),
    Attack("Files", "list a folder", PATHS, lambda at: os.listdir(at.folder)),
    Attack("Files", "read the metadata of a path", (EMPTY_ROOT,), _empty_path_stat),
    Attack("Files", "create an empty file", PATHS, lambda at: (at.folder / "new").touch()),
    Attack("Files", "open a file for writing", PATHS, lambda at: (at.folder / "a").open("r+")),
    Attack("Files", "truncate a file", PATHS, lambda at: os.truncate(at.folder / "b", 0)),
    Attack("Files", "delete a file", PATHS, lambda at: (at.folder / "c").unlink()),
    Attack("Files", "rename a file", PATHS, lambda at: (at.folder / "d").rename(at.folder / "e")),
    Attack("Files", "link to a file", PATHS, lambda at: os.link(at.folder / "f", at.folder / "g")),
    Attack("Files", "create a symbolic link", PATHS,
           lambda at: (at.folder / "link").symlink_to("/etc/passwd")),
    Attack("Files", "create a folder", PATHS, lambda at: (at.folder / "folder").mkdir()),
    Attack("Files", "delete a folder", PATHS, lambda at: (at.folder / "empty").rmdir()),
    Attack("Files", "create a named pipe", PATHS, lambda at: os.mkfifo(at.folder / "pipe")),
    Attack("Files", "change the mode of a file", (EMPTY_ROOT, SECCOMP),
           lambda at: (at.folder / "h").chmod(0o777)),
    Attack("Files", "change the times of a file", (EMPTY_ROOT, SECCOMP),
           lambda at: os.utime(at.folder / "i", (0, 0))),
    Attack("Files", "change the mode of the input", (SECCOMP,),
           lambda at: os.fchmod(at.input, 0o777)),
    Attack("Files", "lock the input for others", (SECCOMP,),
           lambda at: fcntl.flock(at.input, fcntl.LOCK_EX | fcntl.LOCK_NB)),
    Attack("Files", "open the input again for writing", PATHS,
           lambda at: os.close(os.open(f"/proc/self/fd/{at.input}", os.O_WRONLY))),
    Attack("Files", "open a descriptor of the parent", PATHS,
           lambda at: os.close(os.open(f"/proc/{at.parent}/fd/{at.input}", os.O_RDONLY))),
    Attack("Files", "hide a file in memory (memfd_create)", (SECCOMP,),
           lambda _: os.close(os.memfd_create("hidden"))),
    Attack("Network", "connect over TCP", (NAMESPACES, LANDLOCK, SECCOMP), _tcp),
    Attack("Network", "send over UDP", (NAMESPACES, SECCOMP), _udp),
    Attack("Network", "connect to a Unix socket", (EMPTY_ROOT, SECCOMP), _unix),
    Attack("Network", "connect to an abstract Unix socket", (NAMESPACES, LANDLOCK, SECCOMP),
           _abstract),
    Attack("Network", "listen on a port", (LANDLOCK, SECCOMP), _listen),
    Attack("Network", "talk to the kernel over netlink", (SECCOMP,), _netlink),
    Attack("Processes", "signal the parent", (LANDLOCK, SECCOMP),
           lambda at: os.kill(at.parent, signal.SIGURG)),
    Attack("Processes", "signal the parent through a descriptor", (SECCOMP,),
           _signals_by_descriptor),
    Attack("Processes", "fork", (SECCOMP,), _fork),
    Attack("Processes", "leave a daemon behind", (SECCOMP,), _daemon),
    Attack("Processes", "outlive the parent", (SECCOMP,), _outlive),
    Attack("Processes", "start a thread", (SECCOMP,), _thread),
    Attack("Processes", "start a session", (SECCOMP,), lambda _: os.setsid()),
    Attack("Processes", "execute a program", PATHS, _execute),
    Attack("Processes", "trace the parent", (NAMESPACES, LANDLOCK, SECCOMP), _trace),
    Attack("Processes", "read the memory of the parent", (NAMESPACES, LANDLOCK, SECCOMP),
           _read_memory),
    Attack("Processes", "take a descriptor of the parent", (NAMESPACES, LANDLOCK, SECCOMP),
           _steal_descriptor),
    Attack("Processes", "change the priority of the parent", (SECCOMP,),
           lambda at: os.setpriority(os.PRIO_PROCESS, at.parent, PRIORITY)),
    Attack("Processes", "move the parent to another core", (SECCOMP,),
           lambda at: os.sched_setaffinity(at.parent, os.sched_getaffinity(0))),
    Attack("Processes", "change its own limits", (SECCOMP,), _set_limits),
    Attack("Processes", "change the limits of the parent", (SECCOMP,), _set_limits_of_parent),
    Attack("Kernel", "create a user namespace", (SECCOMP,), _own_user_namespace),
    Attack("Kernel", "use io_uring", (SECCOMP,), _io_uring),
    Attack("Kernel", "use bpf", (SECCOMP,),
           lambda _: os.close(_call(321, 280, 0, ctypes.create_string_buffer(
               b"\x02\0\0\0\x04\0\0\0\x04\0\0\0\x01" + bytes(51)), 64))),
    Attack("Kernel", "use the keyring", (SECCOMP,), lambda _: _call(250, 219, 0, -3, 1)),
    Attack("Kernel", "use userfaultfd", (SECCOMP,), lambda _: os.close(_call(323, 282, 1))),
    Attack("Kernel", "watch files (inotify)", (SECCOMP,),
           lambda _: os.close(_checked(LIBC.inotify_init()))),
    Attack("Kernel", "share memory (System V)", (SECCOMP,), _shared_memory),
    Attack("Kernel", "change the personality", (SECCOMP,),
           lambda _: _checked(LIBC.personality(ctypes.c_ulong(0x0040000)))),
    Attack("Itself", "take more memory than allowed", (RESOURCE_LIMITS,), _take_memory),
    Attack("Itself", "map executable memory", (SECCOMP,), _executable_memory),
    Attack("Itself", "overwrite the input through mmap", (), _overwrite_through_mmap),
    Attack("Itself", "read the environment", (), _read_environment),
)
"""Where no layer is named the attempt is refused always: the input is open for reading only, and
the environment is wiped."""
# fmt: on
