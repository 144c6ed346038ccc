"""Write what peers.py measured on many numbers of threads: docs/scaling.md and the picture docs/scaling.svg. `make scaling`.

    python -m benchmarks.scaling results.json

Both say how many times as fast as on one thread. Beside the loss of many logits stands their plain read, beside a gradient a
copy: that is as far as memory goes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .report import ROOT, Result, computed, how, markdown, of_threads, spelled

COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#222222"]

LEAST = 60e6
"""Bytes moved from which a plain read takes longer than handing it to Python's threads."""

Key = tuple[str, bool]


def key_of(result: Result) -> Key:
    return result["point"], result["gradient"]


def by_threads(results: list[Result]) -> dict[Key, dict[int, Result]]:
    found: dict[Key, dict[int, Result]] = {}
    for result in results:
        found.setdefault(key_of(result), {})[result["threads"]] = result
    return found


def gain(here: dict[int, Result], count: int) -> float:
    return here[1]["microseconds"]["crossent"] / here[count]["microseconds"]["crossent"]


def plain_gain(here: dict[int, Result], count: int) -> float | None:
    name = f"GB/s of a plain {'copy' if here[1]['gradient'] else 'read'}"
    moved = here[1].get("GB/s", 0) * 1e3 * here[1]["microseconds"]["crossent"]
    return here[count][name] / here[1][name] if moved >= LEAST else None


def table(results: list[Result]) -> str:
    counts = sorted({r["threads"] for r in results})
    rows = []
    for here in by_threads(results).values():
        plain = [plain_gain(here, count) for count in counts[1:]]
        gains = [f"{gain(here, n):.3g}" + (f" ({p:.3g})" if p else "") for n, p in zip(counts[1:], plain, strict=True)]
        against = [f"{here[count]['ratio']['torch']:.3g} x" for count in (counts[0], counts[-1])]
        rows.append([here[1]["point"], computed(here[1]), spelled(here[1]["microseconds"]["crossent"]), *gains, *against])
    columns = ["logits", "computed", "1 thread", *(f"{count} threads" for count in counts[1:])]
    return markdown([*columns, "torch, 1 thread", f"torch, {counts[-1]} threads"], rows)


def page(report: dict[str, Any]) -> str:
    parts = [
        "# More threads",
        "`make scaling` writes this page and the picture, on a machine with more than two cores.",
        how(report),
        "Times as fast as on one thread; in brackets the plain read, or copy, of a large array by as many threads. The last "
        "two columns are how many times as long eager torch takes on as many threads.",
        table(report["results"]),
        "![Times as fast as on one thread, by threads](scaling.svg)",
    ]
    return "\n\n".join(parts) + "\n"


def draw(report: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "crossent"  # the same figures, the same file
    from matplotlib import pyplot as plt

    results = report["results"]
    counts = sorted({r["threads"] for r in results})
    found, points = by_threads(results), [r["point"] for r in of_threads(report, 1) if not r["gradient"]]
    figure, panels = plt.subplots(1, 2, figsize=(12, 5.5), layout="constrained", sharey=True)
    for axes, gradient in zip(panels, (False, True), strict=True):
        axes.plot(counts, counts, color="#999999", linestyle=":", label="as many times as threads")
        for point, colour in zip(points, COLOURS, strict=False):
            here = found[point, gradient]
            axes.plot(counts, [gain(here, n) for n in counts], color=colour, marker="o", label=point)
            if plain_gain(here, 1):
                axes.plot(counts, [plain_gain(here, n) for n in counts], color=colour, linestyle="--", linewidth=0.8, alpha=0.6)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(counts, [str(n) for n in counts])
        axes.set_yticks(counts, [str(n) for n in counts])
        axes.set_xlabel("threads")
        axes.set_title("loss and gradient" if gradient else "loss", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#eeeeee")
    panels[0].set_ylabel("times as fast as on one thread; dashed: a plain read or copy")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.scaling results.json")
    report = json.loads(Path(sys.argv[1]).read_text())
    (ROOT / "docs/scaling.md").write_text(page(report))
    draw(report, ROOT / "docs/scaling.svg")


if __name__ == "__main__":
    main()
