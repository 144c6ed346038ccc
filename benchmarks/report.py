"""Write what peers.py measured: the README's table, docs/speed.md, the picture docs/speed.svg.

    python -m benchmarks.report results.json

The README's table stands between two markers. No number is typed by hand: run it again and the same file gives the same tables.
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

Result = dict[str, Any]


def spelled(microseconds: float | None) -> str:
    """A time in a unit that suits it, three digits."""
    if microseconds is None:
        return ""
    if microseconds < 1000:
        return f"{microseconds:.3g} us"
    return f"{microseconds / 1000:.3g} ms"


def computed(result: Result) -> str:
    return "loss and gradient" if result["gradient"] else "loss"


def cell(result: Result, peer: str) -> str:
    ratio = result["ratio"].get(peer)
    return "" if ratio is None else f"{spelled(result['microseconds'][peer])} ({ratio:.3g} x)"


def rates(result: Result) -> str:
    plain = [rate for name, rate in result.items() if name.startswith("GB/s of a plain")]
    return f"{result['GB/s']:.3g} ({plain[0]:.3g})" if plain else ""


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def peers_table(results: list[Result]) -> str:
    rows = [
        [r["point"], computed(r), spelled(r["microseconds"]["crossent"]), rates(r), *(cell(r, peer) for peer in PEERS)]
        for r in results
    ]
    return markdown(["logits", "computed", "crossent", "GB/s (plain)", *PEERS], rows)


def lower_table(results: list[Result]) -> str:
    """Each instruction set's time, and how many times as long eager torch takes, which uses the best that it has."""
    names = dict.fromkeys(name for r in results for name in r["microseconds"])
    forced = [name for name in names if name.startswith("crossent, ") and "fresh" not in name]

    def against_torch(r: Result, name: str) -> str:
        own, torch = r["microseconds"].get(name), r["microseconds"].get("torch")
        return f"{spelled(own)} ({torch / own:.3g} x)" if own and torch else spelled(own)

    rows = [[r["point"], computed(r), *(against_torch(r, name) for name in ["crossent", *forced])] for r in results]
    return markdown(["logits", "computed", "best", *(name.removeprefix("crossent, ") for name in forced)], rows)


def threads_table(results: list[Result]) -> str:
    """Time on one thread, and how many times as fast more threads are."""
    counts = sorted({r["threads"] for r in results})
    time = {(r["point"], r["gradient"], r["threads"]): r["microseconds"]["crossent"] for r in results}
    rows = []
    for r in results:
        if r["threads"] == counts[0]:
            one, *more = (time[r["point"], r["gradient"], count] for count in counts)
            rows.append([r["point"], computed(r), spelled(one), *(f"{one / t:.2f} x" for t in more)])
    return markdown(["logits", "computed", f"{counts[0]} thread", *(f"{count} threads" for count in counts[1:])], rows)


def how(report: dict[str, Any]) -> str:
    machine = report["machine"]
    names = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['instruction set']}; {names}; "
        f"commit {machine['commit']}, {machine['date']}. Medians; in brackets, how many times as long the peer takes: "
        "the median of the ratios within a round. GB/s: bytes that must move over the time, and in brackets what a plain read "
        "of the logits (a copy, with gradients) moves. Gradients go into memory that is used again."
    )


def of_threads(report: dict[str, Any], count: int) -> list[Result]:
    return [r for r in report["results"] if r["threads"] == count]


def readme_part(report: dict[str, Any]) -> str:
    picture = "![Times as fast as eager torch, per shape](docs/speed.svg)"
    more = (
        "Two threads, thread for thread, and each instruction set: [docs/speed.md](docs/speed.md). "
        "Up to 16 threads: [docs/scaling.md](docs/scaling.md)."
    )
    return f"{how(report)}\n\n{peers_table(of_threads(report, 1))}\n\n{more}\n\n{picture}"


def page(report: dict[str, Any]) -> str:
    parts = ["# Speed, measured", "`make compare` writes this page, the README's table and the picture.", how(report)]
    for count in sorted({r["threads"] for r in report["results"]}):
        parts += [f"## {count} thread{'s' if count > 1 else ''}", peers_table(of_threads(report, count))]
    parts += ["## More threads against one", threads_table(report["results"])]
    parts += [
        "## Lower instruction sets, forced",
        "One thread; in brackets against eager torch, which chooses its instruction set itself.",
        lower_table(of_threads(report, 1)),
    ]
    return "\n\n".join(parts) + "\n"


def put_into_readme(text: str) -> None:
    readme = ROOT / "README.md"
    before = readme.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
    if not pattern.search(before):
        sys.exit(f"README.md has no lines {BEGIN} and {END}")
    readme.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", before))


def bars(axes: Any, points: list[str], ratios: dict[tuple[str, bool], float], form: str) -> None:
    """A row for each point, a bar for the loss and one for it with its gradient."""
    for (label, colour), gradient in zip(COLOURS.items(), (False, True), strict=True):
        chosen = [point for point in points if (point, gradient) in ratios]
        where = [points.index(point) + 0.19 * (2 * gradient - 1) for point in chosen]
        drawn = axes.barh(where, [ratios[point, gradient] for point in chosen], 0.36, label=label, color=colour)
        axes.bar_label(drawn, [form.format(ratios[point, gradient]) for point in chosen], padding=3, fontsize=8)
    axes.axvline(1, color="#555555", linewidth=1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12, y=0.01)


def draw(report: dict[str, Any], path: Path) -> None:
    """Times as fast as eager torch on one thread, and times as fast on more threads as on one."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "crossent"  # the same figures, the same file
    from matplotlib import pyplot as plt

    single, most = of_threads(report, 1), max(r["threads"] for r in report["results"])
    points = list(dict.fromkeys(r["point"] for r in single))
    size = (13, 0.42 * len(points) + 1.6)
    figure, (left, right) = plt.subplots(1, 2, figsize=size, layout="constrained", sharey=True, width_ratios=(2, 1))
    alone = {(r["point"], r["gradient"]): r["microseconds"]["crossent"] for r in single}
    several = {(r["point"], r["gradient"]): r["microseconds"]["crossent"] for r in of_threads(report, most)}
    bars(left, points, {(r["point"], r["gradient"]): r["ratio"]["torch"] for r in single if "torch" in r["ratio"]}, "{:.1f}")
    bars(right, points, {key: alone[key] / several[key] for key in several}, "{:.2f}")
    left.set_xscale("log")
    left.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    left.minorticks_off()
    left.set_yticks(range(len(points)), points)
    left.invert_yaxis()
    left.set_xlabel("times as fast as eager torch, one thread")
    right.set_xlabel(f"times as fast on {most} threads as on one")
    left.set_title(f"crossent {report['machine']['versions']['crossent']}: cross entropy, and others by name", loc="left")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.report results.json")
    report = json.loads(Path(sys.argv[1]).read_text())
    put_into_readme(readme_part(report))
    (ROOT / "docs/speed.md").write_text(page(report))
    draw(report, ROOT / "docs/speed.svg")


if __name__ == "__main__":
    main()
