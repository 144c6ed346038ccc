"""Progress of a long run on a terminal: rich's bar, or a line of text for those without rich. Called by ``cli.py``."""

from __future__ import annotations

import time
from typing import Protocol, TextIO

SCORING, FITTING, COMPARING = "scoring", "fitting the temperature", "comparing"
PATIENCE = 1.0  # seconds before a run counts as long
PAUSE = 0.1  # seconds between two drawings


class Report(Protocol):
    """What a run tells how far it is: rows that are done, rows there are, and what is being done with them."""

    def __call__(self, done: int, rows: int, doing: str = SCORING) -> None: ...


class Progress:
    """Shows the part that is done once a run takes longer than PATIENCE; leaves the terminal clean; a context manager."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._bar: _Bar | None = None
        self._next = time.monotonic() + PATIENCE

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, rows: int, doing: str = SCORING) -> None:
        """Say that so many of the rows are done."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PAUSE
        self._bar = self._bar or _bar(self._file)
        self._bar.update(done, rows, doing)


class _Bar(Protocol):
    def update(self, done: int, rows: int, doing: str) -> None: ...

    def stop(self) -> None: ...


def _bar(file: TextIO) -> _Bar:
    try:
        return _RichBar(file)
    except ImportError:
        return _PlainBar(file)


class _RichBar:
    def __init__(self, file: TextIO) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(console=Console(file=file), transient=True)
        self._task = self._bar.add_task(SCORING)
        self._bar.start()

    def update(self, done: int, rows: int, doing: str) -> None:
        self._bar.update(self._task, completed=done, total=rows, description=doing)

    def stop(self) -> None:
        self._bar.stop()


class _PlainBar:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def update(self, done: int, rows: int, doing: str) -> None:
        self._write(f"{doing} {100 * done // rows:3d} % of {rows:,} rows")

    def stop(self) -> None:
        self._write(" " * 60 + "\r")

    def _write(self, text: str) -> None:
        self._file.write("\r" + text)
        self._file.flush()
