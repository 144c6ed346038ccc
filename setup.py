"""Build crossent._kernels: one extension module with every instruction set inside.

A file of csrc/targets/ gets its instruction set from the header of csrc/simd/ that it includes first, so no source needs
flags of its own and this script stays lists.
"""

import os
import sys
from glob import glob

import numpy
from setuptools import Extension, setup

SOURCES = ["src/crossent/_kernels.pyx", *sorted(glob("csrc/*.c") + glob("csrc/targets/*.c"))]

# macOS and Windows have no OpenMP of their own, and a second one beside torch's can end the process: serial there.
LINUX = sys.platform == "linux"
OPENMP = ["-fopenmp"] if LINUX else []

# MSVC knows neither GCC's pragmas nor its builtins; clang does, and ziglang brings one with all that it links to.
WINDOWS = sys.platform == "win32"
if WINDOWS:
    os.environ.setdefault("CC", "python-zig cc -target x86_64-windows-gnu")

# Not in our wheels: debug information, which would be three quarters of one, and, where nothing needs it, what unwinds a stack,
# which would be 2 %. Who sets flags of their own may want them.
UNWINDING = ["-fno-asynchronous-unwind-tables"] if LINUX else []
DEBUG_INFORMATION = [] if "CFLAGS" in os.environ else ["-g0", *UNWINDING]
SYMBOLS = [] if "LDFLAGS" in os.environ else ["-Wl,-s"]

CFLAGS = [
    "-std=gnu11",
    "-O2",  # the loops are written in vectors: -O3 finds nothing more to do and takes longer
    *DEBUG_INFORMATION,
    "-ffp-contract=off",  # rounding is what the source says, on every compiler
    "-fno-math-errno",  # exp and log need not set errno; changes no value
    "-fno-trapping-math",  # nobody reads the floating-point flags; changes no value
    "-fvisibility=hidden",  # the module exports its init function and nothing else
    *OPENMP,
]

LINK_FLAGS = [
    *SYMBOLS,
    "-Wl,-z,relro,-z,now",  # the tables of kernels are pointers: not writable once they are loaded
    *OPENMP,
]

MACROS = [
    ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
    *([("MS_WIN64", "1")] if WINDOWS else []),  # Python's headers set it for MSVC alone
]

setup(
    options={"build_ext": {"compiler": "mingw32"}} if WINDOWS else {},
    ext_modules=[
        Extension(
            "crossent._kernels",
            SOURCES,
            depends=glob("csrc/**/*.h", recursive=True),  # editing a kernel rebuilds the module
            include_dirs=["csrc", numpy.get_include()],
            define_macros=MACROS,
            extra_compile_args=CFLAGS,
            extra_link_args=LINK_FLAGS if LINUX else [],
        )
    ],
)
