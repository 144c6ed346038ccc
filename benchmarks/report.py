"""Write what peers.py measured: the table in README.md between its two markers, and the picture docs/speed.svg.

    python -m benchmarks.report results.json

No number is typed by hand: run it again and the same file gives the same table.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- speed table: begin -->", "<!-- speed table: end -->"
PEERS = ["torch", "torch.compile", "jax.jit", "scikit-learn", "scipy"]
COLOURS = {"loss": "#4477aa", "loss and gradient": "#ee9944"}


def spelled(microseconds: float | None) -> str:
    """A time in a unit that suits it, three digits."""
    if microseconds is None:
        return ""
    if microseconds < 1000:
        return f"{microseconds:.3g} us"
    return f"{microseconds / 1000:.3g} ms"


def cell(result: dict[str, Any], peer: str) -> str:
    ratio = result["ratio"].get(peer)
    return "" if ratio is None else f"{spelled(result['microseconds'][peer])} ({ratio:.3g} x)"


def table(report: dict[str, Any]) -> str:
    machine = report["machine"]
    names = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rows = [
        f"| {r['point']} | {'loss and gradient' if r['gradient'] else 'loss'} | {r['threads']} "
        f"| {spelled(r['microseconds']['crossent'])} | {' | '.join(cell(r, peer) for peer in PEERS)} |"
        for r in report["results"]
    ]
    return "\n".join(
        [
            f"Medians; in brackets, how many times as long the peer takes, the median of the ratios within a round. "
            f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['instruction set']}; {names}; "
            f"commit {machine['commit']}, {machine['date']}. Gradients go into memory that is used again.",
            "",
            f"| logits | computed | threads | crossent | {' | '.join(PEERS)} |",
            f"|{'---|' * (4 + len(PEERS))}",
            *rows,
            "",
            "![Times as fast as eager torch, per shape](docs/speed.svg)",
        ]
    )


def put_into_readme(text: str) -> None:
    readme = ROOT / "README.md"
    before = readme.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
    if not pattern.search(before):
        sys.exit(f"README.md has no lines {BEGIN} and {END}")
    readme.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", before))


def draw(report: dict[str, Any], path: Path) -> None:
    """Times as fast as eager torch on one thread, a row for each point of the grid."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    results = [r for r in report["results"] if r["threads"] == 1 and "torch" in r["ratio"]]
    points = list(dict.fromkeys(r["point"] for r in results))
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(points) + 1.6), layout="constrained")
    for number, (label, colour) in enumerate(COLOURS.items()):
        chosen = [r for r in results if r["gradient"] == bool(number)]
        where = [points.index(r["point"]) + 0.19 * (2 * number - 1) for r in chosen]
        bars = axes.barh(where, [r["ratio"]["torch"] for r in chosen], 0.36, label=label, color=colour)
        axes.bar_label(bars, [f"{r['ratio']['torch']:.1f}" for r in chosen], padding=3, fontsize=8)
    axes.axvline(1, color="#555555", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set_yticks(range(len(points)), points)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as eager torch, one thread")
    axes.set_title(f"crossent {report['machine']['versions']['crossent']}: cross entropy, and others by name", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)
    axes.margins(y=0.01)
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.report results.json")
    report = json.loads(Path(sys.argv[1]).read_text())
    put_into_readme(table(report))
    draw(report, ROOT / "docs/speed.svg")


if __name__ == "__main__":
    main()
