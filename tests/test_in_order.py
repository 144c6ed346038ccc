"""in_order: what a loop would do, by several threads."""

import itertools
import os
import signal
import threading
import time

import pytest

import crossent
from crossent.scoring.in_order import AHEAD, in_order


class Once:
    """A block that complains where two threads are in it."""

    def __init__(self):
        self.inside = False

    def __enter__(self):
        assert not self.inside
        self.inside = True
        time.sleep(1e-4)

    def __exit__(self, *_):
        self.inside = False


def read(count, once):
    for number in range(count):
        with once:
            pass
        yield number


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 60])
def test_results_are_used_in_order_by_one_thread_at_a_time(threads, count):
    used, using, seen = [], Once(), set()

    def work(number):
        seen.add(threading.get_ident())
        assert crossent.get_num_threads() == (1 if threads > 1 else crossent.get_num_threads())
        time.sleep(1e-3 * (number * 7 % 5))
        return -number

    def use(result):
        with using:
            used.append(result)

    in_order(read(count, Once()), work, use, threads)
    assert used == [-number for number in range(count)]
    assert len(seen) <= threads
    assert threading.active_count() == 1 or threads == 1 or all(thread.ident not in seen for thread in threading.enumerate())


def test_threads_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)
    in_order(iter(range(6)), lambda number: meeting.wait(), lambda result: None, 3)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("where", ["read", "work", "use"])
def test_the_first_exception_in_order_is_raised(threads, where):
    """Though the 20th is there before it, and what comes before it has been used."""
    used = []

    def fail(place, number):
        if number == 10 or (number == 12 and place == "work"):
            time.sleep(0.05 if number == 10 else 0)
            if place == where or number == 12:
                raise KeyError(place, number)

    def numbers():
        for number in range(100):
            fail("read", number)
            yield number

    def work(number):
        fail("work", number)
        return number

    def use(number):
        fail("use", number)
        used.append(number)

    with pytest.raises(KeyError) as caught:
        in_order(numbers(), work, use, threads)
    assert caught.value.args == (where, 10)
    assert used == list(range(10))


def test_no_more_is_read_than_can_wait():
    reached = []

    def work(number):
        if number == 0:
            time.sleep(0.2)
        return number

    def numbers():
        for number in range(50):
            reached.append((number, len(used)))
            yield number

    used = []
    in_order(numbers(), work, used.append, 2)
    assert used == list(range(50))
    assert all(number - before < 2 + AHEAD for number, before in reached)
    assert (2 + AHEAD - 1, 0) in reached  # all that can while the first is worked on


def test_an_interrupt_ends_it():
    """KeyboardInterrupt comes in the main thread, while it waits for the others."""

    def work(number):
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.005)

    with pytest.raises(KeyboardInterrupt):
        in_order(itertools.count(), work, lambda result: None, 2)
