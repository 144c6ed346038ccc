"""Pictures: ``crossent score --plot`` and ``crossent plot``, which draws the same from a result in JSON."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from command import leftovers, run, score
from crossent.scoring import record
from crossent.scoring.run import Job, score_files


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "PNG"])
def test_plot(data, suffix):
    assert score("--plot", f"report.{suffix}") == 0
    first = Path(f"report.{suffix}").read_bytes()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix.lower()])
    assert score("--plot", f"report.{suffix}") == 0
    if suffix == "svg":
        assert Path("report.svg").read_bytes() == first
    assert leftovers(data) == [f"report.{suffix}"]


def test_plot_says_what_was_scored(data):
    from crossent.scoring.plots import draw

    np.save("w.npy", np.ones(5, np.float32))
    result = score_files(Job(["logits.npy"], ["labels.npy"], weight="w.npy", label_smoothing=0.1))
    figure = draw(result)
    title, summary = figure.get_suptitle(), figure.subfigs[0].get_suptitle()
    assert title == "logits.npy against labels.npy"
    assert summary.startswith("199 rows (1 more ignored), 5 classes, class weights, label smoothing 0.1: mean loss")
    assert f"accuracy {100 * result.score.accuracy:.2f} %" in summary
    left, right = figure.subfigs[0].subfigs
    losses, reliability, confidences = left.axes
    assert sum(bar.get_height() for bar in losses.patches) == 199
    assert sum(bar.get_height() for bar in confidences.patches) == 199
    assert f"ECE {100 * result.score.ece:.2f} %" in reliability.get_title("left")
    bars, _ = right.axes
    assert [bar.get_width() for bar in bars.patches] == sorted(result.score.class_loss, reverse=True)


CURIOUS = {
    "many classes": (np.random.default_rng(0).normal(size=(300, 50000)).astype(np.float32), np.arange(300) * 11),
    "all ignored": (np.zeros((5, 3)), np.full(5, -100)),
    "one row": (np.zeros((1, 3)), np.zeros(1, int)),
    "one class": (np.zeros((9, 1)), np.zeros(9, int)),
    "infinite": (np.array([[0, -np.inf]] * 9), np.arange(9) % 2),
    "perfect": (np.array([[0, 999.0]] * 9), np.ones(9, int)),
    "uneven": (np.concatenate([np.zeros((9999, 2)), np.ones((1, 2)) * [0, 5]]), np.zeros(10000, int)),
}


@pytest.mark.parametrize("case", CURIOUS)
def test_plot_of_the_curious(data, case, capsys):
    np.save("logits.npy", CURIOUS[case][0])
    np.save("labels.npy", CURIOUS[case][1])
    assert score("--plot", "report.png", "--format", "json") == 0, capsys.readouterr().err
    assert os.path.getsize("report.png") > 10000
    Path("result.json").write_text(capsys.readouterr().out)
    assert run("plot", "result.json", "again.png") == 0, capsys.readouterr().err
    assert os.path.getsize("again.png") > 10000


# ---- crossent plot ---------------------------------------------------------------------------------------------------


@pytest.fixture
def result(data, capsys):
    """result.json, the output of ``crossent score --plot score.svg --format json`` for two files of logits."""
    for number, part in enumerate(np.split(np.load("logits.npy"), [120])):
        np.save(f"x-{number}.npy", part)
    names = ["x-0.npy", "x-1.npy", "--targets", "labels.npy"]
    assert run("score", *names, "--label-smoothing", "0.1", "--plot", "score.svg", "--format", "json") == 0
    Path("result.json").write_text(capsys.readouterr().out)


def test_plot_of_a_result_is_that_of_score(result):
    assert run("plot", "result.json", "plot.svg") == 0
    assert Path("plot.svg").read_bytes() == Path("score.svg").read_bytes()
    assert "x-0.npy and 1 more against labels.npy" in Path("plot.svg").read_text()


def test_a_result_is_read_as_it_was_written(result):
    run_again = record.read("result.json")
    assert record.json_text(record.members(run_again)) == Path("result.json").read_text()


def test_errors(result, capsys):
    text = Path("result.json").read_text()
    members = json.loads(text)
    Path("big.json").write_bytes(b"")
    os.truncate("big.json", (64 << 20) + 1)
    for name, content, status, message in (
        ("a.json", text[: len(text) // 2], 3, "a.json: not a result of crossent score --format json: .*"),
        ("a.json", "[" * 100_000, 3, "a.json: not a result of crossent score --format json: .*"),
        ("a.json", "{}", 3, "a.json: not a result of crossent score --format json: 'logits'"),
        ("a.json", json.dumps(members | {"per_class": [1]}), 3, "a.json: not a result of crossent score --format json: .*"),
        ("a.json", json.dumps(members | {"loss_histogram": {"edges": [1, 2], "rows": [1, 2]}}), 3, r"a.json: .* one length .*"),
        ("big.json", None, 3, "big.json: not a result .*: expected at most 67108864 bytes, but got 67108865"),
        ("missing.json", None, 1, "missing.json: No such file or directory"),
    ):
        if content is not None:
            Path(name).write_text(content)
        assert run("plot", name, "plot.png") == status
        assert re.fullmatch(f"crossent plot: error: {message}\n", capsys.readouterr().err)
    for picture, message in (
        ("plot.txt", "plot.txt: expected a name that ends in .png, .svg, .pdf"),
        ("link.png", "link.png: is an input, and would be overwritten"),
    ):
        if not os.path.lexists("link.png"):
            os.symlink("result.json", "link.png")
        assert run("plot", "result.json", picture) == 2
        assert capsys.readouterr().err == f"crossent plot: error: {message}\n"
    assert not os.path.exists("plot.png")


def test_every_prefix_of_a_result_is_refused(result, capsys):
    text = Path("result.json").read_bytes()
    for length in range(0, len(text) - 2, 97):
        Path("part.json").write_bytes(text[:length])
        assert run("plot", "part.json", "plot.png") == 3
