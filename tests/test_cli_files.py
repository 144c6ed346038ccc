"""Formats of files: every one, of every dtype and layout, gives the bits of the arrays it was made from."""

import os
import re
import subprocess

import numpy as np
import pytest

import crossent.nn.functional as F
from command import COMMAND, leftovers, run, save, score
from conftest import HALVES, bfloat16
from crossent.scoring.errors import DataError
from crossent.scoring.sources import Source, chunks

FLOATS = [np.dtype(np.float32), np.dtype(np.float64), *HALVES]
LAYOUTS = {"rows": ((100, 5), 1), "planes": ((20, 5, 3, 2), 1), "last": ((20, 3, 2, 5), -1), "middle": ((20, 3, 5, 2), 2)}


def sample(dtype, shape=(100, 5), axis=1, seed=1):
    """Logits of this dtype and labels, one in seven of which is ignored."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape).astype(dtype)
    labels = rng.integers(0, shape[axis], np.delete(shape, axis))
    labels[rng.random(labels.shape) < 1 / 7] = -100
    return logits, labels


def losses_of(logits, labels, dim=1):
    wide = logits if logits.dtype.itemsize > 2 else logits.astype(np.float32)
    return F.cross_entropy(wide, labels, reduction="none", dim=dim)


def write_npy(logits, labels):
    save("x.npy", logits)
    save("y.npy", labels)
    return ["x.npy", "y.npy"] + (["--dtype", "bfloat16"] if logits.dtype == bfloat16() else [])


def write_npz(logits, labels, save=np.savez):
    save("xy.npz", logits=logits, **{"deep/labels": labels})
    return ["xy.npz:logits", "xy.npz:deep/labels"] + (["--dtype", "bfloat16"] if logits.dtype == bfloat16() else [])


def write_compressed(logits, labels):
    return write_npz(logits, labels, np.savez_compressed)


def write_safetensors(logits, labels):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"x": logits, "other": np.zeros(3, np.float16), "y": labels}, "xy.safetensors", {"made": "here"})
    return ["xy.safetensors:x", "xy.safetensors:y"]


def write_parquet(logits, labels):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    options = []
    if logits.dtype == bfloat16():  # which Arrow has not
        logits, options = logits.view(np.uint16), ["--dtype", "bfloat16"]

    def column(array):
        values = pyarrow.array(array.reshape(-1))
        for length in array.shape[:0:-1]:
            values = pyarrow.FixedSizeListArray.from_arrays(values, length)
        return values

    parquet.write_table(pyarrow.table({"x": column(logits), "y": column(labels)}), "xy.parquet", row_group_size=7)
    return ["xy.parquet:x", "xy.parquet:y", *options]


WRITERS = (write_npy, write_npz, write_compressed, write_safetensors, write_parquet)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("chunk", [1, 13, 1000])
def test_losses_are_those_of_the_arrays(data, write, dtype, layout, chunk):
    shape, dim = LAYOUTS[layout]
    logits, labels = sample(dtype, shape, dim)
    assert run("score", *write(logits, labels), "--dim", dim, "--output", "losses.npy", "--chunk-rows", chunk) == 0
    np.testing.assert_array_equal(np.load("losses.npy"), losses_of(logits, labels, dim), strict=True)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2"])
@pytest.mark.parametrize("chunk", [1, 64, 1000])
def test_npy_of_the_other_byte_order(data, dtype, chunk):
    logits, labels = sample(dtype)
    save("logits.npy", logits)
    save("labels.npy", labels.astype(">i2"))
    assert score("--output", "losses.npy", "--chunk-rows", chunk) == 0
    np.testing.assert_array_equal(np.load("losses.npy"), losses_of(logits, labels))
    assert leftovers() == ["losses.npy"]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("write", [write_npy, write_npz, write_safetensors], ids=lambda write: write.__name__[6:])
def test_16_bits_are_read_as_they_are(data, dtype, write):
    """Into memory of 16 bits, by one read: no wider copy is made on the way."""
    logits, labels = sample(dtype)
    name = write(logits, labels)[0]
    with Source([name], as_bfloat16=dtype == bfloat16()) as source:
        ((chunk,),) = list(chunks(source, most=1000))
        assert chunk.rows.dtype == dtype
        assert chunk.rows.tobytes() == logits.tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
def test_labels_of_every_integer_dtype(data, dtype, write):
    logits, labels = sample(np.dtype(np.float32))
    labels = abs(labels) % 5
    assert run("score", *write(logits, labels.astype(dtype)), "--output", "losses.npy") == 0
    np.testing.assert_array_equal(np.load("losses.npy"), losses_of(logits, labels))


# ---- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(100, 5), (20, 5, 3, 2)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_output_as_csv_and_parquet(data, monkeypatch, shape, dtype):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("crossent.scoring.losses.AT_ONCE", 17)
    logits, labels = sample(dtype, shape)
    names = write_npy(logits, labels)
    wanted = losses_of(logits, labels)
    assert run("score", *names, "--output", "losses.csv") == 0
    assert run("score", *names, "--output", "losses.parquet") == 0
    places = ["row", "d1", "d2"][: wanted.ndim]
    table = parquet.read_table("losses.parquet")
    assert table.column_names == [*places, "loss"]
    lines = np.genfromtxt(
        "losses.csv", delimiter=",", names=True, dtype=[*((name, int) for name in places), ("loss", wanted.dtype)]
    )
    for got in (table, lines):
        index = tuple(np.asarray(got[name]) for name in places)
        assert list(zip(*index, strict=True)) == list(np.ndindex(wanted.shape))
        np.testing.assert_array_equal(np.asarray(got["loss"]), wanted.reshape(-1), strict=True)


# ---- several files, members, pipes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[], [50], [1, 1, 7, 99]], ids=str)
@pytest.mark.parametrize("chunk", [3, 1000])
def test_several_files_are_one_array(data, capsys, cuts, chunk):
    logits, labels = np.load("logits.npy"), np.load("labels.npy")
    assert score("--output", "whole.npy", "--format", "json") == 0
    whole = capsys.readouterr().out.splitlines()
    for number, part in enumerate(np.split(logits, cuts)):
        np.save(f"x-{number}.npy", part)
    for number, part in enumerate(np.split(labels, [20, 120])):
        np.savez(f"y-{number}.npz", part)
    names = [f"x-{number}.npy" for number in range(len(cuts) + 1)]
    for arguments in ([*names, "--targets", *(f"y-{k}.npz" for k in range(3))], ["x-*.npy", "y-?.npz:arr_0"]):
        assert run("score", *arguments, "--output", "parts.npy", "--chunk-rows", chunk, "--format", "json") == 0
        parts = capsys.readouterr().out.splitlines()
        named = ('"logits"', '"targets"', "second")
        assert [a for a in parts if not any(n in a for n in named)] == [a for a in whole if not any(n in a for n in named)]
        assert np.load("parts.npy").tobytes() == np.load("whole.npy").tobytes()


def test_a_row_is_named_by_its_own_file(data, capsys):
    labels = np.load("labels.npy")
    labels[[130, 150]] = 9
    for number, part in enumerate(np.split(labels, [100, 120])):
        np.save(f"y-{number}.npy", part)
    assert run("score", "logits.npy", "y-*.npy") == 3
    assert capsys.readouterr().err == "crossent score: error: y-2.npy: Target 9 is out of bounds: row 10, 5 classes\n"
    logits = np.load("logits.npy")
    logits[70] = np.nan
    for number, part in enumerate(np.split(logits, [64])):
        np.save(f"x-{number}.npy", part)
    assert run("score", "x-*.npy", "labels.npy") == 3
    assert "x-1.npy: the loss of row 6 is nan" in capsys.readouterr().err


def test_files_that_are_not_alike(data, capsys):
    for name, array in {
        "a": np.zeros((3, 4), "f4"),
        "b": np.zeros((3, 5), "f4"),
        "c": np.zeros((3, 4)),
        "d": np.zeros(()),
    }.items():
        np.save(f"{name}.npy", array)
    for second, got in (("b", "float32 of shape (3, 5)"), ("c", "float64 of shape (3, 4)"), ("d", "float64 of shape ()")):
        assert run("score", "a.npy", f"{second}.npy", "--targets", "labels.npy") == 3
        wanted = f"{second}.npy: expected float32 of shape (N, 4) as in a.npy, but got {got}"
        assert capsys.readouterr().err == f"crossent score: error: {wanted}\n"


@pytest.mark.parametrize("of", ["logits", "labels"])
def test_standard_input(data, of):
    assert score("--output", "file.npy") == 0
    names = ["-" if name == of else f"{name}.npy" for name in ("logits", "labels")]
    for version in ((1, 0), (2, 0)):
        with open("piped.npy", "wb") as file:
            np.lib.format.write_array(file, np.load(f"{of}.npy"), version)
        # through cat, so that it is a pipe, in pieces
        command = f"cat piped.npy | {' '.join(map(str, COMMAND))} score {' '.join(names)} --output piped-losses.npy"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert (of == "labels" or "standard input against labels.npy" in done.stdout) is True
        assert np.load("piped-losses.npy").tobytes() == np.load("file.npy").tobytes()


PIPES = {
    "cut in the header": ("head -c 60 labels.npy", "not a .npy file: it ends within its header, of 118 bytes"),
    "cut in the data": ("head -c 999 labels.npy", "truncated while it was read"),
    "longer": ("cat labels.npy /dev/zero", "longer than its header says"),
    "nothing": ("true", "not a .npy file: EOF: .*"),
    "endless": ("cat /dev/zero", "not a .npy file: the magic string is not correct; .*"),
    "closed": (None, "is closed"),
}


@pytest.mark.parametrize("case", PIPES)
def test_standard_input_that_is_no_array(data, case):
    source, message = PIPES[case]
    command = f"{' '.join(map(str, COMMAND))} score logits.npy - --output losses.npy"
    command = f"{command} <&-" if source is None else f"{source} | {command}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(f"crossent score: error: standard input: {message}\n", done.stderr), done.stderr
    assert leftovers() == []


def test_names_that_are_no_text(data, capfdbinary):
    """Bytes that are no UTF-8, as Linux allows them in names."""
    name = b"x\xff.npy".decode(errors="surrogateescape")
    os.rename("logits.npy", name)
    for options in ([], ["--format", "json"], ["--format", "csv"], ["--resume"]):
        assert run("score", name, "labels.npy", "--output", "losses.npy", *options) == 0
    os.truncate(name, 999)
    assert run("score", name, "labels.npy") == 3


def test_the_only_member_needs_no_name(data):
    np.savez("x.npz", np.load("logits.npy"))
    assert run("score", "x.npz", "labels.npy") == 0


def test_a_file_whose_name_looks_like_a_member_or_a_pattern(data):
    for name in ("x.npz:logits", "x[1]*.npy", "run.parquet:x"):
        os.rename("logits.npy", name)
        assert run("score", name, "labels.npy") == 0
        os.rename(name, "logits.npy")


def test_a_patterns_files_are_in_the_order_of_their_names(data):
    for name in ("b", "a", "c"):
        np.save(f"part-{name}.npy", np.full(2, ord(name)))
    with Source(["part-*.npy"], integers=True) as source:
        assert [chunk.rows.tolist() for (chunk,) in chunks(source, most=9)] == [[97, 97], [98, 98], [99, 99]]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
def test_rows_that_are_passed_over(data, write):
    """As a resumed run does."""
    logits, labels = sample(np.dtype(np.float32))
    for rows in (0, 1, 40, 100):
        with Source(write(logits, labels)[:1]) as source:
            source.skip(rows)
            rest = [chunk.rows.copy() for (chunk,) in chunks(source, most=7)]
            np.testing.assert_array_equal(np.concatenate([logits[:0], *rest]), logits[rows:])
            source.finish()


def test_a_source_says_where_it_ends(data):
    with Source(["labels.npy"], integers=True) as source:
        source.skip(150)
        assert source.left_in_file() == 50
        with open("labels.npy", "ab") as file:
            file.write(b"more")
        with pytest.raises(DataError, match=r"labels.npy: changed while it was read"):
            source.finish()
