"""Code in a fresh interpreter, for what cannot be tested in this one: environment variables, imports, forks, signals."""

import os
import signal
import subprocess
import sys

# compute(): losses and a gradient, by four threads where they are allowed; sha256(): a result in one word.
COMPUTE = """
import hashlib
import numpy as np, crossent
import crossent.nn.functional as F

logits, target = np.random.default_rng(0).normal(size=(5000, 50)), np.arange(5000) % 50

def compute(_=None):
    with crossent.num_threads(4):
        losses, pullback = crossent.vjp(F.cross_entropy, logits, target, reduction="none")
        return losses, pullback(np.ones_like(losses))

def sha256(arrays):
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
"""
VARIABLES = ("OMP_NUM_THREADS", "CROSSENT_NUM_THREADS", "CROSSENT_ISA")


def run(code, timeout=60, **variables):
    """Run it to its end, with its children; of the variables that crossent reads, those that are given are set."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = (sys.executable, "-c", code)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env={**environment, **variables}, start_new_session=True, **streams)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def printed(code, timeout=60, **variables):
    """What code that must succeed prints."""
    done = run(code, timeout, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
