"""The errors that a user can cause, and nothing else.

A message says what is wrong and what was got; the hint says how to cure it. The command line prints
both on one line each and exits with code 1. Anything else that is raised is our bug.
"""


class FootageError(Exception):
    """A mistake in the input or the environment that the user can mend.

    Args:
        message: What is wrong and what was got instead.
        hint: What to do about it, in the imperative.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class VideoError(FootageError):
    """One video cannot be read; ingest records its reason and goes on."""


class StoreError(FootageError):
    """A frame store is missing, damaged or of another version."""


class CheckpointError(FootageError):
    """A run or a checkpoint cannot be read or written."""


class ConfigError(FootageError):
    """A setting is unknown, out of range or contradicts another."""
