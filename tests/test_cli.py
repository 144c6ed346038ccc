"""The command: what it prints of a run, its statuses where all went well, its help, its progress."""

import csv
import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from command import COMMAND, ROOT, expected, leftovers, run, score
from crossent import _kernels, cli
from crossent.scoring import progress

# ---- figures ---------------------------------------------------------------------------------------------------------


def test_json_has_the_figures_and_what_was_scored(data, capsys):
    weight = np.linspace(0.5, 2, 5, dtype=np.float32)
    np.save("w.npy", weight)
    assert score("--format", "json", "--weight", "w.npy", "--label-smoothing", "0.1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    got = json.loads(out, parse_constant=pytest.fail)  # no NaN, no Infinity: they are not JSON
    figures = expected(weight=weight, label_smoothing=0.1).to_dict()
    assert {name: got[name] for name in figures} == figures
    assert {name: got[name] for name in got if name not in figures and "second" not in name} == {
        "crossent": crossent.__version__,
        "signature": (
            "loss:cross_entropy|reduction:mean|dim:1|ignore_index:-100|label_smoothing:0.1|context:none"
            f"|weight:{hashlib.sha256(weight.astype(float).tobytes()).hexdigest()[:12]}"
            "|temperature:1.0|targets:indices|top_k:5|bytes:none|dtype:float32|shape:200x5"
            f"|isa:{_kernels.current_isa()}|crossent:{crossent.__version__}"
        ),
        "logits": "logits.npy",
        "targets": "labels.npy",
        "shape": [200, 5],
        "dtype": "float32",
        "weight": "w.npy",
        "dim": 1,
        "ignore_index": -100,
        "label_smoothing": 0.1,
        "reduction": "mean",
        "top_k": 5,
        "bytes": None,
        "fitted": None,
        "context": None,
        "class_names": None,
        "loss": figures["mean_loss"],
    }
    assert got["rows_per_second"] == pytest.approx(200 / got["seconds"])


@pytest.mark.parametrize("with_rich", [True, False], ids=["rich", "plain"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_table_has_the_figures(data, capsys, monkeypatch, with_rich, reduction):
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert score("--worst", 2, "--reduction", reduction) == 0
    out, err = capsys.readouterr()
    assert err == ""
    figures = expected()
    worst = [
        rf"{c} +{figures.class_loss[c]:.3f} +{100 * figures.class_accuracy[c]:.2f} % +{figures.class_rows[c]}"
        for c in figures.worst_classes(2)
    ]
    confused = [
        rf"{t} +{p} +{100 * rows / figures.class_rows[t]:.2f} % +{rows}" for t, p, rows in figures.confusions[:2].tolist()
    ]
    lines = [
        "logits.npy against labels.npy",
        "",
        r"rows +199 \(1 ignored\)",
        "classes +5",
        *([rf"summed loss +{figures.sum_loss:.6g} nats"] if reduction == "sum" else []),
        rf"mean loss +{figures.mean_loss:.6g} ± {figures.standard_error:.2g}0? nats",
        rf"perplexity +{figures.perplexity:.6g}",
        rf"bits per row +{figures.bits:.6g}",
        rf"entropy +{figures.entropy:.6g} nats",
        rf"accuracy +{100 * figures.accuracy:.2f} %",
        r"top-5 accuracy +100.00 %",
        rf"Brier score +{figures.brier:.6g}",
        rf"calibration error +{100 * figures.ece:.2f} % \(ECE, 15 bins\)",
        r"speed +\S+( thousand| million)? rows/s, \S+ s",
        "",
        "worst classes +mean loss +accuracy +rows",
        *worst,
        "",
        "most confused +taken for +of its rows +rows",
        *confused,
        "",
        rf"signature: loss:cross_entropy\|reduction:{reduction}\|dim:1\|.*\|shape:200x5\|.*",
    ]
    for line, pattern in zip(out.splitlines(), lines, strict=True):
        assert re.fullmatch(pattern, line.rstrip()), (pattern, line)


def test_csv_is_a_line_of_names_and_one_of_figures(data, capsys):
    os.rename("logits.npy", 'a "b", c.npy')
    assert run("score", 'a "b", c.npy', "labels.npy", "--format", "csv") == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    os.rename('a "b", c.npy', "logits.npy")
    figures = expected()
    assert line["logits"] == 'a "b", c.npy'
    assert {name: float(line[name]) for name in ("mean_loss", "sum_loss", "ece")} == {
        "mean_loss": figures.mean_loss,
        "sum_loss": figures.sum_loss,
        "ece": figures.ece,
    }


def test_reduction_none_prints_the_loss_of_each_row(data, capsys):
    assert score("--reduction", "none") == 0
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    losses = F.cross_entropy(np.load("logits.npy"), np.load("labels.npy"), reduction="none")
    assert lines[0] == ["row", "loss"]
    assert [int(row) for row, _ in lines[1:]] == list(range(200))
    np.testing.assert_array_equal(np.array([loss for _, loss in lines[1:]], np.float32), losses)
    assert leftovers(data) == []


def test_reduction_sum_is_that_of_cross_entropy(data, capsys):
    assert score("--format", "json", "--reduction", "sum") == 0
    got = json.loads(capsys.readouterr().out)
    logits = np.load("logits.npy").astype(np.float64)
    assert got["loss"] == got["sum_loss"] == pytest.approx(F.cross_entropy(logits, np.load("labels.npy"), reduction="sum"))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--fail-above", "1.5"], 0),
        (["--fail-above", "{}"], 0),
        (["--fail-above", "0.5"], 4),
        (["--fail-above=-inf"], 4),
        (["--fail-above", "1.5", "--reduction", "sum"], 4),
        (["--fail-above", "1e9", "--reduction", "sum"], 0),
        (["--fail-above", "inf", "--ignore-index", "9"], 0),
    ],
)
def test_fail_above(data, capsys, arguments, status):
    np.save("labels.npy", np.abs(np.load("labels.npy")) % 5)
    assert 0.5 < expected().mean_loss < 1.5
    assert score("--output", "losses.npy", *(text.format(expected().mean_loss) for text in arguments)) == status
    out, err = capsys.readouterr()
    assert "mean loss" in out  # and the work is done
    assert err == ""
    assert os.path.exists("losses.npy")


def test_a_loss_of_nan_is_above_every_limit(data):
    np.save("labels.npy", np.full(200, -100))
    assert score("--fail-above", "inf") == 4


def test_figures_do_not_depend_on_how_they_are_computed(data, capsys):
    def figures(*arguments):
        assert score("--format", "json", *arguments) == 0
        return [line for line in capsys.readouterr().out.splitlines() if "second" not in line]

    usual = figures()
    for arguments in (["--chunk-rows", 1], ["--chunk-rows", 7], ["--max-memory", "28"], ["--threads", 2], ["-q"]):
        assert figures(*arguments) == usual


def test_names_are_not_markup(data, capsys):
    os.rename("logits.npy", "[red]$x_1$.npy")
    assert run("score", "[red]$x_1$.npy", "labels.npy", "--plot", "p.svg") == 0
    assert "[red]$x_1$.npy against" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["losses.npy", "losses.csv", "losses.parquet"])
def test_empty_files(data, capsys, output):
    np.save("logits.npy", np.zeros((0, 5)))
    np.save("labels.npy", np.zeros(0, int))
    assert score("--output", output, "--plot", "p.png") == 0
    assert re.search(r"mean loss +nan nats", capsys.readouterr().out)
    assert output != "losses.npy" or np.load(output).shape == (0,)


def test_rows_without_positions(data, capsys):
    """Rows that take no bytes: a header may say that there are any number of them."""
    np.save("logits.npy", np.empty((3, 5, 0, 2), np.float32))
    np.save("labels.npy", np.empty((3, 0, 2), np.int64))
    for path in (Path("logits.npy"), Path("labels.npy")):
        path.write_bytes(path.read_bytes().replace(b"(3, ", b"(9999999999, ").replace(b" " * 9, b"", 1))
    assert score("--output", "losses.csv") == 0
    assert re.search(r"rows +0\s", capsys.readouterr().out)
    assert Path("losses.csv").read_text() == "row,d1,d2,loss\n"


# ---- help, progress, imports -----------------------------------------------------------------------------------------


def test_version_info_and_help(capsys):
    for arguments, text in (
        (["--version"], f"crossent {crossent.__version__}\n"),
        (["--help"], "score files of logits"),
        (["score", "--help"], "crossent score logits.npy labels.npy --output losses.npy"),
        (["compare", "--help"], "crossent compare old.npy new.npy --targets labels.npy"),
        (["plot", "--help"], "crossent plot result.json report.png"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert text in out
        assert max(map(len, out.splitlines())) <= 88
    assert cli.main(["info"]) == 0
    assert crossent.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "source", [cli.SCORE_EPILOG, cli.COMPARE_EPILOG, cli.PLOT_EPILOG, cli.INFO_EPILOG, "README.md", "docs/command.md"]
)
def test_examples_are_commands(source):
    """Of the help and of the documents: arguments that there are."""
    text = (ROOT / source).read_text() if source.endswith(".md") else source
    commands = re.findall(r"(?:^ *|\| )(crossent (?:score|compare|plot|info)[^|>\n]*)", text, re.M)
    assert commands
    for command in commands:
        words = shlex.split(command, comments=True)
        cli._parser().parse_args(words[1 : words.index("||") if "||" in words else None])


def test_python_m_crossent_and_what_is_imported():
    done = subprocess.run((*COMMAND, "--version"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crossent {crossent.__version__}\n", "")
    code = """if True:
        import sys, crossent
        assert not any(name.startswith("crossent.scoring") for name in sys.modules)
        import crossent.cli
        assert not {"rich", "matplotlib", "pyarrow", "ml_dtypes"} & set(sys.modules)
        crossent.score, crossent.Scorer
    """
    subprocess.run((sys.executable, "-c", code), check=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("with_rich", [True, False], ids=["rich", "plain"])
def test_progress_on_a_terminal(data, capsys, monkeypatch, with_rich):
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert score("--chunk-rows", 50) == 0
    assert sys.stderr.getvalue() == ""  # a short run
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "PAUSE", 0)
    assert score("--chunk-rows", 50, "-q") == 0
    assert sys.stderr.getvalue() == ""
    capsys.readouterr()
    assert score("--chunk-rows", 50) == 0
    shown = sys.stderr.getvalue()
    assert "scoring" in shown
    assert "100%" in shown.replace(" ", "")
    assert shown.endswith("\r" if not with_rich else "\x1b[2K")
    assert "mean loss" in capsys.readouterr().out


def test_no_progress_where_there_is_no_terminal(data, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    assert score("--chunk-rows", 50) == 0
    assert capsys.readouterr().err == ""


# ---- the example -----------------------------------------------------------------------------------------------------


def test_the_digits_example(tmp_path):
    pytest.importorskip("sklearn")
    example = (sys.executable, ROOT / "examples" / "digits.py", "demo")
    done = subprocess.run(example, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(re.search(r"held-out accuracy (\S+)", done.stdout)[1]) > 0.95
    hint = re.search(r"next: crossent (.*)", done.stdout)[1].split()
    done = subprocess.run((*COMMAND, *hint), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"rows +450\s", done.stdout)
    assert (tmp_path / "demo" / "report.png").stat().st_size > 10000


def test_rare_classes_are_not_among_the_worst(data, capsys):
    labels = np.concatenate([np.repeat(np.arange(4), 10), [4]])
    logits = np.eye(5, dtype=np.float32)[labels]
    logits[40] *= -9  # the one row of class 4
    np.save("logits.npy", logits)
    np.save("labels.npy", labels)
    assert score("--worst", "5") == 0
    heading, *lines = re.search(r"^worst classes.*?(?=^ *$)", capsys.readouterr().out, re.M | re.S)[0].splitlines()
    assert re.fullmatch(r"worst classes of 10 rows or more +mean loss +accuracy +rows *", heading)
    assert [line[0] for line in lines] == ["0", "1", "2", "3"]
    assert score("--worst", "12") == 0  # too few classes have 10 rows for that
    assert re.search(r"^4 +10\.39 +0\.00 % +1 *$", capsys.readouterr().out, re.M)
