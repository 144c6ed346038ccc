"""The extension module as it was built, not what it computes: what it exports, what may be written or executed in it, and
what it does to the process that loads it. Holds for a repaired wheel as for a build in place."""

import re
import shutil
import subprocess
import sys

import pytest

from crossent import _kernels

MODULE = _kernels.__file__
on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("readelf") is None, reason="readelf, nm and objdump are of Linux"
)


def printed(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@on_linux
def test_it_exports_its_init_function_alone():
    symbols = {line.split()[-1] for line in printed("nm", "--dynamic", "--defined-only", MODULE).splitlines()}
    assert symbols == {"PyInit__kernels"}


@on_linux
def test_the_stack_is_not_executable_and_relocated_pointers_are_not_writable():
    segments = printed("readelf", "--segments", "--wide", MODULE)
    assert re.search(r"GNU_STACK .* RW +0x", segments)
    assert "GNU_RELRO" in segments
    dynamic = printed("readelf", "--dynamic", "--wide", MODULE)
    assert re.search(r"\(FLAGS(_1)?\) .*NOW", dynamic)
    assert "TEXTREL" not in dynamic


@on_linux
def test_it_needs_no_library_but_libc_and_openmp():
    """Others may be missing elsewhere, and a vector library of mathematics would round as it likes."""
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", printed("readelf", "--dynamic", "--wide", MODULE))
    assert needed
    assert all(re.match(r"(lib(c|m|gomp|pthread|omp)\b.*|ld-linux.*)\.so", name) for name in needed)


@on_linux
def test_it_never_writes_the_floating_point_control_register():
    """What -ffast-math does at load (GCC bug 55522): subnormals would vanish in the whole process."""
    assert not re.search(r"\b(v?ldmxcsr|fldcw|msr\s+fpcr)\b", printed("objdump", "--disassemble", MODULE))


def test_subnormals_survive_an_import_and_a_call():
    code = """
import numpy as np, crossent
import crossent.nn.functional as F
F.cross_entropy(np.zeros((100, 1000), np.float32), np.zeros(100, np.int64))
for tiny in (np.float32(2.0**-149), np.float64(2.0**-1074)):
    assert tiny * tiny.dtype.type(1) == tiny
    assert np.add(*np.array([tiny, tiny])) == 2 * float(tiny) > 0
"""
    printed(sys.executable, "-c", code)


def test_threads_need_no_more_than_a_small_stack():
    """64 KiB: half of what musl gives a thread, and OMP_STACKSIZE may say less than OpenMP's usual megabytes."""
    code = """
import os
os.environ["OMP_STACKSIZE"] = "64k"
import numpy as np, crossent
import crossent.nn.functional as F
crossent.set_num_threads(3)
for classes in (2, 32, 33, 128, 129, 9_000):
    for dtype in (np.float32, np.float64, np.float16):
        logits = np.ones((400_000 // classes, classes), dtype)
        for target in (np.zeros(len(logits), int), np.full(logits.shape, 1 / classes, dtype)):
            value, gradient = crossent.value_and_grad(F.cross_entropy)(logits, target, label_smoothing=0.1)
            assert abs(value - np.log(classes)) < 0.01
            crossent.value_and_grad(F.cross_entropy)(logits.T[None], target.T[None] if target.ndim == 2 else target[None])
"""
    printed(sys.executable, "-c", code)
