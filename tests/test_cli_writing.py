"""The command's files are written whole or not at all: whatever fails or kills it, the old output or the new one is there."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
import kills
from command import leftovers, score, start
from crossent.scoring.errors import DataError
from crossent.scoring.files import InputFile, atomic_file
from crossent.scoring.formats import npy
from crossent.scoring.run import Job, score_files

JOB = Job(["logits.npy"], ["labels.npy"])


def test_output_through_a_link_and_with_the_usual_mode(data):
    Path("real.npy").write_bytes(b"old")
    Path("link.npy").symlink_to("real.npy")
    before = os.umask(0o027)
    try:
        assert score("--output", "link.npy") == 0
    finally:
        os.umask(before)
    assert Path("link.npy").is_symlink()
    assert np.load("real.npy").shape == (200,)
    assert os.stat("real.npy").st_mode & 0o777 == 0o640


def test_the_data_is_on_the_disk_before_it_has_the_name(data, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1])
    assert score("--output", "losses.npy") == 0
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder


# ---- failures --------------------------------------------------------------------------------------------------------


def no_space(*_, **__):
    raise OSError(28, "No space left on device")


def interrupt(*_, **__):
    raise KeyboardInterrupt


def no_memory(*_, **__):
    raise MemoryError("Unable to allocate 9 TiB")


@pytest.mark.parametrize("place", ["os.fsync", "os.replace", "crossent.scoring.losses.npy.header", "numpy.isnan"])
@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet"])
@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (no_space, 1, r"error: (.*/losses.\w+: )?No space left on device"),
        (no_memory, 1, "error: not enough memory, which --max-memory bounds: Unable to allocate 9 TiB"),
        (interrupt, 130, "interrupted"),
    ],
)
def test_a_failure_leaves_the_old_output(data, capsys, monkeypatch, place, suffix, failure, status, message):
    output = f"losses.{suffix}"
    Path(output).write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(place, failure)
        assert score("--output", output, "--chunk-rows", 50) == status
    out, err = capsys.readouterr()
    assert re.fullmatch(f"crossent score: {message}\n", err), err
    assert out == ""
    assert Path(output).read_bytes() == b"old"
    assert leftovers(data) == [output]


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        *((size, ["--output", f"losses.{kind}"]) for kind in ("npy", "csv", "parquet") for size in (0, 100, 900)),
        *((size, ["--output", f"losses.{kind}", "--resume"]) for kind in ("npy", "csv") for size in (0, 900)),
        (900, ["--plot", "report.svg"]),
    ],
    ids=str,
)
def test_a_full_disk(data, size, arguments):
    """A real one: the size of files is limited to less than the output."""
    code = """if True:
        import resource, signal, sys
        from crossent.cli import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
        sys.exit(main(sys.argv[2:]))
    """
    output = arguments[1]
    Path(output).write_bytes(b"old")
    command = (sys.executable, "-B", "-c", code, str(size), "score", "logits.npy", "labels.npy", *arguments, "-q")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"crossent score: error: .*{output}: File too large\n", done.stderr)
    assert Path(output).read_bytes() == b"old"
    assert set(leftovers(data)) <= {output, f"{output}.partial"}
    assert score(*arguments) == 0  # with space again


@pytest.fixture
def small_disk(data):
    """A folder that is a disk of 16 KB, in memory, which root may mount."""
    folder = data / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder)
    try:
        subprocess.run(mount, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted: {error}")
    yield folder
    subprocess.run(("umount", folder), check=True)


@pytest.mark.parametrize(
    ("name", "option", "full"),
    [(f"losses.{kind}", option, "") for kind in ("npy", "csv", "parquet") for option in ("-q", "--resume")]
    + [(f"losses.{kind}", "--resume", ".resume") for kind in ("npy", "csv", "parquet")]
    + [("report.svg", "--plot", "")],
)
def test_a_disk_that_fills_up(small_disk, capsys, monkeypatch, name, option, full):
    """No space left, as the system says it: 20,000 losses, a checkpoint, or a picture, are larger than 16 KB."""
    monkeypatch.setattr("crossent.scoring.checkpoint.PAUSE", 0 if full == ".resume" else 3600)
    np.save("logits.npy", np.random.default_rng(0).normal(size=(20_000, 5)))
    np.save("labels.npy", np.zeros(20_000, int))
    path = small_disk / name
    path.write_bytes(b"old")
    arguments = [option, path] if option == "--plot" else ["--output", path, option, "--chunk-rows", 1000]
    assert score(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"crossent score: error: (.*{name}{full}: )?No space left on device\n", err), err
    assert path.read_bytes() == b"old"
    assert set(os.listdir(small_disk)) <= {name, f"{name}.partial"}


@pytest.mark.parametrize("method", ["read", "readinto"])
def test_a_disk_that_cannot_be_read(data, capsys, monkeypatch, method):
    def broken(self, *_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(InputFile, method, broken)
    assert score("--output", "losses.npy") == 1
    assert capsys.readouterr().err == "crossent score: error: logits.npy: Input/output error\n"
    assert leftovers() == []


@pytest.mark.parametrize("change", ["shrink", "grow", "rewrite"])
@pytest.mark.parametrize("name", ["logits.npy", "labels.npy"])
def test_inputs_that_change_while_they_are_read(data, change, name):
    Path("losses.npy").write_bytes(b"old")

    def after_a_chunk(done, rows):
        if change == "shrink":
            os.truncate(name, 300)
        elif change == "grow":
            with open(name, "ab") as file:
                file.write(b"more")
        else:
            time.sleep(0.01)  # for the clock of the file system
            with open(name, "r+b") as file:
                file.seek(140)
                file.write(b"\0")

    message = "truncated while it was read" if change == "shrink" else "changed while it was read"
    with pytest.raises(DataError, match=f"^{name}: {message}$"), crossent.num_threads(1):  # others would read ahead
        score_files(JOB, output="losses.npy", chunk_rows=50, progress=after_a_chunk)
    assert Path("losses.npy").read_bytes() == b"old"
    assert leftovers() == ["losses.npy"]


def test_readers_see_the_old_file_or_the_new_one(tmp_path):
    """Somebody who reads all the time while it is written 200 times."""
    path = tmp_path / "file"
    contents = {bytes([number]) * 5000 for number in range(4)}
    path.write_bytes(min(contents))
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        with atomic_file(path) as file:
            for _ in range(5):
                file.write(bytes([number % 4]) * 1000)
                file.flush()
    done.set()
    reader.join()
    assert seen <= contents
    assert len(seen) > 1


# ---- signals and kills -----------------------------------------------------------------------------------------------


@pytest.fixture
def long_run(data):
    """Starts a run of some seconds that writes losses.npy, and waits until it writes."""
    np.save("logits.npy", np.tile(np.load("logits.npy"), (500, 1)))
    np.save("labels.npy", np.tile(np.load("labels.npy"), 500))
    started = []

    def begin(*arguments):
        process = start("score", "logits.npy", "labels.npy", "--chunk-rows", 5, "--threads", 1, *arguments)
        started.append(process)
        while not any(name.endswith((".tmp", ".partial")) for name in os.listdir()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("resume", [[], ["--resume"]], ids=["", "resume"])
def test_signals_remove_the_temporary_file(data, long_run, number, resume):
    Path("losses.npy").write_bytes(b"old")
    process = long_run("--output", "losses.npy", *resume)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    status, text = {signal.SIGINT: (130, "crossent score: interrupted\n"), signal.SIGTERM: (143, "")}[number]
    assert (process.returncode, out, err) == (status, "", text)
    assert Path("losses.npy").read_bytes() == b"old"
    assert leftovers(data) == ["losses.npy"] + ["losses.npy.partial"] * len(resume)


@pytest.mark.parametrize("kind", [["--output", "losses.npy"], ["--reduction", "none"]], ids=["output", "none"])
def test_a_kill_leaves_no_half_output(data, long_run, kind):
    if "--output" not in kind:
        kind = [*kind, "--output", "losses.npy"]
    process = long_run(*kind)
    process.kill()
    out, _ = process.communicate()
    assert (process.returncode, out) == (-signal.SIGKILL, "")
    assert not Path("losses.npy").exists()
    assert score("--output", "losses.npy", "-q") == 0  # and what it left is in nobody's way
    wanted = F.cross_entropy(np.load("logits.npy"), np.load("labels.npy"), reduction="none")
    np.testing.assert_array_equal(np.load("losses.npy"), wanted)


@pytest.mark.parametrize("number", [10, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("output", ["losses.npy", "losses.parquet"])
def test_kills_leave_the_old_output_or_the_new_one(tmp_path, number, output):
    """kill -9 at random moments of a run without --resume."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "logits.npy", rng.normal(size=(5000, 20)).astype(np.float32))
    np.save(tmp_path / "labels.npy", rng.integers(0, 20, 5000))
    arguments = ["score", "logits.npy", "labels.npy", "--output", output, "--chunk-rows", 50, "--format", "json"]
    command = [sys.executable, kills.__file__, number, 11, *arguments]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    whole = result["undisturbed"][0]
    assert len(result["killed"]) == number
    assert set(result["killed"]) <= {result["old"], whole}
    assert all(status == 0 and content == whole for status, content, _ in result["finished"])


# ---- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_memory_does_not_grow_with_the_file(data, kind):
    """A sparse file of 1 GB, or 300 MB that unpack from 300 KB, scored by a process that may take 256 MB more than it has."""
    rows = {"npy": 250_000, "npz": 75_000}[kind]
    np.save("labels.npy", np.zeros(rows, np.int8))
    if kind == "npy":
        with open("x.npy", "wb") as file:
            file.write(npy.header((rows, 1000), np.dtype(np.float32)))
            file.truncate(file.tell() + rows * 4000)
    else:
        np.savez_compressed("x.npz", np.broadcast_to(np.float32(0), (rows, 1000)))
    code = """if True:
        import resource, sys
        import crossent.scoring.plots
        from crossent.cli import main
        import re
        taken = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
        resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20),) * 2)
        sys.exit(main(sys.argv[1:]))
    """
    arguments = ["score", f"x.{kind}", "labels.npy", "--output", "losses.npy", "--format", "json", "-q"]
    done = subprocess.run((sys.executable, "-c", code, *arguments), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["mean_loss"] == pytest.approx(np.log(1000))
