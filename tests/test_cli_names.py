"""``--class-names``: names of classes in tables, pictures and results; files of names that are none."""

import json
from pathlib import Path

import numpy as np
import pytest

from command import run, score
from crossent.scoring import record
from crossent.scoring.names import read_class_names

NAMES = ["Ann", "Bob", "你好", "", "tab\tname"]
SHOWN = ["Ann", "Bob", "你好", "3", "tab\\tname"]


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "\n".join(NAMES) + "\n"),
        ("names.txt", "\r\n".join(NAMES)),
        ("names", "\ufeff" + "\n".join(NAMES)),
        ("names.json", json.dumps(NAMES)),
        ("names.JSON", json.dumps({name: number for number, name in reversed([*enumerate(NAMES)]) if name})),
    ],
)
def test_names_are_read(data, name, content):
    write(name, content)
    assert read_class_names(name, 5) == SHOWN


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("names.txt", "a\nb\n", "names.txt: expected 5 names, one for each class, but got 2"),
        ("names.txt", b"\xff\xfe\x00", "names.txt: not a file of class names: 'utf-8' codec can't decode"),
        ("names.json", '["a", 1, 2, 3, 4]', "names.json: expected names of classes, a list of texts"),
        ("names.json", '"abcde"', "names.json: expected names of classes, a list of texts"),
        ("names.json", "[" * 100_000, "names.json: not a file of class names: "),
        ("names.json", '{"a": 5}', "names.json: not a file of class names: expected a class from 0 to 4 for 'a', but got 5"),
        ("names.json", '{"a": "b"}', "expected a class from 0 to 4 for 'a', but got 'b'"),
    ],
)
def test_bad_names_are_an_error_in_a_line(data, name, content, message, capsys):
    write(name, content)
    assert score("--class-names", name, "--plot", "report.png") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not Path("report.png").exists()


def test_a_missing_file_and_one_that_would_be_overwritten(data, capsys):
    assert score("--class-names", "none.txt") == 1
    assert "none.txt: No such file or directory" in capsys.readouterr().err
    write("names.png", "\n".join(NAMES))
    assert score("--class-names", "names.png", "--plot", "names.png") == 2
    assert "names.png: is an input, and would be overwritten" in capsys.readouterr().err


def test_names_are_shown_and_compute_nothing(data, capsys):
    write("names.txt", "\n".join(NAMES))
    assert score("--class-names", "names.txt", "--worst", "5") == 0
    named = capsys.readouterr().out
    assert score("--worst", "5") == 0
    plain = capsys.readouterr().out
    assert all(name in named for name in SHOWN)
    assert "Ann" not in plain
    assert named.splitlines()[-1] == plain.splitlines()[-1]  # the signature


def test_a_result_keeps_names_and_takes_others(data, capsys):
    pytest.importorskip("matplotlib")
    write("names.txt", "\n".join(NAMES))
    write("others.txt", "\n".join(["Zoe"] * 5))
    for name, options in (("named", ["--class-names", "names.txt"]), ("plain", [])):
        assert score("--format", "json", *options, "--plot", f"{name}.svg") == 0
        write(f"{name}.json", capsys.readouterr().out)
    assert list(record.read("named.json").class_names) == SHOWN
    assert record.read("plain.json").class_names is None
    assert run("plot", "named.json", "again.svg") == 0
    assert Path("again.svg").read_text() == Path("named.svg").read_text()
    assert run("plot", "plain.json", "again.svg", "--class-names", "names.txt") == 0
    assert Path("again.svg").read_text() == Path("named.svg").read_text()
    assert run("plot", "named.json", "others.svg", "--class-names", "others.txt") == 0
    assert "Zoe" in Path("others.svg").read_text()
    members = json.loads(Path("named.json").read_text())
    write("short.json", json.dumps(members | {"class_names": ["a"]}))
    assert run("plot", "short.json", "again.svg") == 3
    assert "short.json: expected 5 names" in capsys.readouterr().err


def test_many_names(data):
    np.save("logits.npy", np.zeros((2, 60000), np.float32))
    np.save("labels.npy", np.array([59999, 0]))
    write("vocabulary.json", json.dumps({f"token {number}": number for number in range(59999)}))
    assert score("--class-names", "vocabulary.json") == 0
    assert read_class_names("vocabulary.json", 60000)[-2:] == ["token 59998", "59999"]
