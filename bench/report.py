"""How results are shown: a table for people, and docs/benchmarks.md for those who come later.

Rules of this file: machine facts that explain a number, never a host name or a path. A page section is replaced case
by case, so measuring one case does not lose the others.
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final

from bench import slow_disk
from bench.frame import SECONDS, Must, Outcome

HEAD: Final = """# Benchmarks

Made by `make bench ARGS=--write`; one case: `make bench CASES=<name> ARGS=--write`. Contenders of a case are measured
in turns, in one run. Compare ratios, not times: the machine moves, for all alike. A ratio is the median of the rounds'
own ratios.
"""
_UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def shown(value: float, measure: str) -> str:
    """A value with its unit; only seconds are scaled."""
    if measure != SECONDS and not measure.endswith(", s"):
        return f"{value:.4g}"
    scale, unit = next(((s, u) for s, u in _UNITS if abs(value) >= s), _UNITS[-1])
    return f"{value / scale:.3g} {unit}"


def rows(outcome: Outcome) -> list[list[str]]:
    """One row for each contender and measure: name, measure, median, least and most, ratio to the first contender."""
    base = next(iter(outcome.results))
    table = []
    for name, measures in outcome.results.items():
        for measure, values in measures.items():
            spread = f"{shown(min(values), measure)} … {shown(max(values), measure)}"
            known = measure in outcome.results[base] and all(outcome.results[base][measure])
            ratio = f"{Must(name, over=base, measure=measure).value(outcome.results):.2f}" if known else "–"
            table.append([name, measure, shown(median(values), measure), spread, ratio])
    return table


def verdicts(outcome: Outcome) -> list[str]:
    """One line for each bound: whether it holds, and what was found."""
    lines = []
    for must in outcome.case.musts:
        found = shown(must.value(outcome.results), "" if must.over else must.measure)
        lines.append(f"{'holds' if must.holds(outcome.results) else 'BROKEN'}: {must} (found {found})")
    return lines


def text(outcome: Outcome) -> str:
    """The result of one case for a terminal."""
    table = [["contender", "measure", "median", "least … most", "ratio"], *rows(outcome)]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(
        [f"{outcome.case.name}: {outcome.case.title}", *lines, *[f"  {line}" for line in verdicts(outcome)]]
    )


def section(outcome: Outcome, facts: str) -> str:
    """The result of one case as a section of the page."""
    title = f"## {outcome.case.name}\n\n{outcome.case.title}\n"
    table = "| contender | measure | median | least … most | ratio |\n| --- | --- | --- | --- | --- |\n"
    table += "".join(f"| {' | '.join(row)} |\n" for row in rows(outcome))
    bounds = "".join(f"- {line}\n" for line in verdicts(outcome))
    rounds = len(next(iter(next(iter(outcome.results.values())).values())))
    return "\n".join([title, table, *([bounds] if bounds else []), f"{rounds} rounds; {facts}.\n"])


def merged(page: str, sections: dict[str, str]) -> str:
    """The page with these sections, by case name, replaced or added, in alphabetical order; what stands above stays."""
    above, *parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    kept = {part.partition("\n")[0].removeprefix("## "): part.strip() + "\n" for part in parts}
    kept |= {name: new.strip() + "\n" for name, new in sections.items()}
    return "\n".join([above.strip() + "\n" if above.strip() else HEAD, *[kept[name] for name in sorted(kept)]])


def machine() -> str:
    """What explains the numbers: date, processor, cores, system, versions."""
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)):
        processor = found[1].strip()
    facts = [f"{date.today():%B %Y}", processor, f"{os.cpu_count()} cores", platform.system()]
    if slower := os.environ.get(slow_disk.VARIABLE):
        facts.append(f"each sync {slower} µs longer")
    return ", ".join([*facts, f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"])


def write(page: Path, outcomes: Sequence[Outcome]) -> None:
    """Bring the page up to date with these results."""
    facts = machine()
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    page.write_text(merged(old, {o.case.name: section(o, facts) for o in outcomes}), encoding="utf-8")
