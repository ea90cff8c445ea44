"""Blocks of a document, and how they are written as Markdown and as a page of HTML that needs nothing else.

Rules of this file: one document, two writers, so that both say the same. Everything of the design file is escaped: in
Markdown tables `|` and line breaks, in HTML all of it. The page has no script and loads nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Words:
    text: str


@dataclass(frozen=True)
class Table:
    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    marks: Sequence[str] = ()  # a class for each row, such as a severity


@dataclass(frozen=True)
class Listed:
    items: Sequence[str]
    numbered: bool = False


@dataclass(frozen=True)
class Code:
    text: str
    language: str = ""


@dataclass(frozen=True)
class Chart:
    """A line over days; Markdown has its points as a table."""

    title: str
    unit: str
    points: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Folded:
    """A table that is long and seldom needed: a page shows its first words and opens it on a click."""

    words: str
    table: Table


Block = Heading | Words | Table | Listed | Code | Chart | Folded


def markdown(blocks: Iterable[Block]) -> str:
    """The blocks as Markdown, one blank line between them."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_line(block.text)}"
    if isinstance(block, Words):
        return _line(block.text)
    if isinstance(block, Table):
        lines = [block.headers, ["---"] * len(block.headers), *block.rows]
        return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)
    if isinstance(block, Listed):
        marks = [f"{number}." if block.numbered else "-" for number in range(1, len(block.items) + 1)]
        return "\n".join(f"{mark} {_line(item)}" for mark, item in zip(marks, block.items, strict=True))
    if isinstance(block, Folded):
        return f"{_line(block.words)}\n\n{_markdown(block.table)}"
    if isinstance(block, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
        return f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"
    return _markdown(Table(("day", block.unit), [(day, f"{value:,}") for day, value in block.points]))


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(cell: object) -> str:
    return _line(_shown(cell)).replace("|", "\\|")


def _shown(cell: object) -> str:
    """Whole numbers in groups of three digits."""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


_STYLE: Final = """
:root{color-scheme:light dark;--line:#d8dbe0;--soft:#f5f6f8;--page:#fff;--ink:#1d1c1d;
--bad:#b3261e;--warn:#8a5a00;--note:#1264a3}
@media(prefers-color-scheme:dark){:root{--line:#3b3f45;--soft:#222529;--page:#1a1d21;--ink:#e8e8e8;
--bad:#ff8a80;--warn:#f2c744;--note:#7cc4ff}
}
body{background:var(--page)}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:70rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.7rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}h3{margin-top:1.6rem}
.scroll{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{border-bottom:1px solid var(--line);padding:.35rem .6rem;text-align:left;vertical-align:top}
td.n{font-variant-numeric:tabular-nums;white-space:nowrap}nav{line-height:2}nav a{margin-right:1rem}
a,summary{color:var(--note)}summary{cursor:pointer}
@media(max-width:45rem){.wide table{min-width:46rem}.wide td:first-child{position:sticky;left:0;
min-width:5.5rem;background:var(--page)}}
th{background:var(--soft);position:sticky;top:0}tr.error td:nth-child(-n+2){color:var(--bad);font-weight:600}
tr.error td:first-child,tr.warning td:first-child,tr.info td:first-child{white-space:nowrap}
tr.warning td:nth-child(-n+2){color:var(--warn);font-weight:600}tr.info td:nth-child(2){color:var(--note)}
pre{background:var(--soft);padding:.8rem;border-radius:6px;font-size:.85rem;white-space:pre-wrap;
overflow-wrap:anywhere}
figure{margin:1rem 0;display:inline-block}figcaption{font-size:.85rem}svg{max-width:100%;height:auto}
svg path{fill:none;stroke:var(--note);stroke-width:2}svg .axis{stroke:var(--line);stroke-width:1}
svg text{font:11px system-ui;fill:currentColor}
"""


def page(title: str, blocks: Iterable[Block]) -> str:
    """The blocks as one page of HTML."""
    listed = list(blocks)
    body = "\n".join(_html(block) for block in listed)
    parts = [block.text for block in listed if isinstance(block, Heading) and block.level == 2]
    if parts:
        links = " ".join(f'<a href="#{_anchor(one)}">{html.escape(one)}</a>' for one in parts)
        body = body.replace("<h2 ", f'<nav aria-label="contents">{links}</nav>\n<h2 ', 1)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    style = "\n".join(_STYLE.strip().splitlines())
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}\n<title>{html.escape(title)}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        place = f' id="{_anchor(block.text)}"' if block.level == 2 else ""
        return f"<h{block.level}{place}>{_inline(block.text)}</h{block.level}>"
    if isinstance(block, Folded):
        return f"<details><summary>{_inline(block.words)}</summary>\n{_table(block.table)}</details>"
    if isinstance(block, Words):
        return f"<p>{_inline(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Listed):
        tag = "ol" if block.numbered else "ul"
        return f"<{tag}>{''.join(f'<li>{_inline(item)}</li>' for item in block.items)}</{tag}>"
    if isinstance(block, Code):
        return f"<pre><code>{html.escape(block.text.rstrip())}</code></pre>"
    return _chart(block)


def _anchor(text: str) -> str:
    """The name of a part; the headings of parts are ours, never the file's."""
    return re.sub("[^a-z]+", "-", text.lower())


def _inline(text: str) -> str:
    """Escaped, with `code` between backquotes."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(_line(text)))


def _table(block: Table) -> str:
    head = "".join(f"<th>{_inline(str(cell))}</th>" for cell in block.headers)
    marks = block.marks or [""] * len(block.rows)
    rows = "".join(
        f"<tr{f' class={chr(34)}{mark}{chr(34)}' if mark else ''}>{''.join(_data(cell) for cell in row)}</tr>\n"
        for row, mark in zip(block.rows, marks, strict=True)
    )
    wide = " wide" if len(block.headers) > MANY else ""
    return f'<div class="scroll{wide}"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>'


MANY: Final = 3  # columns that fit a phone


def _data(cell: object) -> str:
    number = isinstance(cell, int) and not isinstance(cell, bool)
    return f"<td{' class=n' if number else ''}>{_inline(_shown(cell))}</td>"


_WIDTH, _HEIGHT, _LEFT, _FOOT = 420, 160, 70, 24


def _chart(block: Chart) -> str:
    """Growth as one path; the scale begins at nothing."""
    days = max(day for day, _ in block.points) or 1
    most = max(value for _, value in block.points) or 1
    wide, high = _WIDTH - _LEFT - 10, _HEIGHT - _FOOT - 12
    places = [(_LEFT + day / days * wide, 12 + high - value / most * high) for day, value in block.points]
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    base = 12 + high
    label = f"{block.title}: {block.points[0][1]:,} {block.unit} on day 0, {block.points[-1][1]:,} on day {days}"
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{html.escape(label)}">'
        f'<path class="axis" d="M{_LEFT} 12 V{base} H{_WIDTH - 10}"/><path d="{path}"/>'
        f'<text x="{_LEFT - 6}" y="20" text-anchor="end">{most:,}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}">day 0</text>'
        f'<text x="{_WIDTH - 10}" y="{_HEIGHT - 6}" text-anchor="end">day {days}</text></svg>'
        f"<figcaption>{html.escape(label)}</figcaption></figure>"
    )
