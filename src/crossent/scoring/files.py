"""Files as bytes: regular files that are read in bounded pieces and watched for change; files written whole or not at all.

Reading is by read calls and not by a memory map: a file that shrinks under a map kills the process with SIGBUS, here it
is an error. No formats (``formats/``), no scoring. Called by ``formats/``, ``losses.py``, ``checkpoint.py``, ``cli.py``.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from crossent.scoring.errors import DataError

MOST_AT_ONCE = 4 << 20  # bytes that `read` gives: of a header or a directory, whose size the file itself says
ENDS = 1 << 16  # bytes at each end that identify a file: headers and directories are there


class InputFile(io.FileIO):
    """A regular file to read from. `read` refuses more than MOST_AT_ONCE; what is larger goes through `readinto`."""

    def __init__(self, path: str) -> None:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before open: opening a pipe would wait for its other end
            raise DataError(f"{path}: not a regular file")
        super().__init__(path)
        self.path = path
        self._opened = os.fstat(self.fileno())

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._opened.st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = max(0, self.size - self.tell())
        if size > MOST_AT_ONCE:
            raise DataError(f"{self.path}: expected a header of at most {MOST_AT_ONCE} bytes, but got {size}")
        return super().read(size) or b""

    def check_unchanged(self) -> None:
        """Raise if the file was written to since it was opened."""
        now = os.fstat(self.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise DataError(f"{self.path}: changed while it was read")

    def identity(self) -> str:
        """What another file, or this one after a change, hardly shares: size, time of the last change, a hash of both ends."""
        with open(self.path, "rb") as file:
            digest = hashlib.sha256(file.read(ENDS))
            file.seek(max(0, self.size - ENDS))
            digest.update(file.read(ENDS))
        return f"{self.size} bytes, changed at {self._opened.st_mtime_ns} ns, sha256 of its ends {digest.hexdigest()[:16]}"


@contextmanager
def atomic_file(path: str, temporary: str | None = None) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, and leaves nothing behind when not.

    The data is on the disk before the name changes: after a crash too, `path` is the old file or the whole new one. What a
    kill leaves is `temporary`, whose name is random where it is not given.
    """
    path = os.path.realpath(path)
    temporary = temporary or temporary_name(path)
    try:
        with errors_of(path), open(temporary, "wb") as file:
            yield file
            replace(file, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Gives OSErrors of the block the name that the user knows, in place of none or that of a temporary file."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def temporary_name(path: str) -> str:
    """A name in the folder of `path`, so that a rename to it is atomic; `path` must be free or a regular file."""
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return os.path.join(os.path.dirname(path), f".crossent-{secrets.token_hex(8)}.tmp")


def replace(file: BinaryIO, path: str) -> None:
    """Let an open file, in the same folder, take the place of `path`, once its data is on the disk."""
    sync(file)
    os.replace(file.name, path)
    with suppress(OSError):  # not every system can; the file is whole in any case
        _sync_folder(os.path.dirname(path))


def sync(file: BinaryIO) -> None:
    """Have all that was written to a file on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
