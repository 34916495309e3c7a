"""The command line of `footage store`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional

from footage.cli import output, parsing
from footage.cli.following import log_next
from footage.cli.options import optional, required


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run_one_of("footage store", words, {"verify": _verify})


def _verify(
    store: Annotated[str, Positional, required("STORE", "Frame store to verify.")],
    *,
    repair: Annotated[
        tuple[str, ...] | None,
        optional(
            "[PATH ...]",
            "Also restore damaged files. The videos of damaged frames are searched for in these"
            " files, folders or URLs and ingested again. Without a path, restore only files that"
            " need no video.",
        ),
    ] = None,
) -> None:
    """Read every byte of a frame store and compare it with what was written."""
    from footage.commands.store import require_sound, verify

    report = verify(store, repair)
    output.show(report)
    require_sound(report)
    log_next("train", "vivi-ex4-tiny", "--store", store, "--out", "runs/first")
