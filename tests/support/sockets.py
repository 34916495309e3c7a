"""Which network sockets a process and its descendants open, read from /proc while they run."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

LISTENING = "0A"
"""State of a TCP socket in /proc/net/tcp."""


class Opened(NamedTuple):
    """A socket that others could connect or send to."""

    protocol: str
    address: str
    """Hexadecimal, as in /proc/net: `0100007F:1F90` is 127.0.0.1, port 8080."""
    command: str


def descendants(pid: int) -> list[int]:
    """A process, its children, their children and so on."""
    found = [pid]
    for one in found:
        for listed in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, listed.read_text().split())
            except OSError:
                continue
    return found


def open_sockets(pid: int) -> set[Opened]:
    """Listening TCP sockets and bound UDP sockets of one process."""
    root = Path(f"/proc/{pid}")
    try:
        links = [os.readlink(link) for link in (root / "fd").iterdir()]
        command = (root / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
        own = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
        if not own:
            return set()
        lines = [
            (protocol, line.split())
            for protocol in ("tcp", "tcp6", "udp", "udp6")
            for line in (root / "net" / protocol).read_text().splitlines()[1:]
        ]
    except OSError:  # it ended in the meantime
        return set()
    return {
        Opened(protocol, fields[1], command)
        for protocol, fields in lines
        if fields[9] in own and (fields[3] == LISTENING or protocol.startswith("udp"))
    }


def watched(words: list[str], **options: object) -> set[Opened]:
    """Run a command to its end; return the sockets that were ever seen open."""
    opened: set[Opened] = set()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log, **options)
        while process.poll() is None:
            for pid in descendants(process.pid):
                opened |= open_sockets(pid)
            time.sleep(0.01)
        log.seek(0)
        assert process.returncode == 0, log.read()
    return opened
