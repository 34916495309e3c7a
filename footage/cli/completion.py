"""Shell completion: `footage --print-completion bash`, `zsh` or `fish` prints a script.

The script contains the commands and options of this version, so that completing starts no Python.
They are read from the help of each command, and the names of losses, detectors and the like from
their registries, which include plugins; shtab writes the script.
"""

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import shtab

from footage import cli
from footage.cli import help_text
from footage.cli.help_text import Entry
from footage.cli.recipe_help import ALL
from footage.errors import UsageError
from footage.objectives.losses.base import LOSSES
from footage.recipes import choice
from footage.recipes.methods import RECIPES

SHELLS: Final = ("bash", "zsh", "fish")
RECIPE: Final = "vivi-ex4-tiny"
"""Any recipe; with `--help-all`, all have the same options, except those of the loss."""
OF_TRAIN: Final = (
    Entry("--from FILE", "The run.json of a run to repeat."),
    Entry(f"{choice.LOSS} NAME", "Loss of the frame or shot level."),
)
"""Options of `train` that its help does not list: they are applied before the others are parsed."""
NUMBERS: Final = {"INT", "FLOAT", "N"}
"""Placeholders of values that are not completed."""


def run(words: Sequence[str]) -> None:
    """Print the script for a shell.

    Raises:
        UsageError: No shell is named, or one that is not supported.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        found = f", got {' '.join(words)!r}" if words else ""
        raise UsageError(
            f"--print-completion needs one of {', '.join(SHELLS)}{found}",
            "use footage --print-completion bash",
        )
    script = shtab.complete(_program(), words[0])
    if words[0] == "zsh":  # "=" also completes --option=value, "*" an option that is given again
        script = re.sub(r'^  "(--[\w.-]+)(?=\[.*\]:)', r'  "*\1=', script, flags=re.MULTILINE)
    print(script)


def _program() -> argparse.ArgumentParser:
    """Return a parser with all commands and options, for shtab to read."""
    program = argparse.ArgumentParser("footage", description="", add_help=False)
    program.add_argument("-h", "--help", action="store_true", help="list the commands")
    program.add_argument("--version", action="store_true", help="print the version")
    program.add_argument("--print-completion", choices=SHELLS, help="print a completion script")
    for option in _common():
        _add_option(program, option)
    commands = program.add_subparsers()
    for name in cli.COMMANDS:
        _add_command(commands, [name])
    return program


def _add_command(commands: Any, words: list[str]) -> None:  # noqa: ANN401 (a private class)
    text = _help(words)
    nested = help_text.nested(words[0], text)
    usage = cli.USAGE if len(words) == 1 else ""
    listed = re.search(rf"^  footage {words[-1]}\b.*? {{2,}}(.*)$", usage, re.MULTILINE)
    summary = listed[1] if listed else text.partition("\n\n")[2].partition("\n")[0]
    command = commands.add_parser(words[-1], help=_first_sentence(summary), add_help=False)
    if nested:
        below = command.add_subparsers()
        for name in nested:
            _add_command(below, [*words, name])
        return
    entries = [*help_text.entries(text), *_common(), *(OF_TRAIN if words == ["train"] else [])]
    options = {re.split("[ ,]", one.name)[0]: one for one in entries if one.name[0] == "-"}
    for option in options.values():
        _add_option(command, option)
    takes_recipe = words in (["train"], ["recipes"])
    _add(command, "values", nargs="*", choices=list(RECIPES) if takes_recipe else None)


def _help(words: list[str]) -> str:
    """Return the help of a command; that of `train` with the settings of every loss."""
    if words != ["train"]:
        return help_text.help_of([*words, "--help"])
    return "".join(help_text.help_of(["train", RECIPE, choice.LOSS, loss, ALL]) for loss in LOSSES)


def _common() -> list[Entry]:
    """Return the options of every command, with their descriptions."""
    text = re.sub(r"\n {10,}", " ", cli.USAGE)
    lines = re.findall(r"^  (--.*?) {2,}(.*)$", text, re.MULTILINE)
    return [Entry(name, description) for name, description in lines]


def _add_option(command: argparse.ArgumentParser, entry: Entry) -> None:
    found = re.fullmatch(r"((?:-\w, )?--[\w.-]+(?:, --[\w.-]+)*)(?: (.+))?", entry.name)
    assert found, f"no option: {entry.name}"
    names, value = found[1].split(", "), found[2] or ""
    description = _first_sentence(entry.description)
    if not value:
        command.add_argument(*names, action="store_true", help=description)
        return
    choices = re.match(r"\{(.+?)\}", value)
    _add(
        command,
        *names,
        nargs="*" if "..." in value else None,
        choices=choices[1].split(",") if choices else _registered(names[0]),
        metavar=None if choices else value.strip("[]").split()[0],
        help=description,
    )


def _registered(option: str) -> list[str]:
    """Return the names that an option accepts, with those of plugins; most options have none."""
    from footage.models.export.base import EXPORTERS
    from footage.models.options import BACKBONES
    from footage.processes.executors import EXECUTORS
    from footage.training.loggers.base import LOGGERS
    from footage.video.detectors.base import DETECTORS

    registries: Mapping[str, Iterable[str]] = {
        choice.LOSS: LOSSES,
        "--backbone.architecture": BACKBONES,  # only those of plugins: timm has a thousand
        "--detector": DETECTORS,
        "--executor": EXECUTORS,
        "--log": LOGGERS,
        "--to": EXPORTERS,
    }
    return list(registries.get(option, ()))


def _add(command: argparse.ArgumentParser, *names: str, choices: Any, **options: Any) -> None:  # noqa: ANN401
    """Add an argument or option; values that are neither choices nor numbers may be files."""
    action = command.add_argument(*names, choices=choices or None, **options)
    if not choices and action.metavar not in NUMBERS:
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def _first_sentence(text: str) -> str:
    return re.split(r"\. |[.;]$|; |(?:^| )\(", text)[0].replace("%", "%%")
