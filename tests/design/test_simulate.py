"""`stateroom design simulate`: what a design claims, measured by running it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings

from stateroom.cli import main
from stateroom.cli.design import FAULTS
from stateroom.cli.design_simulate import Options, simulate
from stateroom.cli.design_simulate_external import KEYS, TEAM, external, needed
from stateroom.cli.design_simulate_items import Stock
from stateroom.cli.design_simulate_rows import Row
from stateroom.design.document import read_design
from stateroom.design.facts import SLACK
from stateroom.design.plan import plan
from stateroom.model.errors import WrongUse
from stateroom.store import Store
from support import dynamodb, postgres
from support.generated_designs import designs

pytestmark = pytest.mark.service
GALLERY = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))


def simulated(file: Path, *options: str) -> tuple[int, list[dict[str, object]], str]:
    done = CliRunner().invoke(main, ["design", "simulate", str(file), "--json", *options])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("file", GALLERY, ids=lambda one: one.stem)
def test_the_gallery_costs_what_is_predicted(file: Path) -> None:
    code, rows, told = simulated(file, "--minutes", "10", "--most", "30000")
    assert [row for row in rows if not row["ok"]] == []
    assert (code, "predictions" in told) == (0, True)


SOON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def off_of(text: str) -> list[object]:
    """What is off by more than 10 % in a design."""
    found = plan(read_design(text))
    assume(sum(one.home == "slack" for one in found.stores) <= SLACK.datastores)
    return [row for row in simulate(found, Options(minutes=2, most=3000, faults=FAULTS)).rows if not row.ok]


@settings(SOON, max_examples=30)
@given(designs())
def test_no_prediction_of_a_generated_design_is_off_by_more_than_a_tenth(text: str) -> None:
    assert off_of(text) == []


ODD = """
app: {name: odd}
entities:
  lone:
    key: id
    attributes: {on: boolean, obj: object, at: timestamp}
    volume: {initial: 0, per_day: 1}
    retention: {after: at, days: 36500, mode: soft}
  many: {key: id, attributes: {on: boolean, rich: rich_text, label: string}, volume: {initial: 1000}}
access_patterns:
  - {name: none of them, entity: lone, kind: bulk, expected_items: 0, per_minute: 1}
  - {name: pack, entity: lone, kind: update, attributes: [obj], concurrent: true}
  - {name: flip, entity: many, kind: update, attributes: [on], concurrent: true}
  - {name: name it, entity: many, kind: unique, attributes: [label], concurrent: true}
  - {name: wrap, entity: many, kind: update, attributes: [rich], concurrent: true}
"""


def test_what_calls_nothing_or_has_one_item_or_is_kept_for_a_century_is_simulated() -> None:
    rows = simulate(plan(read_design(ODD)), Options(minutes=2, most=3000, faults=FAULTS)).rows
    assert [row for row in rows if not row.ok] == []


@pytest.mark.soak
@settings(SOON, max_examples=2000)
@given(designs())
def test_no_prediction_is_off_over_thousands_of_generated_designs(text: str) -> None:
    assert off_of(text) == []


def test_a_prediction_that_is_wrong_is_found_and_says_so_by_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that believes in pages of 20 kB, run on a Slack that has larger ones."""
    polls = next(one for one in GALLERY if one.stem == "polls")
    wrong = plan(read_design(polls.read_text()), replace(SLACK, page_bytes=20_000))
    off = {(row.pattern, row.metric) for row in simulate(wrong, Options(minutes=1)).rows if not row.ok}
    assert {("backup of votes", "pages"), ("backup of votes", "calls query"), ("backup of votes", "ms")} <= off
    assert ("show a poll", "calls get") not in off
    monkeypatch.setattr("stateroom.cli.design.planned", lambda _: wrong)
    code, rows, told = simulated(polls, "--minutes", "1")
    assert (code, "off by more than 10 %" in told) == (1, True)
    assert any(row["ok"] is False for row in rows)


def test_a_tenth_is_the_most_that_a_prediction_may_be_off() -> None:
    assert [Row("p", "m", 100, measured).ok for measured in (90, 110, 89, 111, None)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [Row("p", "m", 0, measured).ok for measured in (0, 1)] == [True, False]


async def test_a_store_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    found = plan(read_design(next(one for one in GALLERY if one.stem == "tickets").read_text()))
    stock = Stock(found, {"ticket": 20, "macro": 5}, 10**9)
    assert all(row.ok for row in await external(found, stock, url))
    (macro,) = [one for one in needed(found, found.accesses) if one.name == "macro"]
    async with Store(url, keys=KEYS) as kept:
        await kept.team(TEAM).items(macro).put(stock.item("macro", 1))
    with pytest.raises(WrongUse, match="already"):
        await external(found, stock, url)
    async with Store(url, keys=KEYS) as kept:
        assert await kept.team(TEAM).items(macro).count() == 1


def test_who_waits_is_told_what_is_done() -> None:
    told: list[str] = []
    polls = next(one for one in GALLERY if one.stem == "polls")
    simulate(plan(read_design(polls.read_text())), Options(minutes=3, most=100), told.append)
    assert told == [
        "loading items",
        "each pattern alone",
        "each pattern behind a busy minute",
        "all patterns for 3 minutes",
        "runs that meet at one item",
        "calls that fail",
    ]


def test_the_same_seed_measures_the_same() -> None:
    polls = next(one for one in GALLERY if one.stem == "polls")
    once, again, other = (simulated(polls, "--minutes", "5", "--seed", seed)[1] for seed in ("1", "1", "2"))
    assert once == again
    assert [row["ok"] for row in once] == [row["ok"] for row in other]


@pytest.fixture(params=["memory", "sqlite", "postgresql", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "memory":
        yield "memory://"
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
    elif request.param == "dynamodb":
        url = dynamodb.fresh_table()
        yield url
        dynamodb.drop_table(url)
    else:
        url = postgres.fresh_schema()
        yield url
        postgres.drop_schema(url)


def test_what_slack_cannot_serve_is_one_round_trip_of_the_chosen_engine_and_loses_nothing(store: str) -> None:
    tickets = next(one for one in GALLERY if one.stem == "tickets")
    for _ in range(2):  # it leaves an empty store as it was
        code, rows, told = simulated(tickets, "--store", store, "--most", "200")
        assert code == 0, told
        metrics = {(row["pattern"], row["metric"]): row["measured"] for row in rows}
        assert metrics["my tickets", "round trips"] == 1
        assert metrics["assign", "lost updates without the cure"] == 5
        assert metrics["assign", "lost updates"] == metrics["watch", "lost updates"] == 0


PLAIN = """
app: {name: plain, target: self-hosted}
entities:
  note: {key: id, attributes: {body: string, n: integer, state: {type: string, values: [open, done]},
         log: {type: array, items: string, max_items: 90}}, volume: {initial: 60},
         lifecycle: {attribute: state, transitions: {open: [done]}}}
access_patterns:
  - {name: read, entity: note, kind: get}
  - {name: write, entity: note, kind: put}
  - {name: end, entity: note, kind: transition, from: open, to: done, concurrent: true}
  - {name: more, entity: note, kind: increment, attributes: [n], concurrent: true}
  - {name: line, entity: note, kind: append, attributes: [log], concurrent: true}
  - {name: change, entity: note, kind: update, attributes: [body], concurrent: true}
  - {name: many, entity: note, kind: bulk, operation: get, expected_items: 30}
  - {name: gone, entity: note, kind: delete}
"""


def test_objects_serve_what_needs_no_index_and_are_refused_for_the_rest(tmp_path: Path) -> None:
    """On files, one object an item: no index, so what is looked for would be a walk over all."""
    store, file = f"file://{tmp_path}/store", tmp_path / "plain.yaml"
    file.write_text(PLAIN)
    code, rows, told = simulated(file, "--store", store)
    assert (code, [row for row in rows if not row["ok"]]) == (0, []), told
    assert {row["measured"] for row in rows if row["metric"] == "lost updates"} == {0}
    tickets = next(one for one in GALLERY if one.stem == "tickets")
    code, rows, told = simulated(tickets, "--store", store)
    assert code == 2
    assert "file keeps no indexes, and my tickets" in str(rows)
    assert "sqlite:///" in str(rows)


ODD_OUTSIDE = """
app: {name: rooms, target: self-hosted}
entities:
  booking:
    key: id
    attributes: {room: {type: string, avg_bytes: 9}, day: date, slot: {type: string, values: [am, pm]}, body: string}
    volume: {initial: 400, per_day: 40}
    retention: {after: day, days: 30}
access_patterns:
  - {name: once, entity: booking, kind: unique, attributes: [room, day, slot], concurrent: true}
  - {name: of a room, entity: booking, kind: list, where: "room = :r", expected_items: 20}
  - {name: words, entity: booking, kind: search, where: "contains(body, :w)", expected_items: 3}
compliance: {encryption: [booking.body]}
"""


def test_what_may_be_there_once_may_end_by_its_time_and_what_is_sealed_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "design.yaml"
    file.write_text(ODD_OUTSIDE)
    code, rows, told = simulated(file)
    assert (code, [row for row in rows if not row["ok"]]) == (0, []), told
    assert {row["pattern"] for row in rows} == {"once", "of a room"}
    assert "not run: words asks for body, which is encrypted (SR-804)" in told


FORGETS = """
app: {name: forgets}
entities:
  event: {key: id, attributes: {who: user_id, at: {type: timestamp, required: true}},
          volume: {initial: 300, per_day: 40}, retention: {after: at, days: 1}}
access_patterns:
  - {name: forget, entity: event, kind: sweep, where: "who = :who", per_day: 1}
  - {name: sweep, entity: event, kind: sweep, per_day: 1}
compliance: {audit: true}
"""


def test_a_sweep_with_its_audit_rows_costs_what_is_predicted() -> None:
    rows = simulate(plan(read_design(FORGETS)), Options(minutes=2, faults=FAULTS)).rows
    assert [row for row in rows if not row.ok] == []
    assert {row.predicted for row in rows if row.metric == "calls bulkPut"} == {2}


CHOKED = """
app: {name: choked}
entities:
  event: {key: id, attributes: {n: integer, body: {type: string, avg_bytes: 2500}}, volume: {initial: 2600}}
access_patterns:
  - {name: best, entity: event, kind: top, order: n desc, expected_items: 3, per_minute: 12}
  - {name: worst, entity: event, kind: top, order: n asc, expected_items: 3, per_minute: 12}
"""


def test_calls_of_runs_that_did_not_end_in_time_are_counted() -> None:
    """A tier that is over is used up all the same: by the many pages of runs that are still at it."""
    rows = simulate(plan(read_design(CHOKED)), Options(minutes=4)).rows
    assert [row for row in rows if not row.ok] == []
    (asked,) = [row for row in rows if row.metric == "calls a minute query"]
    assert asked.predicted == 125  # of 168 that are asked for: 100 a minute, and the full allowance of the beginning
