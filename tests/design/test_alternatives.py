"""The SQL of an external store works: it runs, it finds what the condition means, and it decides races."""

import sqlite3
from pathlib import Path

import pytest

from stateroom.design.alternatives import TEXT_SEARCH, alternative
from stateroom.design.document import read_design
from stateroom.design.facts import SLACK
from stateroom.design.structs import Design
from support import postgres

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))
ITEMS = """\
app: {name: x}
entities:
  item:
    key: id
    attributes:
      {state: {type: string, values: [open, done]}, who: user_id, n: integer, mail: string,
       team: {type: string, references: team}}
    lifecycle: {attribute: state, transitions: {open: [done]}}
  team: {key: team_id, attributes: {title: string}}
access_patterns:
  - {name: p, entity: item, PATTERN}
"""


def sql_of(design: Design, pattern: int = 0) -> tuple[str, ...]:
    return alternative(design, design.patterns[pattern], ("why",), SLACK).sql


def opened(fields: str) -> tuple[sqlite3.Connection, str]:
    """A database with three items, and the statement of one pattern."""
    *made, last = sql_of(read_design(ITEMS.replace("PATTERN", fields)))
    db = sqlite3.connect(":memory:")
    for statement in made:
        db.execute(statement)
    rows = [("1", "open", "U1", 5, "a", "t"), ("2", "open", "U2", 7, "b", "t"), ("3", "done", "U1", 1, "c", "u")]
    named = '"id", "state", "who", "n", "mail", "team"'
    db.executemany(f'INSERT INTO "item" ({named}) VALUES (?, ?, ?, ?, ?, ?)', rows)
    if '"team"' in made[-1] and "CREATE TABLE" in " ".join(made[1:]):
        db.execute('INSERT INTO "team" ("title", "team_id") VALUES (?, ?)', ("Ops", "t"))
    return db, last


READS = [
    ("kind: list, where: \"who = :u AND state = 'open'\", expected_items: 5", {"u": "U1"}, 1),
    ('kind: list, where: "n BETWEEN :a AND :b", order: n desc', {"a": 5, "b": 9}, 2),
    ('kind: list, where: "begins_with(mail, :m) OR n < 2"', {"m": "a"}, 2),
    ('kind: list, where: "NOT who = :u"', {"u": "U1"}, 1),
    ('kind: list, where: "contains(who, :u) AND attribute_exists(n)"', {"u": "2"}, 1),
    ("kind: list, where: \"state IN ('open', 'done')\"", {}, 3),
    ("kind: top, order: n desc, expected_items: 2", {}, 2),
    ("kind: aggregate, function: sum, attributes: [n], group_by: who", {}, 2),
    ("kind: join, join: team, on: team, expected_items: 9", {}, 2),
]


@pytest.mark.parametrize(("fields", "values", "rows"), READS)
def test_a_read_finds_what_its_condition_means(fields: str, values: dict[str, object], rows: int) -> None:
    db, statement = opened(fields)
    assert len(db.execute(statement, values).fetchall()) == rows


def test_a_top_list_is_in_order() -> None:
    db, statement = opened("kind: top, order: n desc, expected_items: 2")
    db.row_factory = sqlite3.Row
    assert [row["n"] for row in db.execute(statement)] == [7, 5]


def test_of_two_transitions_one_is_refused() -> None:
    db, statement = opened("kind: transition, from: open, to: done")
    assert [db.execute(statement, {"id": "1"}).rowcount for _ in range(2)] == [1, 0]


def test_no_addition_is_lost() -> None:
    db, statement = opened("kind: increment, attributes: [n]")
    for _ in range(3):
        db.execute(statement, {"id": "1", "by": 2})
    assert db.execute('SELECT n FROM "item" WHERE id = ?', ("1",)).fetchone() == (11,)


def test_what_is_unique_is_taken_once() -> None:
    db, statement = opened("kind: unique, attributes: [mail]")
    new = {"state": "open", "who": "U3", "n": 0, "mail": "a", "team": "t"}
    assert db.execute(statement, {**new, "id": "9"}).rowcount == 0
    assert db.execute(statement, {**new, "id": "9", "mail": "z"}).rowcount == 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_statement_for_the_gallery_is_taken_by_a_database(path: Path) -> None:
    design = read_design(path.read_text())
    for number, pattern in enumerate(design.patterns):
        found = alternative(design, pattern, ("why",), SLACK)
        if found.engine == TEXT_SEARCH:
            continue  # PostgreSQL's own; its test is with the servers
        db = sqlite3.connect(":memory:")
        for statement in sql_of(design, number)[:-1]:
            db.execute(statement)
        db.execute(f"EXPLAIN {found.sql[-1]}", _anything(found.sql[-1]))


SEARCH = """\
app: {name: x}
entities: {note: {key: id, attributes: {title: string, body: string}}}
access_patterns: [{name: p, entity: note, kind: search, where: "contains(body, :w)", expected_items: 5}]
"""


@pytest.mark.service
def test_full_text_finds_words_in_any_case_and_ranks_them() -> None:
    import psycopg

    *made, last = sql_of(read_design(SEARCH))
    with psycopg.connect(postgres.server()) as db:
        db.execute("CREATE TEMP TABLE gone (x int)")
        db.execute("SET search_path TO pg_temp")
        for statement in made:
            db.execute(statement)
        for row in (("1", "The Printer burns"), ("2", "printer, printer, PRINTER"), ("3", "sprinter")):
            db.execute('INSERT INTO "note" ("id", "body") VALUES (%s, %s)', row)
        rows = db.execute(last.replace(":words", "%(words)s"), {"words": "printer"}).fetchall()
    assert [row[-1] for row in rows] == ["2", "1"]


def _anything(statement: str) -> dict[str, str]:
    import re

    return dict.fromkeys(re.findall(r":(\w+)", statement), "x")
