"""The command line: find the command, run it, print errors, choose the exit code.

Each command has a module here that parses its options, calls the function of the same name in
`footage.commands`, and prints the result. Results go to stdout, logs to stderr. The end of `USAGE`
lists the exit codes; an error carries its own. A command's module is imported on demand, and
imports its implementation after parsing, so that `--help` is fast.
"""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import footage
from footage import progress
from footage.cli import common, logs, output, terminal
from footage.cli.common import CommonOptions
from footage.errors import (
    FootageError,
    MachineError,
    OutputError,
    PluginError,
    UnknownNameError,
    UsageError,
)
from footage.sandbox import policy
from footage.sandbox.shortage import is_out_of_memory, with_limits
from footage.text import one_line

USAGE = """\
footage: train an image backbone on raw, unlabelled video

  footage ingest PATH...       decode videos, detect shots, and store frames
  footage store verify STORE   verify every byte of a frame store; repair it
  footage train RECIPE         train a backbone; rerun to resume
  footage mix RUN              average a run's weights with its initial ones
  footage evaluate MODEL...    kNN and linear probe, compared with baselines
  footage profile MODEL...     measure and compare feature invariances
  footage embed MODEL PATH...  extract features from images and videos
  footage search MODEL QUERY   find the shots most similar to images or videos
  footage duplicates STORE     find near-duplicate shots in different videos
  footage export MODEL         export to timm, Hugging Face, ONNX and others
  footage report RUN...        self-contained HTML report
  footage vtab doctor FOLDER   check, export, or import VTAB-1k data
  footage recipes [RECIPE...]  list or describe the recipes of `train`
  footage demo                 run the whole pipeline on a laptop in ten minutes
  footage doctor               check this machine: packages, GPUs, codecs, disk

MODEL is a run, an exported file or folder, or a timm model name.
Run `footage COMMAND --help` for its options, and `footage --version` for the
version. `footage --print-completion SHELL` prints a completion script for bash,
zsh or fish. Options of every command:
  --json               print the result as one JSON document
  --quiet              show only results, warnings and errors
  --log-file FILE      append the whole log to a file, with the times
  --debug              show a full traceback
  --require-sandbox    stop unless every layer of the decoder sandbox is active
  --plugin NAME        load a Python file or module that registers losses,
                       levels, backbones, detectors, exporters, loggers or
                       executors
  --cache DIR          folder for cached remote files, features and answers
  --cache-bytes N      maximum size of the remote files in the cache
Stores, runs and outputs may be URLs: s3://, gs://, az://, any fsspec URL.

Exit codes: 0 done, 1 error, 2 usage error, 74 output cannot be written (no
space, no permission), 75 output in use by another process, out of memory or
over a resource limit, 128 + N stopped by signal N: 130 Ctrl-C, 138 SIGUSR1
(requeue), 143 SIGTERM. Training saves a checkpoint before it stops; rerun to
resume."""

log = logging.getLogger(__name__)

BROKEN_PIPE = 141
"""Exit code that a shell reports for a program killed by SIGPIPE."""

Command = Callable[[Sequence[str]], None]
"""Runs one command; called with the arguments after its name."""

COMMANDS: Mapping[str, str] = {
    "ingest": "footage.cli.ingest:run",
    "store": "footage.cli.store:run",
    "train": "footage.cli.train:run",
    "mix": "footage.cli.mix:run",
    "evaluate": "footage.cli.evaluate:run",
    "profile": "footage.cli.profile:run",
    "embed": "footage.cli.embed:run",
    "search": "footage.cli.search:run",
    "duplicates": "footage.cli.duplicates:run",
    "export": "footage.cli.export:run",
    "report": "footage.cli.report:run",
    "vtab": "footage.cli.vtab:run",
    "recipes": "footage.cli.recipes:run",
    "demo": "footage.cli.demo:run",
    "doctor": "footage.cli.doctor:run",
}
"""Location of each command, as module:function."""

DEPRECATED: Mapping[str, str] = {"pocket": "footage.cli.pocket:run"}
"""Old commands that work for one more release and are not listed."""

OPTIONS: Mapping[str, str] = {
    "--version": "footage.cli:print_version",
    "--print-completion": "footage.cli.completion:run",
}
"""Options in place of a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of footage.

    Args:
        arguments: The command line without the program's name; None uses `sys.argv`.

    Returns:
        The exit code.
    """
    return run_program(COMMANDS, USAGE, arguments, {**DEPRECATED, **OPTIONS})


def print_version(words: Sequence[str]) -> None:  # noqa: ARG001
    """Print the version of footage; `words` are ignored, as other programs do."""
    print(f"footage {footage.__version__}")


def run_program(
    commands: Mapping[str, str | Command],
    usage: str,
    arguments: Sequence[str] | None = None,
    deprecated: Mapping[str, str | Command] = MappingProxyType({}),
) -> int:
    """Run one command of a program whose errors and exit codes are those of footage.

    Args:
        commands: Functions by name, or where to import them from, as module:function.
        usage: Text that `--help` prints.
        arguments: The command line without the program's name; None uses `sys.argv`.
        deprecated: Additional commands, which hints do not suggest.

    Returns:
        The exit code.
    """
    terminal.prepare_streams()
    sys.excepthook = terminal.print_traceback
    words = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = common.split(words)
    logs.to_stderr(quiet=options.quiet)
    try:
        log_files = logs.opened(options.log_files)
    except OutputError as unwritable:
        return _refuse(unwritable.message, unwritable.hint, unwritable.exit_code)
    with (
        logs.to_files(log_files, [usage.partition(":")[0], *words]),
        policy.of_command(require_all=options.require_sandbox),
        output.form(as_json=options.json),
        progress.hidden(options.quiet),
    ):
        code = _run({**commands, **deprecated}, list(commands), usage, rest, options)
    error = terminal.output_error()
    if error is None:
        return code
    terminal.discard_output()
    if isinstance(error, BrokenPipeError):  # the reader of the output, such as `head`, has exited
        return BROKEN_PIPE
    return _refuse(
        f"standard output cannot be written: {error.strerror}",
        "free some space or redirect the output elsewhere, then rerun the same command",
        OutputError.exit_code,
    )


def _run(
    commands: Mapping[str, str | Command],
    listed: Sequence[str],
    usage: str,
    words: list[str],
    options: CommonOptions,
) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(usage)
        return 0
    try:
        options.apply()
        if words[0] not in commands:
            raise _unknown(words[0], listed)
        imported(commands[words[0]])(words[1:])
    except FootageError as error:
        if options.debug:
            raise
        if isinstance(error, PluginError) and is_out_of_memory(error.__cause__ or error):
            return _refuse_memory()
        return _refuse(error.message, error.hint, error.exit_code)
    except (MemoryError, ImportError, RuntimeError) as error:
        if options.debug or not is_out_of_memory(error):
            raise
        return _refuse_memory()
    except KeyboardInterrupt:
        return _refuse("interrupted", "rerun the same command to resume", code=130)
    return 0


def _unknown(word: str, listed: Sequence[str]) -> FootageError:
    if not word.startswith("-"):
        return UnknownNameError("command", word, listed)
    return UsageError(
        f"unknown option {word!r}",
        "use footage COMMAND --help-all" if word == "--help-all" else "use footage COMMAND OPTIONS",
    )


def imported(command: str | Command) -> Command:
    """Return a command, imported if it is named as module:function."""
    if callable(command):
        return command
    module, _, function = command.partition(":")
    imported: Command = getattr(importlib.import_module(module), function)
    return imported


def _refuse_memory() -> int:
    return _refuse(
        with_limits("out of memory"),
        "free memory or raise the limit (see `ulimit -a`), then rerun the same command",
        MachineError.exit_code,
    )


def _refuse(message: str, hint: str, code: int = 1) -> int:
    with contextlib.suppress(OSError):  # the exit code still reports it
        for kind, text in (("error", message), ("hint", hint)):
            if text:
                log.error("%s: %s", kind, one_line(text), extra=logs.FILE_ONLY)
                print(f"{kind}: {one_line(text)}", file=sys.stderr)
        sys.stderr.flush()
    return code
