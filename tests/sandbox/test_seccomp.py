"""The filter of system calls, below what the standard library reaches."""

import ctypes
import errno
import mmap
import os
import platform
import signal

import pytest

from footage.errors import ConfinedError
from footage.sandbox import seccomp
from footage.sandbox.child import run_confined
from footage.sandbox.layers import LAYERS, NO_NEW_PRIVILEGES, SECCOMP
from footage.sandbox.system_calls import this_architecture
from tests.sandbox.test_layers import confinement, sandbox_of

pytestmark = pytest.mark.skipif(
    SECCOMP in sandbox_of(LAYERS).missing, reason="this machine has no seccomp"
)
PROBES = {335, 336} if platform.machine() == "x86_64" else set()
"""uretprobe and uprobe: the kernel lets them pass every filter, and refuses them itself."""


def test_no_other_system_call_reaches_the_kernel():
    """All system call numbers except the allowed ones, with arguments that no call accepts."""
    architecture = this_architecture()
    conditional = {architecture.numbers[name] for name in seccomp.conditions()}
    allowed = {architecture.numbers.get(name) for name in seccomp.ALLOWED} | conditional
    others = set(range(500)) - allowed - PROBES
    errors = {}

    def work(send):
        libc = ctypes.CDLL(None, use_errno=True)
        for number in others:
            result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
            send(b"N", f"{number} {result} {ctypes.get_errno()}".encode())

    def on_message(kind, content):
        number, result, error = map(int, content.split())
        errors[number] = errno.errorcode[error] if result == -1 else "worked"

    run_confined(work, on_message, confinement((NO_NEW_PRIVILEGES, SECCOMP)))
    assert set(errors) == others
    assert set(errors.values()) <= {"EPERM", "EACCES", "ENOSYS", "ENOTTY"}
    names = {number: name for name, number in architecture.numbers.items()}
    refused = {names[number]: error for number, error in errors.items() if number in names}
    assert refused["openat"] == "EACCES"
    assert refused["ioctl"] == "ENOTTY"
    assert refused["clone3"] == "ENOSYS"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 only")
@pytest.mark.parametrize(
    "code",
    [
        b"\xb8\x14\x00\x00\x00\xcd\x80\xc3",  # mov eax, 20; int 0x80; ret: 32-bit getpid
        b"\xb8\x27\x00\x00\x40\x0f\x05\xc3",  # mov eax, x32 + 39; syscall; ret
    ],
    ids=["32-bit", "x32"],
)
def test_system_calls_of_other_processors_kill(code):
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    function = ctypes.CFUNCTYPE(ctypes.c_long)(address)
    with pytest.raises(ConfinedError, match="SIGSYS"):
        run_confined(lambda _: function(), print, confinement())


def test_abort_and_nothing_else_may_be_signalled():
    """A process that kills itself must not look as if it had been killed from outside."""
    with pytest.raises(ConfinedError, match="PermissionError"):
        run_confined(lambda _: os.kill(os.getpid(), signal.SIGKILL), print, confinement())
    with pytest.raises(ConfinedError, match="SIGABRT"):
        run_confined(lambda _: os.abort(), print, confinement())
