"""The SQL of every alternative, run on synthetic items: it finds what the pattern means, and decides who is first."""

import json
import math
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from stateroom.cli.design_simulate_items import Stock
from stateroom.design.alternatives import TEXT_SEARCH, alternative, columns_of
from stateroom.design.document import read_design
from stateroom.design.entities import key_attribute
from stateroom.design.facts import SLACK
from stateroom.design.parts import Plan
from stateroom.design.plan import plan
from stateroom.design.structs import Entity, Pattern
from stateroom.expr.evaluate import evaluate
from stateroom.expr.parser import parse
from support.generated_designs import designs

pytestmark = pytest.mark.service
GALLERY = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))
MOST = 60
Item = dict[str, Any]


class Ran:
    """One pattern's statement on a database that holds the design's items."""

    def __init__(self, found: Plan, pattern: Pattern) -> None:
        self.design, self.pattern = found.design, pattern
        self.entity: Entity = self.design.by_name[pattern.entity]
        self.stock = Stock(found, {e.name: max(3, min(e.volume.initial, MOST)) for e in self.design.entities}, 10**9)
        self.external = alternative(self.design, pattern, ("why",), SLACK)
        self.db = sqlite3.connect(":memory:")
        self.db.row_factory = sqlite3.Row
        *made, self.statement = self.external.sql
        for statement in made:
            self.db.execute(statement)
        for name in (self.entity.name, *pattern.join):
            held = columns_of(self.design, self.design.by_name[name])
            marks = ", ".join(f":{one}" for one in held)
            columns = ", ".join(f'"{one}"' for one in held)
            rows = [self.row(name, item) for item in self.stock.items(name)]
            self.db.executemany(f'INSERT INTO "{name}" ({columns}) VALUES ({marks})', rows)

    def row(self, name: str, item: Item) -> Item:
        held = columns_of(self.design, self.design.by_name[name])
        return {one: _stored(item.get(one)) for one in held}

    def values(self) -> Item:
        """What is given at run time: of the first item, as the simulation does it."""
        first, where = self.stock.item(self.entity.name, 0), self.pattern.where
        found = {} if where is None else {name: first.get(of, "x") for name, of in where.parameters.items()}
        return {name: value[0] if isinstance(value, list) and value else value for name, value in found.items()}

    def matching(self) -> list[Item]:
        items, where = list(self.stock.items(self.entity.name)), self.pattern.where
        if where is None:
            return items
        asked = parse(where.expression, dict(where.names) or None, {**where.values, **self.values()} or None)
        return [one for one in items if evaluate(asked, one)]

    def rows(self) -> list[sqlite3.Row]:
        return self.db.execute(self.statement, _named(self.values())).fetchall()

    def changed(self, **values: Any) -> int:
        return self.db.execute(self.statement, {name: _stored(one) for name, one in values.items()}).rowcount


def _stored(value: Any) -> Any:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (list, dict)) else value


def _named(values: Item) -> Item:
    return {name.lstrip(":"): _stored(value) for name, value in values.items()}


def reads(ran: Ran) -> None:
    pattern, key = ran.pattern, key_attribute(ran.entity)
    wanted = ran.matching()
    limit = pattern.expected_items if pattern.kind in ("list", "top", "join") else None
    rows = ran.rows()
    assert len(rows) == min(len(wanted), limit or math.inf)
    if len(ran.entity.key) == 1:
        assert {row[key] for row in rows} <= {one[key] for one in wanted}
    if pattern.order is not None:
        ordered = sorted((one[pattern.order] for one in wanted), reverse=pattern.descending)
        assert [row[pattern.order] for row in rows] == ordered[:limit]


def counts(ran: Ran) -> None:
    pattern, groups = ran.pattern, defaultdict[Any, list[Any]](list)
    for one in ran.matching():
        of = one.get(pattern.group_by) if pattern.group_by else None
        groups[of].append(one.get(pattern.attributes[0], 0) if pattern.attributes else 1)
    adds = {"count": len, "sum": sum, "min": min, "max": max, "avg": lambda of: sum(of) / len(of)}[pattern.function]
    rows = {(row[0] if pattern.group_by else None): row[-1] for row in ran.rows()}
    assert {of: pytest.approx(value or 0) for of, value in rows.items()} == {
        of: adds(one) for of, one in groups.items()
    }


def key_of(ran: Ran, number: int) -> Item:
    item = ran.stock.item(ran.entity.name, number)
    return {part: item[part] for part in ran.entity.key}


def transitions(ran: Ran) -> None:
    cycle = ran.entity.lifecycle
    assert cycle is not None
    states = [ran.stock.item(ran.entity.name, n)[cycle.attribute] for n in range(3)]
    for number, state in enumerate(states):
        first = int(state in ran.pattern.from_)
        again = int(first and ran.pattern.to in ran.pattern.from_)
        assert [ran.changed(**key_of(ran, number)) for _ in range(2)] == [first, again]


def increments(ran: Ran) -> None:
    name = ran.pattern.attributes[0]
    for _ in range(2):
        assert ran.changed(**key_of(ran, 1), by=2) == 1
    here = " AND ".join(f'"{part}" = :{part}' for part in ran.entity.key)
    found = ran.db.execute(f'SELECT "{name}" FROM "{ran.entity.name}" WHERE {here}', key_of(ran, 1)).fetchone()
    assert found[0] == ran.stock.item(ran.entity.name, 1)[name] + 4


def updates(ran: Ran) -> None:
    """Who read an older item changes nothing."""
    changed = ran.pattern.attributes or tuple(one for one in ran.entity.attributes if one not in ran.entity.key)
    old, new = (ran.stock.item(ran.entity.name, n) for n in (1, 2))
    given = {**key_of(ran, 1), **{name: new.get(name) for name in changed}}
    given[changed[0]] = "other" if isinstance(old[changed[0]], str) else 77
    held = ran.row(ran.entity.name, old)
    was = {f"was_{name}": held.get(name) for name in changed}
    for name in changed:  # whichever it is that somebody else has changed
        assert ran.changed(**given, **{**was, f"was_{name}": "of another"}) == 0
    assert [ran.changed(**given, **was) for _ in range(2)] == [1, 0]


def uniques(ran: Ran) -> None:
    """The same values under another key are refused, other values are not."""
    other = ran.row(ran.entity.name, ran.stock.item(ran.entity.name, 1, 10**6))
    free = {**other, ran.pattern.attributes[0]: "free"}
    assert [ran.changed(**one) for one in (other, free)] == [0, 1]


def puts(ran: Ran) -> None:
    new = ran.row(ran.entity.name, ran.stock.item(ran.entity.name, 1, 10**6))
    assert [ran.changed(**new) for _ in range(2)] == [1, 0]


def removes(ran: Ran) -> None:
    assert [ran.changed(**key_of(ran, 1)) for _ in range(2)] == [1, 0]


def gets(ran: Ran) -> None:
    if ran.pattern.where is not None:
        reads(ran)
    else:
        rows = ran.db.execute(ran.statement, key_of(ran, 1)).fetchall()
        assert [{part: row[part] for part in ran.entity.key} for row in rows] == [key_of(ran, 1)]


def bulks(ran: Ran) -> None:
    {"put": puts, "delete": removes, "get": lambda one: None}[ran.pattern.operation](ran)


def sweeps(ran: Ran) -> None:
    if ran.pattern.where is not None:
        assert ran.changed(**_named(ran.values())) == len(ran.matching())
        return
    assert ran.entity.retention is not None
    after, items = ran.entity.retention.after, list(ran.stock.items(ran.entity.name))
    before = sorted(one[after] for one in items)[1]
    assert ran.changed(before=before) == sum(one[after] < before for one in items)


MEANING = {
    **dict.fromkeys(("list", "top", "join", "export"), reads),
    **dict.fromkeys(("count", "aggregate"), counts),
    **dict.fromkeys(("update", "append"), updates),
    **{"get": gets, "transition": transitions, "increment": increments, "unique": uniques, "put": puts},
    **{"delete": removes, "bulk": bulks, "sweep": sweeps},
}


def every_statement(text: str) -> int:
    found = plan(read_design(text))
    ran = 0
    for pattern in found.design.patterns:
        one = Ran(found, pattern)
        if one.external.engine != TEXT_SEARCH:  # words need a server: test_alternatives.py
            MEANING[pattern.kind](one)
            ran += 1
    return ran


@pytest.mark.parametrize("file", GALLERY, ids=lambda one: one.stem)
def test_the_alternative_of_each_pattern_of_the_gallery_does_what_the_pattern_means(file: Path) -> None:
    assert every_statement(file.read_text()) > 3


@settings(max_examples=30, deadline=None)
@given(designs())
def test_the_alternative_of_any_pattern_does_what_the_pattern_means(text: str) -> None:
    every_statement(text)
