"""What the documentation shows is what happens: doctests of every module, and the README's first example."""

import doctest
import importlib
import pkgutil
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import crossent

ROOT = Path(__file__).parents[1]
MODULES = [m.name for m in pkgutil.walk_packages(crossent.__path__, "crossent.") if m.name != "crossent.__main__"]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    if name == "crossent.dask":
        pytest.importorskip("dask")
    module = importlib.import_module(name)
    # numpy's functions and a Differentiable are no plain functions to doctest's finder: their docstrings are asked one by one
    finder = doctest.DocTestFinder()
    tests = [t for t in finder.find(module, name) if t.examples]
    for attribute, value in vars(module).items():
        if isinstance(value, crossent.autodiff.Differentiable) and value.__module__ == name:
            tests += [t for t in finder.find(value, f"{name}.{attribute}", module=False) if t.examples]
    for test in tests:
        report = []
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
        assert result.failed == 0, "".join(report)


@pytest.mark.parametrize("name", crossent.nn.functional.__all__ + crossent.nn.__all__ + ["logsumexp", "value_and_grad"])
def test_every_public_name_has_an_example(name):
    if name == "functional":
        return
    owner = next(m for m in (crossent.nn.functional, crossent.nn, crossent) if hasattr(m, name))
    assert ">>> " in getattr(owner, name).__doc__


def test_the_readme_example_runs_and_gives_what_it_says():
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    names = {}
    lines = code.splitlines()
    exec("\n".join(lines[:9]), names)
    assert names["loss"] == pytest.approx(0.365948, abs=1e-6)
    exec("\n".join(lines[9:]), names)
    assert names["gradient"].shape == (3, 3)
    assert np.isfinite(names["gradient"]).all()


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_what_the_page_on_reliability_names_exists():
    page = re.sub(r"<!--.*?-->", "", (ROOT / "docs" / "reliability.md").read_text(), flags=re.DOTALL)
    assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w/]+\.py", page))
    targets = sorted(set(re.findall(r"`make ([a-z0-9-]+)", page)))
    assert "exhaustive" in targets
    done = subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tables_of_measurements_are_pivoted():
    """Two instruction sets of two functions: a line for each function."""
    pivot = runpy.run_path(str(ROOT / "tools" / "reliability.py"))
    head = (
        "| function | instruction set | inputs | largest error, ULP | bar | at | nan, inf | never falls | |\n"
        + "|---" * 9
        + "|\n"
    )
    lines = [
        f"| {f} | {isa} | 4294967296 | {e} | 1 | 0 | right | yes | held |\n"
        for f, isa, e in [("exp", "avx2", 0.7), ("exp", "scalar", 0.9), ("log", "avx2", 0.8), ("log", "scalar", 0.6)]
    ]
    exp, log = pivot["tables"](pivot["exhaustive"](head + "".join(lines)))[0]
    assert (exp["function"], exp["avx2"], exp["scalar"], exp["inputs"]) == ("exp", "0.7", "0.9", "4,294,967,296")
    assert (log["avx2"], log["scalar"]) == ("0.8", "0.6")
