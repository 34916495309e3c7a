"""The command line of `footage mix`."""

import logging
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_next
from footage.cli.options import optional, required
from footage.io.copies import with_urls

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_mix, words, "footage mix")


def _mix(
    run: Annotated[
        str, Positional, required("RUN", "Run that started from existing weights (--init).")
    ],
    *,
    labels: Annotated[
        str,
        optional(
            "DIR",
            "Labelled images; the coefficient is chosen on their validation part. Default: it is"
            " chosen by retrieval in the videos that the run held out.",
        ),
    ] = "",
    out: Annotated[
        str,
        optional("FILE", "Safetensors file to write. Default: inside RUN/exports."),
    ] = "",
    seed: Annotated[
        int, arg(metavar="SEED", help="Seed of the split of the labels, as for evaluate.")
    ] = 0,
) -> None:
    """Average a run's weights with those that it started from (WiSE-FT).

    The mixing coefficient is chosen on validation data, never on test images.
    """
    from footage.commands.mix import mix

    result = mix(run, labels=labels, out=out, seed=seed)
    for coefficient, score in result.scores.items():
        chosen = "  chosen" * (coefficient == result.coefficient)
        log.info("coefficient %.2f  %s %.3f%s", coefficient, result.measure, score, chosen)
    output.show(result)
    if labels:
        log_next("evaluate", with_urls(str(result.path)), "--labels", labels)
