"""Limits of this process that decoding can reach, and how to detect that memory ran out."""

import resource
from pathlib import Path

LOW = {
    "RLIMIT_CPU": (resource.RLIMIT_CPU, None, "s"),
    "RLIMIT_AS": (resource.RLIMIT_AS, None, "bytes"),
    "RLIMIT_DATA": (resource.RLIMIT_DATA, None, "bytes"),
    "RLIMIT_NOFILE": (resource.RLIMIT_NOFILE, 256, "descriptors"),
    "RLIMIT_NPROC": (resource.RLIMIT_NPROC, 256, "processes"),
}
"""Limits, the value below which each may be too low (None: any), and its unit."""


def tight_limits() -> list[str]:
    """Describe the limits of this process that may be too low."""
    found = []
    for name, (what, enough, unit) in LOW.items():
        soft = resource.getrlimit(what)[0]
        if soft != resource.RLIM_INFINITY and (enough is None or soft < enough):
            found.append(f"{name} is {soft} {unit}")
    return found


def with_limits(message: str) -> str:
    """Add the limits that may be the reason to an error message."""
    limits = tight_limits()
    return f"{message} (limits of this process: {', '.join(limits)})" if limits else message


def lower_limits(cpu_seconds: int, memory_bytes: int) -> dict[str, str]:
    """Hard limits of this process that are lower than a confined child's own, as text.

    A child cannot have more than its parent: if such a limit was hit, the input is not to blame.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    needed = memory_bytes + pages * resource.getpagesize()
    wanted = {"RLIMIT_CPU": cpu_seconds, "RLIMIT_AS": needed, "RLIMIT_DATA": needed}
    found = {}
    for name, value in wanted.items():
        what, _, unit = LOW[name]
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY and hard < value:
            found[name] = (
                f"{name} is {hard} {unit}, below the {value} {unit} that one file may need"
            )
    return found


_OUT_OF_MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "can't allocate memory",
    "cuda out of memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, including when the dynamic linker found none for a library."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        # Torch reports a lack of memory as a RuntimeError.
        isinstance(error, ImportError | OSError | RuntimeError)
        and any(sign in words for sign in _OUT_OF_MEMORY)
    )
