"""The command line: parse, call a verb, print what it returns, choose the exit code.

Data goes to stdout, talk to stderr. Exit code 0: done; 1: the user can mend it (`error:`, `hint:`);
2: the command line itself is wrong. Only this module prints. Each verb imports what it needs when
it is called, so that `footage --help` answers at once.
"""

import difflib
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from tyro.conf import Positional, arg

from footage.errors import FootageError

USAGE = """\
footage: from a folder of raw videos to an image backbone, without labels

  footage ingest   PATHS... --out STORE              find, check, cut into shots, keep frames
  footage train    RECIPE --store STORE --out RUN    learn a backbone; again to go on
  footage evaluate MODEL --labelled FOLDER           kNN and linear probe, beside baselines
  footage embed    MODEL INPUTS... --out FILE        features of images and videos, as Parquet
  footage export   RUN --to timm --out FOLDER        weights for timm, or one safetensors file
  footage report   RUN... --out report.html          one page to look at, offline
  footage recipes                                    the recipes of `train`
  footage demo                                       all of it on a laptop in minutes

MODEL is a run, an exported file or folder, or a timm name.  footage VERB --help tells the options.
--debug, anywhere, shows where an error came from."""

Paths = Positional[tuple[str, ...]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line without the program's name; None takes the real one.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    verb = VERBS.get(words[0])
    if verb is None:
        near = difflib.get_close_matches(words[0], VERBS, n=1)
        return _refuse(
            f"there is no verb {words[0]!r}",
            f"did you mean {near[0]}?" if near else f"verbs: {', '.join(VERBS)}",
            code=2,
        )
    try:
        verb(words[1:])
    except FootageError as error:
        if debug:
            raise
        return _refuse(error.message, error.hint)
    except KeyboardInterrupt:
        return _refuse("interrupted", "run the same command again to go on", code=130)
    return 0


def _refuse(message: str, hint: str, code: int = 1) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return code


def _ingest(words: Sequence[str]) -> None:
    from footage.ingest import IngestConfig, ingest

    def command(
        paths: Paths, *, out: str, config: Annotated[IngestConfig, arg(name="")] = IngestConfig()
    ) -> None:
        """Videos into a store of frames; run it again to go on, or to add new videos.

        Args:
            paths: Files, folders (searched through) or fsspec URLs.
            out: The store to write.
            config: How to look at the videos.
        """
        print(ingest(paths, out, config).summary())

    tyro.cli(command, args=words, prog="footage ingest")


def _train(words: Sequence[str]) -> None:
    from footage import configuration, runs
    from footage.recipes import recipe
    from footage.train import TrainConfig, train

    if words and not words[0].startswith("-"):
        name, base, rest = words[0], recipe(words[0]), words[1:]
    elif words and words[0].startswith("--from"):
        source, rest = _value_of("--from", words)
        record = runs.read_record(Path(source))
        base = configuration.from_dict(TrainConfig, record["config"])
        name = record["recipe"]
        rest = rest if any(word.startswith("--store") for word in rest) else [
            *rest, "--store", record["store"]
        ]  # fmt: skip
    else:
        name, base, rest = "RECIPE", TrainConfig(), list(words) or ["--help"]
        if not set(rest) & {"-h", "--help"}:
            raise FootageError("train needs a recipe first", "see `footage recipes`")

    def command(
        *, store: str, out: str, config: Annotated[TrainConfig, arg(name="")] = base
    ) -> None:
        """Learn a backbone from a store; the same command again goes on where it stopped.

        `footage train --from RUN/run.json --out RUN` repeats a run, on the same store if none is
        given.

        Args:
            store: A frame store that `footage ingest` wrote.
            out: The run folder.
            config: Everything that decides what is learned.
        """
        print(train(config, store=store, out=out, recipe=name))

    tyro.cli(command, args=rest, prog=f"footage train {name}")


def _value_of(option: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """The value of the first word, `--option VALUE` or `--option=VALUE`, and the other words."""
    head, _, value = words[0].partition("=")
    if head != option or not (value or len(words) > 1):
        raise FootageError(f"{words[0]!r} needs a value", f"footage train {option} RUN/run.json")
    return (value, list(words[1:])) if value else (words[1], list(words[2:]))


def _recipes(words: Sequence[str]) -> None:
    from footage.recipes import RECIPES

    if words:
        raise FootageError(f"recipes takes no arguments, got {' '.join(words)!r}")
    for name, found in RECIPES.items():
        print(f"{name:16} {found.summary}")
