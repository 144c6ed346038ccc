"""What the tests of the command share: running it, in this process or in another, and what a run leaves in a folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import crossent
from crossent import cli

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "crossent")


def run(*arguments):
    return cli.main([*map(str, arguments)])


def score(*arguments):
    """``crossent score`` of the files of the fixture `data`."""
    return run("score", "logits.npy", "labels.npy", *arguments)


def expected(**options):
    return crossent.score(np.load("logits.npy"), np.load("labels.npy"), **options)


def leftovers(folder="."):
    """What a run left besides its inputs."""
    return sorted(set(os.listdir(folder)) - {"logits.npy", "labels.npy"})


def start(*arguments, **options):
    return subprocess.Popen((*COMMAND, *map(str, arguments)), stdout=-1, stderr=-1, text=True, **options)


def python(code, *arguments, **options):
    """Run some lines of Python that end with ``sys.exit(main(sys.argv[1:]))``."""
    return subprocess.run((sys.executable, "-c", code, *map(str, arguments)), capture_output=True, text=True, **options)


def save(name, content):
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    else:
        np.save(name, content)
