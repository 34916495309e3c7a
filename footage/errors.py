"""Errors that a user can cause or fix.

A message states what is wrong and what was found; the hint states how to fix it. The command line
prints each on one line and exits with the error's exit code. Any other exception is a bug.
"""

import difflib
from collections.abc import Iterable

from footage.text import redacted


class FootageError(Exception):
    """A problem with the input or the environment that the user can fix.

    Secrets of URLs are removed from both texts, so that an error can be printed and stored.

    Args:
        message: What is wrong and what was found instead.
        hint: What to do about it, in the imperative.
    """

    exit_code: int = 1
    """Exit code of the command line."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = redacted(message)
        self.hint = redacted(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class UsageError(FootageError):
    """The command line itself is wrong: an unknown command or option, or a missing value."""

    exit_code = 2


class VideoError(FootageError):
    """One video cannot be read; ingest records the reason and continues."""


class ConfinedError(FootageError):
    """A confined process cannot work on one untrusted input; the message is the reason."""


class MachineError(FootageError):
    """The machine prevents the work; the input is not to blame, so another attempt may succeed."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class MissingModuleError(MachineError):
    """A decoder reports that a module is missing; a hostile input may have forged the report."""


class SandboxError(FootageError):
    """A sandbox layer that is required is missing on this machine."""


class StoreError(FootageError):
    """A frame store is missing, damaged or of another version."""


class CheckpointError(FootageError):
    """A run or a checkpoint cannot be read or written."""


class ConfigError(FootageError):
    """A setting is unknown, out of range or contradicts another."""


class PluginError(FootageError):
    """The code of a plugin raised an exception, or does not do what its interface requires."""


class UnknownNameError(ConfigError):
    """A name is not one of the valid ones; the hint suggests the closest, or lists all.

    Args:
        kind: What the name stands for, such as "recipe".
        name: The unknown name.
        valid: All valid names.
        listing: A command that lists them, if there are too many for a hint.
        plugins: Whether plugins can add names.
    """

    exit_code = 2

    def __init__(
        self,
        kind: str,
        name: str,
        valid: Iterable[str],
        listing: str = "",
        *,
        plugins: bool = False,
    ) -> None:
        names = list(valid)
        near = [each for each in names if name and each.startswith(name)]
        near = [each for each in near if not each.startswith(tuple(f"{short}-" for short in near))]
        near = near or difflib.get_close_matches(name, names, n=1)
        hint = f"`{listing}` lists all" if listing else f"choose from {', '.join(names)}"
        if near:
            listed = " or ".join([", ".join(near[:-1])] * (len(near) > 1) + near[-1:])
            hint = f"did you mean {listed}?" + f" ({hint})" * bool(listing)
        if plugins:
            hint += " Or load" if near else ", or load"
            hint = f"{hint} its plugin with --plugin" if names else "load its plugin with --plugin"
        super().__init__(f"unknown {kind} {name!r}", hint)


class OutputError(FootageError):
    """A file or folder cannot be written: no space, no permission, or an unusable path."""

    exit_code = 74  # EX_IOERR of sysexits.h


class BusyError(OutputError):
    """Another process is writing the same output."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class StoppedError(FootageError):
    """A signal asked training to stop; everything so far is saved."""

    def __init__(self, message: str, hint: str, number: int) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + number  # as a shell reports a process that the signal ended


class PeerError(FootageError):
    """Another process of the same training failed and reports the reason; this error is silent."""

    def __init__(self, exit_code: int, message: str = "", hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code
