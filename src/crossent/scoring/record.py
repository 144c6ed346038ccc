"""A Run for machines: as a JSON object, and back; as two lines of CSV. Called by ``cli.py``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from crossent import __version__
from crossent.scoring.errors import reading
from crossent.scoring.files import InputFile
from crossent.scoring.names import checked_names
from crossent.scoring.report import rate
from crossent.scoring.result import Score, plain
from crossent.scoring.run import Job, Run

MOST_BYTES = 64 << 20  # of a result that is read: a million classes


def json_text(members: Mapping[str, Any]) -> str:
    """One JSON object, a line for each of its members."""
    lines = (f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def csv_text(members: Mapping[str, Any]) -> str:
    """The members that are no lists of numbers or the like: a line of names, a line of values; nothing for None."""
    scalars = {name: value for name, value in members.items() if not isinstance(value, dict | list | tuple)}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((scalars.keys(), scalars.values()))
    return text.getvalue()


def members(run: Run) -> dict[str, Any]:
    """All that is known of a run, as plain numbers, texts and lists."""
    job = run.job
    return {
        "crossent": __version__,
        "signature": run.signature,
        "logits": _one_or_all(job.logits),
        "targets": _one_or_all(job.targets),
        "shape": run.shape,
        "dtype": run.dtype,
        "weight": job.weight,
        "dim": job.dim,
        "ignore_index": job.ignore_index,
        "label_smoothing": job.label_smoothing,
        "reduction": job.reduction,
        "context": job.context,
        "loss": plain(run.loss),
        "class_names": run.class_names,
        **run.score.to_dict(),
        "seconds": run.seconds,
        "rows_per_second": rate(run),
    }


def read(path: str) -> Run:
    """The Run of a file that ``crossent score --format json`` wrote."""
    with InputFile(path) as file, reading(path, "not a result of crossent score --format json"):
        if file.size > MOST_BYTES:
            raise ValueError(f"expected at most {MOST_BYTES} bytes, but got {file.size}")
        text = bytearray(file.size)
        file.readinto(text)
        members = json.loads(text)
        job = Job(
            _several(members["logits"]),
            _several(members["targets"]),
            **{name: members[name] for name in ("weight", "dim", "ignore_index", "label_smoothing", "reduction", "context")},
        )
        score, names = Score.from_dict(members), members["class_names"]
        if names is not None:
            names = checked_names(names, score.classes, path)
        of_what = tuple(members["shape"]), members["dtype"], members["signature"]
        return Run(job, score, *of_what, float(members["seconds"]), names)


def _one_or_all(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _several(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


TEXTS = {"json": json_text, "csv": csv_text}  # by --format
