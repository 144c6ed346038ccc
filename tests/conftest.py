"""What the tests share: fixtures. The registry of functions is ``cases.py``, the formulas are in ``reference.py``."""

import os
import signal
import warnings
from importlib.util import find_spec
from zlib import crc32

# Read when OpenMP and NumPy's BLAS start: threads that wait for others, on a machine that runs a test on each CPU, made some
# tests forty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from crossent import _kernels, _runtime

# A shell has what it starts in the background ignore Ctrl-C, and so would the commands that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OPENMP_THREADS = _kernels.openmp_max_threads()
TORCH = "2.13"  # the version whose behaviour is compared


def pytest_runtest_setup(item):
    if "parquet" in item.name and find_spec("pyarrow") is None:
        pytest.skip("needs pyarrow")


def quick_or_long(name, quick, long):
    """Gives a test its parameter: a quick one in the suite, the whole one where long tests are asked for (make long)."""
    return pytest.mark.parametrize(
        name, [pytest.param(quick, id="quick"), pytest.param(long, id="long", marks=pytest.mark.long)]
    )


@pytest.fixture(params=_runtime.isa_names())
def isa(request):
    """Every instruction set of this CPU in turn, in use."""
    with _runtime.use_isa(request.param):
        yield request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def bfloat16():
    """The dtype of ml_dtypes, where it is installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


HALVES = [np.dtype(np.float16), *filter(None, [bfloat16()])]


@pytest.fixture(params=[np.dtype(np.float32), np.dtype(np.float64), *HALVES], ids=str)
def any_dtype(request):
    return request.param


@pytest.fixture(params=HALVES, ids=str)
def half(request):
    return request.param


@pytest.fixture
def rng(request):
    """Another generator for each test, the same in each run."""
    return np.random.default_rng(crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def imported_torch():
    """torch, or a skip where it is absent or another version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("torch")
    if not module.__version__.startswith(f"{TORCH}."):
        pytest.skip(f"the comparison is with torch {TORCH}, and this is {module.__version__}")
    return module


@pytest.fixture
def torch(imported_torch):
    """torch on one thread: it starts its threads for the smallest call. They are OpenMP's, and so crossent's, too."""
    imported_torch.set_num_threads(1)
    yield imported_torch
    imported_torch.set_num_threads(OPENMP_THREADS)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder, the current one, with logits.npy (200, 5) in float32 and labels.npy, of which row 7 is -100."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 200)
    logits = rng.normal(size=(200, 5)) + 2 * np.eye(5)[labels]
    labels[7] = -100
    np.save("logits.npy", logits.astype(np.float32))
    np.save("labels.npy", labels)
    return tmp_path
