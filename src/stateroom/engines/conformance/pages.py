"""Pages: what a query promises about order, bounds, filters, and about continuing while rows change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from stateroom.engines.conformance import ITEMS, LOG, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.port import Append, Delete, Engine, Put, Query, Row, Update
from stateroom.expr.builder import attr
from stateroom.model.errors import Unsupported


def put(row_id: str, team: str = TEAM, **item: Any) -> Put:
    return Put(ITEMS, team, row_id, item)


async def all_pages(engine: Engine, query: Query) -> list[Row]:
    """Every row, page by page; each page but the last is full."""
    rows: list[Row] = []
    while True:
        page = await engine.query(query)
        rows += page.rows
        assert len(page.rows) <= query.limit
        if page.position is None:
            return rows
        assert len(page.rows) == query.limit
        query = replace(query, after=page.position)


def ids(rows: list[Row]) -> list[str]:
    return [row.id for row in rows]


KEYS = ["Z", "a", "a b", "a/b", "aa", "b", "é", "\ufffd", "\U0001f600"]  # in the order of their UTF-8 bytes


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 100])
@needs("own")
async def test_keys_come_in_byte_order_both_ways_whatever_the_page(engine_case: EngineCase, limit: int) -> None:
    engine = engine_case.engine
    await fill(engine, [put(i) for i in reversed(KEYS)] + [put(i, OTHER) for i in KEYS])
    assert ids(await all_pages(engine, Query(ITEMS, TEAM, limit))) == KEYS
    assert ids(await all_pages(engine, Query(ITEMS, TEAM, limit, descending=True))) == KEYS[::-1]


@needs("own")
async def test_low_is_within_and_high_is_without(engine_case: EngineCase) -> None:
    await fill(engine_case.engine, [put(i) for i in "abcdef"])
    for limit in (2, 10):
        query = Query(ITEMS, TEAM, limit, low="b", high="e")
        assert ids(await all_pages(engine_case.engine, query)) == ["b", "c", "d"]
        assert ids(await all_pages(engine_case.engine, replace(query, descending=True))) == ["d", "c", "b"]


@needs("own")
async def test_the_limit_counts_matches_of_the_condition(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"{n:03}", n=n, even=n % 2 == 0) for n in range(40)])
    page = await engine.query(Query(ITEMS, TEAM, 5, condition=(attr("even") == True) & (attr("n") > 3)))  # noqa: E712
    assert [row.item["n"] for row in page.rows] == [4, 6, 8, 10, 12]
    assert page.position == ("012",)
    last = await engine.query(Query(ITEMS, TEAM, 5, condition=attr("n") < 5))
    assert (len(last.rows), last.position) == (5, None)


async def test_one_match_far_behind_many_rows_is_found(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    count = engine_case.times(2000)
    await fill(engine, [put(f"{n:04}", n=n) for n in range(count)])
    page = await engine.query(Query(ITEMS, TEAM, 3, condition=attr("n") == count - 1))
    assert (ids(page.rows), page.position) == ([f"{count - 1:04}"], None)


@needs("ttl_hidden")
async def test_expired_rows_are_in_no_page(engine_case: EngineCase) -> None:
    engine, clock = engine_case.engine, engine_case.clock
    soon = clock() + 60
    await fill(engine, [Put(ITEMS, TEAM, f"{n:04}", {"n": n}, expires_at=soon if n % 10 else None) for n in range(900)])
    clock.advance(61)
    rows = await all_pages(engine, Query(ITEMS, TEAM, 7))
    assert [row.item["n"] for row in rows] == list(range(0, 900, 10))


@pytest.mark.parametrize("index", [None, "status_rank"])
@pytest.mark.parametrize("descending", [False, True])
@needs("indexes")
async def test_paging_neither_loses_nor_repeats_rows_while_others_change(
    engine_case: EngineCase, index: str | None, descending: bool
) -> None:
    engine = engine_case.engine
    stays = {f"stay{n:03}" for n in range(60)}
    await fill(engine, [put(i, status="s", rank=n % 7) for n, i in enumerate(sorted(stays))])
    await fill(engine, [put(f"go{n:03}", status="s", rank=n % 7) for n in range(60)])
    seen: list[str] = []
    query: Query | None = Query(ITEMS, TEAM, 7, index=index, descending=descending)
    step = 0
    while query is not None:
        page = await engine.query(query)
        seen += ids(page.rows)
        step += 1
        await fill(
            engine,
            [
                *(Delete(ITEMS, TEAM, row.id) for row in page.rows if row.id.startswith("go")),
                Delete(ITEMS, TEAM, f"go{step * 5:03}"),
                put(f"new{step:03}", status="s", rank=step % 7),
                put(f"a{step:03}", status="s", rank=6 - step % 7),
            ],
        )
        query = None if page.position is None else replace(query, after=page.position)
    assert stays <= set(seen)
    assert len(seen) == len(set(seen))


async def test_paging_goes_on_behind_a_row_that_was_deleted(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(i) for i in "abcd"])
    page = await engine.query(Query(ITEMS, TEAM, 2))
    await fill(engine, [Delete(ITEMS, TEAM, "b")])
    rest = await engine.query(Query(ITEMS, TEAM, 2, after=page.position))
    assert ids(rest.rows) == ["c", "d"]


async def test_reading_pages_and_writing_at_once_keeps_every_row_that_stays(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"stay{n:03}") for n in range(100)])
    running = True

    async def churn() -> None:
        n = 0
        while running:
            await fill(engine, [put(f"x{n % 50:03}", n=n), Delete(ITEMS, TEAM, f"x{(n * 7) % 50:03}")])
            n += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(churn())
    for _ in range(5):
        found = ids(await all_pages(engine, Query(ITEMS, TEAM, 9)))
        assert [i for i in found if i.startswith("stay")] == [f"stay{n:03}" for n in range(100)]
        assert len(found) == len(set(found))
        await asyncio.sleep(0)
    running = False
    await task


# Indexes.

VALUES: list[Any] = [-5, 0, Decimal("0.5"), 1, 2, 10, 2**40, Decimal("1E+30"), "", "10", "A", "a", "é", "\U0001f600"]


@pytest.mark.parametrize("limit", [1, 3, 100])
@needs("indexes")
async def test_an_index_orders_numbers_before_texts_then_by_id(engine_case: EngineCase, limit: int) -> None:
    engine = engine_case.engine
    writes = [put(f"{tie}{n:02}", status="s", rank=v) for n, v in enumerate(VALUES) for tie in "ba"]
    await fill(engine, [*writes, put("none", status="s"), put("other", status="t", rank=1), put("u", rank=1)])
    expected = [f"{tie}{n:02}" for n in range(len(VALUES)) for tie in "ab"]
    query = Query(ITEMS, TEAM, limit, index="status_rank", equals=("s",))
    assert ids(await all_pages(engine, query)) == expected
    assert ids(await all_pages(engine, replace(query, descending=True))) == expected[::-1]


@needs("indexes")
async def test_an_index_gives_the_range_that_was_asked_for(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"r{n:02}", status="s" if n % 2 else "t", rank=n) for n in range(20)])
    query = Query(ITEMS, TEAM, 3, index="status_rank", equals=("s",), low=3, high=11)
    assert [row.item["rank"] for row in await all_pages(engine, query)] == [3, 5, 7, 9]
    assert [r.item["rank"] for r in await all_pages(engine, replace(query, descending=True))] == [9, 7, 5, 3]
    both = Query(ITEMS, TEAM, 3, index="status_rank", equals=("t", 4))
    assert ids(await all_pages(engine, both)) == ["r04"]
    whole = Query(ITEMS, TEAM, 3, index="status_rank", low="t")
    assert [row.item["rank"] for row in await all_pages(engine, whole)] == list(range(0, 20, 2))


@needs("indexes")
async def test_index_values_are_matched_exactly(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    values = [1, True, "1", 2**53, 2**53 + 1, Decimal("0.1"), Decimal("0.10000000000000000001"), 10**37, 10**37 + 1]
    await fill(engine, [put(f"r{n}", status=v, rank=0) for n, v in enumerate(values)])
    for n, value in enumerate(values):
        rows = await all_pages(engine, Query(ITEMS, TEAM, 2, index="status_rank", equals=(value,)))
        assert ids(rows) == [f"r{n}"]
    rows = await all_pages(engine, Query(ITEMS, TEAM, 1, index="status_rank", low=2**53 + 1, high=10**37))
    assert ids(rows) == ["r4"]


@needs("indexes")
async def test_rows_whose_numbers_lie_close_together_are_paged_once_each(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"r{n:02}", status="s", rank=10**30 + n) for n in range(20)])
    rows = await all_pages(engine, Query(ITEMS, TEAM, 3, index="status_rank", equals=("s",)))
    assert sorted(ids(rows)) == [f"r{n:02}" for n in range(20)]


@needs("indexes")
async def test_an_index_follows_updates_and_is_sparse(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put("a", status="s", rank=1), put("b", status="s", rank=2), put("c", status=[1], rank={})])
    await fill(engine, [Update(ITEMS, TEAM, "a", set={"rank": 3}), Update(ITEMS, TEAM, "b", remove=("rank",))])
    rows = await all_pages(engine, Query(ITEMS, TEAM, 10, index="status_rank"))
    assert ids(rows) == ["a"]


@needs("indexes")
async def test_a_condition_filters_an_index(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"r{n:03}", status="s", rank=n, odd=n % 2) for n in range(700)])
    query = Query(ITEMS, TEAM, 10, index="status_rank", equals=("s",), condition=attr("odd") == 1, descending=True)
    page = await engine.query(query)
    assert [row.item["rank"] for row in page.rows] == list(range(699, 680, -2))
    few = await all_pages(engine, replace(query, condition=attr("rank") < 3))
    assert [row.item["rank"] for row in few] == [2, 1, 0]


@needs("across_teams")
async def test_an_index_across_teams_is_one_order_over_all_of_them(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"r{n}", TEAM if n % 2 else OTHER, due=n // 4) for n in range(12)])
    for limit in (1, 5, 20):
        rows = await all_pages(engine, Query(ITEMS, None, limit, index="due"))
        order = [(row.item["due"], row.team, row.id) for row in rows]
        assert len(order) == 12
        assert order == sorted(order)
        back = await all_pages(engine, Query(ITEMS, None, limit, index="due", descending=True))
        assert back == rows[::-1]
        mine = await all_pages(engine, Query(ITEMS, TEAM, limit, index="due", high=2))
        assert ids(mine) == ["r1", "r3", "r5", "r7"]


@needs("indexes")
async def test_a_query_without_a_team_needs_an_index_across_teams(engine_case: EngineCase) -> None:
    for index in (None, "status_rank"):
        with pytest.raises(Unsupported):
            await engine_case.engine.query(Query(ITEMS, None, 1, index=index))


@needs("indexes")
async def test_an_order_that_is_not_declared_is_refused(engine_case: EngineCase) -> None:
    with pytest.raises(Unsupported):
        await engine_case.engine.query(Query(ITEMS, TEAM, 1, index="rank"))


# Logs.


@pytest.mark.parametrize("limit", [1, 7, 25, 1000])
@needs("append")
async def test_a_stream_is_read_in_order_from_both_ends(engine_case: EngineCase, limit: int) -> None:
    engine = engine_case.engine
    await fill(engine, [Append(LOG, TEAM, "s", f"t{n}", {"n": n}) for n in range(1, 26)])
    await fill(engine, [Append(LOG, TEAM, "r", "t", {}), Append(LOG, OTHER, "s", "t", {})])
    query = Query(LOG, TEAM, limit, equals=("s",))
    check: Callable[[list[Row]], list[int]] = lambda rows: [row.version for row in rows]  # noqa: E731
    assert check(await all_pages(engine, query)) == list(range(1, 26))
    assert check(await all_pages(engine, replace(query, descending=True))) == list(range(25, 0, -1))
    assert check(await all_pages(engine, replace(query, low=5, high=9))) == [5, 6, 7, 8]
    assert check(await all_pages(engine, replace(query, low=5, high=9, descending=True))) == [8, 7, 6, 5]
    assert check(await all_pages(engine, replace(query, condition=attr("n") > 20))) == [21, 22, 23, 24, 25]
    page = await engine.query(replace(query, limit=3, descending=True))
    assert (check(page.rows), page.position) == ([25, 24, 23], (23,))
