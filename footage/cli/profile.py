"""The command line of `footage profile`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import is_run, log_next
from footage.cli.options import SOME, Flag, optional, required
from footage.invariance.config import ProfileConfig

DEPRECATED = {"--labelled": "--labels", "--protocol": "--protocols"}


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_profile, words, "footage profile", deprecated=DEPRECATED)


def _profile(
    models: Annotated[
        tuple[str, ...],
        Positional,
        SOME,
        required("MODEL [MODEL ...]", "Runs, exported files or folders, or timm model names."),
    ],
    *,
    out: Annotated[str, required("FOLDER", "Folder for profile.json and profile.svg.")],
    store: Annotated[
        str, optional("STORE", "Frame store, to measure invariance to views, shots and videos.")
    ] = "",
    videos: Annotated[
        str,
        optional("DIR", "Labelled videos as CLASS/VIDEO/000123.jpg, plus an optional anchors.txt."),
    ] = "",
    labels: Annotated[
        str, optional("DIR", "Labelled images of the same classes, to fit the classifier.")
    ] = "",
    overwrite: Annotated[
        Flag, arg(help="Replace an existing profile in --out.", help_behavior_hint="")
    ] = False,
    config: Annotated[ProfileConfig, arg(name="")] = ProfileConfig(),  # noqa: B008 (frozen)
) -> None:
    """Measure what features are invariant to.

    Compare models within videos, under single-factor changes, and over time.
    """
    from footage.commands.profile import profile

    found = profile(
        models,
        out=out,
        store=store,
        videos=videos,
        labels=labels,
        config=config,
        overwrite=overwrite,
    )
    output.show(found)
    runs = [model for model in models if is_run(model)]
    if runs:
        log_next("report", *runs, out, "--out", "report.html")
