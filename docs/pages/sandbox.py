"""docs/background/sandbox.md: what hostile code in a decoder cannot do."""

from footage.sandbox.layers import EMPTY_ROOT, LANDLOCK, NAMESPACES, RESOURCE_LIMITS, SECCOMP
from tests.sandbox.attacks import ATTACKS, Attack

LAYERS = (
    ("no new privileges", "the process cannot gain privileges", "Linux 3.5"),
    (
        NAMESPACES,
        "no network, no shared memory, no rights over other processes",
        "user namespaces, or root",
    ),
    (EMPTY_ROOT, "the file system consists of one empty, read-only folder", NAMESPACES),
    (
        LANDLOCK,
        "no file can be opened, created, renamed or removed; no TCP; no signals to others",
        "Linux 5.13; without gaps since 6.12 (version 6)",
    ),
    ("no capabilities", "a root process has no privileges", ""),
    (RESOURCE_LIMITS, "memory, CPU time, file size 0, no core dump, 64 descriptors", ""),
    (
        SECCOMP,
        "all system calls are refused except those for computing and for open descriptors",
        "x86_64 or aarch64",
    ),
)
COLUMNS = (LANDLOCK, SECCOMP, NAMESPACES, EMPTY_ROOT, RESOURCE_LIMITS)
HEAD = """# Sandbox

Generated from `tests/sandbox/attacks.py` by `python -m docs.generate`; a test keeps it up to
date.

Videos and images come from untrusted sources, and decoders have memory errors. `footage` decodes
each untrusted file in a process that can only compute, read that one file and answer its parent.
The parent validates every answer and enforces limits on time and memory.

## Layers

"""
_AFTER_LAYERS = """
The environment is wiped, and all descriptors are closed except for the input and the connection to
the parent. The process dies with its parent.

One process decodes up to 16 videos of an ingest, or 500 images, one after another. It is replaced
after any fault, and after a video with decode errors. A video that fails in a process that has
decoded others is retried in a new one, and only that result counts. A file that compromises a
process without causing an error can read the later files of this process and falsify their stored
frames, but nothing else.

Every command that decodes untrusted files reports once which layers are active, with the version
of Landlock, and which are missing, with the reason: `ingest` in its summary, the others in their
log. seccomp blocks what an older Landlock does not (truncation before version 3, TCP before 4,
signals before 6). `--require-sandbox`, after any command, stops with an error unless all layers
are active. `FOOTAGE_REQUIRE_SANDBOX=1` in the environment does the same, also for Python functions.

## Attacks

Tests attempt every action below from inside the process: without any layer, where it must work;
with each marked layer alone, where it must fail; and with all layers. An empty cell means that the
layer is not relied on. Actions without a mark always fail, because of the way the process is
started.

"""
TAIL = """
## What remains possible

- Use memory and CPU time up to the limits, see the clock, random numbers and the kernel version.
- Where namespaces are not available: find out whether a path exists, its size and its times.
- Read what the parent had in memory when the process was started. Videos are decoded in a fork of
  an ingest worker, which has no environment variables that could be credentials, unless the
  ingest fetches from URLs. Images are decoded in a fresh process.
- Claim that a module is missing: nothing is recorded for that video, `footage ingest` continues and
  ends with exit code 75, and `footage embed` stops with that exit code.
- Send wrong pixels for its own input. Up to 7,000 images share one process, so a hostile image
  could falsify the pixels of others.
"""


def page() -> str:
    """Render the page."""
    kinds = dict.fromkeys(attack.kind for attack in ATTACKS)
    head = "| action | " + " | ".join(COLUMNS) + " |\n|" + " --- |" * (len(COLUMNS) + 1) + "\n"
    tables = [
        f"### {kind}\n\n{head}" + "".join(_row(one) for one in ATTACKS if one.kind == kind)
        for kind in kinds
    ]
    layers = "| layer | what it does | needs |\n| --- | --- | --- |\n" + "".join(
        f"| {' | '.join(layer)} |\n" for layer in LAYERS
    )
    return HEAD + layers + _AFTER_LAYERS + "\n".join(tables) + TAIL


def _row(attack: Attack) -> str:
    cells = ["yes" if layer in attack.stopped_by else "" for layer in COLUMNS]
    return f"| {attack.name} | " + " | ".join(cells) + " |\n"
