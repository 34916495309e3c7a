"""Functions that the confined worker of the tests can run."""

import ctypes
import os
import time

from footage.errors import FootageError

CALLS = []


def obey(request: bytes, files: list[int]) -> bytes:
    """Run the function that the request names."""
    CALLS.append(request)
    name, _, argument = request.decode().partition(" ")
    return ACTIONS[name](argument, files)


def _reverse(argument, files):
    return argument[::-1].encode()


def _read(argument, files):
    return b"|".join(os.pread(file, 2**20, 0) for file in files)


def _count(argument, files):
    return str(len(CALLS)).encode()


def _zeros(argument, files):
    return bytes(int(argument))


def _fail(argument, files):
    raise FootageError(argument)


def _crash(argument, files):
    return ctypes.string_at(0)


def _sleep(argument, files):
    time.sleep(float(argument))
    return b""


def _burn(argument, files):
    while True:
        pass


def _allocate(argument, files):
    return str(len(bytearray(int(argument)))).encode()


def _open(argument, files):
    with open(argument, "rb") as file:
        return file.read()


def _environment(argument, files):
    return ",".join(os.environ).encode()


def _descriptors(argument, files):
    found = []
    for number in range(64):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return ",".join(map(str, found)).encode()


ACTIONS = {
    "reverse": _reverse,
    "read": _read,
    "count": _count,
    "zeros": _zeros,
    "fail": _fail,
    "crash": _crash,
    "sleep": _sleep,
    "burn": _burn,
    "allocate": _allocate,
    "open": _open,
    "environment": _environment,
    "descriptors": _descriptors,
}
