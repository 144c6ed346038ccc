"""Runs of the command that are killed at random moments, by SIGKILL, so that nothing in them can clean up.

``python kills.py KILLS SEED ARGUMENT...`` forks a run after the other, which costs no import, in the current folder. A run that
is not killed ends the series, and another begins. Prints what test_cli_writing.py and test_cli_resume.py ask of it, as JSON.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from crossent import cli
from crossent.scoring import checkpoint

checkpoint.PAUSE, checkpoint.SHARE = 0.01, 1.0  # so that a run of a second has many


def run(arguments, delay=None):
    """Fork a run and kill it after so many seconds; its status, None where it was killed."""
    child = os.fork()
    if not child:
        with open("stdout", "w") as out, contextlib.redirect_stdout(out):
            os._exit(cli.main(arguments))
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def outcome(output):
    """What there is of an output: a hash, None where there is none."""
    path = Path(output)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def main(kills, seed, arguments):
    output = arguments[arguments.index("--output") + 1]
    began = time.perf_counter()
    first = run(arguments)
    seconds = time.perf_counter() - began
    result = {
        "status": first,
        "undisturbed": [outcome(output), figures()],
        "killed": [],  # the output after each kill
        "resumed": 0,  # runs that found a checkpoint
        "finished": [],  # status, output and figures of the runs that came to their end
    }
    random.seed(seed)
    old = hashlib.sha256(b"old").hexdigest()
    Path(output).write_bytes(b"old")
    status = None
    while len(result["killed"]) < kills or status is None:
        result["resumed"] += os.path.exists(f"{output}.resume")
        left = kills - len(result["killed"])
        status = run(arguments, random.uniform(0, 1.2 * seconds) if left > 0 else None)
        if status is None:
            result["killed"].append(outcome(output))
        else:
            result["finished"].append([status, outcome(output), figures()])
            if left > 0:
                Path(output).write_bytes(b"old")
    result["old"] = old
    result["left"] = sorted(os.listdir())
    json.dump(result, sys.stdout)


def figures():
    """Of the last run, but how long it took."""
    text = Path("stdout").read_text()
    return "\n".join(line for line in text.splitlines() if "second" not in line)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
