"""``--resume``: a run that was stopped goes on where it was, ends with the same bits, and refuses what is not its own."""

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kills
from command import leftovers, run, score, start
from crossent.scoring import checkpoint
from crossent.scoring.run import Job, score_files
from test_cli_files import WRITERS, losses_of, sample

STATE = ["losses.npy.partial", "losses.npy.resume"]


@pytest.fixture(autouse=True)
def many_checkpoints(monkeypatch):
    monkeypatch.setattr(checkpoint, "PAUSE", 0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)


class Killed(BaseException):
    """Stands for a kill: nothing in the package expects it."""


def stop_after(rows, *arguments, error=Killed):
    """Score the files of `data` until so many rows are done; returns the rows that were done before each chunk."""
    seen = []

    def progress(done, of):
        seen.append(done)
        if done >= rows:
            raise error

    job = Job(["logits.npy"], ["labels.npy"])
    with pytest.raises(error):
        score_files(job, output="losses.npy", resume=True, chunk_rows=20, progress=progress)
    return seen


def figures(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if "second" not in line]


def undisturbed(capsys):
    assert score("--output", "losses.npy", "--format", "json") == 0
    content = Path("losses.npy").read_bytes()
    os.unlink("losses.npy")
    return figures(capsys), content


@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt, OSError, MemoryError, SystemExit])
def test_a_stopped_run_goes_on_where_it_was(data, capsys, error):
    wanted = undisturbed(capsys)
    assert stop_after(60, error=error) == [20, 40, 60]
    assert leftovers() == STATE
    assert stop_after(140, error=error)[0] == 80  # the 60 are done
    options = ["--chunk-rows", 7, "--threads", 1, "-q"]  # the bits do not depend on how it goes on
    assert score("--output", "losses.npy", "--resume", "--format", "json", *options) == 0
    assert (figures(capsys), Path("losses.npy").read_bytes()) == wanted
    assert leftovers() == ["losses.npy"]


@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_format_goes_on(data, suffix, write, dtype):
    """Also where the rows that were written after the last checkpoint are torn."""
    logits, labels = sample(np.dtype(dtype), (60, 5, 3))
    names = write(logits, labels)
    assert run("score", *names, "--output", f"whole.{suffix}") == 0

    def progress(done, of):
        if done >= 35:
            raise Killed

    output = f"losses.{suffix}"
    with pytest.raises(Killed):
        score_files(Job(names[:1], names[1:2]), output=output, resume=True, chunk_rows=7, progress=progress)
    with open(f"{output}.partial", "ab") as file:
        file.write(b"torn")
    assert run("score", *names[:2], "--output", output, "--resume") == 0
    assert Path(output).read_bytes() == Path(f"whole.{suffix}").read_bytes()
    np.testing.assert_array_equal(losses_of(logits, labels).size, 180)


def test_several_files_go_on(data, capsys):
    wanted = undisturbed(capsys)
    for number, (x, y) in enumerate(
        zip(*(np.split(np.load(f"{n}.npy"), [33, 111]) for n in ("logits", "labels")), strict=True)
    ):
        np.save(f"x-{number}.npy", x)
        np.save(f"y-{number}.npy", y)
    arguments = ["x-*.npy", "y-*.npy", "--output", "losses.npy", "--resume", "--format", "json", "--chunk-rows", 5]
    for rows in (20, 33, 113, 200):

        def progress(done, of, rows=rows):
            if done >= rows:
                raise Killed

        with pytest.raises(Killed):
            score_files(Job(["x-*.npy"], ["y-*.npy"]), output="losses.npy", resume=True, chunk_rows=5, progress=progress)
    assert run("score", *arguments) == 0
    named = ('"logits"', '"targets"')
    assert [line for line in figures(capsys) if not any(n in line for n in named)] == [
        line for line in wanted[0] if not any(n in line for n in named)
    ]
    assert Path("losses.npy").read_bytes() == wanted[1]


def test_a_run_without_resume_neither_reads_nor_leaves_a_checkpoint(data):
    stop_after(60)
    state = [Path(name).read_bytes() for name in STATE]
    assert score("--output", "losses.npy", "--label-smoothing", 0.1) == 0
    assert [Path(name).read_bytes() for name in STATE] == state
    assert score("--output", "losses.npy", "--resume") == 0
    assert leftovers() == ["losses.npy"]


def test_the_losses_of_the_checkpoint_must_be_there(data, capsys):
    wanted = undisturbed(capsys)
    for damage in (lambda path: path.unlink(), lambda path: os.truncate(path, 300), lambda path: path.write_bytes(b"\0" * 999)):
        stop_after(100)
        damage(Path("losses.npy.partial"))
        assert stop_after(100)[0] == 20  # from the beginning
        damage(Path("losses.npy.partial"))
        assert score("--output", "losses.npy", "--resume", "--format", "json") == 0
        assert (figures(capsys), Path("losses.npy").read_bytes()) == wanted


def test_a_checkpoint_speaks_of_losses_that_are_on_the_disk(data, monkeypatch):
    calls = []

    def noting(real, name):
        return lambda *a: (calls.append(os.path.basename(name(*a))), real(*a))[1]

    monkeypatch.setattr(os, "fsync", noting(os.fsync, lambda file: os.readlink(f"/proc/self/fd/{file}")))
    monkeypatch.setattr(os, "replace", noting(os.replace, lambda old, new: new))
    stop_after(40)
    one = ["losses.npy.partial", "losses.npy.resume.tmp", "losses.npy.resume", data.name]  # the last is the folder
    assert calls == one * 2


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "had", "has"),
    [
        (["--label-smoothing", "0.1"], "label_smoothing:0.0", "label_smoothing:0.1"),
        (["--ignore-index", "4"], "ignore_index:-100", "ignore_index:4"),
        (["--weight", "w.npy"], "weight:none", "weight:[0-9a-f]{12}"),
        (["--reduction", "sum"], "reduction:mean", "reduction:sum"),
    ],
)
def test_other_options(data, capsys, arguments, had, has):
    np.save("w.npy", np.ones(5))
    stop_after(60)
    before = [Path(name).read_bytes() for name in STATE]
    assert score("--output", "losses.npy", "--resume", *arguments) == 2
    out, err = capsys.readouterr()
    wanted = f"losses.npy.resume: is of another run, which had {had} where this has {has}; remove it to begin anew"
    assert re.fullmatch(rf"crossent score: error: \S*/{wanted}\n", err), err
    assert out == ""
    assert [Path(name).read_bytes() for name in STATE] == before


def swap_values(name):
    array = np.load(name)
    np.save(name, array[::-1])


def touch(name):
    os.utime(name, ns=(0, 0))


def more_rows(name):
    for file in ("logits.npy", "labels.npy"):
        np.save(file, np.concatenate([np.load(file)] * 2))


def other_dtype(name):
    np.save("logits.npy", np.load("logits.npy").astype(np.float64))


@pytest.mark.parametrize("change", [swap_values, touch, more_rows, other_dtype])
@pytest.mark.parametrize("name", ["logits.npy", "labels.npy"])
def test_other_data(data, capsys, change, name):
    stop_after(60)
    change(name)
    assert score("--output", "losses.npy", "--resume") == 2
    assert re.fullmatch(
        r"crossent score: error: \S*/losses.npy.resume: is of another run, which had .*\n", capsys.readouterr().err
    )
    assert leftovers() == STATE


def test_more_data(data, capsys):
    stop_after(60)
    assert (
        run("score", "logits.npy", "logits.npy", "--targets", "labels.npy", "labels.npy", "--output", "losses.npy", "--resume")
        == 2
    )
    assert "which had shape:200x5 where this has shape:400x5" in capsys.readouterr().err


def test_damaged_checkpoints(data, capsys):
    stop_after(60)
    content = Path("losses.npy.resume").read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\0" * 100, content.replace(b"run.npy", b"nur.npy")):
        Path("losses.npy.resume").write_bytes(damaged)
        assert score("--output", "losses.npy", "--resume") == 3
        assert re.fullmatch(r"crossent score: error: \S*/losses.npy.resume: not a checkpoint: .*\n", capsys.readouterr().err)
        assert leftovers() == STATE


def test_bad_data_ends_a_run_for_good(data, capsys):
    labels = np.load("labels.npy")
    labels[150] = 9
    np.save("labels.npy", labels)
    assert score("--output", "losses.npy", "--resume", "--chunk-rows", 20) == 3
    assert capsys.readouterr().err == "crossent score: error: labels.npy: Target 9 is out of bounds: row 150, 5 classes\n"
    assert leftovers() == []


def test_one_run_at_a_time(data, capsys):
    np.save("logits.npy", np.zeros((200_000, 5), np.float32))
    np.save("labels.npy", np.zeros(200_000, int))
    process = start("score", "logits.npy", "labels.npy", "--output", "losses.npy", "--resume", "--chunk-rows", 5)
    try:
        while not os.path.exists("losses.npy.partial"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        time.sleep(0.1)
        assert score("--output", "losses.npy", "--resume") == 2
        assert re.fullmatch(
            r"crossent score: error: \S*losses.npy.partial: another run is writing to it\n", capsys.readouterr().err
        )
    finally:
        process.kill()
        process.communicate()
    assert score("--output", "losses.npy", "--resume") == 0


# ---- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [6, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize(("suffix", "temperature"), [("npy", "1"), ("csv", "1"), ("npy", "auto")])
def test_kills(tmp_path, number, suffix, temperature):
    """kill -9 at random moments: in the end, the bits of a run that nobody disturbed."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20_000, 20)).astype(np.float32), rng.integers(0, 20, 20_000)
    labels[::2] = logits[::2].argmax(1)  # so that a temperature is best
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "labels.npy", labels)
    output = f"losses.{suffix}"
    arguments = ["score", "logits.npy", "labels.npy", "--output", output, "--resume", "--chunk-rows", 100, "--format", "json"]
    arguments += ["--temperature", temperature]
    command = [sys.executable, kills.__file__, number, 7, *arguments]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    whole, figures = result["undisturbed"]
    assert result["status"] == 0
    assert len(result["killed"]) == number
    assert set(result["killed"]) <= {result["old"], whole}
    assert result["resumed"] >= number // (3 if temperature == "1" else 20)  # most of the time is before the first checkpoint
    assert result["finished"]
    assert all(run == [0, whole, figures] for run in result["finished"])
    assert result["left"] == sorted(["labels.npy", "logits.npy", output, "stdout"])
