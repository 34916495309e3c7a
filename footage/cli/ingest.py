"""The command line of `footage ingest`."""

import logging
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_next
from footage.cli.options import SOME, Flag, required
from footage.errors import MachineError
from footage.ingestion.config import IngestConfig

log = logging.getLogger(__name__)

DEPRECATED = {"--max-quarantined-share": "--max-quarantined-fraction"}


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_ingest, words, "footage ingest", deprecated=DEPRECATED)


def _ingest(
    paths: Annotated[
        tuple[str, ...],
        Positional,
        SOME,
        required("PATH [PATH ...]", "Video files, folders (searched recursively), or fsspec URLs."),
    ],
    *,
    out: Annotated[str, required("STORE", "Folder or URL to write the frame store to.")],
    dry_run: Annotated[
        Flag,
        arg(
            help="Decode a sample of the videos and show time and disk; write nothing.",
            help_behavior_hint="",
        ),
    ] = False,
    config: Annotated[IngestConfig, arg(name="")] = IngestConfig(),  # noqa: B008 (frozen)
) -> None:
    """Decode videos into a frame store. Rerun to resume or to add new videos."""
    if dry_run:
        from footage.commands.ingest_dry_run import dry_run as measured

        output.show(measured(paths, out, config))
        return
    from footage.commands.ingest import ingest, ingest_shard
    from footage.ingestion.report import TooManyRejectedError, UnprocessedError
    from footage.io.arrow import leave_out_pandas

    leave_out_pandas()
    if config.shard:
        report = ingest_shard(paths, out, config)
        output.show(report)
        if report.failures:
            raise MachineError("some videos could not be processed", "rerun the shard to resume")
        log.info("next: rerun with --merge in place of --shard when all shards are done")
        return
    try:
        output.show(ingest(paths, out, config))
    except (TooManyRejectedError, UnprocessedError) as error:
        output.show(error.report)
        raise
    log_next("train", "vivi-ex4-tiny", "--store", out, "--out", "runs/first")
