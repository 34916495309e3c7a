"""Options that every command accepts, before or after its name."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from footage.io import cache
from footage.registry import load_plugins

_FLAGS: Final = ("--debug", "--require-sandbox", "--json", "--quiet")
_WITH_VALUE: Final = ("--plugin", "--cache", "--cache-bytes", "--log-file")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommonOptions:
    """The options of a command line that are not those of its command."""

    plugins: Sequence[str]
    caches: Sequence[str]
    sizes: Sequence[str]
    log_files: Sequence[str]
    debug: bool
    require_sandbox: bool
    json: bool
    quiet: bool

    def apply(self) -> None:
        """Apply the options that may fail to this process.

        Raises:
            FootageError: A plugin cannot be loaded, or a size is not a number.
        """
        for folder in self.caches:
            cache.choose(folder=folder or "-")
        for size in self.sizes:
            cache.choose(size=size or "-")
        load_plugins(self.plugins)


def split(words: Sequence[str]) -> tuple[CommonOptions, list[str]]:
    """Split a command line into the common options and the rest."""
    flags = {flag: flag in words for flag in _FLAGS}
    rest = [word for word in words if word not in _FLAGS]
    values = {}
    for option in _WITH_VALUE:
        values[option], rest = _values(option, rest)
    options = CommonOptions(
        plugins=values["--plugin"],
        caches=values["--cache"],
        sizes=values["--cache-bytes"],
        log_files=values["--log-file"],
        debug=flags["--debug"],
        require_sandbox=flags["--require-sandbox"],
        json=flags["--json"],
        quiet=flags["--quiet"],
    )
    return options, rest


def _values(wanted: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the words into the values of an option and the rest."""
    found, rest = [], []
    left = iter(words)
    for word in left:
        option, equals, value = word.partition("=")
        if option == wanted:
            found.append(value if equals else next(left, ""))
        else:
            rest.append(word)
    return found, rest
