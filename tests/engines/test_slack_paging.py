"""Slack's paging rule, on its own and over an engine."""

from collections.abc import Callable

import pytest

from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Put, Query, Row, Table
from stateroom.engines.slack_paging import PAGE_BYTES, SlackPage, Tally, page

TEAM = "T00000001"


@pytest.mark.parametrize(
    ("limit", "sizes", "taken"),
    [
        (3, [10, 10, 10, 10], 3),
        (3, [10, 10], 2),
        (100, [PAGE_BYTES, 1], 1),
        (100, [PAGE_BYTES - 1, 1, 1], 2),
        (100, [PAGE_BYTES - 1, 2, 1], 1),
        (100, [PAGE_BYTES * 2, 1], 1),
        (1, [PAGE_BYTES * 2, 1], 1),
    ],
    ids=["limit", "end", "exactly 1 MB", "1 MB together", "over 1 MB", "one huge item", "huge and one"],
)
def test_a_page_ends_after_its_limit_or_a_megabyte(limit: int, sizes: list[int], taken: int) -> None:
    tally = Tally(limit)
    assert [tally.take(size) for size in sizes] == [n < taken for n in range(len(sizes))]
    assert tally.full is (taken < len(sizes) or taken == limit)
    assert tally.bytes == sum(sizes[:taken])


async def walk(count: int, limit: int, matches: Callable[[Row], bool], size: int = 10) -> list[SlackPage]:
    engine = MemoryEngine(lambda: 0.0)
    await engine.open()
    await engine.apply([Table("t")])
    await engine.commit([Put("t", TEAM, f"{n:04}", {"n": n}) for n in range(count)])
    found = [await page(engine, Query("t", TEAM, limit), matches, lambda _: size)]
    while (last := found[-1].position) is not None:
        found.append(await page(engine, Query("t", TEAM, limit, after=last), matches, lambda _: size))
    return found


async def test_the_limit_counts_what_was_looked_at_so_pages_may_be_empty_and_go_on() -> None:
    pages = await walk(10, 3, lambda row: bool(row.item["n"] == 7))
    assert [[row.item["n"] for row in p.rows] for p in pages] == [[], [], [7], []]
    assert [p.evaluated for p in pages] == [3, 3, 3, 1]


async def test_a_page_that_is_exactly_full_is_followed_by_an_empty_one() -> None:
    assert [len(p.rows) for p in await walk(6, 3, lambda _: True)] == [3, 3, 0]


async def test_big_items_make_small_pages_and_none_is_skipped() -> None:
    pages = await walk(12, 100, lambda _: True, size=PAGE_BYTES // 5)
    assert [row.item["n"] for p in pages for row in p.rows] == list(range(12))
    assert [p.evaluated for p in pages] == [5, 5, 2]


async def test_a_page_of_a_thousand_is_read_in_steps() -> None:
    pages = await walk(250, 1000, lambda _: True)
    assert [p.evaluated for p in pages] == [250]
