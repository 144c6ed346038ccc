"""The command ``crossent``: its arguments, its help, its exit statuses and one-line errors. ``commands.py`` does what it says.

Data goes to stdout; progress and errors go to stderr. Entry point: ``main``.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import crossent
from crossent import commands
from crossent.scoring.errors import DataError, UsageError, printable
from crossent.scoring.run import MAX_MEMORY

OK, FAILED, USAGE, BAD_DATA, ABOVE, INTERRUPTED = 0, 1, 2, 3, 4, 130

FILES = """\
files:
  .npy, .npz, .safetensors, .parquet (needs pyarrow), or "-": a .npy file on standard
  input. An array of a file with several is named after a colon: run.npz:logits.
  A pattern in quotes, or several names, are one array in the order of their names."""

STATUSES = """\
exit status:
  0    done
  1    failed: a file that cannot be read or written, too little memory
  2    wrong usage
  3    bad data: a damaged file, shapes that do not match, a label out of range
  4    done, and the loss is above --fail-above
  130  interrupted"""

SCORE_USAGE = """\
crossent score [options] LOGITS TARGETS
       crossent score [options] LOGITS... --targets TARGETS..."""
SCORE_DESCRIPTION = """\
Score logits against labels, in one pass and constant memory: mean loss with its
standard error, perplexity, bits, accuracies, calibration, the worst classes and the
most confused pairs."""
SCORE_EPILOG = f"""\
{FILES}

examples:
  crossent score logits.npy labels.npy
  crossent score logits.npy labels.npy --output losses.npy --plot report.png
  crossent score run.safetensors:logits run.safetensors:labels --dim -1
  crossent score shard-*.npy --targets labels-*.npy --output losses.parquet --resume
  crossent score logits.npy labels.npy --temperature auto --bytes 1261942
  crossent score logits.npy labels.npy --show classes --format csv > classes.csv
  crossent score logits.npy labels.npy --format json | jq .mean_loss
  crossent score logits.npy labels.npy --fail-above 2.5 || echo worse
  zcat logits.npy.gz | crossent score - labels.npy

{STATUSES}
"""

COMPARE_DESCRIPTION = """\
Compare the losses that two models have for the same rows, as crossent score --output
wrote them: the difference of their means with the standard error of a paired
comparison, which is small where both find the same rows hard."""
COMPARE_EPILOG = f"""\
examples:
  crossent compare old.npy new.npy
  crossent compare old.npy new.npy --targets labels.npy --ignore-index 0
  crossent compare old.parquet:loss new.parquet:loss --format json
  crossent compare old.npy new.npy --fail-above 0.01 || echo worse

{STATUSES.replace("the loss", "second - first")}
"""

INFO_DESCRIPTION = """\
Show versions, instruction sets, threads and where their number comes from, and the
formats that can be read; or what files hold, without reading their data."""
INFO_EPILOG = """\
examples:
  crossent info
  crossent info run.safetensors logits-*.npy
"""

PLOT_EPILOG = """\
examples:
  crossent score logits.npy labels.npy --format json > result.json
  crossent plot result.json report.png
"""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and whose texts stay as they are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    _prepare_streams()
    options = _parser().parse_args(arguments)
    try:
        with _leaving_on_sigterm():
            done = options.run(options)
            sys.stdout.flush()
        return OK if done else ABOVE
    except (UsageError, DataError, OSError, MemoryError, KeyboardInterrupt) as error:
        _give_up_stdout()
        status, text = _explained(error)
        if not isinstance(error, BrokenPipeError):  # then whoever read our output has left: nobody to tell
            print(f"crossent {options.command}: {printable(text)}", file=sys.stderr)
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


def _parser() -> Parser:
    parser = Parser(prog="crossent", description="PyTorch's classification losses for NumPy, on a CPU.")
    parser.add_argument("--version", action="version", version=f"crossent {crossent.__version__}")
    add = parser.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser
    score = add(
        "score",
        help="score files of logits against files of labels",
        usage=SCORE_USAGE,
        description=SCORE_DESCRIPTION,
        epilog=SCORE_EPILOG,
    )
    _add_score_arguments(score)
    score.set_defaults(run=commands.score)
    compare = add("compare", help="compare the losses of two models", description=COMPARE_DESCRIPTION, epilog=COMPARE_EPILOG)
    _add_compare_arguments(compare)
    compare.set_defaults(run=commands.compare)
    plot = add("plot", help="draw what crossent score --format json wrote", epilog=PLOT_EPILOG)
    plot.add_argument("result", metavar="RESULT", help="what crossent score --format json wrote")
    plot.add_argument("picture", metavar="PICTURE", help=f"file to write ({', '.join(commands.PICTURES)})")
    _add_class_names(plot.add_argument)
    plot.set_defaults(run=commands.plot)
    info = add(
        "info", help="show versions, threads and formats, or what files hold", description=INFO_DESCRIPTION, epilog=INFO_EPILOG
    )
    info.add_argument("files", nargs="*", metavar="FILE", help="files to look into")
    info.set_defaults(run=commands.info)
    return parser


def _add_score_arguments(score: argparse.ArgumentParser) -> None:
    add = score.add_argument
    add("files", nargs="+", metavar="LOGITS", help="float16, bfloat16, float32 or float64, shape (N, C) or (N, C, d1, ..., dK)")
    add(
        "--targets",
        nargs="+",
        metavar="TARGETS",
        help="class indices, shape (N) or (N, d1, ..., dK), or LOGITS's: probabilities",
    )
    add("--dtype", choices=("bfloat16",), help="what entries of two bytes are that are no float16 (np.save of bfloat16)")

    add = score.add_argument_group("the loss, as in torch's cross_entropy").add_argument
    add("--dim", type=int, default=1, metavar="D", help="the axis of the classes, not the first (1)")
    _add_ignored_and_weight(add)
    add("--label-smoothing", type=_part, default=0.0, metavar="E", help="from 0 to 1 (0)")
    add(
        "--temperature",
        type=_temperature,
        default=1.0,
        metavar="T",
        help="divide logits by it; auto: the one of least loss (1)",
    )
    add("--context", type=_positive, metavar="T", help="rows are sequences of T: what a position is in the loss over position")
    add("--reduction", choices=("mean", "sum", "none"), default="mean", help="sum adds the sum; none prints the rows' losses")

    add = score.add_argument_group("what comes out").add_argument
    _add_format(add)
    add("--worst", type=_count, default=5, metavar="K", help="worst classes, and most confused pairs, to list (5)")
    add("--show", choices=commands.SHOWN, default="figures", help="every class, or confused pair, in place of the figures")
    add("--top-k", type=_positive, default=5, metavar="K", help="accuracies among the 1 to K best classes (5)")
    add("--bytes", type=_number_or_name, metavar="N", help="for bits per byte: how many, or a file of counts for each row")
    add("--output", metavar="FILE", help=f"write the loss of each row ({', '.join(commands.OUTPUTS)})")
    add("--resume", action="store_true", help="go on where a run with this --output was killed")
    _add_class_names(add)
    add("--plot", metavar="FILE", help=f"draw the report ({', '.join(commands.PICTURES)})")
    add("--fail-above", type=_limit, metavar="X", help="exit with 4 where the loss is above X, or nan")

    add = score.add_argument_group("how it is computed; the figures do not depend on it").add_argument
    add("--threads", type=_positive, metavar="K", help="threads to use (crossent info shows how many)")
    add("--max-memory", type=_bytes, default=MAX_MEMORY, metavar="SIZE", help="read at most so much at a time: 64M, 1G (256M)")
    add("--chunk-rows", type=_positive, metavar="K", help="rows that a thread reads at a time (8 MB)")


def _add_compare_arguments(compare: argparse.ArgumentParser) -> None:
    add = compare.add_argument
    add("a", metavar="FIRST", help="losses of one model: .npy, .npz, .safetensors, .parquet")
    add("b", metavar="SECOND", help="losses of another, for the same rows")
    add("--targets", metavar="TARGETS", help="the class indices, to leave out ignored rows")
    _add_ignored_and_weight(add)
    _add_format(add)
    add("--fail-above", type=_limit, metavar="X", help="exit with 4 where second - first is above X, or nan")


def _add_ignored_and_weight(add: Any) -> None:
    add("--ignore-index", type=int, default=-100, metavar="N", help="leave out rows with this label (-100)")
    add("--weight", metavar="FILE", help="class weights, shape (C)")


def _add_class_names(add: Any) -> None:
    add("--class-names", metavar="FILE", help="names of classes: one a line; or .json, a list or a vocab.json")


def _add_format(add: Any) -> None:
    add("--format", choices=("table", "json", "csv"), help="of the figures on stdout (table)")
    add("-q", "--no-progress", dest="progress", action="store_false", help="no progress bar on the terminal")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a whole number, but got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("expected a number above 0, but got 0")
    return int(text)


def _limit(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise argparse.ArgumentTypeError(f"expected a number, but got {text!r}")
    return value


def _part(text: str) -> float:
    value = _limit(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, but got {text!r}")
    return value


def _above_0(text: str) -> float:
    value = _limit(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, but got {text!r}")
    return value


def _temperature(text: str) -> float | None:
    return None if text == "auto" else _above_0(text)


def _number_or_name(text: str) -> float | str:
    """What looks like a number is one; a file of that name is meant by ./NAME."""
    try:
        float(text)
    except ValueError:
        return text
    return _above_0(text)


def _bytes(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "B")
    if unit not in "BKMGT" or not number.isdigit():
        raise argparse.ArgumentTypeError(f"expected a size such as 512K, 64M or 1G, but got {text!r}")
    return _positive(number) << 10 * "BKMGT".index(unit)
