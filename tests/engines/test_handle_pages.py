"""Queries by key and by index, cursors, counting, and Slack's own paging."""

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stateroom as sr
from stateroom.engines.handle_cursor import binding, read_cursor, write_cursor
from stateroom.engines.port import Query
from support.handles import OTHER, TEAM, Frozen, opened


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: str = "open"
    at: sr.Timestamp | None = None
    rank: float | None = None
    text: str = ""
    __indexes__ = [sr.Index("status", "at"), sr.Index("rank"), sr.Index("text", "status", "at")]


@pytest.fixture
async def tickets(store: sr.Store) -> Any:
    handle = store.team(TEAM).datastore(Ticket)
    await handle.bulk_put(
        [
            Ticket(id=f"T-{n:02}", status="open" if n % 2 else "done", at=1000 - n, rank=n / 4, text="x" * (n % 3))
            for n in range(20)
        ]
    )
    await handle.put(Ticket(id="U-1"))
    return handle


def ids(page: Any) -> list[str]:
    return [t.id for t in page.items]


class Visit(sr.Datastore, name="visits"):
    id: str = sr.key()
    place: str
    at: int
    by: str | None = None
    __indexes__ = [sr.Index("place", "at", "by"), sr.Index("place", "at")]


async def test_of_indexes_that_give_one_order_the_one_that_leaves_out_the_least_is_read(store: sr.Store) -> None:
    visits = store.team(TEAM).datastore(Visit)
    await visits.bulk_put([Visit(id="a", place="x", at=1), Visit(id="b", place="x", at=2, by="me")])
    assert ids(await visits.query(sr.attr("place") == "x", order="at")) == ["a", "b"]
    assert await visits.count(equals=["x"]) == 2


async def test_an_order_is_served_by_the_index_whose_first_attributes_the_condition_fixes(tickets: Any) -> None:
    opened_first = sr.attr("status") == "open"
    page = await tickets.query(opened_first, order="at", limit=3)
    assert ids(page) == ["T-19", "T-17", "T-15"]
    rest = await tickets.query(opened_first, order="at", limit=100, cursor=page.cursor)
    assert ids(rest) == ["T-13", "T-11", "T-09", "T-07", "T-05", "T-03", "T-01"]
    assert ids(await tickets.query(equals={"status": "open"}, order="at", descending=True, limit=1)) == ["T-01"]
    assert ids(await tickets.query(equals=["done"], limit=2)) == ["T-18", "T-16"]
    both = opened_first & (sr.attr("text") == "x")
    assert ids(await tickets.query(both, order="at")) == ["T-19", "T-13", "T-07", "T-01"]
    assert ids(await tickets.query(order="status_at", limit=1)) == ["T-18"]
    text = await tickets.query(
        "#s = :s AND #r > :r", names={"#s": "status", "#r": "rank"}, values={":s": "open", ":r": 4}, order="at"
    )
    assert ids(text) == ["T-19", "T-17"]


async def test_a_range_bounds_what_is_ordered_by(tickets: Any) -> None:
    assert ids(await tickets.query(order="rank", low=1, high=1.75)) == ["T-04", "T-05", "T-06"]
    assert ids(await tickets.query(equals={"status": "open"}, order="at", low=990, high=994)) == ["T-09", "T-07"]
    assert ids(await tickets.query(low="T-17", high="U-1")) == ["T-17", "T-18", "T-19"]
    assert ids(await tickets.query(prefix="T-1", low="T-18")) == ["T-18", "T-19"]
    assert ids(await tickets.query(order="id", prefix="U")) == ["U-1"]
    assert await tickets.count(prefix="T-") == 20
    assert await tickets.count(order="rank", low=Decimal("4.5")) == 2
    assert ids(await tickets.query(order="text", prefix="xx", limit=2)) == ["T-14", "T-08"]
    with pytest.raises(sr.InvalidValue, match="low"):
        await tickets.query(low=5)
    with pytest.raises(sr.InvalidValue, match="nothing to bound"):
        await tickets.query(equals={"rank": 1}, low=5)


@pytest.mark.parametrize(
    "asked",
    [
        {"order": "at"},
        {"order": "text_at"},
        {"equals": {"at": 1000}},
        {"equals": ["a", "b", "c", "d"]},
        {"order": "status", "equals": {"rank": 1}},
    ],
    ids=str,
)
async def test_an_order_that_no_index_has_is_unsupported(tickets: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(sr.Unsupported, match="tickets"):
        await tickets.query(**asked)


async def test_a_condition_that_only_may_fix_an_attribute_does_not(tickets: Any) -> None:
    for condition in (
        (sr.attr("status") == "open") | (sr.attr("status") == "done"),
        ~(sr.attr("status") == "open"),
        sr.attr("status") >= "open",
    ):
        with pytest.raises(sr.Unsupported):
            await tickets.query(condition, order="at")


async def test_limits_count_matches_and_scan_and_count_find_the_same(tickets: Any) -> None:
    few = sr.attr("text") == "xx"
    found: list[str] = []
    cursor = None
    sizes = []
    while True:
        page = await tickets.query(few, limit=4, cursor=cursor)
        sizes.append(len(page.items))
        found += ids(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert sizes == [4, 2]
    assert found == [f"T-{n:02}" for n in range(20) if n % 3 == 2]
    assert [t.id async for t in tickets.scan(few)] == found
    assert await tickets.count(few) == len(found)
    assert [t.id async for t in tickets.scan(few, order="at", equals=["xx", "open"])] == ["T-17", "T-11", "T-05"]
    assert await tickets.count() == 21


async def test_slacks_paging_counts_what_it_looked_at(tickets: Any) -> None:
    last = sr.attr("rank") == 4.75
    sizes, cursor, pages = [], None, 0
    while True:
        page = await tickets.query(last, limit=7, cursor=cursor, paging="slack")
        pages += 1
        sizes.append(len(page.items))
        cursor = page.cursor
        if cursor is None:
            break
    assert sizes == [0, 0, 1, 0]
    with pytest.raises(sr.InvalidValue, match="1000"):
        await tickets.query(limit=1001, paging="slack")
    with pytest.raises(sr.InvalidValue, match="limit"):
        await tickets.query(limit=0)


async def test_slacks_paging_goes_on_where_it_ended_in_the_order_of_an_index_too(tickets: Any) -> None:
    for order, more in (("rank", {"low": 1}), ("at", {"equals": ["open"], "descending": True}), ("text_status_at", {})):
        found, cursor = [], None
        for _ in range(20):
            page = await tickets.query(order=order, limit=3, cursor=cursor, paging="slack", **more)
            found += ids(page)
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [ticket.id async for ticket in tickets.scan(order=order, **more)]
        assert len(found) > 3


async def test_slacks_paging_ends_a_page_after_a_megabyte(store: sr.Store) -> None:
    handle = store.team(TEAM).datastore(Ticket)
    await handle.bulk_put([Ticket(id=f"B-{n}", text="x" * 300_000) for n in range(7)])
    first = await handle.query(limit=1000, paging="slack")
    assert ids(first) == ["B-0", "B-1", "B-2"]
    rest = await handle.query(limit=1000, paging="slack", cursor=first.cursor)
    assert ids(rest) == ["B-3", "B-4", "B-5"]


async def test_a_cursor_fits_only_its_own_query_and_team(store: sr.Store, tickets: Any) -> None:
    opened_first = sr.attr("status") == "open"
    cursor = (await tickets.query(opened_first, order="at", limit=2)).cursor
    assert cursor is not None
    assert ids(await tickets.query("#s = :s", names={"#s": "status"}, values={":s": "open"}, order="at", cursor=cursor))
    other = store.team(OTHER).datastore(Ticket)
    strangers = [
        other.query(opened_first, order="at", cursor=cursor),
        tickets.query(sr.attr("status") == "done", order="at", cursor=cursor),
        tickets.query(opened_first, order="at", cursor=cursor, descending=True),
        tickets.query(opened_first, order="at", cursor=cursor, low=5),
        tickets.query(opened_first, cursor=cursor),
        tickets.query(opened_first, cursor=cursor, paging="slack"),
        tickets.query(opened_first, order="at", cursor="T-01"),
        tickets.query(opened_first, order="at", cursor=""),
        tickets.query(opened_first, order="at", cursor="é"),
    ]
    for stranger in strangers:
        with pytest.raises(sr.InvalidCursor):
            await stranger


async def test_a_cursor_survives_a_restart_and_the_row_it_stands_on(tmp_path: Path) -> None:
    clock = Frozen()
    async with opened("sqlite", tmp_path, clock) as store:
        handle = store.team(TEAM).datastore(Ticket)
        await handle.bulk_put([Ticket(id=f"T-{n}", rank=n / 10) for n in range(6)])
        by_key, by_rank = await handle.query(limit=2), await handle.query(order="rank", limit=2)
        await handle.delete("T-1")
    async with opened("sqlite", tmp_path, clock) as store:
        handle = store.team(TEAM).datastore(Ticket)
        assert ids(await handle.query(cursor=by_key.cursor)) == ["T-2", "T-3", "T-4", "T-5"]
        assert ids(await handle.query(order="rank", cursor=by_rank.cursor)) == ["T-2", "T-3", "T-4", "T-5"]


BOUND = binding(Query("tickets", TEAM, 5))
VALUES = st.one_of(st.text(), st.integers(-(10**37), 10**37), st.booleans(), st.decimals(-1000, 1000, places=3))


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_every_position_comes_back_from_its_cursor(position: list[Any]) -> None:
    cursor = write_cursor(BOUND, tuple(position))
    found = read_cursor(BOUND, cursor)
    assert found is not None
    assert list(found) == position
    assert [type(v) is bool for v in found] == [type(v) is bool for v in position]


@given(st.text(min_size=1), st.integers(0, 10_000), st.characters(codec="ascii"))
def test_a_cursor_with_one_letter_changed_is_none(key: str, place: int, letter: str) -> None:
    cursor = write_cursor(BOUND, (key,))
    assert cursor is not None
    place %= len(cursor)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    if changed == cursor:
        assert read_cursor(BOUND, changed) == (key,)
        return
    with pytest.raises(sr.InvalidCursor):
        read_cursor(BOUND, changed)


@given(st.text())
def test_what_is_no_cursor_is_refused_and_nothing_else_happens(text: str) -> None:
    for candidate in (text, base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode()):
        with pytest.raises(sr.InvalidCursor):
            read_cursor(BOUND, candidate)


async def test_an_item_past_its_time_is_in_no_page_and_no_count(store: sr.Store, clock: Frozen) -> None:
    class Code(sr.Datastore, name="codes"):
        id: str = sr.key()
        ends: sr.Timestamp = sr.ttl(...)

    codes = store.team(TEAM).datastore(Code)
    await codes.bulk_put([Code(id=str(n), ends=int(clock()) + n) for n in range(1, 5)])
    clock.advance(2)
    assert [c.id for c in (await codes.query()).items] == ["3", "4"]
    assert [c.id for c in (await codes.query(paging="slack")).items] == ["3", "4"]
    assert await codes.count() == 2
    assert await codes.get("2") is None
    assert await codes.put(Code(id="2", ends=int(clock()) + 9), if_absent=True)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"limit": "5"}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"paging": "pages"}, "paging"),
        ({"prefix": 5}, "prefix"),
        ({"order": "rank", "prefix": "1", "low": 5}, "prefix"),
        ({"order": "rank", "low": [1]}, "low"),
        ({"order": "rank", "high": {}}, "high"),
        ({"equals": {"status": ["open"]}}, "status"),
        ({"equals": {"status": None}}, "status"),
    ],
    ids=repr,
)
async def test_what_no_query_can_look_up_is_refused_by_name_on_every_engine(
    tickets: Any, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(sr.InvalidValue) as refused:
        await tickets.query(**wrong)
    assert refused.value.field == named


async def test_a_limit_beyond_every_count_gives_what_there_is(tickets: Any) -> None:
    assert len((await tickets.query(limit=10**20)).items) == 21


async def test_the_order_by_key_is_never_quietly_that_of_an_index(tickets: Any) -> None:
    with pytest.raises(sr.Unsupported, match="order='id'"):
        await tickets.query(order="id", equals={"status": "open"})
    assert ids(await tickets.query(order="id", equals={"rank": 1})) == ["T-04"]
    assert ids(await tickets.query(sr.attr("status") == "open", order="id", limit=2)) == ["T-01", "T-03"]
