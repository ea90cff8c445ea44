"""Conditions: whatever an engine filters by itself, it returns what `evaluate` returns (invariant 4).

The trees and rows are random ones of a small world in which they often meet, with the values at which storages
differ: true and 1, null and nothing, numbers beyond 2^53 and 2^63, 38 digits, texts that look like JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any, Final

import pytest
from msgspec.structs import replace

from stateroom.engines.conformance import ITEMS, TEAM, EngineCase, fill, needs
from stateroom.engines.conformance.pages import all_pages, ids, put
from stateroom.engines.port import Query
from stateroom.expr.builder import attr
from stateroom.expr.check import check, flaw
from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import (
    And,
    BeginsWith,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    In,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    Size,
    TypeIs,
)
from stateroom.expr.values import TYPE_CODES
from stateroom.model.errors import ConditionFailed

NAMES: Final = ("status", "rank", "due", "m", 'q"')
TEXTS: Final = ("", "a", "ab", "b", "5", "[1]", '{"m":1}', '"', "\\", "é", "\U0001f600", "a'--", "%")
WHOLE: Final = (0, 1, -1, 2, 5, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**37, 10**37 + 1)
PARTS: Final = ("1.5", "0.1", "5.0000000000000000000000000000000000001", "4.9999999999999999999999999999999999999")
NUMBERS: Final = (*WHOLE, *map(Decimal, PARTS), Decimal("1E+50"))
OPERATORS: Final = ("=", "<>", "<", "<=", ">", ">=")


class World:
    """Random rows and conditions, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def row(self) -> dict[str, Any]:
        names = self.random.sample(NAMES, self.random.randrange(len(NAMES)))
        return {name: self.value() for name in names}

    def value(self, depth: int = 0) -> Any:
        pick = self.random.random()
        if pick < 0.15 and depth < 2:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        if pick < 0.25 and depth < 2:
            return {self.random.choice(NAMES): self.value(depth + 1) for _ in range(self.random.randrange(3))}
        return self.random.choice((*TEXTS, *NUMBERS, True, False, None))

    def condition(self, depth: int = 0) -> Condition:
        pick = self.random.random()
        if pick < 0.45 and depth < 3:
            parts = tuple(self.condition(depth + 1) for _ in range(self.random.randrange(2, 4)))
            return self.random.choice((And(parts), Or(parts), Not(parts[0])))
        while True:
            leaf = self.random.choice(_LEAVES)(self)
            if flaw(leaf) is None:
                return leaf

    def path(self) -> Path:
        more = [self.random.choice((*NAMES, 0, 1)) for _ in range(self.random.choice((0, 0, 0, 1, 2)))]
        return Path((self.random.choice(NAMES), *more))

    def literal(self) -> Literal:
        return Literal(self.value())

    def ordered(self) -> tuple[Literal, Literal]:
        world: Any = self.random.choice((TEXTS, NUMBERS))
        low, high = sorted(self.random.choices(world, k=2))
        return Literal(low), Literal(high)

    def operand(self) -> Operand:
        return self.random.choice((self.path, self.path, self.literal, lambda: Size(self.path())))()


_LEAVES: Final[Sequence[Callable[[World], Condition]]] = (
    lambda w: Compare(w.path(), w.random.choice(OPERATORS), w.literal()),
    lambda w: Compare(w.path(), w.random.choice(OPERATORS), w.literal()),
    lambda w: Compare(w.operand(), w.random.choice(OPERATORS), w.operand()),
    lambda w: Compare(Size(w.path()), w.random.choice(OPERATORS), Literal(w.random.randrange(4))),
    lambda w: Between(w.path(), *w.ordered()),
    lambda w: In(w.path(), tuple(w.literal() for _ in range(3))),
    lambda w: Exists(w.path(), absent=w.random.random() < 0.5),
    lambda w: TypeIs(w.path(), w.random.choice(TYPE_CODES)),
    lambda w: BeginsWith(w.path(), Literal(w.random.choice(TEXTS))),
    lambda w: Contains(w.path(), w.literal()),
)


@needs("conditions")
@pytest.mark.parametrize("seed", range(2))
async def test_a_filter_returns_what_evaluate_returns(engine_case: EngineCase, seed: int) -> None:
    world = World(seed)
    rows = {f"k{n:02}": world.row() for n in range(60)}
    await fill(engine_case.engine, [put(row_id, **item) for row_id, item in rows.items()])
    for _ in range(engine_case.times(60)):
        condition = world.condition()
        check(condition)
        wanted = [row_id for row_id, item in rows.items() if evaluate(condition, item)]
        limit = world.random.choice((1, 7, 100))
        query = Query(ITEMS, TEAM, limit, condition=condition, descending=world.random.random() < 0.3)
        assert ids(await all_pages(engine_case.engine, query)) == (wanted[::-1] if query.descending else wanted)


@needs("conditions", "indexes")
@pytest.mark.parametrize("seed", range(2))
async def test_what_an_index_could_find_is_found_in_key_order(engine_case: EngineCase, seed: int) -> None:
    """Conditions on the attributes of declared indexes, whether or not the engine goes by them."""
    world = World(seed)
    rows = {f"k{n:03}": world.row() for n in range(40)}
    rows |= {f"k{n:03}": {"status": f"s{n % 3}", "rank": n % 7, "m": n % 2, "due": n % 5} for n in range(40, 240)}
    rows |= {f"k{n:03}": {"status": f"s{n % 3}"} for n in range(240, 250)}  # not in the index of both
    await fill(engine_case.engine, [put(row_id, **item) for row_id, item in rows.items()])
    status, rank, due = attr("status"), attr("rank"), attr("due")
    asked: list[Condition] = [
        (status == "s1") & (rank == 3),
        (status == "s1") & (rank == 3) & (attr("m") == 1),
        (rank == True) & (status == "a"),  # noqa: E712
        (status == "s1") & (rank > 5),
        (status == "s2") & rank.between(2, 3) & (due != 1),
        (status == "s0") & (rank.is_in([1, 6, True])),
        status.begins_with("s") & (rank == 0),
        status.begins_with("\U0010ffff") & (rank == 0),
        (status > "s1") & (rank < 1),
        (due == 4) & status.exists(),
        due >= 4,
        (due == 1) & ((rank == 2) | (rank == 4)),
        status == "s1",
        *(Compare(Path(("due",)), "=", world.literal()) for _ in range(10)),
        *(Compare(Path(("due",)), "<=", Literal(n)) for n in (1, Decimal("1.5"), "a", 2**63)),
    ]
    for condition in world.random.sample(asked, engine_case.times(len(asked))):
        wanted = [row_id for row_id, item in rows.items() if evaluate(condition, item)]
        for limit in (3, 500):
            query = Query(ITEMS, TEAM, limit, condition=condition)
            assert ids(await all_pages(engine_case.engine, query)) == wanted
            assert ids(await all_pages(engine_case.engine, replace(query, descending=True))) == wanted[::-1]
        inner = replace(query, low="k100", high="k200")
        assert ids(await all_pages(engine_case.engine, inner)) == [i for i in wanted if "k100" <= i < "k200"]


@needs("conditions")
@pytest.mark.parametrize("seed", range(2))
async def test_a_conditional_write_goes_by_what_evaluate_says(engine_case: EngineCase, seed: int) -> None:
    world = World(seed)
    for number in range(40):
        item, condition = world.row(), world.condition()
        row_id = f"w{number}"
        await engine_case.engine.commit([put(row_id, **item)])
        write = replace(put(row_id, **item), condition=condition)
        if evaluate(condition, item):
            await engine_case.engine.commit([write])
        else:
            with pytest.raises(ConditionFailed):
                await engine_case.engine.commit([write])
