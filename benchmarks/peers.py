"""Compare crossent with torch, JAX, scikit-learn and SciPy on the grid: `make compare`.

    python -m benchmarks.peers [--quick] [--threads 1,2] [--only PATTERN] [--peers torch,compile,jax] [--output results.json]

All contenders of a point run in one process, in an order that is shuffled anew each round, on the same threads and the same
inputs; what is reported are medians, and medians of the ratios within a round. Each number of threads gets a process of its
own, pinned to as many CPUs, because JAX takes its threads at start. Beside the rate of each call stands that of a plain read
of the same logits (of a copy, for gradients) by as many threads.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

SAMPLE = 1e-3
"""Seconds that a sample should take at least; a quicker call is repeated."""

PAUSE = 2e-3
"""Seconds before a sample on several threads: those of the contender before still spin, on the CPUs that this one needs. Then
it is called once untimed, which wakes its own."""

ROTATE = 64 << 20
"""Bytes of inputs that the rounds rotate through, so that nothing large is found in a cache because it was just used."""


LARGE = 1 << 20
"""Bytes of logits from which a rate of memory says something."""


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quartiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]


def timed(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def plain_rates(inputs: list[dict[str, Any]], threads: int, with_gradient: bool) -> list[Callable[[], Any]]:
    """A read of the logits (a copy, for gradients), split over threads: the most that any implementation could reach."""
    import numpy as np

    pool = ThreadPoolExecutor(threads)

    def prepare(logits: Any) -> Callable[[], Any]:
        flat = logits.reshape(-1)
        flat = flat.view(np.uint16) if flat.itemsize == 2 else flat  # NumPy is slow at numbers of 16 bits, not at reading them
        parts = np.array_split(flat, threads)
        if not with_gradient:
            return lambda: list(pool.map(np.max, parts))
        copies = np.array_split(np.zeros_like(flat), threads)
        return lambda: list(pool.map(np.copyto, copies, parts))

    return [prepare(i["logits"]) for i in inputs]


def measure(point: Any, with_gradient: bool, peers: list[str], threads: int, rounds: int) -> dict[str, Any]:
    """Medians and ratios of every contender at one point."""
    from .contenders import contenders

    found, failures = contenders(point, with_gradient, peers)
    for failure in failures:
        print(f"  left out at {point.name}: {failure}", file=sys.stderr)
    copies = max(1, min(4, ROTATE // max(point.nbytes, 1)))
    inputs = [point.inputs(seed) for seed in range(copies)]
    calls = {c.name: [c.prepare(i) for i in inputs] for c in found}
    plain = "copy" if with_gradient else "read"
    calls[plain] = plain_rates(inputs, threads, with_gradient)
    repeats = {}
    for name, (first, *_) in calls.items():
        first()
        repeats[name] = max(1, int(SAMPLE / max(min(timed(first, 1) for _ in range(3)), 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in random.sample(list(calls), len(calls)):
            if threads > 1:
                time.sleep(PAUSE)
                calls[name][(number + 1) % copies]()
            samples[name].append(timed(calls[name][number % copies], repeats[name]))
    return summary(point, with_gradient, samples, plain)


def summary(point: Any, with_gradient: bool, samples: dict[str, list[float]], plain: str) -> dict[str, Any]:
    ours = samples["crossent"]
    result = {
        "point": point.name,
        "gradient": with_gradient,
        "microseconds": {name: round(median(s) * 1e6, 3) for name, s in samples.items() if name != plain},
        "quartiles": {name: [round(q * 1e6, 3) for q in quartiles(s)] for name, s in samples.items() if name != plain},
        "ratio": {
            name: round(median([theirs / own for theirs, own in zip(s, ours, strict=True)]), 3)
            for name, s in samples.items()
            if name not in ("crossent", plain)
        },
    }
    if point.nbytes >= LARGE:
        plain_moved = point.nbytes * (2 if with_gradient else 1)
        result["GB/s"] = round(point.bytes_moved(with_gradient) / median(ours) / 1e9, 2)
        result[f"GB/s of a plain {plain}"] = round(plain_moved / median(samples[plain]) / 1e9, 2)
    return result


def cpu_model() -> str:
    try:
        return re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text()).group(1)
    except (OSError, AttributeError):
        return "unknown CPU"


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("crossent", "numpy", "torch", "jax", "optax", "scikit-learn", "scipy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    import crossent

    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "instruction set": crossent._runtime.config()["instruction set"],
        "versions": versions() | {"crossent": crossent.__version__},
        "commit": git_commit(),
        "date": date.today().isoformat(),
    }


def cores_first(cpus: set[int]) -> list[int]:
    """CPUs in an order in which those that share a core come late."""
    shared: dict[str, int] = {}

    def turn(cpu: int) -> int:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text() if siblings.exists() else str(cpu)
        shared[core] = shared.get(core, 0) + 1
        return shared[core]

    return sorted(sorted(cpus), key=turn)


def run_threads(arguments: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """One number of threads, in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_first(os.sched_getaffinity(0))[:threads])
    import crossent

    from .common import GRID

    crossent.set_num_threads(threads)
    peers = arguments.peers.split(",")
    if {"torch", "compile"} & set(peers):
        import torch

        torch.set_num_threads(threads)
    results = []
    for point in GRID:
        if not re.search(arguments.only, point.name):
            continue
        for with_gradient in (False, True):
            rounds = arguments.rounds if point.nbytes < 1 << 26 else max(5, arguments.rounds // 3)
            results.append(measure(point, with_gradient, peers, threads, rounds) | {"threads": threads})
            show(results[-1])
    return results


def show(result: dict[str, Any]) -> None:
    times = "  ".join(f"{name} {us:,.1f} us" for name, us in result["microseconds"].items())
    ratios = "  ".join(f"{ratio:.1f} x {name}" for name, ratio in result["ratio"].items())
    what = "loss and gradient" if result["gradient"] else "loss"
    rates = "; ".join(f"{name}: {rate}" for name, rate in result.items() if name.startswith("GB/s"))
    print(f"{result['point']}, {what}, {result['threads']} thread(s)\n    {times}\n    ours is faster: {ratios}")
    print(f"    {rates}" if rates else "", flush=True)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 rounds instead of 21")
    parser.add_argument("--rounds", type=int, help="rounds for each point")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, each in a process of its own (default 1,2)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="points whose name matches this regular expression")
    parser.add_argument(
        "--peers",
        default="torch,compile,jax,sklearn,scipy,lower",
        help="peers, by comma; 'lower' is ours with lower instruction sets forced",
    )
    parser.add_argument("--output", metavar="FILE", help="write the results as JSON")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (5 if options.quick else 21)
    return options


def main() -> None:
    arguments = parsed(None)
    counts = [int(count) for count in arguments.threads.split(",")]
    if len(counts) == 1:
        results = run_threads(arguments, counts[0])
        if arguments.output:
            Path(arguments.output).write_text(json.dumps({"machine": machine(), "results": results}, indent=1))
        return
    merged: dict[str, Any] = {"machine": machine(), "results": []}
    for count in counts:
        part = Path(f"{arguments.output or 'results.json'}.{count}")
        command = [sys.executable, "-m", "benchmarks.peers", *sys.argv[1:], "--threads", str(count), "--output", str(part)]
        subprocess.run(command, check=True)
        merged["results"] += json.loads(part.read_text())["results"]
        part.unlink()
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(merged, indent=1))


if __name__ == "__main__":
    main()
