"""The command ``crossent``: arguments, exit statuses, one-line errors. The work is done in ``crossent.scoring``.

Data goes to stdout; progress and errors go to stderr. Entry point: ``main``. rich and matplotlib are imported on use.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NoReturn

import crossent
from crossent.scoring.files import DataError, atomic_file
from crossent.scoring.progress import Progress
from crossent.scoring.report import json_text, print_table
from crossent.scoring.run import MAX_MEMORY, score_files

OK, FAILED, USAGE, BAD_DATA, INTERRUPTED = 0, 1, 2, 3, 130
PLOT_FORMATS = (".png", ".svg", ".pdf")

SCORE_DESCRIPTION = """\
Score logits against labels, in one pass and constant memory: mean loss with its
standard error, perplexity, accuracy, calibration, and the worst classes."""

SCORE_EPILOG = """\
examples:
  crossent score logits.npy labels.npy
  crossent score logits.npy labels.npy --output losses.npy --plot report.png
  crossent score logits.npy labels.npy --format json | jq .mean_loss
  crossent score tokens.npy next.npy --ignore-index -1 --threads 4

exit status:
  0    done
  1    failed: a file that cannot be read or written, too little memory
  2    wrong usage
  3    bad data: a truncated file, shapes that do not match, a label out of range
  130  interrupted
"""


class UsageError(Exception):
    """Arguments that cannot be carried out."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    _prepare_streams()
    options = _parser().parse_args(arguments)
    try:
        with _leaving_on_sigterm():
            options.run(options)
            sys.stdout.flush()
        return OK
    except (UsageError, DataError, OSError, MemoryError, KeyboardInterrupt) as error:
        _give_up_stdout()
        status, text = _explained(error)
        if not isinstance(error, BrokenPipeError):  # then whoever read our output has left: nobody to tell
            print(f"crossent {options.command}: {text}", file=sys.stderr)
        return status


def _prepare_streams() -> None:
    """Make stdout and stderr usable where they are closed, or cannot show every sign."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, open to the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _give_up_stdout() -> None:
    """Where stdout takes no more, drop what is left, or Python complains about it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explained(error: BaseException) -> tuple[int, str]:
    """The exit status and the line for an exception."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted"
        case UsageError():
            return USAGE, f"error: {error}"
        case DataError():
            return BAD_DATA, f"error: {error}"
        case MemoryError():
            return FAILED, f"error: not enough memory, which --max-memory bounds: {error}"
        case OSError() if error.strerror:
            return FAILED, f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error.strerror}"
        case _:
            return FAILED, f"error: {error}"


@contextmanager
def _leaving_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the block by SystemExit, so that temporary files are removed."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _score(options: argparse.Namespace) -> None:
    _check_outputs(options)
    threads = crossent.num_threads(options.threads) if options.threads else nullcontext()
    with threads, Progress(sys.stderr) as progress:
        run = score_files(
            options.logits,
            options.targets,
            weight_path=options.weight,
            ignore_index=options.ignore_index,
            label_smoothing=options.label_smoothing,
            output=options.output,
            chunk_rows=options.chunk_rows,
            max_memory=options.max_memory,
            **({"progress": progress} if options.progress and sys.stderr.isatty() else {}),
        )
    if options.plot:
        from crossent.scoring.plots import save_plot

        with atomic_file(options.plot) as file:
            save_plot(run, file, os.path.splitext(options.plot)[1][1:].lower())
    if options.format == "json":
        sys.stdout.write(json_text(run))
    else:
        print_table(run, options.worst, sys.stdout)


def _info(options: argparse.Namespace) -> None:
    crossent.show_config()


def _check_outputs(options: argparse.Namespace) -> None:
    """Everything about the outputs that can be known before an hour of scoring."""
    inputs = [path for path in (options.logits, options.targets, options.weight) if path and os.path.exists(path)]
    for path in filter(None, (options.output, options.plot)):
        if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
            raise UsageError(f"{path}: its folder does not exist")
        if os.path.exists(path) and any(os.path.samefile(path, name) for name in inputs):
            raise UsageError(f"{path}: is an input, and would be overwritten")
    if not options.plot:
        return
    if options.output and os.path.realpath(options.output) == os.path.realpath(options.plot):
        raise UsageError(f"{options.plot}: is given for both --output and --plot")
    if not options.plot.lower().endswith(PLOT_FORMATS):
        raise UsageError(f"{options.plot}: expected a name that ends in {', '.join(PLOT_FORMATS)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install crossent[cli]")


def _parser() -> Parser:
    parser = Parser(prog="crossent", description="PyTorch's classification losses for NumPy, on a CPU.")
    parser.add_argument("--version", action="version", version=f"crossent {crossent.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="score a file of logits against a file of labels",
        description=SCORE_DESCRIPTION,
        epilog=SCORE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_score_arguments(score)
    score.set_defaults(run=_score)
    info = commands.add_parser("info", help="show versions, instruction sets and threads")
    info.set_defaults(run=_info)
    return parser


def _add_score_arguments(score: argparse.ArgumentParser) -> None:
    add = score.add_argument
    add("logits", metavar="LOGITS", help=".npy file of float16, float32 or float64, shape (N, C) or (N, C, d1, ..., dK)")
    add("targets", metavar="TARGETS", help=".npy file of class indices, shape (N) or (N, d1, ..., dK)")

    add = score.add_argument_group("the loss, as in torch's cross_entropy").add_argument
    add("--weight", metavar="FILE", help=".npy file of class weights, shape (C)")
    add("--ignore-index", type=int, default=-100, metavar="N", help="leave out rows with this label (-100)")
    add("--label-smoothing", type=_part, default=0.0, metavar="E", help="from 0 to 1 (0)")

    add = score.add_argument_group("what comes out").add_argument
    add("--format", choices=("table", "json"), default="table", help="of the figures on stdout (table)")
    add("--worst", type=_count, default=5, metavar="K", help="classes of largest mean loss to list (5)")
    add("--output", metavar="FILE", help="write the loss of each row, as .npy")
    add("--plot", metavar="FILE", help=f"draw the report ({', '.join(PLOT_FORMATS)})")
    add("-q", "--no-progress", dest="progress", action="store_false", help="no progress bar on the terminal")

    work = score.add_argument_group("how it is computed; the figures do not depend on it")
    work.add_argument("--threads", type=_positive, metavar="K", help="threads to use (all CPUs)")
    add = work.add_mutually_exclusive_group().add_argument
    add("--max-memory", type=_bytes, default=MAX_MEMORY, metavar="SIZE", help="read so much at a time: 64M, 1G (16M)")
    add("--chunk-rows", type=_positive, metavar="K", help="read so many rows at a time")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a whole number, but got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("expected a number above 0, but got 0")
    return int(text)


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, but got {text!r}")
    return value


def _bytes(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "B")
    if unit not in "BKMGT" or not number.isdigit():
        raise argparse.ArgumentTypeError(f"expected a size such as 512K, 64M or 1G, but got {text!r}")
    return _positive(number) << 10 * "BKMGT".index(unit)
