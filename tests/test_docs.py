"""What the documentation shows is what happens: doctests of every module, and the README's first example."""

import doctest
import importlib
import pkgutil
import re
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
