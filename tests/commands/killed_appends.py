"""Append in child processes, each killed at one moment; run by test_embed_append.py.

Usage: python killed_appends.py JSON, with the paths of outputs, the moment of each, and the inputs.
"""

import json
import os
import signal
import sys
from pathlib import Path

import footage.commands.embed  # once, with torch, instead of in each child
from footage.embedding.formats import lance
from footage.io import files


def die(*_values, **_options):
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(moment, out):
    """Kill this process at a given moment."""
    replace, remove, batches = os.replace, files.remove, lance.batches_of

    def replaced(source, target):
        if Path(target).parent == out.parent and Path(target).name == moment:
            die()
        replace(source, target)

    def removed(path):
        if moment == "end" and path.name.endswith(".parts"):
            die()
        remove(path)

    def half(groups):
        yield from batches(groups)
        if moment == "commit":
            die()

    os.replace, files.remove, lance.batches_of = replaced, removed, half


def main():
    given = json.loads(sys.argv[1])
    for out, moment in given["moments"]:
        child = os.fork()
        if not child:
            die_before(moment, Path(out))
            footage.embed("test_resnet", given["inputs"], out=out, size=32, append=True)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print(out, moment, os.waitstatus_to_exitcode(status))


main()
