"""Forks, spawns and pools; torch and scikit-learn beside us; a real control group; Ctrl-C; the processor's float settings."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from conftest import quick_or_long
from crossent.scoring.formats import npy
from interpreters import COMPUTE, printed

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork, and libgomp's threads, are of Linux")

# Forks: a child of a process whose threads have run would wait for threads that it has not. `count` of each.

FORK = """
import multiprocessing, os, threading, warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
warnings.simplefilter("ignore")  # Python 3.12 warns of any fork beside threads
expected = sha256(compute())

def fork(work=compute):
    child = os.fork()
    if child == 0:
        os._exit(0 if sha256(work()) == expected else 1)
    return os.waitpid(child, 0)[1]

losses = compute()[0]
job = partial(F.cross_entropy, logits, target, reduction="none")  # which another interpreter can be sent
def is_right(pool, arguments):
    return all(np.array_equal(pool.submit(job).result(), losses) for _ in arguments)
"""

FORKS = {
    "os.fork": "assert not any(fork() for _ in range(count))",
    "forks of a fork": """
def grandchildren():
    compute()
    assert not any(fork() for _ in range(count))
    return compute()
assert fork(grandchildren) == 0
""",
    "forks from a Python thread": """
assert not any(ThreadPoolExecutor(1).map(lambda _: fork(), range(count)))
""",
    "forks while threads compute": """
done = threading.Event()
def compute_on():
    while not done.is_set():
        compute()
threads = [threading.Thread(target=compute_on) for _ in range(2)]
for thread in threads:
    thread.start()
statuses = [fork() for _ in range(count)]
done.set()
for thread in threads:
    thread.join()
assert not any(statuses)
""",
    "multiprocessing, forked": """
with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
    assert all(map(expected.__eq__, map(sha256, pool.map(compute, range(count), 1))))
""",
    "multiprocessing, spawned": """
with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
    results = [pool.apply_async(job) for _ in range(count)]
    assert all(np.array_equal(result.get(), losses) for result in results)
""",
    "ProcessPoolExecutor, forked": """
for _ in range(count):
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        assert is_right(pool, range(4))
""",
    "ProcessPoolExecutor, spawned": """
for _ in range((count + 1) // 2):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert is_right(pool, range(4))
""",
}


@on_linux
@quick_or_long("count", 3, 200)
@pytest.mark.parametrize("forks", list(FORKS.values()), ids=FORKS)
def test_a_child_computes_and_does_not_hang(forks, count):
    printed(f"count = {count}\n{COMPUTE}{FORK}{forks}\nassert sha256(compute()) == expected", timeout=60 + 3 * count)


# Other libraries with threads of their own, in either order of the imports.

OTHERS = {
    "torch": """
import torch
torch.set_num_threads(2)
def use_torch():
    x = torch.tensor(logits, requires_grad=True)
    torch.nn.functional.cross_entropy(x, torch.tensor(target)).backward()
    return x.grad.numpy()
""",
    "sklearn": """
from sklearn.ensemble import HistGradientBoostingClassifier
def use_sklearn():
    return HistGradientBoostingClassifier(max_iter=2).fit(logits[:500], target[:500] % 2).predict_proba(logits[:500])
""",
}


@on_linux
@pytest.mark.parametrize("order", ["torch sklearn crossent", "crossent sklearn torch", "sklearn crossent", "crossent torch"])
def test_beside_torch_and_scikit_learn(order):
    """Each in turn, the first results again, and a fork of it all; the bits are those of a process of our own."""
    names = order.split()
    others = [name for name in names if name != "crossent"]
    if any(find_spec(name) is None for name in others):
        pytest.skip(f"needs {' and '.join(others)}")
    imports = "".join({"crossent": "import crossent\n"}.get(name, f"import {name}\n") for name in names)
    uses = f"first = [use() for use in ({', '.join(f'use_{name}' for name in others)},)]\n"
    again = uses.replace("first =", "second =") + "assert all(map(np.array_equal, first, second))\n"
    fork = """
import os
child = os.fork()
if child == 0:
    os._exit(0 if sha256(compute()) == before else 1)
assert os.waitpid(child, 0)[1] == 0
print(before)
"""
    quiet = "import warnings\nwarnings.simplefilter('ignore')\n"
    code = quiet + imports + COMPUTE + "".join(map(OTHERS.get, others)) + uses + "before = sha256(compute())\n" + again + fork
    assert printed(code, timeout=300) == printed(COMPUTE + "print(sha256(compute()))")


# A control group of our own, which root may make.

V1 = (Path("/sys/fs/cgroup/cpu"), {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"})
V2 = (Path("/sys/fs/cgroup"), {"cpu.max": "50000 100000"})


@pytest.fixture
def group_of_half_a_cpu():
    """The folder of a control group that may use half a CPU, in a group that may use all of it."""
    root, texts = V1 if V1[0].exists() else V2
    folder = root / f"crossent-test-{os.getpid()}"
    try:
        (folder / "below").mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
        yield folder / "below"
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    finally:
        for path in (folder / "below", folder):
            if path.exists():
                path.rmdir()


@on_linux
def test_a_process_in_a_control_group_takes_its_quota(group_of_half_a_cpu):
    code = f"""
import os
open("{group_of_half_a_cpu}/cgroup.procs", "w").write(str(os.getpid()))
import crossent
print(crossent.get_num_threads())
"""
    assert printed(code) == "1"


# Ctrl-C.


@pytest.fixture
def long_files(tmp_path, monkeypatch):
    """logits.npy of 8 GB, all zeros, that take no room on the disk, and labels.npy, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, shape, dtype in [("logits.npy", (2_000_000, 1000), np.float32), ("labels.npy", (2_000_000,), np.int8)]:
        with open(name, "wb") as file:
            file.write(npy.header(shape, np.dtype(dtype)))
            file.truncate(file.tell() + np.prod(shape) * np.dtype(dtype).itemsize)


def interrupted(delay):
    """Seconds that the command takes to end when it is interrupted so long after it began to write."""
    command = (sys.executable, "-m", "crossent", "score", "logits.npy", "labels.npy", "--output", "losses.npy")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not any(Path().glob(".*.tmp")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        began = time.perf_counter()
        out, err = process.communicate(timeout=5)
        seconds = time.perf_counter() - began
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, err) == (130, "", "crossent score: interrupted\n")
    assert sorted(os.listdir()) == ["labels.npy", "logits.npy"]
    return seconds


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@quick_or_long("runs", 2, 50)
def test_ctrl_c_ends_a_long_command(long_files, runs, rng):
    latencies = [interrupted(delay) for delay in rng.uniform(0, 1, runs)]
    print(f"\nCtrl-C in {runs} runs: median {np.median(latencies):.3f} s, 99th percentile {np.quantile(latencies, 0.99):.3f} s")


# How this processor computes: rounding, subnormal numbers, masks of exceptions.

FLOATS = """
import ctypes, ctypes.util, platform, threading
import numpy as np

libm = ctypes.CDLL(ctypes.util.find_library("m"))

def settings():
    memory = ctypes.create_string_buffer(256)  # fenv_t: 32 bytes on x86-64, 8 on AArch64
    assert libm.fegetenv(memory) == 0
    word = {"x86_64": memory.raw[28:32], "aarch64": memory.raw[:4]}.get(platform.machine(), b"")
    controls = int.from_bytes(word, "little") & ~0x3f  # without MXCSR's flags of what has happened
    tiny = np.float32(1e-45)
    return libm.fegetround(), controls, [float(tiny * np.float32(1)), float(tiny + tiny), float(np.float32(1e-20) ** 2)]
"""


@on_linux
def test_the_float_settings_stay_as_they_were():
    """On import and after calls, in the main thread and in another one; torch.set_flush_denormal is what this would be."""
    code = f"""{FLOATS}
before = settings()
import crossent
assert settings() == before
{COMPUTE}
compute()
assert settings() == before
inside = []
thread = threading.Thread(target=lambda: inside.extend([settings(), compute(), settings()]))
thread.start()
thread.join()
assert inside[0] == inside[2] == before
assert min(before[2]) > 0
print(before)
"""
    assert printed(code)
