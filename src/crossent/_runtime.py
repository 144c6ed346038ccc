"""Threads, instruction set, environment variables: what a computation runs on. No mathematics.

``_plans.py`` asks :func:`get_num_threads` before each call into the kernels; users set it with
:func:`set_num_threads` or, for a while, with :func:`num_threads`.
"""

from __future__ import annotations

import math
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

from crossent import _kernels

_MAX_THREADS = 1024


def _threads_from_environment(name: str) -> int | None:
    """The first number of the variable's list ("4,2" is legal in OpenMP), or None where it says nothing usable."""
    text = os.environ.get(name)
    if text is None:
        return None
    first = text.split(",")[0].strip()
    number = float(first) if first.isascii() and first.isdigit() else 0.0  # int() refuses more than 4300 digits
    if 1 <= number <= _MAX_THREADS:
        return int(number)
    if name.startswith("CROSSENT"):
        warnings.warn(
            f"{name}={text!r} is ignored: expected a whole number from 1 to {_MAX_THREADS}",
            RuntimeWarning,
            stacklevel=2,
        )
    return None


def _cgroup_quota() -> float:
    """CPUs that the control groups of this process grant it, infinite where they say nothing readable.

    Each group is limited by those above it. A container may see its own group as the root, and that of the host as a path
    that is not there.
    """
    quota = math.inf
    for line in (_text_of("/proc/self/cgroup") or "0::/\n1:cpu:/").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root, files = ("cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")) if controllers else ("", ("cpu.max",))  # v1, v2
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            folder = f"/sys/fs/cgroup/{root}/{group}"
            quota = min(quota, _quota_of(" ".join(_text_of(f"{folder}/{name}") for name in files)))
    return quota


def _quota_of(text: str) -> float:
    """The quotient of "quota period", in microseconds; infinite for "max", -1 and whatever is no such pair."""
    try:
        quota, period = (float(word) for word in text.split())
    except ValueError:
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError):
        return ""


def _usable_cpus() -> int:
    """CPUs that affinity leaves, or as many as the quota pays for, rounded up."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cpus, _cgroup_quota())))


def _default_threads() -> tuple[int, str]:
    """CROSSENT_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs that affinity and control group leave; and which it is."""
    for name in ("CROSSENT_NUM_THREADS", "OMP_NUM_THREADS"):
        if threads := _threads_from_environment(name):
            return threads, name
    return _usable_cpus(), "the CPUs that this process may use"


_openmp_at_import = _kernels.openmp_max_threads()
_threads, _threads_from = _default_threads()
_threads_here: ContextVar[int | None] = ContextVar("crossent_num_threads", default=None)


def _checked_threads(num_threads: int) -> int:
    if isinstance(num_threads, bool) or not hasattr(num_threads, "__index__"):
        raise TypeError(f"expected a whole number of threads, but got {num_threads!r}")
    threads = num_threads.__index__()
    if not 1 <= threads <= _MAX_THREADS:
        raise ValueError(f"expected a number of threads from 1 to {_MAX_THREADS}, but got {threads}")
    return threads


def set_num_threads(num_threads: int) -> None:
    """Use up to this many threads in every call from now on.

    It wins over the environment (``CROSSENT_NUM_THREADS``, ``OMP_NUM_THREADS``) and over the number of CPUs. Results
    have the same bits for any number of threads.

    Parameters
    ----------
    num_threads : int
        From 1 to 1024.

    Raises
    ------
    ValueError, TypeError
        If it is not such a number.

    Examples
    --------
    >>> import crossent
    >>> before = crossent.get_num_threads()
    >>> crossent.set_num_threads(1)
    >>> crossent.get_num_threads()
    1
    >>> crossent.set_num_threads(before)
    """
    global _threads, _threads_from
    _threads, _threads_from = _checked_threads(num_threads), "set_num_threads"


def get_num_threads() -> int:
    """Number of threads that a large call made here and now would use.

    Returns
    -------
    int
        What :func:`num_threads` or :func:`set_num_threads` set, else ``CROSSENT_NUM_THREADS``, else
        ``OMP_NUM_THREADS``, else the CPUs this process may use. A limit that was put on OpenMP since the import
        (by threadpoolctl, say) holds as well. Small calls use one thread whatever this says.

    Examples
    --------
    >>> import crossent
    >>> with crossent.num_threads(1):
    ...     crossent.get_num_threads()
    1
    """
    threads = _threads_here.get() or _threads
    limit = _kernels.openmp_max_threads()
    return min(threads, limit) if limit < _openmp_at_import else threads


_kernels.ask_for_threads(get_num_threads)


def _origin_of_threads() -> str:
    """Where ``get_num_threads()`` has its number from, in words."""
    if get_num_threads() < (_threads_here.get() or _threads):
        return "a limit that was put on OpenMP"
    return "num_threads" if _threads_here.get() else _threads_from


@contextmanager
def num_threads(num_threads: int) -> Iterator[None]:
    """Use up to this many threads in a ``with`` block, in this thread or task alone.

    Parameters
    ----------
    num_threads : int
        From 1 to 1024.

    Examples
    --------
    >>> import crossent, numpy as np
    >>> with crossent.num_threads(1):
    ...     float(crossent.logsumexp(np.zeros(4), 0))
    1.3862943611198906
    """
    token = _threads_here.set(_checked_threads(num_threads))
    try:
        yield
    finally:
        _threads_here.reset(token)


def isa_names() -> list[str]:
    """Instruction sets of this CPU that have kernels, best first; "scalar" is always the last."""
    return _kernels.isa_names()


def _checked_isa(name: str) -> str:
    if name not in isa_names():
        raise ValueError(f"expected an instruction set of this CPU ({', '.join(isa_names())}), but got {name!r}")
    return name


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Compute with this instruction set in a ``with`` block, in all threads: for tests and benchmarks."""
    before = _kernels.current_isa()
    _kernels.use_isa(_checked_isa(name))
    try:
        yield
    finally:
        _kernels.use_isa(before)


def _isa_from_environment() -> None:
    forced = os.environ.get("CROSSENT_ISA")
    if forced is None:
        return
    try:
        _kernels.use_isa(_checked_isa(forced))
    except ValueError as error:
        raise ImportError(f"CROSSENT_ISA: {error}") from None


def config() -> dict[str, object]:
    """What this process computes with, for reports: versions, instruction sets, threads."""
    import numpy

    from crossent._version import __version__

    return {
        "crossent": __version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instruction set": _kernels.current_isa(),
        "instruction set from": "CROSSENT_ISA" if os.environ.get("CROSSENT_ISA") else "the best of this machine",
        "instruction sets": isa_names(),
        "openmp": _kernels.has_openmp(),
        "threads": get_num_threads(),
        "threads from": _origin_of_threads(),
    }


def show_config() -> None:
    """Print what crossent computes with: versions, instruction set in use and available, threads.

    Examples
    --------
    >>> import crossent
    >>> crossent.show_config()  # doctest: +ELLIPSIS
    crossent ...
    """
    values = config()
    origins = {name: values.pop(f"{name} from") for name in ("instruction set", "threads")}
    for name, value in values.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        print(f"{name:16} {text}" + (f" ({origins[name]})" if name in origins else ""))


_isa_from_environment()
