"""The examples run, small, and leave what they say they leave."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command import ROOT

pytest.importorskip("matplotlib")


def run(name, *arguments):
    command = (sys.executable, ROOT / "examples" / name, *map(str, arguments))
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "error"})


def outputs(done, folder):
    """What a run printed, which went well, and the files that it left."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout, {path.name: path for path in Path(folder).iterdir()}


def test_digits(tmp_path):
    pytest.importorskip("sklearn")
    out, files = outputs(run("digits.py", tmp_path), tmp_path)
    assert "held-out accuracy 0.9" in out
    assert files.keys() == {"logits.npy", "labels.npy"}
    command = out.splitlines()[-1].removeprefix("next: crossent ").split()
    done = subprocess.run([sys.executable, "-m", "crossent", *command], capture_output=True, text=True)
    assert "accuracy" in outputs(done, tmp_path)[0]
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("keep", [False, True])
def test_language_model(tmp_path, keep):
    done = run("language_model.py", tmp_path / "lm", "--tokens", 1200, "--vocabulary", 300, *(["--keep"] if keep else []))
    out, files = outputs(done, tmp_path / "lm")
    assert files.keys() == {"tokens.npy", "losses.npy", "report.png"} | ({"logits.npy"} if keep else set())
    assert "context:1000|" in out
    assert "1,200" in out
    losses = np.load(files["losses.npy"])
    assert losses.shape == (1200,)
    assert losses[20:1000].mean() < losses[[*range(20), *range(1000, 1020)]].mean()
    if keep:
        logits = np.load(files["logits.npy"])
        assert (logits.shape, logits.dtype) == ((1200, 300), np.float16)
        assert np.isfinite(logits).all()


def test_language_model_asks_for_room_first(tmp_path):
    done = run("language_model.py", tmp_path, "--tokens", 10**12)
    assert done.returncode == 1
    assert "the logits take 100514000.0 GB, and there are" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_segmentation(tmp_path):
    done = run("segmentation.py", tmp_path, "--images", 2, "--height", 48)
    out, files = outputs(done, tmp_path)
    arrays = {"logits.npy", "labels.npy", "weights.npy", "losses.npy"}
    assert files.keys() == arrays | {"classes.txt", "report.png", "worst.png"}
    labels, losses = np.load(files["labels.npy"]), np.load(files["losses.npy"])
    assert labels.shape == losses.shape == (2, 48, 96)
    assert (losses[labels == 255] == 0).all()
    assert f"{(labels == 255).sum():,} ignored" in out
    assert "pavement" in out
