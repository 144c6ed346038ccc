"""What the command computes beside the loss: temperature, bits per byte, top-k, probabilities; what it shows; ``info``."""

import csv
import io
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

import crossent
from command import expected, leftovers, run, score
from crossent.scoring import inputs
from crossent.scoring.progress import FITTING, SCORING
from crossent.scoring.run import Job, score_files
from crossent.scoring.temperature import MOST_PASSES
from test_cli_files import HALVES, WRITERS, bfloat16, sample
from test_cli_resume import Killed, many_checkpoints  # noqa: F401, a fixture


def got(capsys, *arguments, names=("logits.npy", "labels.npy")):
    """The JSON of a run."""
    assert run("score", *names, "--format", "json", *arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def without_times(figures):
    return {name: value for name, value in figures.items() if "second" not in name}


# ---- temperature -----------------------------------------------------------------------------------------------------


def test_a_temperature_divides_the_logits(data, capsys):
    figures = got(capsys, "--temperature", 1.7)
    wanted = expected(temperature=1.7).to_dict()
    assert {name: figures[name] for name in wanted} == wanted
    assert figures["fitted"] is None
    assert "|temperature:1.7|" in figures["signature"]


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": np.linspace(0.5, 2, 5)}], ids=str)
def test_auto_is_fit_temperature(data, capsys, options):
    np.save("w.npy", np.linspace(0.5, 2, 5))
    arguments = {"label_smoothing": ["--label-smoothing", 0.1], "weight": ["--weight", "w.npy"]}
    figures = got(capsys, "--temperature", "auto", *(word for name in options for word in arguments[name]))
    fitted = crossent.fit_temperature(np.load("logits.npy"), np.load("labels.npy"), **options)
    assert figures["fitted"] == vars(fitted)
    assert figures["temperature"] == fitted.temperature != 1
    assert figures["loss"] == fitted.loss_after < fitted.loss_before
    wanted = expected(temperature=fitted.temperature, **options).to_dict()
    assert {name: figures[name] for name in wanted} == wanted
    assert f"|temperature:auto={fitted.temperature!r}|" in figures["signature"]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
@pytest.mark.parametrize("dtype", [*HALVES, np.dtype(np.float32)], ids=str)
def test_auto_reads_every_format_again_and_again(data, capsys, write, dtype):
    logits, labels = sample(dtype)
    names = write(logits, labels)
    figures = got(capsys, "--temperature", "auto", "--chunk-rows", 9, names=names)
    assert figures["fitted"] == vars(crossent.fit_temperature(logits, labels))


def test_auto_does_not_depend_on_how_it_is_computed(data, capsys):
    wanted = without_times(got(capsys, "--temperature", "auto"))
    assert 1 < wanted["fitted"]["passes"] < MOST_PASSES
    for arguments in (["--chunk-rows", 1], ["--chunk-rows", 7, "--threads", 3], ["--threads", 1], ["--max-memory", "28"]):
        assert without_times(got(capsys, "--temperature", "auto", *arguments)) == wanted
    for number, part in enumerate(np.split(np.load("logits.npy"), [33, 111])):
        np.save(f"x-{number}.npy", part)
    names = ("x-*.npy", "--targets", "labels.npy")
    several = without_times(got(capsys, "--temperature", "auto", "--chunk-rows", 11, names=names))
    assert {**several, "logits": "logits.npy"} == wanted


def test_auto_in_a_table(data, capsys):
    assert score("--temperature", "auto") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("temperature"))
    fitted = crossent.fit_temperature(np.load("logits.npy"), np.load("labels.npy"))
    wanted = rf"temperature +{fitted.temperature:.6g} \(fitted; the mean loss at 1 is {fitted.loss_before:.6g} nats\)"
    assert re.fullmatch(wanted, line.rstrip())


def test_where_there_is_no_best_temperature(data, capsys):
    np.save("labels.npy", np.load("logits.npy").argmax(1))
    for arguments in (["--output", "losses.npy"], ["--output", "losses.npy", "--resume"], []):
        assert score("--temperature", "auto", *arguments) == 3
        wanted = r"crossent score: error: --temperature auto: no temperature has the least loss: .* no better than guesses\n"
        assert re.fullmatch(wanted, capsys.readouterr().err)
        assert leftovers() == []


def test_bad_data_is_named_while_fitting(data, capsys):
    labels = np.load("labels.npy")
    labels[150] = 9
    np.save("labels.npy", labels)
    assert score("--temperature", "auto") == 3
    assert capsys.readouterr().err == "crossent score: error: labels.npy: Target 9 is out of bounds: row 150, 5 classes\n"


def test_data_that_changes_between_passes(data):
    """A pass ends with the comparison that finds it."""

    def progress(done, rows, doing=""):
        os.utime("logits.npy", ns=(0, 0))

    with pytest.raises(ValueError, match=r"logits\.npy: changed while it was read"):
        score_files(Job(["logits.npy"], ["labels.npy"], temperature=None), progress=progress)


def test_progress_says_what_is_done(data, monkeypatch):
    said = []

    def note(done, rows, doing=SCORING):
        said.append((doing, done, rows))

    run = score_files(Job(["logits.npy"], ["labels.npy"], temperature=None), chunk_rows=100, progress=note)
    one_pass = [(FITTING, 100, 200), (FITTING, 200, 200)]
    assert said == run.fitted.passes * one_pass + [(SCORING, 100, 200), (SCORING, 200, 200)]


@pytest.mark.usefixtures("many_checkpoints")
def test_a_stopped_run_keeps_its_temperature(data, capsys, monkeypatch):
    wanted = without_times(got(capsys, "--temperature", "auto", "--output", "whole.npy"))

    def stopped_at(phase, rows):
        def progress(done, of, doing=SCORING):
            if doing == phase and done >= rows:
                raise Killed

        job = Job(["logits.npy"], ["labels.npy"], temperature=None)
        with pytest.raises(Killed):
            score_files(job, output="losses.npy", resume=True, chunk_rows=20, progress=progress)

    stopped_at(FITTING, 60)
    stopped_at(SCORING, 20)
    stopped_at(SCORING, 100)
    monkeypatch.setattr("crossent.scoring.run.fit", None)  # it is not fitted again
    assert without_times(got(capsys, "--temperature", "auto", "--output", "losses.npy", "--resume")) == wanted
    assert Path("losses.npy").read_bytes() == Path("whole.npy").read_bytes()


@pytest.mark.usefixtures("many_checkpoints")
@pytest.mark.parametrize(
    ("arguments", "had", "has"),
    [
        (["--temperature", 2], "temperature:auto", "temperature:2.0"),
        (["--temperature", "auto", "--top-k", 3], "top_k:5", "top_k:3"),
        (["--temperature", "auto", "--bytes", 900], "bytes:none", "bytes:900"),
    ],
)
def test_other_options_are_another_run(data, capsys, arguments, had, has):
    def progress(done, of, doing=SCORING):
        if doing == SCORING:
            raise Killed

    with pytest.raises(Killed):
        score_files(Job(["logits.npy"], ["labels.npy"], temperature=None), output="losses.npy", resume=True, progress=progress)
    assert score("--output", "losses.npy", "--resume", *arguments) == 2
    assert f"which had {had} where this has {has};" in capsys.readouterr().err


# ---- bytes -----------------------------------------------------------------------------------------------------------


def test_bits_per_byte_of_a_number(data, capsys):
    figures = got(capsys, "--bytes", 1234)
    assert figures["bytes"] == 1234
    assert figures["bits_per_byte"] == figures["sum_loss"] / math.log(2) / 1234
    assert got(capsys)["bits_per_byte"] is None
    assert score("--bytes", 1234) == 0
    assert re.search(rf"bits per byte +{figures['bits_per_byte']:.6g} \(1,234 bytes\)", capsys.readouterr().out)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_bytes_of_each_row_are_those_of_rows_that_are_scored(data, capsys, monkeypatch, dtype):
    monkeypatch.setattr(inputs, "COUNTS_AT_ONCE", 17)
    counts = np.arange(200).astype(dtype) % 9
    np.save("bytes.npy", counts)
    figures = got(capsys, "--bytes", "bytes.npy")
    assert figures["bytes"] == counts.sum() - counts[7]  # row 7 is ignored
    assert figures["bits_per_byte"] == expected(nbytes=figures["bytes"]).bits_per_byte
    assert f"|bytes:{figures['bytes']}|" in figures["signature"]


def test_bytes_of_documents_are_all_of_them(data, capsys):
    np.save("bytes.npy", [[100, 20], [3, 0]])
    assert got(capsys, "--bytes", "bytes.npy")["bytes"] == 123


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.where(np.arange(200) == 150, -1, 3), r"bytes.npy: expected counts of bytes, but got -1 in row 150"),
        (np.zeros(200, int), r"bytes.npy: expected more than 0 bytes"),
        (np.ones(200), r"bytes.npy: expected integers, but got dtype float64"),
        (np.array(5), r"bytes.npy: expected an array of counts of bytes, but got shape \(\); give the number itself"),
    ],
)
def test_bad_counts_of_bytes(data, capsys, counts, message):
    np.save("bytes.npy", counts)
    assert score("--bytes", "bytes.npy") == 3
    assert re.fullmatch(rf"crossent score: error: {message}\n", capsys.readouterr().err)


# ---- targets that are probabilities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_as_targets(data, capsys, write, dtype):
    logits, _ = sample(np.dtype(dtype), (60, 5, 3))
    q = np.random.default_rng(1).dirichlet(np.ones(5), (60, 3)).swapaxes(1, 2).astype(dtype, order="C")
    names = write(logits, q)
    figures = got(capsys, "--chunk-rows", 7, "--output", "losses.npy", names=names)
    wanted = crossent.score(logits, q).to_dict()
    assert {name: figures[name] for name in wanted} == wanted
    assert "|targets:probabilities|" in figures["signature"]
    np.testing.assert_array_equal(np.load("losses.npy"), crossent.Scorer().update(logits, q))


def test_uint16_targets_are_classes_and_no_bfloat16(data):
    logits, labels = sample(bfloat16())
    np.save("logits.npy", logits.view(np.uint16))
    np.save("labels.npy", (abs(labels) % 5).astype(np.uint16))
    assert score("--dtype", "bfloat16") == 0


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top_k", [1, 3, 9])
def test_top_k(data, capsys, top_k):
    wanted = expected(top_k=top_k).top_accuracy.tolist()
    assert got(capsys, "--top-k", top_k)["top_accuracy"] == wanted
    assert score("--top-k", top_k, "--format", "csv") == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [float(line[f"top_{k}_accuracy"]) for k in range(1, len(wanted) + 1)] == wanted
    assert score("--top-k", top_k) == 0
    assert (f"top-{len(wanted)} accuracy" in capsys.readouterr().out) == (top_k > 1)


def test_show_classes(data, capsys):
    figures = expected()
    assert score("--show", "classes", "--format", "csv") == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(line["class"]) for line in lines] == [0, 1, 2, 3, 4]
    for name, values in (("rows", figures.class_rows), ("mean_loss", figures.class_loss), ("accuracy", figures.class_accuracy)):
        assert [float(line[name]) for line in lines] == values.tolist()
    assert score("--show", "classes") == 0
    heading, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading == ["class", "rows", "mean", "loss", "accuracy"]
    assert [int(row[1]) for row in rows] == figures.class_rows.tolist()


def test_show_confusions(data, capsys):
    assert score("--show", "confusions", "--format", "csv") == 0
    heading, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    assert heading == ["target", "predicted", "rows"]
    assert [[*map(int, line)] for line in lines] == expected().confusions.tolist()
    assert score("--show", "confusions") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(lines)


def test_too_many_confusions_to_show(data, capsys, monkeypatch):
    monkeypatch.setattr("crossent.scoring.confusions.MOST_PAIRS", 2)
    assert score("--show", "confusions") == 3
    wanted = "crossent score: error: more than 2 different pairs are confused, which are too many to count\n"
    assert capsys.readouterr().err == wanted
    assert score() == 0
    assert "most confused" not in capsys.readouterr().out


def test_a_class_without_rows(data, capsys):
    np.save("labels.npy", np.load("labels.npy").clip(-100, 3))
    assert score("--show", "classes", "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4,0,,"
    assert score("--show", "classes") == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["4", "0", "nan", "nan"]


# ---- info ------------------------------------------------------------------------------------------------------------


def test_info(capsys, monkeypatch):
    assert run("info") == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["crossent"] == crossent.__version__
    assert lines["formats"].startswith(".npy, .npz, .safetensors, .parquet")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("info") == 0
    assert ".parquet (pip install crossent[parquet]), bfloat16 (pip install crossent[cli])\n" in capsys.readouterr().out


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
def test_info_of_files(data, capsys, write):
    logits, labels = sample(np.dtype(np.float32), (60, 5, 3))
    x, y = write(logits, labels)[:2]
    assert run("info", *{x.split(":")[0]: None, y.split(":")[0]: None}) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ":other: " not in line]
    assert sorted(lines) == sorted(
        [f"{x}: float32 of shape (60, 5, 3), 3,600 bytes", f"{y}: {labels.dtype} of shape (60, 3), {labels.nbytes:,} bytes"]
    )
    assert run("info", x) == 0
    assert capsys.readouterr().out.splitlines() == [line for line in lines if line.startswith(f"{x}:")]


def test_info_of_what_cannot_be_scored(data, capsys):
    np.savez("run.npz", flags=np.ones(3, bool), objects=np.array([None]), text=np.array(["a"]))
    assert run("info", "run.npz", "l*.npy") == 0
    assert capsys.readouterr().out.splitlines() == [
        "run.npz:flags: bool of shape (3,), 3 bytes",
        "run.npz:objects: expected numbers, but got pickled Python objects, which are not read",
        "run.npz:text: str32 of shape (1,), 4 bytes",
        f"labels.npy: int64 of shape (200,), {200 * 8:,} bytes",
        "logits.npy: float32 of shape (200, 5), 4,000 bytes",
    ]
    Path("no.npy").write_text("no")
    for name, status in (("no.npy", 3), ("missing.npy", 1), ("run.npz:objects", 3), ("run.npz:other", 3)):
        assert run("info", name) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"crossent info: error: {name.split(':')[0]}.*\n", err)
