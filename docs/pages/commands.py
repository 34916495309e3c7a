"""docs/reference/commands.md: every command with its options, from the help of the command line."""

import re
from collections.abc import Iterator

from footage import cli
from footage.cli import help_text

HEAD = """# Commands

Generated from the help of the command line by `python -m docs.generate`; a test keeps it up to
date.

All commands resume when rerun. They write results to stdout and logs to stderr; an error is one
`error:` line and one `hint:` line. See also [exit codes](exit-codes.md).

Every command accepts these options:

- `--json`: print the result as one [JSON document](exit-codes.md#json).
- `--quiet`: show only the result, warnings and errors, without progress.
- `--log-file FILE`: append the whole log to a file, with the time of each line.
- `--debug`: print a full traceback.
- `--require-sandbox`: stop unless every layer of the [decoder sandbox](../background/sandbox.md) is
  active.
- `--plugin NAME`: load an [extension](../extending/index.md).
- `--cache DIR`, `--cache-bytes N`: folder and maximum size of the
  [cache of remote files](../guides/object-storage.md#cache).

`footage --version` prints the version. `footage --print-completion SHELL` prints a
[completion script](../guides/install.md#shell-completion) for bash, zsh or fish.
"""
_TRAIN = """
`RECIPE` is a name from [Recipes](recipes.md), which sets the defaults. These are the top-level
settings; [Configuration](configuration.md) lists all of them.
"""
_WIDTH = 120


def page() -> str:
    """Render the page."""
    sections = [section for name in cli.COMMANDS for section in _command([name])]
    return "\n".join([HEAD, *sections])


def _command(words: list[str]) -> Iterator[str]:
    """The section of a command, or those of the commands that it consists of."""
    text = help_text.help_of([*words, "--help"], _WIDTH)
    if nested := help_text.nested(words[0], text):
        for name in nested:
            yield from _command([*words, name])
        return
    is_train = words == ["train"]
    usage, _, rest = text.partition("\n\n")
    about, _, boxes = rest.partition("╭")
    tables = [_table(box, words) for box in boxes.split("╭")]
    yield "\n".join(
        [
            f"## `footage {' '.join(words)}`\n",
            f"```text\n{usage.removeprefix('usage: ')}\n```\n",
            about.strip(),
            *([_TRAIN.rstrip()] if is_train else []),
            "",
            "| argument | description |",
            "| --- | --- |",
            *filter(None, tables[:1] if is_train else tables),
            "",
        ]
    )


def _table(box: str, words: list[str]) -> str:
    """One row per argument or option."""
    rows = []
    for name, description in help_text.entries(box):
        words_of = re.sub(r" \(default: (?:''|None)?\)", "", description)
        if words == ["ingest"] and name.startswith("--workers"):
            words_of = re.sub(r"default: \d+", "default: one per CPU", words_of)
        if not name.startswith("-h"):
            rows.append(f"| `{name}` | {words_of.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)
