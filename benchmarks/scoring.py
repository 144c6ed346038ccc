"""How fast, and in how much memory, the command scores a file of logits that is in the page cache.

    python -m benchmarks.scoring [--gigabytes 2] [--threads 2] [--rounds 5] [--folder build/scoring]

In each round `cat FILE > /dev/null` and `crossent score FILE` read the same file, one after the other. The command has two
rates: of the rows alone, by the seconds that it says it took, and of the whole process, which has Python to start. The losses
that it writes are compared with F.cross_entropy's, bit for bit. Prints a table for docs/command.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import crossent.nn.functional as F
from benchmarks.common import dtype_named
from benchmarks.peers import machine
from benchmarks.report import markdown

CLASSES = 50257  # of GPT-2: a row is 50 kB for each byte of an element
ROWS_AT_ONCE = 500
COLUMNS = "logits", "cat, GB/s", "scored", "of cat", "whole command", "of cat", "most memory, MB", "losses that differ"


def make(folder: Path, dtype: str, rows: int) -> tuple[Path, Path]:
    """Files of logits and targets, made once."""
    logits, targets = folder / f"{dtype}-{rows}.npy", folder / f"targets-{rows}.npy"
    rng = np.random.default_rng(0)
    if not targets.exists():
        np.save(targets, rng.integers(0, CLASSES, rows))
    if not logits.exists():
        partial = logits.with_suffix(".partial")
        array = np.lib.format.open_memmap(partial, "w+", dtype_named(dtype), (rows, CLASSES))
        for start in range(0, rows, ROWS_AT_ONCE):
            part = array[start : start + ROWS_AT_ONCE]
            part[...] = rng.standard_normal(part.shape, np.float32) * np.float32(3)
        array.flush()
        partial.rename(logits)
    return logits, targets


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in another process: a command's ru_maxrss begins with that of the process which starts it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def timed(command: Sequence[str | Path], stdout: int) -> tuple[float, float, bytes]:
    """Seconds, the most memory in MB, and the output of a command."""
    began = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=stdout)
    output = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if process.stdout:
        process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with status {process.returncode}")
    return seconds, usage.ru_maxrss / 1024, output


def measure(logits: Path, targets: Path, losses: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Medians over rounds. The first cat, which may find nothing in the page cache, is not counted."""
    score = [sys.executable, "-m", "crossent", "score", logits, targets, "--threads", threads, "--format", "json"]
    size, times = logits.stat().st_size / 1e9, []
    timed(["cat", logits], subprocess.DEVNULL)
    for _ in range(rounds):
        cat = timed(["cat", logits], subprocess.DEVNULL)[0]
        whole, memory, output = timed(score, subprocess.PIPE)
        times.append((cat, json.loads(output)["seconds"], whole, memory))
    timed([*score, "--output", losses], subprocess.DEVNULL)
    cat, scored, whole, memory = (np.array(column) for column in zip(*times, strict=True))
    return {
        "GB/s": [size / median(column.tolist()) for column in (cat, scored, whole)],
        "ratios": [median((cat / column).tolist()) for column in (scored, whole)],
        "memory": memory.max(),
    }


def same_as_functional(logits: Path, targets: Path, losses: Path) -> str:
    """Whether the losses are those of F.cross_entropy, of a copy in float32, to the bit."""
    x, t, got = (np.load(path, mmap_mode="r") for path in (logits, targets, losses))
    different = 0
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        wanted = F.cross_entropy(x[part].astype(np.float32), t[part], reduction="none")
        different += int((np.asarray(wanted).view(np.int32) != got[part].view(np.int32)).sum())
    return f"{different} of {len(x)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build/scoring"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for dtype in ("float16", "float32"):
        rows = max(1, int(options.gigabytes * 2e4) // dtype_named(dtype).itemsize)
        files = (*apart(make, options.folder, dtype, rows), options.folder / "losses.npy")
        found = measure(*files, options.threads, options.rounds)
        cat, scored, whole = (f"{rate:.3g}" for rate in found["GB/s"])
        scored_part, whole_part = (f"{ratio:.2f}" for ratio in found["ratios"])
        shape = f"({rows},{CLASSES}) {dtype}"
        lines.append(
            [shape, cat, scored, scored_part, whole, whole_part, f"{found['memory']:.0f}", apart(same_as_functional, *files)]
        )
    about = machine()
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{about['cpu']}, {about['instruction set']}, {options.threads} threads; {versions}; commit {about['commit']}.\n")
    print(markdown([*COLUMNS], lines))


if __name__ == "__main__":
    main()
