"""How exact the rows of cross_entropy are: families of hard logits, every instruction set, torch beside where it is installed.

    python tests/exact_rows.py [--quick]        (`make exact`; some minutes)

Prints a Markdown table and exits with 1 if a bar is missed. Errors are in units in the last place (ULP) of the exact value
rounded to float32; exact values are reference.py's, in long double. The bars are ``cases.loss_units`` for the loss and
GRADIENT_UNITS for the target's gradient. ``test_exact_rows.py`` is the quick slice of it.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import crossent
import crossent.nn.functional as F
import reference
from cases import each_isa, loss_units
from reference import Array, unit

CLASSES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1000, 32000, 50257, 128256, 262144)
GRADIENT_UNITS = 64
# Where torch's errors happen to cancel as well, no row is further from the exact value than torch's by more than 1 ULP; but for
# the exponentials of plain C, which are up to 0.98 ULP off: of 50,000 rows one at most, by 1.5 at most.
TORCH_UNITS, TORCH_SHARE = 1.5, 2e-5
ELEMENTS = 1 << 20  # logits of a family at one number of classes
BANDS = ((0.1, np.inf), (1e-3, 0.1), (0.0, 1e-3))  # of the loss

Maker = Callable[[np.random.Generator, int, int], Array]


def normal(scale: float, offset: float = 0.0) -> Maker:
    return lambda rng, rows, classes: offset + rng.normal(scale=scale, size=(rows, classes))


def one_high(low: float, high: float) -> Maker:
    """One logit above all others, which are equal, by a gap of low to high."""

    def make(rng: np.random.Generator, rows: int, classes: int) -> Array:
        x = np.repeat(rng.normal(size=(rows, 1)), classes, axis=1)
        x[np.arange(rows), rng.integers(0, classes, rows)] += rng.uniform(low, high, rows)
        return x

    return make


def ties(rng: np.random.Generator, rows: int, classes: int) -> Array:
    """Two or more classes share the maximum."""
    x = rng.normal(scale=3, size=(rows, classes))
    top = x.max(1)
    for _ in range(3):
        x[np.arange(rows), rng.integers(0, classes, rows)] = top
    return x


def steps(rng: np.random.Generator, rows: int, classes: int) -> Array:
    """Ascending and descending logits."""
    x = np.linspace(-20, 20, classes) * rng.uniform(0.1, 3, (rows, 1))
    x[::2] = x[::2, ::-1]
    return x


def masked(rng: np.random.Generator, rows: int, classes: int) -> Array:
    """-inf at a random share of the classes, in every third row at all but one."""
    x = rng.normal(scale=3, size=(rows, classes))
    hidden = rng.uniform(size=(rows, classes)) < rng.uniform(size=(rows, 1))
    hidden[::3] = True
    hidden[np.arange(rows), rng.integers(0, classes, rows)] = False
    return np.where(hidden, -np.inf, x)


FAMILIES: dict[str, Maker] = {
    "N(0, 1)": normal(1),
    "N(0, 3^2)": normal(3),
    "N(0, 10^2)": normal(10),
    "N(0, 30^2)": normal(30),
    "all equal": normal(0, 0.3),
    "one high, gap 1e-6 to 1": one_high(1e-6, 1),
    "one high, gap 1 to 80": one_high(1, 80),
    "one high, gap 80 to 105": one_high(80, 105),
    "one high, rest e^-17.33 each": one_high(17.32, 17.34),  # 2^-25: a float32 sum from 1 on would stand still
    "rest 0.001 below": one_high(1e-3, 1e-3),
    "rest 0.1 below": one_high(0.1, 0.1),
    "rest 0.7 below": one_high(0.7, 0.7),
    "ties": ties,
    "ascending, descending": steps,
    "-inf at some": masked,
    "subnormal": normal(1e-39),
    "N(0, 3^2) + 1e4": normal(3, 1e4),
    "N(0, 3^2) - 1e4": normal(3, -1e4),
    "N(0, 30^2) + 1e8": normal(30, 1e8),
    "N(0, 30^2) - 1e20": normal(30, -1e20),
    "N(0, 3e37^2)": normal(3e37),
}


class Worst(NamedTuple):
    """The largest errors of a family, in ULP; nan where there was no such row."""

    loss: tuple[float, ...] = (np.nan,) * len(BANDS)  # in each band
    torch: tuple[float, ...] = (np.nan,) * len(BANDS)
    of_bar: float = np.nan  # errors of loss and gradient, times what is allowed
    beyond_torch: float = np.nan  # how much further from the exact value than torch's row
    gradient: float = np.nan  # of the target
    rows: int = 0
    further: int = 0  # of them, those that are more than 1 ULP further from the exact value than torch's

    def also(self, other: Worst) -> Worst:
        pairs = {
            f: np.fmax(getattr(self, f), getattr(other, f)) for f in ("loss", "torch", "of_bar", "beyond_torch", "gradient")
        }
        return Worst(**pairs, rows=self.rows + other.rows, further=self.further + other.further)

    @property
    def missed(self) -> bool:
        return bool(self.of_bar > 1 or self.beyond_torch > TORCH_UNITS or self.further > TORCH_SHARE * self.rows)


class Rows(NamedTuple):
    """Logits, their targets, the exact losses and gradients of the target."""

    x: Array
    y: Array
    loss: Array
    gradient: Array


def rows_of(family: str, classes: int, elements: int) -> Rows:
    """Every second target has the highest logit, the others are any class that is possible."""
    rng = np.random.default_rng([zlib.crc32(family.encode()), classes])
    rows = int(np.clip(elements // classes, 4, 1 << 14))
    with np.errstate(over="ignore"):
        x = FAMILIES[family](rng, rows, classes).astype(np.float32)
    highest, at = x.argmax(1), np.arange(rows)
    y = np.where(at % 2, rng.integers(0, classes, rows), highest)
    y = np.where(np.isinf(x[at, y]), highest, y)
    exact = reference.cross_entropy(x, y, reduction="none")
    return Rows(x, y, exact.positions, exact.gradient(np.ones(rows))[at, y])


def units_off(got: Array, exact: Array) -> Array:
    assert np.isfinite(got).all()
    return np.asarray(np.abs(got.astype(exact.dtype) - exact) / unit(exact, np.float32), np.float64)


def in_bands(errors: Array, loss: Array) -> tuple[float, ...]:
    chosen = (errors[(loss >= low) & (loss < high)] for low, high in BANDS)
    return tuple(float(e.max()) if e.size else np.nan for e in chosen)


def ours(rows: Rows, planes: bool) -> tuple[Array, Array]:
    """Losses and gradients of the target of the rows, or of the same numbers with the classes in front."""
    x, y = (rows.x.T[np.newaxis].copy(), rows.y[np.newaxis]) if planes else (rows.x, rows.y)
    loss, pullback = crossent.vjp(F.cross_entropy, x, y, reduction="none")
    gradient = pullback(np.ones_like(loss))
    by_row = gradient[0].T if planes else gradient
    return loss.ravel(), by_row[np.arange(len(rows.y)), rows.y]


def theirs(rows: Rows, torch: Any) -> Array:
    x, y = torch.from_numpy(rows.x), torch.from_numpy(rows.y)
    return np.asarray(torch.nn.functional.cross_entropy(x, y, reduction="none").numpy())


def allowed(exact: Array, units: Any, classes: int) -> Array:
    """So many ULP; and terms that are subnormal are off by up to the smallest number each."""
    return units * unit(exact, np.float32) + classes * 2.0**-149


def worst_of(rows: Rows, torch: Any = None) -> Worst:
    """With the instruction set that is in use."""
    worst, classes = Worst(), rows.x.shape[1]
    peer = np.full(len(rows.y), np.inf) if torch is None else units_off(theirs(rows, torch), rows.loss)
    for planes in (False, True):
        loss, gradient = ours(rows, planes)
        errors = units_off(loss, rows.loss)
        of_loss = np.abs(loss - rows.loss) / allowed(rows.loss, loss_units(rows.loss), classes)
        of_gradient = np.abs(gradient - rows.gradient) / allowed(rows.gradient, GRADIENT_UNITS, classes)
        here = Worst(
            loss=in_bands(errors, rows.loss),
            torch=in_bands(peer, rows.loss) if torch is not None else worst.torch,
            of_bar=float(max(of_loss.max(), of_gradient.max())),
            beyond_torch=float((errors - peer).max()) if torch is not None else np.nan,
            gradient=float(units_off(gradient, rows.gradient).max()),
            rows=len(errors),
            further=int((errors - peer > 1).sum()),
        )
        worst = worst.also(here)
    return worst


def sweep(classes: tuple[int, ...], elements: int, torch: Any = None) -> Iterator[tuple[str, str, int, Worst]]:
    """Family, instruction set, number of classes and what is worst there."""
    for family in FAMILIES:
        for count in classes:
            rows = rows_of(family, count, elements)
            for isa in each_isa():
                yield family, isa, count, worst_of(rows, torch)


def mean_error(rows: int) -> float:
    """How many ULP the mean over so many rows is from the mean of what the rows are."""
    rng = np.random.default_rng(24)
    x, y = rng.normal(scale=3, size=(rows, 2)).astype(np.float32), rng.integers(0, 2, rows)
    exact = F.cross_entropy(x, y, reduction="none").astype(np.longdouble).sum() / rows
    return float(units_off(np.asarray(F.cross_entropy(x, y)), exact))


def shown(errors: Any) -> str:
    return " | ".join("" if np.isnan(e) else f"{e:.3g}" for e in errors)


def table(found: Iterator[tuple[str, str, int, Worst]]) -> tuple[list[str], bool]:
    worst: dict[tuple[str, str], Worst] = {}
    for family, isa, _, here in found:
        worst[family, isa] = worst.get((family, isa), Worst()).also(here)
    bands = ("from 0.1", "from 1e-3", "below")
    heads = [
        *(f"loss {b}" for b in bands),
        *(f"torch {b}" for b in bands),
        "more than torch",
        "rows 1 ULP further",
        "target's gradient",
        "",
    ]
    lines = [f"| logits | instruction set | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for (family, isa), w in worst.items():
        verdict = "missed" if w.missed else "held"
        peer = f"{shown((w.beyond_torch,))} | {w.further} of {w.rows}"
        lines.append(f"| {family} | {isa} | {shown(w.loss)} | {shown(w.torch)} | {peer} | {w.gradient:.2f} | {verdict} |")
    return lines, any(w.missed for w in worst.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 1000 classes, few rows")
    quick = parser.parse_args().quick
    try:
        import torch
    except ImportError:
        torch = None
    classes = tuple(c for c in CLASSES if c <= 1000) if quick else CLASSES
    lines, missed = table(sweep(classes, ELEMENTS >> 5 if quick else ELEMENTS, torch))
    count = 1 << (20 if quick else 24)
    lines += ["", f"| mean over {count:,} rows of 2 classes | ULP from the mean of the rows |", "|---|---|"]
    for isa in each_isa():
        error = mean_error(count)
        lines.append(f"| {isa} | {error:.3f} |")
        missed |= error > 1
    print("\n".join(lines))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
