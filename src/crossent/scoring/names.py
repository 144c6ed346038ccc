"""The names of the classes, out of a file: what people read in place of numbers. Called by ``run.py`` and ``commands.py``."""

from __future__ import annotations

import json
from typing import Any

from crossent.scoring.errors import DataError, printable, reading
from crossent.scoring.files import InputFile

MOST_BYTES = 64 << 20  # of a file of names: a million of them


def read_class_names(path: str, classes: int) -> list[str]:
    """A name for each class: the lines of a text; or in JSON a list of names, or an object {name: class}, as vocabularies are.

    An object may leave out classes, whose names are then their numbers, as those of empty names are.
    """
    with InputFile(path) as file, reading(path, "not a file of class names"):
        if file.size > MOST_BYTES:
            raise ValueError(f"expected at most {MOST_BYTES} bytes, but got {file.size}")
        content = bytearray(file.size)
        file.readinto(content)
        text = content.decode("utf-8-sig")
        names = json.loads(text) if path.lower().endswith(".json") else _lines(text)
        return checked_names(_in_order(names, classes) if isinstance(names, dict) else names, classes, path)


def checked_names(names: Any, classes: int, path: str) -> list[str]:
    """Names as they can be shown, each on one line; `path` is where they are from."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: expected names of classes, a list of texts")
    if len(names) != classes:
        raise DataError(f"{path}: expected {classes} names, one for each class, but got {len(names)}")
    return [printable(name) if name.strip() else str(number) for number, name in enumerate(names)]


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _in_order(numbers: dict[str, Any], classes: int) -> list[str]:
    names = [""] * classes
    for name, number in numbers.items():
        if not isinstance(number, int) or not 0 <= number < classes:
            raise ValueError(f"expected a class from 0 to {classes - 1} for {name!r}, but got {number!r}")
        names[number] = name
    return names
