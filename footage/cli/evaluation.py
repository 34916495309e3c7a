"""The command line's part that judges: `evaluate`, `profile` and `vtab`.

Like `footage.cli`, which hands the words on: it parses, calls a verb and prints what that returns.
"""

import importlib
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from rich.console import Console, RenderableType
from rich.segment import Segment, Segments
from tyro.conf import Positional, UseAppendAction, arg

from footage.cli import terminal
from footage.errors import FootageError, UsageError
from footage.suites.pocket import BUILD_HINT
from footage.text import printable

log = logging.getLogger(__name__)

PIPED_WIDTH = 160
"""Columns of a table that goes into a file or a pipe, so that nothing is cut off."""


def show(view: RenderableType) -> None:
    """Print a table, as wide as the terminal; names in it are text, not markup."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False)
    safe = [
        part if part.control else Segment(printable(part.text), part.style)
        for part in console.render(view)
    ]
    console.print(Segments(safe), end="")


def evaluate(words: Sequence[str]) -> None:
    """`footage evaluate`."""
    from footage.commands.evaluate import EvaluateConfig
    from footage.commands.evaluate import evaluate as judge
    from footage.evaluation.comparisons import table
    from footage.evaluation.suite_tables import suite_tables

    default = EvaluateConfig()

    def command(
        model: Positional[str],
        *,
        labelled: UseAppendAction[tuple[tuple[str, ...], ...]] = (),
        suite: str = "",
        data: str = "",
        out: str = "",
        overwrite: bool = False,
        config: Annotated[EvaluateConfig, arg(name="")] = default,
    ) -> None:
        """Evaluate a model on your own images, on held-out videos, or on a suite of tasks.

        `footage evaluate MODEL --suite vtab --data DIR` goes on when it is run again.

        Args:
            model: A run, an exported file or folder, or a timm name; on a suite also FILE.onnx, or
                pixels for the images themselves.
            labelled: Folders with one subfolder a class, or list files.
            suite: vtab, pocket, or folder for tasks that no table knows.
            data: The folder of the suite's tasks.
            out: Also write the results to this JSON file; of a suite, the folder for all results.
            overwrite: Evaluate again and replace the results in --out; not for suites.
            config: How to judge.
        """
        if suite and labelled:
            raise FootageError(
                "a suite cannot be combined with labelled images", "evaluate on each separately"
            )
        if suite:
            judged = judge(model, suite=suite, data=data, out=out, config=config)
            for view in suite_tables(judged.rows, judged.summaries):
                show(view)
            files = judged.files
        else:
            folders = [folder for given in labelled for folder in given]
            found = judge(model, labelled=folders, out=out, config=config, overwrite=overwrite)
            show(table(found.rows))
            files = found.files
        for path in files:
            print(path)

    # In a result row and in most sentences it is one.
    words = [re.sub(r"^--protocol(?=$|=)", "--protocols", word) for word in words]
    terminal.run(command, words, "footage evaluate")


def profile(words: Sequence[str]) -> None:
    """`footage profile`."""
    from footage.commands.profile import ProfileConfig
    from footage.commands.profile import profile as measure
    from footage.invariance.tables import tables

    default = ProfileConfig()

    def command(
        models: Positional[tuple[str, ...]],
        *,
        out: str,
        store: str = "",
        videos: str = "",
        labelled: str = "",
        overwrite: bool = False,
        config: Annotated[ProfileConfig, arg(name="")] = default,
    ) -> None:
        """What features became invariant to: in videos, under one factor at a time, over time.

        Args:
            models: Runs, exported files or folders, or timm names.
            out: The folder for profile.json and profile.svg.
            store: A frame store; views, shots and videos are compared in it.
            videos: Labelled videos as CLASS/VIDEO/000123.jpg, with an anchors.txt if there is one.
            labelled: Labelled images of the same classes, for the classifier.
            overwrite: Replace another profile in --out.
            config: How much is looked at.
        """
        found = measure(
            models,
            out=out,
            store=store,
            videos=videos,
            labelled=labelled,
            config=config,
            overwrite=overwrite,
        )
        for view in tables(found.models):
            show(view)
        for path in found.files:
            print(path)

    terminal.run(command, words, "footage profile")


def vtab(words: Sequence[str]) -> None:
    """`footage vtab`."""
    from footage.commands import vtab

    def doctor(folder: Positional[str]) -> None:
        """What a folder holds of VTAB-1k: counts, classes, parts, hashes, and what is missing.

        Args:
            folder: Holds caltech101/, cifar/ and so on, or is one of them.
        """
        findings = vtab.doctor(folder)
        show(vtab.table(findings))
        print(vtab.advice(findings))
        vtab.refuse_damage(findings)

    def export(
        *, out: str, tasks: UseAppendAction[tuple[tuple[str, ...], ...]] = (), data_dir: str = ""
    ) -> None:
        """The exact images of VTAB-1k out of TFDS; tasks that are there already are left alone.

        Args:
            out: The folder to write tasks into.
            tasks: Only these tasks.
            data_dir: Where TFDS keeps its data, if not in its own default.
        """
        names = [name for given in tasks for name in given]
        for path in vtab.export(out=out, tasks=names, data_dir=data_dir):
            print(path)

    def import_parquet(folder: Positional[str], *, task: str, out: str) -> None:
        """One task out of Parquet files of Hugging Face; its thousand images are other ones.

        Args:
            folder: Holds train-*.parquet, test-*.parquet and, if there is one, validation-*.
            task: The name of the task.
            out: The folder to write the task into.
        """
        print(vtab.imported(folder, task=task, out=out))

    one_of("vtab", words, {"doctor": doctor, "export": export, "import-parquet": import_parquet})


def pocket(words: Sequence[str]) -> None:
    """`footage pocket`, the old name of the command `pocket-suite` of another package."""
    try:
        program = importlib.import_module("pocket_suite.cli")
    except ModuleNotFoundError as error:
        raise UsageError(
            "the pocket suite is built by a package of its own, which is not installed",
            BUILD_HINT,
        ) from error
    log.warning("`footage pocket` is deprecated; use `pocket-suite`")
    raise SystemExit(program.main(words))


def one_of(verb: str, words: Sequence[str], commands: Mapping[str, Callable[..., None]]) -> None:
    """Run one of the commands of a verb."""
    first = words[0] if words else ""
    if first in ("-h", "--help"):
        for name, command in commands.items():
            print(f"footage {verb} {name:16} {(command.__doc__ or '').partition(chr(10))[0]}")
        raise SystemExit(0)
    if first not in commands:
        raise FootageError(
            f"footage {verb} has no command {first!r}", f"commands: {', '.join(commands)}"
        )
    terminal.run(commands[first], words[1:], f"footage {verb} {first}")
