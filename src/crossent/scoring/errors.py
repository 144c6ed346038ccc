"""The errors of the command's own, what turns a parser's complaints into them, and texts from outside into printable ones.

``cli.py`` gives each error its exit status.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """Arguments that cannot be carried out, in one line."""


class DataError(ValueError):
    """A file whose content cannot be used, in one line: the file, what it has and what was expected."""


def printable(text: str) -> str:
    """A text out of a file, or with names of files in it, on one line and without orders to the terminal."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@contextmanager
def reading(name: str, damage: str) -> Iterator[None]:
    """For a parser in the block, which may raise anything for garbage: a DataError with the first line of its complaint.

    What the system says passes, and names the file: an unreadable disk, too little memory. EINVAL is garbage: a seek to
    before the file.
    """
    try:
        yield
    except (DataError, UsageError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            error.filename = error.filename or name
            raise
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise DataError(f"{name}: {damage}: {reason}") from None
