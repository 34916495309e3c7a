"""Shell completion: `footage --print-completion bash`, `zsh` or `fish` prints a script.

The script contains the commands and options of this version, so that completing starts no Python.
They are read from the help of each command; shtab writes the script.
"""

import argparse
import re
from collections.abc import Sequence
from typing import Any, Final

import shtab

from footage import cli
from footage.cli import help_text
from footage.cli.help_text import Entry
from footage.cli.recipe_help import ALL
from footage.errors import UsageError
from footage.recipes.methods import RECIPES

SHELLS: Final = ("bash", "zsh", "fish")
RECIPE: Final = "vivi-ex4-tiny"
"""Any recipe; with `--help-all`, all have the same options."""
FROM: Final = Entry("--from FILE", "The run.json of a run to repeat.")
"""Option of `train` that is used in place of a recipe."""


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
    print(shtab.complete(_program(), words[0]))


def _program() -> argparse.ArgumentParser:
    """Return a parser with all commands and options, for shtab to read."""
    program = argparse.ArgumentParser("footage", description="", add_help=False)
    program.add_argument("-h", "--help", action="store_true", help="list the commands")
    program.add_argument("--version", action="store_true", help="print the version")
    program.add_argument("--print-completion", choices=SHELLS, help="print a completion script")
    commands = program.add_subparsers()
    for name in cli.COMMANDS:
        _add_command(commands, [name])
    return program


def _add_command(commands: Any, words: list[str]) -> None:  # noqa: ANN401 (a private class)
    is_train = words == ["train"]
    text = help_text.help_of([*words, RECIPE, ALL] if is_train else [*words, "--help"])
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
    entries = [*help_text.entries(text), *_common(), *([FROM] if is_train else [])]
    options = {re.split("[ ,]", one.name)[0]: one for one in entries if one.name[0] == "-"}
    for option in options.values():
        _add_option(command, option)
    takes_recipe = words in (["train"], ["recipes"])
    _add(command, "values", nargs="*", choices=list(RECIPES) if takes_recipe else None)


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
        choices=choices[1].split(",") if choices else None,
        help=description,
    )


def _add(command: argparse.ArgumentParser, *names: str, choices: Any, **options: Any) -> None:  # noqa: ANN401
    """Add an argument or option; without choices, its values are completed as files."""
    action = command.add_argument(*names, choices=choices, **options)
    if not choices:
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def _first_sentence(text: str) -> str:
    return re.split(r"\. |[.;]$|; | \(", text)[0].replace("%", "%%")
