"""What each command does, from its parsed arguments to its output. The work is done in ``crossent.scoring``.

A command returns whether all is well: False is a loss above --fail-above. Called by ``cli.py``; rich, matplotlib and pyarrow
are imported on use.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import crossent
from crossent.scoring import compare as comparing
from crossent.scoring import losses, record, report
from crossent.scoring.errors import UsageError, reading
from crossent.scoring.files import atomic_file
from crossent.scoring.holdings import formats, holdings
from crossent.scoring.inputs import Job
from crossent.scoring.names import read_class_names
from crossent.scoring.progress import Progress, Report
from crossent.scoring.run import Run, score_files
from crossent.scoring.sources import STDIN, places

OUTPUTS, PICTURES, SHOWN = losses.FORMATS, (".png", ".svg", ".pdf"), ("figures", *record.COLUMNS)


def score(options: argparse.Namespace) -> bool:
    """``crossent score``"""
    job = _job(options)
    _check_score(options, job)
    rows_only = options.reduction == "none"
    with crossent.num_threads(options.threads) if options.threads else nullcontext(), _progress(options) as progress:
        run = score_files(
            job,
            output=options.output,
            losses_to=sys.stdout if rows_only else None,
            resume=options.resume,
            chunk_rows=options.chunk_rows,
            max_memory=options.max_memory,
            progress=progress,
        )
    if options.plot:
        _draw(run, options.plot)
    if not rows_only:
        _print(run, options)
    return _at_most(options.fail_above, run.loss)


def _print(run: Run, options: argparse.Namespace) -> None:
    if options.show != "figures":
        columns = record.COLUMNS[options.show](run)
        (record.print_csv if options.format == "csv" else report.print_columns)(columns, sys.stdout)
    elif options.format in ("json", "csv"):
        sys.stdout.write(record.TEXTS[options.format](record.members(run)))
    else:
        report.print_table(run, options.worst, sys.stdout)


def compare(options: argparse.Namespace) -> bool:
    """``crossent compare``"""
    if options.weight and not options.targets:
        raise UsageError("--weight needs --targets")
    with _progress(options) as progress:
        comparison = comparing.compare_files(
            options.a,
            options.b,
            targets=options.targets,
            ignore_index=options.ignore_index,
            weight=options.weight,
            progress=progress,
        )
    if options.format in ("json", "csv"):
        sys.stdout.write(record.TEXTS[options.format](comparing.members(comparison)))
    else:
        comparing.print_table(comparison, sys.stdout)
    return _at_most(options.fail_above, comparison.difference)


def plot(options: argparse.Namespace) -> bool:
    """``crossent plot``"""
    _check_picture(options.picture)
    _check_output(options.picture, [options.result, *filter(None, [options.class_names])])
    run = record.read(options.result)
    if options.class_names:
        run = replace(run, class_names=read_class_names(options.class_names, run.score.classes))
    with reading(options.result, "cannot be drawn"):  # whatever a file says that another program wrote
        _draw(run, options.picture)
    return True


def info(options: argparse.Namespace) -> bool:
    """``crossent info``"""
    if options.files:
        for line in holdings(options.files):
            print(line)
    else:
        crossent.show_config()
        print(f"{'formats':16} {', '.join(formats())}")
    return True


def _job(options: argparse.Namespace) -> Job:
    logits, targets = options.files, options.targets
    if targets is None:
        if len(logits) != 2:
            raise UsageError(f"expected LOGITS and TARGETS, or LOGITS... --targets TARGETS..., but got {len(logits)} files")
        logits, targets = logits[:1], logits[1:]
    return Job(
        logits,
        targets,
        weight=options.weight,
        dim=options.dim,
        as_bfloat16=options.dtype == "bfloat16",
        ignore_index=options.ignore_index,
        label_smoothing=options.label_smoothing,
        reduction=options.reduction,
        temperature=options.temperature,
        top_k=options.top_k,
        nbytes=options.bytes,
        context=options.context,
        class_names=options.class_names,
    )


def _check_score(options: argparse.Namespace, job: Job) -> None:
    """Everything about the outputs that can be known before an hour of scoring."""
    names = [*job.logits, *job.targets]
    if names.count(STDIN) > 1:
        raise UsageError("standard input can be one array, but '-' is given twice")
    if options.temperature is None and STDIN in names:
        raise UsageError("--temperature auto reads the inputs several times, which standard input cannot be")
    if options.show != "figures" and (options.format == "json" or options.reduction == "none"):
        raise UsageError(f"--show {options.show} is a table or csv, and not for --format json, --reduction none")
    if options.resume and (not options.output or STDIN in names):
        raise UsageError("--resume needs --output, beside which it notes how far it is, and inputs that are files")
    if options.reduction == "none" and (options.format in ("json", "table") or options.fail_above is not None):
        raise UsageError("--reduction none prints the rows' losses as csv: no --format, no --fail-above")
    read = [*names, *(name for name in (job.weight, job.nbytes, job.class_names) if isinstance(name, str))]
    for path in filter(None, (options.output, options.plot)):
        _check_output(path, read)
    if options.output:
        if not options.output.lower().endswith(OUTPUTS):
            raise UsageError(f"{options.output}: expected a name that ends in {', '.join(OUTPUTS)}")
        if options.output.lower().endswith(".parquet"):
            _check_library("pyarrow", "--output of .parquet", "parquet")
    if options.plot:
        if options.output and os.path.realpath(options.output) == os.path.realpath(options.plot):
            raise UsageError(f"{options.plot}: is given for both --output and --plot")
        _check_picture(options.plot)


def _check_output(path: str, inputs: Sequence[str]) -> None:
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise UsageError(f"{path}: its folder does not exist")
    paths = [place for name in inputs if name != STDIN for place, _ in places(name)]
    if os.path.exists(path) and any(os.path.samefile(path, name) for name in paths if os.path.exists(name)):
        raise UsageError(f"{path}: is an input, and would be overwritten")


def _check_picture(path: str) -> None:
    if not path.lower().endswith(PICTURES):
        raise UsageError(f"{path}: expected a name that ends in {', '.join(PICTURES)}")
    _check_library("matplotlib", "a picture", "cli")


def _check_library(name: str, what: str, extra: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise UsageError(f"{what} needs {name}: pip install crossent[{extra}]")


def _draw(run: Run, path: str) -> None:
    from crossent.scoring.plots import save_plot

    with atomic_file(path) as file:
        save_plot(run, file, os.path.splitext(path)[1][1:].lower())


def _at_most(limit: float | None, loss: float) -> bool:
    return limit is None or loss <= limit  # of nan, False


@contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Report]:
    """Progress on stderr, where that is a terminal and nobody objects."""
    if not (options.progress and sys.stderr.isatty()):
        yield lambda done, rows, doing="": None
        return
    with Progress(sys.stderr) as progress:
        yield progress
