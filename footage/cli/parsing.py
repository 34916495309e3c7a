"""Parsing of a command line by the signature of a function, with uniform errors.

tyro parses and prints the help. Every mistake becomes a `UsageError` with one message and one hint,
which suggests the closest option or value.
"""

import contextlib
import difflib
import functools
import inspect
import io
import itertools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import tyro

from footage.cli.fields import REGISTRY
from footage.errors import ConfigError, UnknownNameError, UsageError

NO_VALUE = "no value"
"""Error of an argument that needs at least one value."""

_OPTION = re.compile(r"^[│ ]*(?:-h, )?(--[\w.-]+)(?:, (--no-[\w.-]+))?", re.MULTILINE)
_PLAIN = (
    (r"Error parsing ([\w-]+)[^:]*: no value", r"missing: \1"),
    (r"Missing value for argument '(.*?)'\..*", r"\1 needs a value"),
    (r"Error parsing ", ""),
    (r"invalid literal for int\(\) with base 10:", "not a whole number:"),
    (r"could not convert string to float:", "not a number:"),
)
"""Messages of the parser as patterns, and their wording in footage."""
_CHOICE = re.compile(
    r"invalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)\.", re.I
)

log = logging.getLogger(__name__)


def run(
    command: Callable[..., None],
    words: Sequence[str],
    program: str,
    *,
    deprecated: Mapping[str, str] = MappingProxyType({}),
    choices: Sequence[str] = (),
) -> None:
    """Parse the words of a command line and call a command with the result.

    Args:
        command: Its parameters are the arguments and options, its docstring is the help.
        words: The words after the command's name.
        program: Name of the command, for the help and errors.
        deprecated: Old spellings of options, and the options that replace them.
        choices: Options that were applied before, for suggestions.

    Raises:
        UsageError: The words do not match the command.
        SystemExit: Help was requested and printed.
    """
    parse(command, words, program, deprecated=deprecated, choices=choices)()


def parse(
    command: Callable[..., None],
    words: Sequence[str],
    program: str,
    *,
    deprecated: Mapping[str, str] = MappingProxyType({}),
    choices: Sequence[str] = (),
) -> Callable[[], None]:
    """Return the call that the words of a command line specify; see `run`."""

    @functools.wraps(command)
    def bind(*arguments: Any, **options: Any) -> Callable[[], None]:  # noqa: ANN401
        return functools.partial(command, *arguments, **options)

    def parsed(words: Sequence[str]) -> Callable[[], None]:
        return tyro.cli(bind, args=words, prog=program, registry=REGISTRY)

    words = _modern(words, deprecated)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return parsed(words)
    except ConfigError as error:
        raise _refused_value(error, program, _options(parsed)) from error
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
    missing = _missing(command, words, parsed)
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}", _lists_all(program))
    raise _error(box.getvalue(), words, program, [*_options(parsed), *choices])


def _missing(
    command: Callable[..., None], words: Sequence[str], parsed: Callable[[Sequence[str]], object]
) -> list[str]:
    """The required arguments and options that are missing, if nothing else is wrong.

    Found by trial: adding them must make the words valid.
    """
    needed = [
        each
        for each in inspect.signature(command).parameters.values()
        if each.default is inspect.Parameter.empty
    ]
    positional = [_shown(each) for each in needed if each.kind is not each.KEYWORD_ONLY]
    given = set(map(_name, words))
    options = [_option(each) for each in needed if each.kind is each.KEYWORD_ONLY]
    options = [option for option in options if option not in given]
    added = [word for option in options for word in (option, "x")]
    for count in range(len(positional) + 1):
        if _is_valid([*["x"] * count, *words, *added], parsed):
            return positional[len(positional) - count :] + options
    return []


def _is_valid(words: Sequence[str], parsed: Callable[[Sequence[str]], object]) -> bool:
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parsed(words)
        except SystemExit:
            return False
        except ConfigError:
            return True  # the words are valid, one of the values is not
    return True


def _shown(argument: inspect.Parameter) -> str:
    """A positional argument as the help shows it."""
    shown = (getattr(each, "metavar", None) for each in argument.annotation.__metadata__)
    return next((each.split()[0] for each in shown if each), argument.name.upper())


def _option(argument: inspect.Parameter) -> str:
    """A keyword argument as an option, which may have another name, such as `--in`."""
    names = (getattr(each, "name", None) for each in argument.annotation.__metadata__)
    return "--" + next(filter(None, names), argument.name)


def _refused_value(error: ConfigError, program: str, options: Sequence[str]) -> UsageError:
    """Convert the error of a value to one that names the option."""
    setting, space, rest = error.message.partition(" ")
    option = "--" + setting.replace("_", "-")
    message = option + space + rest if option in options else error.message
    return UsageError(message, error.hint or _lists_all(program))


def _lists_all(program: str) -> str:
    return f"`{program} --help` lists all options"


def _modern(words: Sequence[str], deprecated: Mapping[str, str]) -> list[str]:
    """Replace the deprecated options of a command line, with a warning for each."""
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if name in deprecated:
            log.warning("%s is deprecated; use %s", name, deprecated[name])
        found.append(deprecated.get(name, name) + equals + value)
    return found


def run_one_of(
    program: str, words: Sequence[str], commands: Mapping[str, Callable[..., None]]
) -> None:
    """Run one of the commands of a command, such as `footage store verify`.

    Raises:
        UsageError: No command is named.
        UnknownNameError: The command does not exist.
        SystemExit: Help was requested and printed.
    """
    first = words[0] if words else ""
    if first in ("-h", "--help"):
        for name, command in commands.items():
            print(f"{program} {name}\n    {(command.__doc__ or '').partition(chr(10))[0]}")
        raise SystemExit(0)
    if not first or first.startswith("-"):
        commands_of = [f"{program} {name}" for name in commands]
        raise UsageError(f"{program} needs a command", f"use {' or '.join(commands_of)}")
    if first not in commands:
        error = UnknownNameError("command", first, commands)
        raise UsageError(f"unknown command {f'{program} {first}'!r}", error.hint)
    run(commands[first], words[1:], f"{program} {first}")


def _error(box: str, words: Sequence[str], program: str, options: Sequence[str]) -> UsageError:
    """Convert the parser's error box to one message and one hint.

    The box has a title and sections between rules; the first section states what is wrong.
    """
    lines = [re.sub(r"^[─-]+$", "", line.strip(" │")) for line in box.strip().splitlines()[1:-1]]
    message = " ".join(itertools.takewhile(bool, itertools.dropwhile(lambda line: not line, lines)))
    hint = _lists_all(program)
    near: list[str] = []
    unknown = [name for name in map(_name, words) if _is_option(name) and name not in options]
    argument = re.match(r"Missing value for argument '(\w+)'", message)
    if "Unrecognized option" in box or (argument and unknown):
        if unknown:
            message = f"unknown option {unknown[0]!r}"
            near = _near_option(unknown[0], options)
        else:
            message = f"unexpected argument {message.partition(': ')[2].split(', ')[0]!r}"
    elif argument:
        message = f"missing: {argument[1].upper()}"
    elif found := _CHOICE.search(message):
        value, option, valid = found[1], found[2], re.findall("'(.*?)'", found[3])
        message = f"{option} must be one of {', '.join(valid)}; got {value!r}"
        near = difflib.get_close_matches(value, valid, n=1)
    for pattern, plain in _PLAIN:
        message = re.sub(pattern, plain, message)
    return UsageError(message, f"did you mean {near[0]}? {hint}" if near else hint)


def _name(word: str) -> str:
    """An option without its value, spelled with hyphens as in the help."""
    return word.partition("=")[0].replace("_", "-")


def _is_option(name: str) -> bool:
    return re.match(r"--?[a-z]", name, re.IGNORECASE) is not None


def _near_option(name: str, options: Sequence[str]) -> list[str]:
    """The option that was probably meant: one that ends in the name, or the closest spelling."""
    alike = [option for option in options if option.replace("-", "") == name.replace("-", "")]
    nested = alike or [option for option in options if option.endswith(f".{name.lstrip('-')}")]
    if not nested and name == "--store":
        nested = [option for option in options if option == "--in"]
    return nested if len(nested) == 1 else difflib.get_close_matches(name, options, n=1, cutoff=0.7)


def _options(parsed: Callable[[Sequence[str]], object]) -> list[str]:
    """The options that the help lists."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        parsed(["--help"])
    return [option for line in _OPTION.findall(text.getvalue()) for option in line if option]
