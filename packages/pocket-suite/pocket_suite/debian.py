"""Extract files from Debian packages, without installing them or running any of their code.

A package is an `ar` archive of three members; `data.tar.*` contains the files. Only regular files
with matching names are written, under their names in the package; links are skipped. Packages are
in a folder of the user, or are fetched by `apt-get download`, which needs no root privileges.
"""

import gzip
import hashlib
import io
import logging
import lzma
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final, cast

from footage.errors import FootageError

log = logging.getLogger(__name__)

DOWNLOAD_SECONDS: Final = 1800
"""Timeout of a download; the largest package has 1.3 GB."""

LARGEST_MEMBER: Final = 256 * 1024**2
"""Maximum size of a file in a package, in bytes."""

_MAGIC: Final = b"!<arch>\n"
_HEADER_BYTES: Final = 60


class MissingSourceError(FootageError):
    """A package of a task is not available; the task is skipped."""


def find(package: str, folder: Path) -> Path | None:
    """Return the newest file of a package in a folder, by its Debian file name."""
    found = sorted(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def fetch(package: str, folder: Path) -> Path:
    """Return the package's file; download it with apt-get unless it is in the folder.

    Raises:
        MissingSourceError: The package cannot be downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = find(package, folder)
    if found is not None:
        return found
    hint = f"run `apt-get download {package}` on a Debian machine and pass its folder as --packages"
    if shutil.which("apt-get") is None:
        raise MissingSourceError(
            f"Debian package {package} not found and apt-get is not available", hint
        )
    log.info("fetching the Debian package %s", package)
    try:
        done = subprocess.run(
            ["apt-get", "download", "--quiet", package],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"not finished within {DOWNLOAD_SECONDS} seconds"
        raise MissingSourceError(
            f"apt-get could not download {package} ({reason})", hint
        ) from error
    found = find(package, folder)
    if done.returncode or found is None:
        reason = (done.stderr.strip() or "it left no file").splitlines()[-1]
        raise MissingSourceError(f"apt-get could not download {package} ({reason})", hint)
    return found


def unpack(deb: Path, wanted: str, folder: Path) -> list[Path]:
    """Write the wanted regular files of a package below a folder, under their names in it.

    Args:
        deb: The package.
        wanted: Regular expression that the whole name must match, as in `usr/share/.*png`.
        folder: Target folder; nothing is written outside it.

    Raises:
        FootageError: The file is not a Debian package, is damaged, or has no matching file.
    """
    pattern = re.compile(wanted)
    written = []
    try:
        with _data(deb) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name.removeprefix("./"))
                if not member.isreg() or not pattern.fullmatch(str(name)):
                    continue
                if name.is_absolute() or ".." in name.parts or member.size > LARGEST_MEMBER:
                    raise FootageError(f"{deb} contains {member.name} of {member.size} bytes")
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                written.append(target)
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise FootageError(f"{deb} cannot be read: {error}", "fetch the package again") from error
    if not written:
        raise FootageError(f"{deb} has no file like {wanted}", "try another version of the package")
    return written


def sha256(path: Path) -> str:
    """Return the hash of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _data(deb: Path) -> Iterator[IO[bytes]]:
    """Yield the package's tar archive of files, decompressed as it is read."""
    with deb.open("rb") as file:
        name, window = _data_member(deb, file)
        if name == "data.tar.xz":
            with lzma.open(window) as content:
                yield content
        elif name == "data.tar.gz":
            with gzip.GzipFile(fileobj=window) as content:
                yield cast(IO[bytes], content)
        elif name == "data.tar":
            yield window
        elif shutil.which("dpkg-deb") is None:
            raise FootageError(
                f"{deb} is compressed as {name}, which Python cannot read", "install dpkg"
            )
        else:
            command = ["dpkg-deb", "--fsys-tarfile", str(deb.absolute())]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None  # it was requested
                yield process.stdout


def _data_member(deb: Path, file: BinaryIO) -> tuple[str, io.BufferedReader]:
    """Return the name and the content of the `ar` member with the files."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise FootageError(f"{deb} is not a Debian package", "fetch the package again")
    while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        size = header[48:58].strip()
        if not size.isdigit():
            break
        if name.startswith("data.tar"):
            return name, io.BufferedReader(_Window(file, int(size)))
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise FootageError(f"{deb} is damaged: it has no data.tar", "fetch the package again")


class _Window(io.RawIOBase):
    """The next `size` bytes of a file, as a separate file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Continue reading, up to the end of the window."""
        content = self._file.read(min(len(buffer), self._left))
        buffer[: len(content)] = content
        self._left -= len(content)
        return len(content)
