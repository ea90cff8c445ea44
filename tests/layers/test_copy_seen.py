"""Stretches of rows are cut where a walk had cut them before; none is left out, met twice, or long."""

import random
from collections.abc import AsyncIterator

from stateroom.engines.port import Row
from stateroom.layers.copy_items import key_of
from stateroom.layers.copy_seen import LAST, PAGES, Page, stretches


def rows_of(numbers: list[int]) -> list[Row]:
    return [Row(f"k{n:04}", {"n": n}, 1, None, "T00000001") for n in numbers]


async def paged(rows: list[Row], size: int) -> AsyncIterator[Page]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size], None


async def test_every_row_is_in_one_stretch_and_every_end_stands_once() -> None:
    chance = random.Random(3)
    for _ in range(60):
        rows = rows_of(sorted(chance.sample(range(300), chance.randint(0, 120))))
        ends = [("T00000001", f"k{n:04}") for n in sorted(chance.sample(range(320), chance.randint(0, 12)))]
        size = chance.randint(1, 9)
        found = [one async for one in stretches(paged(rows, size), [*ends, LAST], key_of)]
        assert [row for part, _ in found for row in part] == rows
        places = [end for _, end in found]
        assert places[-1] == LAST
        assert places[:-1] == sorted(set(places[:-1]))
        assert set(ends) <= set(places)
        low: tuple[str, str] = ("", "")
        for part, end in found:
            assert all(low < key_of(row) and (end == LAST or key_of(row) <= end) for row in part)
            assert len(part) <= (PAGES + 1) * size
            low = end or low  # type: ignore[assignment]
