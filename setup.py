"""Build crossent._kernels: one extension module with every instruction set inside.

A file of csrc/targets/ gets its instruction set from the header of csrc/simd/ that it includes first, so no source needs
flags of its own and this script stays two lists.
"""

import sys
from glob import glob

import numpy
from setuptools import Extension, setup

SOURCES = ["src/crossent/_kernels.pyx", *sorted(glob("csrc/*.c") + glob("csrc/targets/*.c"))]

# Windows builds with clang-cl, which takes gcc's -f flags; macOS has no OpenMP of its own: both run serial without it.
OPENMP = ["-fopenmp"] if sys.platform == "linux" else []

CFLAGS = [
    "-std=gnu11",
    "-O2",  # the loops are written in vectors: -O3 finds nothing more to do and takes longer
    "-g0",  # no debug information in the wheel: it would be three quarters of it
    "-ffp-contract=off",  # rounding is what the source says, on every compiler
    "-fno-math-errno",  # exp and log need not set errno; changes no value
    "-fno-trapping-math",  # nobody reads the floating-point flags; changes no value
    "-fvisibility=hidden",  # the module exports its init function and nothing else
    *OPENMP,
]

setup(
    ext_modules=[
        Extension(
            "crossent._kernels",
            SOURCES,
            depends=glob("csrc/**/*.h", recursive=True),  # editing a kernel rebuilds the module
            include_dirs=["csrc", numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
            extra_compile_args=CFLAGS,
            extra_link_args=["-Wl,-s", *OPENMP] if sys.platform == "linux" else OPENMP,
        )
    ],
)
