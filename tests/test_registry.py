"""The lists agree: functions, classes, cases, stubs, README, verbs, targets. A failure names what is missing where."""

import ast
import re
from pathlib import Path

import pytest

import cases
import cases_pointwise
import crossent
import special_pointwise
from crossent import _kernels, nn
from crossent.nn import functional as F

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
README = (ROOT / "README.md").read_text()

FUNCTIONS = {*F.__all__, "logsumexp"}
CLASSES = {name for name in nn.__all__ if name != "functional"}


def defined_verbs(text):
    """Names that a header of csrc/simd/ defines for kernels, its own helpers among them."""
    return set(re.findall(r"^SIMD [\w ]+?[ *]((?:v|m|wide)_\w+)\(", text, re.M))


def header_verbs(path):
    """The verbs of a header and of those it includes from its folder."""
    text = path.read_text()
    included = [path.parent / name for name in re.findall(r'#include "([\w.]+)"', text)]
    return defined_verbs(text).union(*(header_verbs(p) for p in included)) if included else defined_verbs(text)


def test_every_function_has_a_case_and_the_other_way_round():
    assert set(cases.CASES) | set(cases_pointwise.POINTWISE) == FUNCTIONS
    assert not set(cases.CASES) & set(cases_pointwise.POINTWISE)
    assert set(special_pointwise.SPECIAL) == set(cases_pointwise.POINTWISE)


def test_every_class_is_tested_as_its_function():
    from test_pointwise import CLASSES as POINTWISE_CLASSES

    assert set(cases.MODULES) | set(POINTWISE_CLASSES) | {"Softmax2d"} == CLASSES


# A kernel that is one of two forms of a function, and functions that are computed by kernels of another name.
FORMS = {"kl_div_log_target": "kl_div", "poisson_nll_loss_log_input": "poisson_nll_loss"}
NO_KERNEL_OF_THEIR_OWN = {"multilabel_soft_margin_loss", "multi_margin_loss", "multilabel_margin_loss", "softmin"}


def test_every_elementwise_kernel_is_a_function_and_the_other_way_round():
    kernels = {FORMS.get(name, name) for name in _kernels.pointwise_names()}
    assert kernels == set(cases_pointwise.POINTWISE) - NO_KERNEL_OF_THEIR_OWN


def test_every_function_is_documented_for_users_of_torch():
    page = (ROOT / "docs/from-torch.md").read_text()
    assert not [name for name in FUNCTIONS | CLASSES if f"`{name}`" not in page and f".{name}`" not in page]


def test_every_loss_is_measured():
    from benchmarks import bench_losses, common

    assert set(bench_losses.FUNCTIONS) | {point.function for point in common.GRID} == FUNCTIONS - {"one_hot"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS | CLASSES))
def test_the_readme_names(name):
    assert re.search(rf"`[\w.]*\b{name}`", README), f"README.md's table does not name {name}"


@pytest.mark.parametrize("name", sorted(crossent.__all__))
def test_what_the_package_announces_is_there(name):
    assert getattr(crossent, name) is not None


def test_the_stub_names_what_the_binding_has():
    tree = ast.parse((ROOT / "src/crossent/_kernels.pyi").read_text())
    stub = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stub |= {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    binding = {name for name in vars(_kernels) if not name.startswith("_") and not name.startswith("crossent")}
    assert stub == binding - {"cnp", "np"}


def test_the_classes_of_the_stub_have_their_members():
    tree = ast.parse((ROOT / "src/crossent/_kernels.pyi").read_text())
    for job in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        members = {node.name for node in job.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
        members |= {node.target.id for node in job.body if isinstance(node, ast.AnnAssign)}
        assert members == {name for name in vars(getattr(_kernels, job.name)) if not name.startswith("_")}


@pytest.mark.parametrize("path", sorted(CSRC.glob("simd/*_f[36][24].h")), ids=lambda path: path.name)
def test_every_header_has_every_verb_and_no_other(path):
    if path.name == "wide_f64.h":
        return
    assert header_verbs(path) == header_verbs(CSRC / "simd/scalar_f32.h")


def test_the_contract_describes_every_verb():
    contract = set(re.findall(r"\b((?:v|m|wide)_\w+)", (CSRC / "simd/README.md").read_text()))
    assert header_verbs(CSRC / "simd/scalar_f32.h") <= contract


def test_every_header_has_its_target_and_every_target_is_dispatched():
    headers = {path.stem for path in CSRC.glob("simd/*_f[36][24].h")} - {"wide_f64"}
    assert {path.stem for path in CSRC.glob("targets/*.c")} == headers
    dispatched = set(re.findall(r"TABLES\((\w+)\)\}", (CSRC / "dispatch.c").read_text()))
    assert {name.rpartition("_")[0] for name in headers} == dispatched


@pytest.mark.parametrize("path", sorted(CSRC.glob("kernels/*.h")), ids=lambda path: path.name)
def test_a_kernel_knows_no_instruction_set(path):
    """No conditional compilation, no intrinsic, no number of lanes: the vocabulary would lack a verb."""
    code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    assert not re.findall(r"#\s*if|_mm\d|__m\d|\bv\w+q_f\d|LANES\s*==", code)
