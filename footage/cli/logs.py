"""The log of a command: lines on standard error, and with `--log-file` a complete one in a file."""

import contextlib
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from footage.errors import OutputError
from footage.io.copies import with_urls
from footage.text import printable, redacted

LOCAL_PATHS: Final = {"keeps_paths": True}
"""`extra` of log lines in which the paths of local copies are not replaced by URLs."""

FILE_ONLY: Final = {"only_file": True}
"""`extra` of log lines that standard error does not show, because something else there does."""

_STORAGE_CLIENTS = frozenset(
    ["adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs"]
)
"""Packages whose log lines `StderrHandler` shortens."""

log = logging.getLogger(__name__)


class PrintableFormatter(logging.Formatter):
    """Formats log lines as printable text, with URLs in place of local copies."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one log line."""
        line = super().format(record)
        keeps_paths = getattr(record, "keeps_paths", False)
        return printable(line if keeps_paths else with_urls(line))


class StderrHandler(logging.StreamHandler[Any]):
    """Writes log lines to the current standard error, which a progress bar may have replaced.

    Storage clients log errors that we report, with tracebacks, and the same warning for each
    request. Their messages are therefore shown once, and those with a traceback not at all.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(PrintableFormatter("%(message)s"))
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show a log line."""
        if getattr(record, "only_file", False) or not super().filter(record):
            return False
        if not _is_of_storage_client(record):
            return True
        line = self.format(record)
        is_new = not record.exc_info and line not in self._shown
        self._shown.add(line)
        return is_new

    def format(self, record: logging.LogRecord) -> str:
        """Format one log line; only the first line of a storage client's message."""
        line = super().format(record)
        return line.strip().partition("\n")[0] if _is_of_storage_client(record) else line

    @property
    def stream(self) -> Any:  # noqa: ANN401
        """The current object for standard error."""
        return sys.stderr


def _is_of_storage_client(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _STORAGE_CLIENTS


class _FileFormatter(PrintableFormatter):
    """Adds the time and the level to log lines, and removes passwords and tokens."""

    def __init__(self) -> None:
        line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        super().__init__(line, datefmt="%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _FileHandler(logging.FileHandler):
    """Appends log lines to a file; the first failure is reported and ends the log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        reason = sys.exc_info()[1]
        logging.getLogger().removeHandler(self)
        log.warning("the log file %s cannot be written: %s", self.baseFilename, reason)

    def close(self) -> None:
        """Close the file; a failure to write was reported before."""
        with contextlib.suppress(OSError):
            super().close()


def to_stderr(*, quiet: bool) -> None:
    """Set up logging of the process: lines on standard error, or only warnings."""
    handler = StderrHandler()
    handler.setLevel(logging.WARNING if quiet else logging.NOTSET)
    logging.basicConfig(handlers=[handler], force=True)
    logging.getLogger("footage").setLevel(logging.INFO)


def opened(paths: Sequence[str]) -> list[logging.Handler]:
    """Open log files, to which lines are appended.

    Raises:
        OutputError: A file cannot be written.
    """
    handlers: list[logging.Handler] = []
    for path in paths:
        try:
            handlers.append(_FileHandler(path, encoding="utf-8", errors="surrogateescape"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise OutputError(
                f"the log file {path!r} cannot be written: {reason}", "choose another --log-file"
            ) from error
        handlers[-1].setFormatter(_FileFormatter())
    return handlers


@contextlib.contextmanager
def to_files(handlers: Sequence[logging.Handler], command: Sequence[str]) -> Iterator[None]:
    """Log to opened files, too, while the block runs; the first line is the command line."""
    root = logging.getLogger()
    for handler in handlers:
        root.addHandler(handler)
    if handlers:
        log.info("%s", shlex.join(command), extra=FILE_ONLY)
    try:
        yield
    except Exception:
        if handlers:
            log.exception("unexpected error", extra=FILE_ONLY)
        raise
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
