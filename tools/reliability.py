"""Put what `make exhaustive` and `make exact` found into docs/reliability.md, between its markers.

    python tools/reliability.py        (`make reliability`, which runs both first)

Their tables have a line per instruction set; the page has the worst, or one beside the other. No number is typed by hand.
The table of one that was not run here stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
SOURCES = {"exhaustive": ROOT / "build" / "c" / "exhaustive.md", "exact": ROOT / "build" / "exact.md"}

Row = dict[str, str]


def tables(text: str) -> list[list[Row]]:
    """The Markdown tables of a text, each a list of rows by column."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def markdown(rows: list[Row]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def grouped(rows: list[Row], by: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[by], []).append(row)
    return groups


def largest(rows: list[Row], column: str) -> str:
    """Of cells that begin with a number, or are empty."""
    return max((row[column] for row in rows), key=lambda cell: float(cell.split()[0] if cell else "-inf"))


def exhaustive(text: str) -> str:
    """A line per function, a column per instruction set."""
    return markdown(
        [
            {
                "function": function,
                "inputs": f"{int(rows[0]['inputs']):,}",
                "bar, ULP": rows[0]["bar"],
                **{row["instruction set"]: row["largest error, ULP"] for row in rows},
                "nan, inf": " ".join(sorted({row["nan, inf"] for row in rows})),
                "never falls": " ".join(sorted({row["never falls"] for row in rows})),
            }
            for function, rows in grouped(tables(text)[0], "function").items()
        ]
    )


def exact(text: str) -> str:
    """A line per family of logits, the worst of the instruction sets; the means."""
    by_family, means = tables(text)
    measured = [name for name in by_family[0] if name not in ("logits", "instruction set", "")]
    families = [
        {"logits": family, **{name: largest(rows, name) for name in measured}}
        for family, rows in grouped(by_family, "logits").items()
    ]
    return markdown(families) + "\n" + markdown(means)


def main() -> None:
    page = PAGE.read_text()
    for name, shown in (("exhaustive", exhaustive), ("exact", exact)):
        if not SOURCES[name].exists():
            continue
        text = SOURCES[name].read_text()
        begin, end = (f"<!-- {name}: {word} -->\n" for word in ("begin", "end"))
        before, rest = page.split(begin)
        page = f"{before}{begin}{text.splitlines()[0]}\n\n{shown(text)}{end}{rest.split(end)[1]}"
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
