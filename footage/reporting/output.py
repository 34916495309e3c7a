"""Write a page to a file that does not exist, or that is a page of the same kind."""

from pathlib import Path
from typing import Final

from footage.errors import ConfigError
from footage.io import files

START_BYTES: Final = 4096
PAGE_BYTES: Final = 5_000_000
"""Free space required before the work starts; most pages are smaller."""


def check_target(path: Path, command: str, option: str) -> None:
    """Refuse to replace anything but a page, and detect early a path that cannot be written.

    Args:
        path: The HTML file.
        command: The command that writes the page; the title starts with it: "report".
        option: The command-line option that sets the path, for the hint.

    Raises:
        ConfigError: The file is not a page of this command.
        OutputError: Nothing can be written there.
    """
    if path.exists() and not _is_page(path, command):
        raise ConfigError(
            f"{str(path)!r} exists and was not written by footage {command}",
            f"choose another {option}, or remove that file",
        )
    files.require_space(path, PAGE_BYTES, "an HTML page")


def write(path: Path, page: str) -> None:
    """Write a page; characters that UTF-8 cannot encode are escaped.

    Raises:
        OutputError: The file cannot be written.
    """
    files.write_text(path, page, errors="backslashreplace")


def _is_page(path: Path, command: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return f"<title>footage {command}".encode() in file.read(START_BYTES)
