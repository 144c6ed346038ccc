"""The command's errors: each is one clear line on stderr with its exit status, before anything is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command import COMMAND, leftovers, run, save, score
from crossent import cli

x, t = np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0])
late = np.where(np.arange(4) == 2, 9, t)
structured = np.zeros(4, [("a", "i4")])
FLOATS = "expected float16, bfloat16, float32 or float64, but got dtype"
EITHER = r"expected integers, or probabilities of shape \(4, 3\)"
HUGE = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999), }".ljust(118)
OVERFLOWING = HUGE.replace(b"(999999999, 999999)", b"(9999999999999999, 999999)")
BAD_DATA = {
    "labels: too large": (x, late, r"labels.npy: Target 9 is out of bounds: row 2, 3 classes"),
    "labels: negative": (x, -t, r"labels.npy: Target -1 is out of bounds: row 1, 3 classes"),
    "labels: position": (x[:, :, None], late[:, None], r"labels.npy: Target 9 is out of bounds: row 2 at \(0,\), 3 classes"),
    "labels: number": (x, t[:3], r"labels.npy: expected shape \(4,\) for logits of shape \(4, 3\), but got \(3,\)"),
    "labels: floats": (x, t * 1.0, rf"labels.npy: {EITHER}, but got dtype float64 of shape \(4,\)"),
    "labels: probabilities": (x, x[:, :2], rf"labels.npy: {EITHER}, but got dtype float32 of shape \(4, 2\)"),
    "labels: bool": (x, t > 0, r"labels.npy: expected integers, but got dtype bool"),
    "labels: struct": (x, structured, r"labels.npy: expected integers, but got dtype \[\('a', '<i4'\)\]"),
    "labels: objects": (x, t.astype(object), r"labels.npy: expected numbers, but got pickled Python objects, .*"),
    "labels: empty": (x, b"", r"labels.npy: not a .npy file: EOF: .*"),
    "logits: wide": (x.astype(np.longdouble), t, rf"logits.npy: {FLOATS} .*128"),
    "logits: integers": (x.astype(int), t, rf"logits.npy: {FLOATS} int64"),
    "logits: 2 bytes": (x.astype(np.uint16), t, rf"logits.npy: {FLOATS} uint16; if it is bfloat16, say --dtype bfloat16"),
    "logits: objects": (x.astype(object), t, r"logits.npy: expected numbers, but got pickled Python objects, .*"),
    "logits: one axis": (t * 1.0, t, r"logits.npy: expected shape \(N, C\) or \(N, C, d1, ..., dK\), but got \(4,\)"),
    "logits: no axis": (np.zeros(()), t, r"logits.npy: expected shape \(N, C\) or \(N, C, d1, ..., dK\), but got \(\)"),
    "logits: no classes": (x[:, :0], t, r"logits.npy: expected one class or more, but got shape \(4, 0\)"),
    "logits: Fortran": (np.asfortranarray(x), t, r"logits.npy: in Fortran order; save it with np.save\(path, .*"),
    "logits: text": (b"1.0, 2.0, 3.0\n", t, r"logits.npy: not a .npy file: the magic string is not correct; .*"),
    "logits: huge": (HUGE, t, r"logits.npy: truncated: expected 399\d+ bytes for shape \(9+, 9+\) of float32, but got 0"),
    "logits: overflow": (OVERFLOWING, t, r"logits.npy: its header has the shape \(9+, 9+\)"),
    "logits: nan": (x * [[1], [1], [np.nan], [1]], t, r"logits.npy: the loss of row 2 is nan: its logits hold nan or inf.*"),
    "logits: version": (b"\x93NUMPY\x09\x00", t, r"logits.npy: not a .npy file: .*"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(data, capsys, case):
    logits, labels, message = BAD_DATA[case]
    save("logits.npy", logits)
    save("labels.npy", labels)
    for arguments in (
        ["--output", "losses.npy", "--plot", "p.png", "--chunk-rows", 1],
        ["--output", "losses.csv", "--resume"],
        ["--reduction", "none"],
        [],
    ):
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


def test_a_row_larger_than_the_memory_it_may_take(data, capsys):
    assert score("--max-memory", "27") == 3
    wanted = "logits.npy: a row takes 28 bytes, more than --max-memory, which is 27"
    assert capsys.readouterr().err == f"crossent score: error: {wanted}\n"


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(4), r"w.npy: expected shape \(5,\), a weight for each class, but got \(4,\)"),
        (np.ones(()), r"w.npy: expected shape \(5,\), a weight for each class, but got \(\)"),
        (np.ones(5, int), rf"w.npy: {FLOATS} int64"),
        (np.array([1, 1, np.inf, 1, 1]), r"w.npy: expected finite weights, but got inf for class 2"),
    ],
)
def test_bad_weights(data, capsys, weight, message):
    np.save("w.npy", weight)
    assert score("--weight", "w.npy") == 3
    assert re.fullmatch(rf"crossent score: error: {message}\n", capsys.readouterr().err)


# ---- wrong usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["scoer"], "argument COMMAND: invalid choice: 'scoer'"),
        (["score"], "the following arguments are required: LOGITS"),
        (["score", "a", "b", "--label-smoothing", "1.5"], "--label-smoothing: expected a number from 0 to 1, but got '1.5'"),
        (["score", "a", "b", "--label-smoothing", "nan"], "--label-smoothing: expected a number, but got 'nan'"),
        (["score", "a", "b", "--threads", "0"], "argument --threads: expected a number above 0, but got 0"),
        (["score", "a", "b", "--worst", "-1"], "argument --worst: expected a whole number, but got '-1'"),
        (["score", "a", "b", "--max-memory", "12x"], "expected a size such as 512K, 64M or 1G, but got '12x'"),
        (["score", "a", "b", "--ignore-index", "x"], "argument --ignore-index: invalid int value: 'x'"),
        (["score", "a", "b", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["score", "a", "b", "--fail-above", "x"], "argument --fail-above: expected a number, but got 'x'"),
        (["score", "a", "b", "--fail-above", "nan"], "argument --fail-above: expected a number, but got 'nan'"),
        (["score", "a", "b", "--dtype", "float8"], "argument --dtype: invalid choice: 'float8'"),
        (["score", "a", "b", "--temperature", "hot"], "argument --temperature: expected a number, but got 'hot'"),
        (["score", "a", "b", "--temperature", "0"], "argument --temperature: expected a number above 0, but got '0'"),
        (["score", "a", "b", "--bytes", "0"], "argument --bytes: expected a number above 0, but got '0'"),
        (["score", "a", "b", "--top-k", "0"], "argument --top-k: expected a number above 0, but got 0"),
        (["score", "a", "b", "--show", "all"], "argument --show: invalid choice: 'all'"),
        (["compare", "a"], "the following arguments are required: SECOND"),
        (["plot", "a"], "the following arguments are required: PICTURE"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert re.fullmatch(rf"crossent( \w+)?: error: [^\n]*{re.escape(message)}[^\n]*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "logits.npy"], "logits.npy: is an input, and would be overwritten"),
        (["--output", "link.npy"], "link.npy: is an input, and would be overwritten"),
        (["--plot", "../{}/labels.npy"], "labels.npy: is an input, and would be overwritten"),
        (["--output", "out.png", "--plot", "./out.png"], "out.png: expected a name that ends in .npy, .csv, .parquet"),
        (["--output", "nowhere/losses.npy"], "nowhere/losses.npy: its folder does not exist"),
        (["--plot", "report.txt"], "report.txt: expected a name that ends in .png, .svg, .pdf"),
        (["--dim", "0"], "--dim: expected 1 to 1 or -1 to -1 for logits of shape (200, 5), read along axis 0, but got 0"),
        (["--dim", "2"], "--dim: expected 1 to 1 or -1 to -1 for logits of shape (200, 5), read along axis 0, but got 2"),
        (["--dim=-2"], "--dim: expected 1 to 1 or -1 to -1 for logits of shape (200, 5), read along axis 0, but got -2"),
        (["more.npy"], "expected LOGITS and TARGETS, or LOGITS... --targets TARGETS..., but got 3 files"),
        (["--resume"], "--resume needs --output, beside which it notes how far it is, and inputs that are files"),
        (
            ["--targets", "-", "--output", "a.npy", "--resume"],
            "--resume needs --output, beside which it notes how far it is, .*",
        ),
        (["--temperature", "auto", "--targets", "-"], "--temperature auto reads the inputs several times, .*"),
        (["--show", "classes", "--format", "json"], "--show classes is a table or csv, and not for --format json, .*"),
        (["--show", "classes", "--reduction", "none"], "--show classes is a table or csv, and not for --format json, .*"),
        (["--reduction", "none", "--format", "json"], "--reduction none prints the rows' losses as csv: no --format, .*"),
        (["--reduction", "none", "--fail-above", "1"], "--reduction none prints the rows' losses as csv: no --format, .*"),
        (["-", "--targets", "-"], "standard input can be one array, but '-' is given twice"),
    ],
)
def test_what_cannot_be_done(data, capsys, arguments, message):
    os.symlink("logits.npy", "link.npy")
    contents = {name: Path(name).read_bytes() for name in ("logits.npy", "labels.npy")}
    assert score(*(argument.format(data.name) for argument in arguments)) == 2
    pattern = message if message.endswith(".*") else re.escape(message)
    assert re.fullmatch(rf"crossent score: error: (\S*/)?{pattern}\n", capsys.readouterr().err)
    assert leftovers(data) == ["link.npy"]
    assert {name: Path(name).read_bytes() for name in contents} == contents


def test_one_file_for_two_outputs(data, capsys, monkeypatch):
    monkeypatch.setattr("crossent.commands.PICTURES", (".npy",))
    assert score("--output", "out.npy", "--plot", "./out.npy") == 2
    assert capsys.readouterr().err == "crossent score: error: ./out.npy: is given for both --output and --plot\n"


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("matplotlib", ["--plot", "p.png"], "a picture needs matplotlib: pip install crossent[cli]"),
        ("pyarrow", ["--output", "a.parquet"], "--output of .parquet needs pyarrow: pip install crossent[parquet]"),
        ("pyarrow", ["--weight", "w.parquet"], "Parquet needs pyarrow: pip install crossent[parquet]"),
        ("ml_dtypes", ["--dtype", "bfloat16"], "bfloat16 needs ml_dtypes: pip install crossent[cli]"),
    ],
)
def test_what_needs_a_library_that_is_not_there(data, module, arguments, message):
    np.save("logits.npy", np.zeros((200, 5), np.uint16))
    Path("w.parquet").write_bytes(b"PAR1")
    code = f"import sys; sys.modules[{module!r}] = None; from crossent.cli import main; sys.exit(main(sys.argv[1:]))"
    command = (sys.executable, "-c", code, "score", "logits.npy", "labels.npy", *arguments, "--output", "losses.npy")
    if "--weight" in arguments:
        command += ("--dtype", "bfloat16")
    done = subprocess.run(command[:-2] if "a.parquet" in arguments else command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"crossent score: error: {message}\n")
    assert leftovers(data) == ["w.parquet"]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_read(data, capsys):
    os.mkfifo("pipe.npy")
    os.mkdir("sub.npy")
    Path("empty.npz").write_bytes(b"PK\x05\x06" + bytes(18))
    np.savez("two.npz", a=x, b=t)
    for name, status, message in (
        ("missing.npy", 1, "missing.npy: No such file or directory"),
        ("missing-*.npy", 1, "missing-*.npy: No such file or directory"),
        ("missing.npz:logits", 1, "missing.npz: No such file or directory"),
        ("pipe.npy", 3, "pipe.npy: not a regular file"),
        ("sub.npy", 3, "sub.npy: not a regular file"),
        (".", 3, ".: not a regular file"),
        ("/dev/zero", 3, "/dev/zero: not a regular file"),
        ("empty.npz", 3, "empty.npz: holds nothing; name one of them: empty.npz:NAME"),
        ("two.npz", 3, "two.npz: holds a, b; name one of them: two.npz:NAME"),
        ("two.npz:c", 3, "two.npz: expected 'c' in it, but it holds a, b"),
    ):
        for arguments in ([name, "labels.npy"], ["logits.npy", name], ["logits.npy", "labels.npy", "--weight", name]):
            assert run("score", *arguments) == status
            assert capsys.readouterr().err == f"crossent score: error: {message}\n"


def test_outputs_that_cannot_be_written(data, capsys):
    os.mkdir("folder.npy")
    for arguments in (["--output", f"{data}/folder.npy"], ["--output", f"{data}/folder.npy", "--resume"]):
        assert score(*arguments) == 1
        assert capsys.readouterr().err == f"crossent score: error: {data}/folder.npy: not a regular file\n"
    assert leftovers(data) == ["folder.npy"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments", [["--format", "table"], ["--format", "json"], ["--format", "csv"], ["--reduction", "none"]]
)
def test_stdout_that_takes_no_more(data, arguments):
    command = (*COMMAND, "score", "logits.npy", "labels.npy", *arguments)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, gone = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full, open(gone, "w") as pipe:
        for file, message in ((full, "crossent score: error: No space left on device\n"), (pipe, "")):
            done = subprocess.run(command, stdout=file, stderr=-1, text=True, check=False, env=buffered)
            assert (done.returncode, done.stderr) == (1, message)


def test_more_files_than_the_system_opens(data):
    code = """if True:
        import resource, sys
        from crossent.cli import main
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        sys.exit(main(sys.argv[1:]))
    """
    command = (sys.executable, "-c", code, "score", *["logits.npy"] * 30, "--targets", "labels.npy")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "crossent score: error: logits.npy: Too many open files\n"
