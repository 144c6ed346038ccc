"""The command: what it prints and writes, its exit statuses and one-line errors, and that no output is ever half-written."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from crossent import cli
from crossent.scoring import files, progress, run

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "crossent")


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


def score(*arguments):
    return cli.main(["score", "logits.npy", "labels.npy", *map(str, arguments)])


def expected(**options):
    return crossent.score(np.load("logits.npy"), np.load("labels.npy"), **options)


def leftovers(folder):
    """What a run left besides its inputs."""
    return sorted(set(os.listdir(folder)) - {"logits.npy", "labels.npy"})


def start(*arguments, **options):
    return subprocess.Popen((*COMMAND, *map(str, arguments)), stdout=-1, stderr=-1, text=True, **options)


# ---- what is printed -------------------------------------------------------------------------------------------------


def test_json_has_the_figures_and_what_was_scored(data, capsys):
    weight = np.linspace(0.5, 2, 5, dtype=np.float32)
    np.save("w.npy", weight)
    assert score("--format", "json", "--weight", "w.npy", "--label-smoothing", "0.1", "--ignore-index", "3") == 3
    assert "Target -100 is out of bounds: row 7, 5 classes" in capsys.readouterr().err
    assert score("--format", "json", "--weight", "w.npy", "--label-smoothing", "0.1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    got = json.loads(out, parse_constant=pytest.fail)  # no NaN, no Infinity: they are not JSON
    figures = expected(weight=weight, label_smoothing=0.1).to_dict()
    assert {name: got[name] for name in figures} == figures
    assert {name: got[name] for name in got if name not in figures and "second" not in name} == {
        "crossent": crossent.__version__,
        "logits": "logits.npy",
        "targets": "labels.npy",
        "shape": [200, 5],
        "dtype": "float32",
        "weight": "w.npy",
        "ignore_index": -100,
        "label_smoothing": 0.1,
    }
    assert got["rows_per_second"] == pytest.approx(200 / got["seconds"])


@pytest.mark.parametrize("with_rich", [True, False], ids=["rich", "plain"])
def test_table_has_the_figures(data, capsys, monkeypatch, with_rich):
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert score("--worst", 2) == 0
    out, err = capsys.readouterr()
    assert err == ""
    figures = expected()
    worst = [
        rf"{c} +{figures.class_loss[c]:.3f} +{100 * figures.class_accuracy[c]:.2f} % +{figures.class_rows[c]}"
        for c in figures.worst_classes(2)
    ]
    lines = [
        "logits.npy against labels.npy",
        "",
        r"rows +199 \(1 ignored\)",
        "classes +5",
        rf"mean loss +{figures.mean_loss:.6g} ± {figures.standard_error:.2g}0? nats",
        rf"perplexity +{figures.perplexity:.6g}",
        rf"accuracy +{100 * figures.accuracy:.2f} %",
        rf"calibration error +{100 * figures.ece:.2f} % \(ECE, 15 bins\)",
        r"speed +\S+( thousand| million)? rows/s, \S+ s",
        "",
        "worst classes +mean loss +accuracy +rows",
        *worst,
    ]
    for line, pattern in zip(out.splitlines(), lines, strict=True):
        assert re.fullmatch(pattern, line.rstrip()), (pattern, line)


def test_figures_do_not_depend_on_how_they_are_computed(data, capsys):
    def figures(*arguments):
        assert score("--format", "json", *arguments) == 0
        return [line for line in capsys.readouterr().out.splitlines() if "second" not in line]

    usual = figures()
    for arguments in (["--chunk-rows", 1], ["--chunk-rows", 7], ["--max-memory", "1K"], ["--threads", 2], ["-q"]):
        assert figures(*arguments) == usual


def test_names_are_not_markup(data, capsys):
    os.rename("logits.npy", "[red]$x_1$.npy")
    assert cli.main(["score", "[red]$x_1$.npy", "labels.npy", "--plot", "p.svg"]) == 0
    assert "[red]$x_1$.npy against" in capsys.readouterr().out


def test_empty_files(data, capsys):
    np.save("logits.npy", np.zeros((0, 5)))
    np.save("labels.npy", np.zeros(0, int))
    assert score("--output", "losses.npy", "--plot", "p.png") == 0
    assert re.search(r"mean loss +nan nats", capsys.readouterr().out)
    assert np.load("losses.npy").shape == (0,)


def test_version_info_and_help(capsys):
    for arguments, text in (
        (["--version"], f"crossent {crossent.__version__}\n"),
        (["--help"], "score a file of logits"),
        (["score", "--help"], "crossent score logits.npy labels.npy --output losses.npy"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        assert text in capsys.readouterr().out
    assert cli.main(["info"]) == 0
    assert crossent.__version__ in capsys.readouterr().out


def test_python_m_crossent_and_what_is_imported():
    done = subprocess.run((*COMMAND, "--version"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crossent {crossent.__version__}\n", "")
    code = """if True:
        import sys, crossent
        assert not any(name.startswith("crossent.scoring") for name in sys.modules)
        import crossent.cli
        assert not {"rich", "matplotlib"} & set(sys.modules)
        crossent.score, crossent.Scorer
    """
    subprocess.run((sys.executable, "-c", code), check=True)


# ---- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("inner", [(), (3, 2)], ids=str)
@pytest.mark.parametrize("chunk", [1, 64, 1000])
def test_output_is_the_loss_of_each_row(data, dtype, inner, chunk):
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(100, 5, *inner)).astype(dtype), rng.integers(0, 5, (100, *inner)).astype(">i2")
    np.save("logits.npy", logits)
    np.save("labels.npy", labels)
    assert score("--output", "losses.npy", "--chunk-rows", chunk) == 0
    losses = np.load("losses.npy")
    assert losses.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(losses, F.cross_entropy(logits, labels, reduction="none"), strict=True)
    assert leftovers(data) == ["losses.npy"]


def test_output_through_a_link_and_with_the_usual_mode(data):
    Path("real.npy").write_bytes(b"old")
    Path("link.npy").symlink_to("real.npy")
    before = os.umask(0o027)
    try:
        assert score("--output", "link.npy") == 0
    finally:
        os.umask(before)
    assert Path("link.npy").is_symlink()
    assert np.load("real.npy").shape == (200,)
    assert os.stat("real.npy").st_mode & 0o777 == 0o640


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
    result = run.score_files("logits.npy", "labels.npy", weight_path="w.npy", label_smoothing=0.1)
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
    assert score("--plot", "report.png") == 0, capsys.readouterr().err
    assert os.path.getsize("report.png") > 10000


# ---- errors ----------------------------------------------------------------------------------------------------------

x, t = np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0])
late = np.where(np.arange(4) == 2, 9, t)
structured = np.zeros(4, [("a", "i4")])
HUGE = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999, 3), }".ljust(
    118
)
BAD_DATA = {
    "labels: too large": (x, late, r"labels.npy: Target 9 is out of bounds: row 2, 3 classes"),
    "labels: negative": (x, -t, r"labels.npy: Target -1 is out of bounds: row 1, 3 classes"),
    "labels: position": (x[:, :, None], late[:, None], r"labels.npy: Target 9 is out of bounds: row 2 at \(0,\), 3 classes"),
    "labels: number": (x, t[:3], r"labels.npy: expected shape \(4,\) for logits of shape \(4, 3\), but got \(3,\)"),
    "labels: floats": (x, t * 1.0, r"labels.npy: expected integer, but got dtype float64"),
    "labels: bool": (x, t > 0, r"labels.npy: expected integer, but got dtype bool"),
    "labels: struct": (x, structured, r"labels.npy: expected integer, but got dtype \[\('a', '<i4'\)\]"),
    "labels: objects": (x, t.astype(object), r"labels.npy: expected integer, but got dtype object"),
    "labels: empty": (x, b"", r"labels.npy: not a .npy file: EOF: .*"),
    "logits: wide": (x.astype(np.longdouble), t, r"logits.npy: expected float16 or float32 or float64, but got dtype .*128"),
    "logits: integers": (x.astype(int), t, r"logits.npy: expected float16 or float32 or float64, but got dtype int64"),
    "logits: one axis": (t * 1.0, t, r"logits.npy: expected shape \(N, C\) or \(N, C, d1, ..., dK\), but got \(4,\)"),
    "logits: no axis": (np.zeros(()), t, r"logits.npy: expected shape \(N, C\) or \(N, C, d1, ..., dK\), but got \(\)"),
    "logits: Fortran": (np.asfortranarray(x), t, r"logits.npy: in Fortran order; save it with np.save\(path, .*"),
    "logits: text": (b"1.0, 2.0, 3.0\n", t, r"logits.npy: not a .npy file: the magic string is not correct; .*"),
    "logits: huge": (HUGE, t, r"logits.npy: truncated: expected 1199999\d+ bytes for shape \(9+, 3\) of float32, but got 0"),
    "logits: nan": (x * [[1], [1], [np.nan], [1]], t, r"logits.npy: the loss of row 2 is nan: its logits hold nan or inf.*"),
    "logits: version": (b"\x93NUMPY\x09\x00", t, r"logits.npy: not a .npy file: .*"),
}


def save(name, content):
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    else:
        np.save(name, content)


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(data, capsys, case):
    logits, labels, message = BAD_DATA[case]
    save("logits.npy", logits)
    save("labels.npy", labels)
    for arguments in (["--output", "losses.npy", "--plot", "p.png", "--chunk-rows", 1], []):
        assert score(*arguments) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"crossent score: error: {message}\n", err), err
        assert leftovers(data) == []


def test_an_ignored_row_may_hold_nan(data):
    logits = np.load("logits.npy")
    logits[7] = np.nan
    np.save("logits.npy", logits)
    assert score() == 0


@pytest.mark.parametrize("name", ["logits.npy", "labels.npy"])
def test_truncated_and_overlong_files(data, capsys, name):
    content = Path(name).read_bytes()
    for length in [*range(0, 128), len(content) - 1]:
        Path(name).write_bytes(content[:length])
        assert score() == 3
        out, err = capsys.readouterr()
        assert re.fullmatch(rf"crossent score: error: {name}: (not a .npy file|truncated): .*\n", out + err)
    Path(name).write_bytes(content + b"\0")
    assert score() == 3
    assert f"{name}: longer than its header says: expected " in capsys.readouterr().err


def test_damaged_headers_end_in_a_line(data, capsys):
    content = Path("logits.npy").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content)
        for place in rng.integers(0, 128, rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        Path("logits.npy").write_bytes(damaged)
        status = score()
        out, err = capsys.readouterr()
        assert status in (0, 3)
        if status:
            assert re.fullmatch(r"crossent score: error: [^\n]*\n", out + err)
    assert status == 3


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(4), r"w.npy: expected shape \(5,\), a weight for each class, but got \(4,\)"),
        (np.ones(()), r"w.npy: expected shape \(5,\), a weight for each class, but got \(\)"),
        (np.ones(5, int), r"w.npy: expected float16 or float32 or float64, but got dtype int64"),
        (np.array([1, 1, np.inf, 1, 1]), r"w.npy: expected finite weights, but got inf for class 2"),
    ],
)
def test_bad_weights(data, capsys, weight, message):
    np.save("w.npy", weight)
    assert score("--weight", "w.npy") == 3
    assert re.fullmatch(rf"crossent score: error: {message}\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["scoer"], "argument COMMAND: invalid choice: 'scoer'"),
        (["score", "logits.npy"], "the following arguments are required: TARGETS"),
        (["score", "a", "b", "--label-smoothing", "1.5"], "--label-smoothing: expected a number from 0 to 1, but got '1.5'"),
        (["score", "a", "b", "--label-smoothing", "nan"], "expected a number from 0 to 1, but got 'nan'"),
        (["score", "a", "b", "--threads", "0"], "argument --threads: expected a number above 0, but got 0"),
        (["score", "a", "b", "--worst", "-1"], "argument --worst: expected a whole number, but got '-1'"),
        (["score", "a", "b", "--max-memory", "12x"], "expected a size such as 512K, 64M or 1G, but got '12x'"),
        (["score", "a", "b", "--ignore-index", "x"], "argument --ignore-index: invalid int value: 'x'"),
        (["score", "a", "b", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["score", "a", "b", "--max-memory", "1M", "--chunk-rows", "1"], "--chunk-rows: not allowed with argument"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert re.fullmatch(rf"crossent( score)?: error: [^\n]*{re.escape(message)}[^\n]*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "logits.npy"], "logits.npy: is an input, and would be overwritten"),
        (["--output", "link.npy"], "link.npy: is an input, and would be overwritten"),
        (["--plot", "../{}/labels.npy"], "labels.npy: is an input, and would be overwritten"),
        (["--output", "out.png", "--plot", "./out.png"], "./out.png: is given for both --output and --plot"),
        (["--output", "nowhere/losses.npy"], "nowhere/losses.npy: its folder does not exist"),
        (["--plot", "report.txt"], "report.txt: expected a name that ends in .png, .svg, .pdf"),
    ],
)
def test_outputs_that_cannot_be(data, capsys, arguments, message):
    os.symlink("logits.npy", "link.npy")
    contents = {name: Path(name).read_bytes() for name in ("logits.npy", "labels.npy")}
    assert score(*(argument.format(data.name) for argument in arguments)) == 2
    assert re.fullmatch(rf"crossent score: error: (\S*/)?{re.escape(message)}\n", capsys.readouterr().err)
    assert leftovers(data) == ["link.npy"]
    assert {name: Path(name).read_bytes() for name in contents} == contents


def test_a_plot_without_matplotlib(data, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert score("--plot", "report.png", "--output", "losses.npy") == 2
    assert capsys.readouterr().err == "crossent score: error: --plot needs matplotlib: pip install crossent[cli]\n"
    assert leftovers(data) == []


def test_files_that_cannot_be_read(data, capsys):
    os.mkfifo("pipe.npy")
    for name, status, message in (
        ("missing.npy", 1, "missing.npy: No such file or directory"),
        ("pipe.npy", 3, "pipe.npy: not a regular file"),
        (".", 3, ".: not a regular file"),
    ):
        for arguments in ([name, "labels.npy"], ["logits.npy", name], ["logits.npy", "labels.npy", "--weight", name]):
            assert cli.main(["score", *arguments]) == status
            assert capsys.readouterr().err == f"crossent score: error: {message}\n"


def test_outputs_that_cannot_be_written(data, capsys):
    assert score("--output", "/dev/null") == 1
    assert capsys.readouterr().err == "crossent score: error: /dev/null: not a regular file\n"
    os.mkdir("folder")
    assert score("--plot", f"{data}/folder.png", "--output", f"{data}/folder") == 1
    assert capsys.readouterr().err == f"crossent score: error: {data}/folder: not a regular file\n"
    assert leftovers(data) == ["folder"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("report", ["table", "json"])
def test_stdout_that_takes_no_more(data, report):
    command = (*COMMAND, "score", "logits.npy", "labels.npy", "--format", report)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, gone = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full, open(gone, "w") as pipe:
        for file, message in ((full, "crossent score: error: No space left on device\n"), (pipe, "")):
            done = subprocess.run(command, stdout=file, stderr=-1, text=True, check=False, env=buffered)
            assert (done.returncode, done.stderr) == (1, message)


# ---- never a half-written file ---------------------------------------------------------------------------------------


def no_space(*_):
    raise OSError(28, "No space left on device")


def interrupt(*_):
    raise KeyboardInterrupt


def no_memory(*_):
    raise MemoryError("Unable to allocate 9 TiB")


@pytest.mark.parametrize("place", ["os.fsync", "os.replace", "crossent.scoring.run.write_npy_header", "numpy.isnan"])
@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (no_space, 1, r"error: (.*/losses.npy: )?No space left on device"),
        (no_memory, 1, "error: not enough memory, which --max-memory bounds: Unable to allocate 9 TiB"),
        (interrupt, 130, "interrupted"),
    ],
)
def test_a_failure_leaves_the_old_output(data, capsys, monkeypatch, place, failure, status, message):
    Path("losses.npy").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(place, failure)
        assert score("--output", "losses.npy", "--chunk-rows", 50) == status
    assert re.fullmatch(f"crossent score: {message}\n", capsys.readouterr().err)
    assert Path("losses.npy").read_bytes() == b"old"
    assert leftovers(data) == ["losses.npy"]


def test_a_full_disk(data, monkeypatch):
    """A real one: the size of files is limited to less than the output."""
    code = """if True:
        import resource, signal, sys
        from crossent.cli import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        sys.exit(main(["score", "logits.npy", "labels.npy", "--output", "losses.npy", "-q"]))
    """
    done = subprocess.run((sys.executable, "-B", "-c", code), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"crossent score: error: .*losses.npy: File too large\n", done.stderr)
    assert leftovers(data) == []


@pytest.mark.parametrize("change", ["shrink", "touch"])
def test_inputs_that_change_while_they_are_read(data, change):
    Path("losses.npy").write_bytes(b"old")

    def after_a_chunk(done, rows):
        if change == "shrink":
            os.truncate("logits.npy", 1000)
        else:
            with open("logits.npy", "ab") as file:
                file.write(b"more")

    message = {"shrink": "truncated while it was read", "touch": "changed while it was read"}[change]
    with pytest.raises(files.DataError, match=f"logits.npy: {message}"):
        run.score_files("logits.npy", "labels.npy", output="losses.npy", chunk_rows=50, progress=after_a_chunk)
    assert Path("losses.npy").read_bytes() == b"old"


@pytest.fixture
def long_run(data):
    """Starts a run of some seconds that writes losses.npy, and waits until it writes."""
    np.save("logits.npy", np.tile(np.load("logits.npy"), (500, 1)))
    np.save("labels.npy", np.tile(np.load("labels.npy"), 500))
    started = []

    def begin():
        process = start("score", "logits.npy", "labels.npy", "--output", "losses.npy", "--chunk-rows", 5, "--threads", 1)
        started.append(process)
        while not any(name.endswith(".tmp") for name in os.listdir()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_remove_the_temporary_file(data, long_run, number):
    Path("losses.npy").write_bytes(b"old")
    process = long_run()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    status, text = {signal.SIGINT: (130, "crossent score: interrupted\n"), signal.SIGTERM: (143, "")}[number]
    assert (process.returncode, out, err) == (status, "", text)
    assert Path("losses.npy").read_bytes() == b"old"
    assert leftovers(data) == ["losses.npy"]


@pytest.mark.parametrize("delay", [0, 0.03, 0.1, 0.3])
def test_a_kill_leaves_no_half_output(data, long_run, delay):
    process = long_run()
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not Path("losses.npy").exists()
    assert score("--output", "losses.npy", "-q") == 0  # and what it left is in nobody's way
    np.testing.assert_array_equal(
        np.load("losses.npy"), F.cross_entropy(np.load("logits.npy"), np.load("labels.npy"), reduction="none")
    )


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
def test_memory_does_not_grow_with_the_file(data):
    """A sparse file of 1 GB, scored by a process that may take 400 MB more than it has at its start."""
    with open("logits.npy", "wb") as file:
        files.write_npy_header(file, (250_000, 1000), np.dtype(np.float32))
        file.truncate(file.tell() + 10**9)
    np.save("labels.npy", np.zeros(250_000, np.int8))
    code = """if True:
        import resource, sys
        import crossent.scoring.plots
        from crossent.cli import main
        import re
        taken = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
        resource.setrlimit(resource.RLIMIT_AS, (taken + 4 * 10**8,) * 2)
        sys.exit(main(["score", "logits.npy", "labels.npy", "--output", "losses.npy", "--format", "json", "-q"]))
    """
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["mean_loss"] == pytest.approx(np.log(1000))


# ---- progress --------------------------------------------------------------------------------------------------------


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
