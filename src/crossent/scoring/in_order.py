"""Work on things that are read one after the other, by several threads, whose results are used in the order of reading.

A thread reads, works on what it has just read, and uses the results that are next: none is only there to wait for others, as
waking it would cost about as much as a chunk's work. No formula and no format. Called by ``run.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from crossent import _runtime

Read = TypeVar("Read")
Result = TypeVar("Result")
AHEAD = 2  # things, beside one for each thread, that may have been read and not yet used


def in_order(things: Iterator[Read], work: Callable[[Read], Result], use: Callable[[Result], None], threads: int) -> None:
    """use(work(thing)) for each thing, with the outcome of a loop: `things` and `use` by one thread at a time and in order.

    `work` is what threads do at the same time, each computing on one thread. The first exception in this order is raised.
    """
    if threads == 1:
        for thing in things:
            use(work(thing))
        return
    line = _Line(things, work, use, threads)
    with ThreadPoolExecutor(threads) as pool:
        try:
            for worker in [pool.submit(line.run) for _ in range(threads)]:
                worker.result()
        finally:
            line.stop()


class _Line(Generic[Read, Result]):
    """What the threads share."""

    def __init__(
        self, things: Iterator[Read], work: Callable[[Read], Result], use: Callable[[Result], None], threads: int
    ) -> None:
        self._things, self._work, self._use, self._threads = things, work, use, threads
        self._reading, self._using = threading.Lock(), threading.Lock()
        self._places = threading.Semaphore(threads + AHEAD)  # for things that are read and not yet used
        self._read = self._used = 0
        self._done: dict[int, Result | BaseException] = {}
        self._stopped = False

    def run(self) -> None:
        """What each thread does: until there is nothing more to read."""
        with _runtime.num_threads(1):
            while not self._stopped:
                self._places.acquire()
                with self._reading:
                    number, self._read = self._read, self._read + 1
                    thing = _outcome(next, self._things, None)
                if thing is None:
                    self._places.release()
                    return
                result = thing if isinstance(thing, BaseException) else _outcome(self._work, thing)
                with self._using:
                    self._done[number] = result
                    self._use_next()

    def stop(self) -> None:
        """Have no thread read any more."""
        self._stopped = True
        self._places.release(self._threads)  # those that wait for one

    def _use_next(self) -> None:
        """Use what is done, as far as nothing is missing."""
        while self._used in self._done and not self._stopped:
            result = self._done.pop(self._used)
            try:
                if isinstance(result, BaseException):
                    raise result
                self._use(result)
            except BaseException:
                self.stop()
                raise
            self._used += 1
            self._places.release()


def _outcome(function: Callable[..., Result], *arguments: object) -> Result | BaseException:
    """What it returns or raises."""
    try:
        return function(*arguments)
    except BaseException as error:
        return error
