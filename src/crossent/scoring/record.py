"""A Run for machines: as a JSON object, and back; as two lines of CSV. Called by ``cli.py``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from crossent import __version__
from crossent.scoring import confusions
from crossent.scoring.errors import DataError, reading
from crossent.scoring.files import InputFile
from crossent.scoring.inputs import Job
from crossent.scoring.names import checked_names
from crossent.scoring.report import rate
from crossent.scoring.result import Score, plain
from crossent.scoring.run import Run
from crossent.scoring.temperature import Temperature

MOST_BYTES = 64 << 20  # of a result that is read: a million classes


def json_text(members: Mapping[str, Any]) -> str:
    """One JSON object, a line for each of its members."""
    lines = (f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def csv_text(members: Mapping[str, Any]) -> str:
    """The members that are no lists or the like, and top_accuracy: a line of names, a line of values; nothing for None."""
    scalars = {name: value for name, value in members.items() if not isinstance(value, dict | list | tuple)}
    scalars |= {f"top_{k}_accuracy": value for k, value in enumerate(members.get("top_accuracy", ()), 1)}
    text = io.StringIO()
    print_csv({name: [value] for name, value in scalars.items()}, text)
    return text.getvalue()


def print_csv(columns: Mapping[str, Sequence[Any]], file: TextIO) -> None:
    """Columns of one length: a line of names, and one for each of their elements; nothing for None."""
    csv.writer(file, lineterminator="\n").writerows((columns.keys(), *zip(*columns.values(), strict=True)))


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
        "top_k": job.top_k,
        "bytes": run.nbytes,
        "fitted": asdict(run.fitted) if run.fitted else None,
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
        fitted, nbytes = (members.get(name) for name in ("fitted", "bytes"))  # which older ones have not
        job = Job(
            _several(members["logits"]),
            _several(members["targets"]),
            **{name: members[name] for name in ("weight", "dim", "ignore_index", "label_smoothing", "reduction", "context")},
            temperature=None if fitted else members["temperature"],
        )
        score, names = Score.from_dict(members), members["class_names"]
        if names is not None:
            names = checked_names(names, score.classes, path)
        of_what = tuple(members["shape"]), members["dtype"], members["signature"]
        return Run(job, score, *of_what, float(members["seconds"]), names, Temperature(**fitted) if fitted else None, nbytes)


def _classes(run: Run) -> dict[str, list[Any]]:
    """Every class, in order."""
    score = run.score
    columns = {"rows": score.class_rows, "mean_loss": score.class_loss, "accuracy": score.class_accuracy}
    return {"class": _named(run, range(score.classes))} | {name: plain(values) for name, values in columns.items()}


def _confusions(run: Run) -> dict[str, list[Any]]:
    """Every pair, most rows first."""
    if run.score.confusions is None:
        raise DataError(f"more than {confusions.MOST_PAIRS:,} different pairs are confused, which are too many to count")
    target, predicted, rows = plain(run.score.confusions.T)
    return {"target": _named(run, target), "predicted": _named(run, predicted), "rows": rows}


def _named(run: Run, classes: Sequence[int]) -> list[Any]:
    """Names of classes, or their numbers where they have none."""
    return [run.class_name(number) for number in classes] if run.class_names else list(classes)


def _one_or_all(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _several(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


COLUMNS = {"classes": _classes, "confusions": _confusions}  # by --show
TEXTS = {"json": json_text, "csv": csv_text}  # by --format
