"""Environment variables, threads and instruction sets as settings, and what `import crossent` brings along."""

import os
import re
import sys
from itertools import product

import numpy as np
import pytest

import crossent
from crossent import _runtime
from interpreters import COMPUTE, printed, run

THREADS = "import crossent; print(crossent.get_num_threads())"


@pytest.mark.parametrize("isa", _runtime.isa_names())
def test_crossent_isa_forces_an_instruction_set(isa):
    code = """
import crossent, numpy as np
import crossent.nn.functional as F
from crossent import _runtime
print(_runtime.config()["instruction set"], F.cross_entropy(np.ones((2, 4)), [0, 1]))
"""
    assert printed(code, CROSSENT_ISA=isa) == f"{isa} {np.log(4)}"


@pytest.mark.parametrize("name", ["", "sse9", "AVX2 ", "neon,scalar"])
def test_an_unknown_instruction_set_is_an_error_that_names_the_known_ones(name):
    done = run("import crossent", CROSSENT_ISA=name)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: CROSSENT_ISA: ")
    assert ", ".join(_runtime.isa_names()) in last
    assert repr(name) in last


def test_the_best_instruction_set_is_used_unless_told_otherwise():
    code = "from crossent import _runtime; print(_runtime.config()['instruction set'])"
    assert printed(code) == _runtime.isa_names()[0]
    assert _runtime.isa_names()[-1] == "scalar"


def test_use_isa_restores_and_refuses():
    before = _runtime.config()["instruction set"]
    with _runtime.use_isa("scalar"):
        assert _runtime.config()["instruction set"] == "scalar"
        with pytest.raises(ValueError, match=r"expected an instruction set of this CPU .*scalar.*'sse9'"):
            _runtime.use_isa("sse9").__enter__()
    assert _runtime.config()["instruction set"] == before
    with pytest.raises(ZeroDivisionError), _runtime.use_isa("scalar"):
        raise ZeroDivisionError
    assert _runtime.config()["instruction set"] == before


INVALID = ["", "0", "-1", "abc", "1e3", "999999", "2.5", "٣", " ", "+2", "0x10", "1_0", ",3", "2 3", "1" * 5000, "\udcff", "\n"]


@pytest.mark.parametrize("text", INVALID, ids=lambda text: ascii(text[:9]))
def test_an_invalid_number_of_threads_warns_and_is_ignored(text):
    done = run(THREADS, CROSSENT_NUM_THREADS=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == printed(THREADS)
    shown = repr(text).replace("\udcff", r"\udcff")
    assert done.stderr.count(f"RuntimeWarning: CROSSENT_NUM_THREADS={shown} is ignored") == 1


@pytest.mark.parametrize(
    ("text", "threads"), [("1", 1), ("3", 3), (" 2 ", 2), ("4,2", 4), ("3,", 3), ("1024", 1024), ("0" * 5000 + "7", 7)]
)
def test_the_number_of_threads_of_the_environment(text, threads):
    done = run(THREADS, CROSSENT_NUM_THREADS=text, OMP_NUM_THREADS="5")
    assert (done.stdout.strip(), done.stderr) == (str(threads), "")


def test_openmp_s_variable_comes_second_and_the_cpus_third():
    assert printed(THREADS, OMP_NUM_THREADS="3") == "3"
    assert printed(THREADS, OMP_NUM_THREADS="4,2") == "4"
    assert 1 <= int(printed(THREADS)) <= os.cpu_count()


@pytest.mark.parametrize("text", INVALID, ids=lambda text: ascii(text[:9]))
def test_an_invalid_variable_of_openmp_is_left_to_openmp(text):
    done = run(f"import crossent; {THREADS}", OMP_NUM_THREADS=text)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1


OPENMP = [
    ("OMP_THREAD_LIMIT", "1"),
    ("OMP_DYNAMIC", "true"),
    ("OMP_MAX_ACTIVE_LEVELS", "0"),
    ("OMP_STACKSIZE", "128k"),  # what a thread has with musl; a tile of lanes takes 75 kB
    ("OMP_PROC_BIND", "true"),
    ("OMP_PLACES", "garbage"),
    ("OMP_SCHEDULE", "garbage"),
    ("OMP_WAIT_POLICY", "active"),
    ("GOMP_SPINCOUNT", "-1"),
]


@pytest.mark.parametrize(("name", "text"), OPENMP)
def test_no_variable_of_openmp_changes_a_bit(name, text):
    code = COMPUTE + "print(sha256(compute()))"
    assert printed(code, **{name: text}) == printed(code)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_limits_the_number_of_threads():
    code = f"import os; os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}}); {THREADS}"
    assert printed(code) == "1"


ROOT, OWN = "/sys/fs/cgroup", "/proc/self/cgroup"


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({}, 8),
        ({f"{ROOT}/cpu.max": ""}, 8),
        ({f"{ROOT}/cpu.max": "max 100000"}, 8),
        ({f"{ROOT}/cpu.max": "50000 100000"}, 1),
        ({f"{ROOT}/cpu.max": "250000 100000\n"}, 3),
        ({f"{ROOT}/cpu.max": "1600000 100000"}, 8),
        ({f"{ROOT}/cpu.max": "garbage"}, 8),
        ({f"{ROOT}/cpu.max": "200000"}, 8),
        ({f"{ROOT}/cpu.max": "nan 100000"}, 8),
        ({f"{ROOT}/cpu.max": "100000 0"}, 8),
        ({f"{ROOT}/cpu.max": "\udcff"}, 8),
        ({f"{ROOT}/cpu/cpu.cfs_quota_us": "200000\n", f"{ROOT}/cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({f"{ROOT}/cpu/cpu.cfs_quota_us": "200000"}, 8),
        ({f"{ROOT}/cpu/cpu.cfs_quota_us": "-1", f"{ROOT}/cpu/cpu.cfs_period_us": "100000"}, 8),
        # this process in a group of its own, below others
        ({OWN: "0::/a/b\n", f"{ROOT}/a/b/cpu.max": "200000 100000"}, 2),
        ({OWN: "0::/a/b\n", f"{ROOT}/a/b/cpu.max": "max 100000", f"{ROOT}/a/cpu.max": "300000 100000"}, 3),
        ({OWN: "0::/a\n", f"{ROOT}/b/cpu.max": "100000 100000"}, 8),
        ({OWN: "3:cpuset:/a\n1:cpu,cpuacct:/a\n0::/\n", f"{ROOT}/cpu/a/cpu.cfs_quota_us": "400000",
          f"{ROOT}/cpu/a/cpu.cfs_period_us": "100000"}, 4),
        # in a container that sees the host's path, but its own files
        ({OWN: "0::/docker/1f\n", f"{ROOT}/cpu.max": "500000 100000"}, 5),
        ({OWN: "garbage\n:\n", f"{ROOT}/cpu.max": "500000 100000"}, 5),
    ],
    ids=str,
)  # fmt: skip
def test_the_quota_of_a_control_group_limits_the_number_of_threads(files, threads, monkeypatch, tmp_path):
    for name, text in files.items():
        path = tmp_path / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.setattr(_runtime, "Path", lambda path: tmp_path / path[1:])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert _runtime._usable_cpus() == threads


@pytest.fixture
def threads_restored():
    before = crossent.get_num_threads()
    yield before
    crossent.set_num_threads(before)


@pytest.mark.usefixtures("threads_restored")
def test_set_num_threads():
    for threads in (1, 2, np.int64(3), 1024):
        crossent.set_num_threads(threads)
        assert crossent.get_num_threads() == threads


@pytest.mark.parametrize(
    ("threads", "error"),
    [*product([0, -1, 1025, 10**30], [ValueError]), *product([2.0, "2", None, True], [TypeError])],
)
def test_set_num_threads_refuses(threads, error, threads_restored):
    for call in (crossent.set_num_threads, lambda k: crossent.num_threads(k).__enter__()):
        with pytest.raises(error, match=r"number of threads.*got"):
            call(threads)
    assert crossent.get_num_threads() == threads_restored


def test_num_threads_restores(threads_restored):
    with crossent.num_threads(3):
        assert crossent.get_num_threads() == 3
        with crossent.num_threads(2):
            assert crossent.get_num_threads() == 2
            crossent.set_num_threads(5)
            assert crossent.get_num_threads() == 2
        assert crossent.get_num_threads() == 3
    assert crossent.get_num_threads() == 5
    with pytest.raises(ZeroDivisionError), crossent.num_threads(2):
        raise ZeroDivisionError
    assert crossent.get_num_threads() == 5


def test_show_config_prints_what_is_in_use(capsys):
    with crossent.num_threads(3), _runtime.use_isa("scalar"):
        crossent.show_config()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if not line.startswith("instruction"))
    assert lines["crossent"] == crossent.__version__
    assert lines["threads"] == "3 (num_threads)"
    assert lines["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, r"threads *[0-9]+ \(the CPUs that this process may use\)"),
        ({"OMP_NUM_THREADS": "3"}, r"threads *3 \(OMP_NUM_THREADS\)"),
        ({"OMP_NUM_THREADS": "3", "CROSSENT_NUM_THREADS": "2"}, r"threads *2 \(CROSSENT_NUM_THREADS\)"),
        ({"CROSSENT_ISA": "scalar"}, r"instruction set *scalar \(CROSSENT_ISA\)"),
        ({}, r"instruction set *[a-z0-9]+ \(the best of this machine\)"),
    ],
)
def test_show_config_says_where_it_comes_from(variables, wanted):
    shown = printed("import crossent; crossent.show_config()", **variables)
    assert any(re.fullmatch(wanted, line) for line in shown.splitlines()), shown


@pytest.mark.usefixtures("threads_restored")
def test_the_program_is_an_origin_too():
    crossent.set_num_threads(2)
    assert _runtime.config()["threads from"] == "set_num_threads"


# What an import brings along.


def modules_of_an_import():
    code = """
import sys, numpy
before = set(sys.modules)
import crossent
print(*sorted(set(sys.modules) - before))
"""
    return set(printed(code).split())


def test_an_import_brings_numpy_and_nothing_heavy():
    brought = {name.partition(".")[0] for name in modules_of_an_import() if "cython" not in name}
    assert brought <= {"crossent", "numpy", *sys.stdlib_module_names}
    assert not brought & {"asyncio", "concurrent", "email", "http", "logging", "multiprocessing", "socket", "unittest"}


def test_an_import_leaves_the_scoring_for_later():
    brought = modules_of_an_import()
    assert "crossent.nn.functional" in brought
    assert not {name for name in brought if name.startswith(("crossent.scoring", "crossent.cli"))}
    assert "crossent.scoring" in printed("import sys, crossent; crossent.Scorer; print(*sys.modules)").split()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'crossent' has no attribute 'entropy_of_cross'"):
        _ = crossent.entropy_of_cross
