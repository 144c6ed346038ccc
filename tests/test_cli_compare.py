"""``crossent compare``: the difference of two files of losses, with the standard error of pairs."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest

from command import run, score


@pytest.fixture
def two(data):
    """a.npy and b.npy, losses of (300, 4) positions, which have much in common; targets.npy, and the scored positions."""
    rng = np.random.default_rng(3)
    hard = rng.exponential(size=(300, 4))
    targets = rng.integers(0, 5, (300, 4))
    targets[rng.random(targets.shape) < 0.2] = -100
    scored = targets != -100
    a, b = (np.where(scored, hard + shift + 0.1 * rng.normal(size=hard.shape), 0).astype("f4") for shift in (0, 0.02))
    for name, array in {"a": a, "b": b, "targets": targets}.items():
        np.save(f"{name}.npy", array)
    return a.astype(float), b.astype(float), targets, scored


def compare(capsys, *arguments):
    assert run("compare", "a.npy", "b.npy", "--format", "json", *arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_figures_are_those_of_their_definitions(two, capsys):
    a, b, _, scored = two
    for arguments, rows in (([], np.ones_like(scored)), (["--targets", "targets.npy"], scored)):
        got = compare(capsys, *arguments)
        d, n = (b - a)[rows], rows.sum()
        assert (got["rows"], got["ignored"]) == (n, rows.size - n)
        assert got["mean_a"] == pytest.approx(a[rows].mean(), rel=1e-14)
        assert got["mean_b"] == pytest.approx(b[rows].mean(), rel=1e-14)
        assert got["difference"] == pytest.approx(d.mean(), rel=1e-12)
        assert got["standard_error"] == pytest.approx(d.std(ddof=1) / math.sqrt(n), rel=1e-12)
        assert got["perplexity_ratio"] == pytest.approx(math.exp(d.mean()), rel=1e-12)
        assert (got["rows_lower"], got["rows_higher"]) == ((d < 0).sum(), (d > 0).sum())


def test_weighted_means_are_those_of_score(two, capsys):
    """sum_i (b_i - a_i) / sum_i w_i, and the residuals (b_i - a_i) - D w_i."""
    a, b, targets, scored = two
    weight = np.linspace(0.5, 2, 5)
    np.save("w.npy", weight)
    got = compare(capsys, "--targets", "targets.npy", "--weight", "w.npy")
    w, d = weight[targets[scored]], (b - a)[scored]
    difference, n = d.sum() / w.sum(), len(d)
    assert got["difference"] == pytest.approx(difference, rel=1e-12)
    error = math.sqrt(n / (n - 1) * ((d - difference * w) ** 2).sum()) / w.sum()
    assert got["standard_error"] == pytest.approx(error, rel=1e-10)


def test_means_are_those_that_score_prints(data, capsys):
    np.save("w.npy", np.linspace(0.5, 2, 5))
    assert score("--weight", "w.npy", "--output", "a.npy", "--format", "json") == 0
    mean = json.loads(capsys.readouterr().out)["mean_loss"]
    got = (
        run("compare", "a.npy", "a.npy", "--targets", "labels.npy", "--weight", "w.npy", "--format", "json"),
        capsys.readouterr(),
    )
    figures = json.loads(got[1].out)
    assert (got[0], figures["mean_a"], figures["mean_b"]) == (0, mean, mean)
    assert (figures["difference"], figures["standard_error"], figures["rows"]) == (0, 0, 199)


def test_neither_files_nor_chunks_change_a_bit(two, capsys, monkeypatch):
    whole = compare(capsys)
    monkeypatch.setattr("crossent.scoring.compare.AT_ONCE", 7)
    assert compare(capsys) == whole
    for number, part in enumerate(np.split(np.load("a.npy"), [1, 99])):
        np.save(f"a-{number}.npy", part)
    assert run("compare", "a-*.npy", "b.npy", "--format", "json") == 0
    parts = json.loads(capsys.readouterr().out)
    assert parts == whole | {"a": "a-*.npy"}


@pytest.mark.parametrize("with_rich", [True, False], ids=["rich", "plain"])
def test_table_and_csv(two, capsys, monkeypatch, with_rich):
    got = compare(capsys, "--targets", "targets.npy")
    if not with_rich:
        monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    assert run("compare", "a.npy", "b.npy", "--targets", "targets.npy") == 0
    patterns = [
        "a.npy and b.npy",
        "",
        rf"rows +{got['rows']} \({got['ignored']} ignored\)",
        rf"mean loss, first +{got['mean_a']:.6g} nats",
        rf"mean loss, second +{got['mean_b']:.6g} nats",
        rf"second - first +{got['difference']:.4g} ± {got['standard_error']:.2g}0? nats",
        rf"ratio of perplexities +{got['perplexity_ratio']:.6g}",
        rf"second is lower +in {100 * got['rows_lower'] / got['rows']:.2f} % of the rows",
        rf"second is higher +in {100 * got['rows_higher'] / got['rows']:.2f} %",
    ]
    for line, pattern in zip(capsys.readouterr().out.splitlines(), patterns, strict=True):
        assert re.fullmatch(pattern, line.rstrip()), (pattern, line)
    assert run("compare", "a.npy", "b.npy", "--targets", "targets.npy", "--format", "csv") == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert float(line["difference"]) == got["difference"]


def test_fail_above(two, capsys):
    assert 0.01 < compare(capsys)["difference"] < 0.03
    assert run("compare", "a.npy", "b.npy", "--fail-above", "0.03") == 0
    assert run("compare", "a.npy", "b.npy", "--fail-above", "0.01") == 4
    assert run("compare", "b.npy", "a.npy", "--fail-above", "0") == 0


def test_no_rows_and_infinite_losses(data, capsys):
    np.save("a.npy", np.zeros(0))
    np.save("b.npy", np.zeros(0))
    got = compare(capsys)
    assert (got["rows"], got["difference"], got["standard_error"]) == (0, None, None)
    assert run("compare", "a.npy", "b.npy") == 0
    capsys.readouterr()
    np.save("a.npy", np.array([1.0, 2]))
    np.save("b.npy", np.array([np.inf, 2]))
    got = compare(capsys)
    assert (got["mean_a"], got["mean_b"], got["difference"], got["rows_higher"]) == (1.5, None, None, 1)
    assert run("compare", "a.npy", "b.npy", "--fail-above", "1e300") == 4
    assert run("compare", "b.npy", "b.npy", "--fail-above", "1e300") == 4  # inf - inf


@pytest.mark.parametrize(
    ("a", "b", "targets", "status", "message"),
    [
        ([1.0], [1.0, 2], None, 3, r"b.npy: expected shape \(1,\), but got \(2,\)"),
        (1.0, 1.0, None, 3, r"a.npy: expected shape \(N\), but got \(\)"),
        ([1.0, 2], [1.0, np.nan], None, 3, "b.npy: the loss of row 1 is nan"),
        ([1.0, 2], [1, 2], None, 3, "b.npy: expected float16, .* but got dtype int64"),
        ([1.0, 2], [1.0, 2], [0, 1, 2], 3, r"targets.npy: expected shape \(2,\), but got \(3,\)"),
        ([1.0, 2], [1.0, 2], [0, 9], 3, "targets.npy: expected classes below 3, but got 9"),
        ([1.0, 2], [1.0, 2], [0, -1], 3, "targets.npy: expected classes below 3, but got -1"),
        ([1.0, 2], None, None, 1, "b.npy: No such file or directory"),
    ],
)
def test_errors(data, capsys, a, b, targets, status, message):
    arguments = ["a.npy", "b.npy"]
    for name, values in {"a": a, "b": b, "targets": targets}.items():
        if values is not None:
            np.save(f"{name}.npy", np.array(values))
    if targets:
        np.save("w.npy", np.ones(3))
        arguments += ["--targets", "targets.npy", "--weight", "w.npy"]
    assert run("compare", *arguments) == status
    out, err = capsys.readouterr()
    assert re.fullmatch(f"crossent compare: error: {message}\n", err), err
    assert out == ""


def test_weights_need_targets(two, capsys):
    assert run("compare", "a.npy", "b.npy", "--weight", "w.npy") == 2
    assert capsys.readouterr().err == "crossent compare: error: --weight needs --targets\n"
