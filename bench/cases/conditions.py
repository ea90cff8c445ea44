"""The condition language: compiled conditions against closures written by hand, and filters against SQL by hand.

Everything here is CPU time of this process (a filter's, its reading thread's included), so that a busy machine does not
count. The closures by hand do what the compiled ones must: a row may lack the attribute or have another type in it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from bench.frame import Contenders, Must, case
from stateroom.engines.port import Put, Query, Table, TableIndex
from stateroom.engines.sqlite import SqliteEngine
from stateroom.expr.builder import attr
from stateroom.expr.compiled import compile
from stateroom.expr.parser import parse
from stateroom.expr.tree import Condition

ROWS: Final = 100_000
PAGE: Final = 1_000
LEAST: Final = 0.45
Item = Mapping[str, Any]

ITEM: Final[dict[str, Any]] = {
    "status": "open",
    "votes": 7,
    "owner": "U00000001",
    "title": "deployment of the thing we talked about",
    "tags": ["a", "b", "c"],
    "address": {"city": "Bern", "zip": 3000},
    "done": False,
}
KINDS: Final = ("open", "closed", "waiting")
SAMPLE: Final = [
    {**ITEM, "status": KINDS[n % 3], "votes": n, "title": ITEM["title"][n % 4 :], "tags": ["a", "b", "c"][n % 3 :]}
    for n in range(10)
] + [{"owner": "U00000002"}]

status, votes, title = attr("status"), attr("votes"), attr("title")
BY_HAND: Final[Mapping[str, tuple[Condition, Callable[[Any], bool]]]] = {
    "comparison": (status == "open", lambda i: i.get("status") == "open"),
    "and": (
        (status == "open") & (votes > 3) & (attr("owner") == "U00000001"),
        lambda i: i.get("status") == "open" and i.get("votes", 0) > 3 and i.get("owner") == "U00000001",
    ),
    "or": (
        (status == "closed") | (votes > 8),
        lambda i: i.get("status") == "closed" or i.get("votes", 0) > 8,
    ),
    "between": (votes.between(3, 6), lambda i: 3 <= i.get("votes", -1) <= 6),
    "in": (status.is_in(["open", "waiting"]), lambda i: i.get("status") in {"open", "waiting"}),
    "begins_with": (title.begins_with("deploy"), lambda i: i.get("title", "").startswith("deploy")),
    "contains": (title.contains("thing"), lambda i: "thing" in i.get("title", "")),
    "contains, of a list": (attr("tags").contains("b"), lambda i: "b" in i.get("tags", ())),
    "nested path": (attr("address", "city") == "Bern", lambda i: i.get("address", {}).get("city") == "Bern"),
    "not": (~(status == "open"), lambda i: i.get("status") != "open"),
    "size": (title.size() > 36, lambda i: len(i.get("title", "").encode()) > 36),
    "exists": (attr("done").exists(), lambda i: "done" in i),
}


def over_sample(test: Callable[[Item], bool], times: int = 1500) -> Callable[[], float]:
    """Seconds a row."""

    def run() -> float:
        rows = SAMPLE
        began = process_time()
        for _ in range(times):
            for row in rows:
                test(row)
        return (process_time() - began) / (times * len(rows))

    return run


def _closures(name: str) -> None:
    condition, by_hand = BY_HAND[name]
    compiled = compile(condition)
    assert [compiled(row) for row in SAMPLE] == [by_hand(row) for row in SAMPLE], name

    @case(
        f"compiled-{name.replace(', of a ', '-').replace(' ', '-')}",
        f"A compiled condition over a closure by hand: {name}",
        musts=[Must("by hand", over="compiled", at_least=LEAST)],
        rounds=21,
    )
    @contextmanager
    def contenders() -> Iterator[Contenders]:
        yield {"by hand": over_sample(by_hand), "compiled": over_sample(compiled)}


for _name in BY_HAND:
    _closures(_name)

TEXTS: Final = (
    "#n{n} = :v",
    "#n{n} = :v AND votes{n} > :w",
    "(st{n} = :v OR st{n} = :w) AND attribute_exists(#n{n})",
    "begins_with(#n{n}, :v) AND NOT contains(tags{n}, :w)",
    "#n{n} BETWEEN :v AND :w",
    "#n{n}.city{n} = :v OR size(title{n}) > :w",
)


@case(
    "parse-compile",
    "Parsing and compiling an expression, each text new",
    musts=[Must("parse and compile", at_most=1 / 40_000)],
    rounds=21,
)
@contextmanager
def parse_compile() -> Iterator[Contenders]:
    """No text, name or value comes twice; nothing keeps texts or trees, so nothing could be found again."""
    serial = count()

    def made(work: Callable[[Condition], object]) -> Callable[[], float]:
        def run() -> float:
            given = []
            for n in (next(serial) for _ in range(1_200)):
                text = TEXTS[n % len(TEXTS)].format(n=n)
                names = {f"#n{n}": f"name {n}"} if "#" in text else None
                values = {":v": n, ":w": n + 1} if ":w" in text else {":v": f"v{n}"}
                if "begins_with" in text:
                    values[":v"] = f"v{n}"
                given.append((text, names, values))
            began = process_time()
            for text, names, values in given:
                work(parse(text, names, values))
            return (process_time() - began) / len(given)

        return run

    yield {"parse": made(lambda tree: tree), "parse and compile": made(compile)}


THINGS: Final = Table("things", indexes=(TableIndex("status", ("status",)),))
HAND: Final = "SELECT id, item FROM items_things {by} WHERE team = ? AND {a} = ? AND {a} IS NOT NULL ORDER BY id "
HAND_LIMIT: Final = "LIMIT 1001"


@contextmanager
def things() -> Iterator[tuple[sqlite3.Connection, SqliteEngine, Callable[[Coroutine[Any, Any, Any]], Any]]]:
    """100,000 items of 300 B, of which 1 % have one status (indexed) and one kind (not indexed)."""
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        engine = SqliteEngine(f"{folder}/things.db", time.time)
        runner.run(engine.open())
        runner.run(engine.apply([THINGS]))
        pick = random.Random(7)
        for start in range(0, ROWS, 1000):
            rows = [Put("things", "T1", f"k{n:07}", _thing(n, pick)) for n in range(start, start + 1000)]
            runner.run(engine.commit(rows))
        connection = sqlite3.connect(f"{folder}/things.db", isolation_level=None)
        yield connection, engine, runner.run
        connection.close()
        runner.run(engine.close())


def _thing(n: int, pick: random.Random) -> dict[str, Any]:
    kind = f"s{pick.randrange(100)}"
    return {"id": f"k{n:07}", "status": kind, "kind": kind, "votes": n, "text": "x" * 215}


def _filter(name: str, title_: str, attribute: str, most: float) -> None:
    @case(
        name,
        title_,
        musts=[Must("stateroom", over="SQL by hand, json", at_most=most)],
        rounds=15 if attribute == "kind" else 41,
    )
    @contextmanager
    def contenders() -> Iterator[Contenders]:
        with things() as (connection, engine, run):
            by = 'INDEXED BY "index_things.status"' if attribute == "status" else ""  # or SQLite goes by the key
            statement = HAND.format(a=f"json_extract(item, '$.\"{attribute}\"')", by=by) + HAND_LIMIT

            def by_hand(decode: Callable[[str], Any]) -> Callable[[], float]:
                def run() -> float:
                    began = process_time()
                    found = [decode(item) for _, item in connection.execute(statement, ("T1", "s7")).fetchall()]
                    took = process_time() - began
                    assert 800 < len(found) <= 1001
                    return took

                return run

            async def pages() -> float:
                query = Query("things", "T1", PAGE, condition=attr(attribute) == "s7")
                began = process_time()
                page = await engine.query(query)
                took = process_time() - began
                assert 800 < len(page.rows) <= PAGE
                return took

            async def small_pages() -> float:
                query, rows = Query("things", "T1", 100, condition=attr(attribute) == "s7"), 0
                began = process_time()
                while True:
                    page = await engine.query(query)
                    rows += len(page.rows)
                    if page.position is None or rows >= PAGE:
                        return process_time() - began
                    query = replace(query, after=page.position)

            yield {
                "SQL by hand, json": by_hand(json.loads),
                "SQL by hand, msgspec": by_hand(msgspec.json.decode),
                "stateroom": lambda: float(run(pages())),
                "stateroom, pages of 100": lambda: float(run(small_pages())),
            }


_filter("filter-indexed", "A filter on an index: 1 % of 100,000 items, by key", "status", 1.3)
_filter("filter-unindexed", "A filter without an index: 1 % of 100,000 items, by key", "kind", 1.15)
