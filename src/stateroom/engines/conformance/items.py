"""Items: what put, update, delete, check and get promise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from stateroom.engines import leases
from stateroom.engines.conformance import ITEMS, LOG, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.handle import Datastore
from stateroom.engines.port import Append, Check, Delete, Engine, Put, Row, Update, Write
from stateroom.expr.builder import attr
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise_item
from stateroom.model.definition import Definition
from stateroom.model.errors import (
    ConditionFailed,
    InvalidId,
    InvalidValue,
    ItemTooLarge,
    StoreUnavailable,
    UniqueViolation,
)


async def one(engine: Engine, row_id: str, team: str = TEAM) -> Row | None:
    (row,) = await engine.get(ITEMS, team, [row_id])
    return row


def put(row_id: str, team: str = TEAM, /, **item: Any) -> Put:
    return Put(ITEMS, team, row_id, item)


@needs("own")
async def test_a_row_comes_back_as_it_was_put(engine_case: EngineCase) -> None:
    item = {"status": "open", "tags": ["a", "b"], "deep": {"x": [1, {"y": None}], "z": True}, "empty": {}, "none": []}
    (done,) = await engine_case.engine.commit([Put(ITEMS, TEAM, "a", item, expires_at=engine_case.clock() + 60)])
    row = await one(engine_case.engine, "a")
    assert row is not None
    assert row == done.row
    assert (row.id, row.item, row.team) == ("a", item, TEAM)
    if engine_case.capabilities.names_in_order:
        assert list(row.item) == list(item)


async def test_a_missing_row_is_none_and_order_of_ids_is_kept(engine_case: EngineCase) -> None:
    await fill(engine_case.engine, [put("a", n=1), put("c", n=3)])
    rows = await engine_case.engine.get(ITEMS, TEAM, ["c", "b", "a", "c"])
    assert [row and row.item["n"] for row in rows] == [3, None, 1, 3]
    many = await engine_case.engine.get(ITEMS, TEAM, [f"no{i}" for i in range(300)] + ["a"])
    assert [row is None for row in many] == [True] * 300 + [False]


@needs("own")
async def test_put_replaces_the_whole_row_and_raises_its_version(engine_case: EngineCase) -> None:
    (first,) = await engine_case.engine.commit([put("a", x=1, y=2)])
    (second,) = await engine_case.engine.commit([put("a", y=3)])
    assert first.row
    assert second.row
    assert second.row.item == {"y": 3}
    assert second.row.version > first.row.version


@needs("own")
async def test_a_deleted_and_remade_row_has_another_version(engine_case: EngineCase) -> None:
    (first,) = await engine_case.engine.commit([put("a", x=1)])
    engine_case.clock.advance(0.001)
    await engine_case.engine.commit([Delete(ITEMS, TEAM, "a")])
    (second,) = await engine_case.engine.commit([put("a", x=1)])
    assert first.row
    assert second.row
    assert second.row.version != first.row.version


@needs("own")
async def test_update_sets_adds_appends_and_removes(engine_case: EngineCase) -> None:
    await engine_case.engine.commit([put("a", status="open", votes=1, tags=["x"], old=True)])
    write = Update(
        ITEMS, TEAM, "a", set={"status": "done"}, add={"votes": 2}, append={"tags": ["y"]}, remove=("old", "never")
    )
    (done,) = await engine_case.engine.commit([write])
    row = await one(engine_case.engine, "a")
    assert row == done.row
    assert row
    assert row.item == {"status": "done", "votes": 3, "tags": ["x", "y"]}


@needs("conditions")
async def test_update_inserts_a_missing_row_on_its_base_unless_it_has_a_condition(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([Update(ITEMS, TEAM, "a", base={"id": "a"}, add={"votes": 1})])
    row = await one(engine, "a")
    assert row
    assert row.item == {"id": "a", "votes": 1}
    with pytest.raises(ConditionFailed) as refused:
        await engine.commit([Update(ITEMS, TEAM, "b", set={"x": 1}, condition=attr("x").not_exists())])
    assert refused.value.current is None
    assert await one(engine, "b") is None


@needs("batches")
async def test_adding_to_a_text_is_refused_and_changes_nothing(engine_case: EngineCase) -> None:
    await engine_case.engine.commit([put("a", votes="many")])
    with pytest.raises(InvalidValue):
        await engine_case.engine.commit([put("b", x=1), Update(ITEMS, TEAM, "a", add={"votes": 1})])
    assert await one(engine_case.engine, "b") is None


@needs("own")
async def test_expiry_is_kept_changed_or_removed_by_an_update(engine_case: EngineCase) -> None:
    engine, later = engine_case.engine, engine_case.clock() + 60
    await engine.commit([Put(ITEMS, TEAM, "a", {"x": 1}, expires_at=later)])
    (same,) = await engine.commit([Update(ITEMS, TEAM, "a", set={"x": 2})])
    (moved,) = await engine.commit([Update(ITEMS, TEAM, "a", expires_at=later + 1)])
    (gone,) = await engine.commit([Update(ITEMS, TEAM, "a", expires_at=None)])
    assert [w.row.expires_at for w in (same, moved, gone) if w.row] == [later, later + 1, None]


@needs("conditions")
async def test_a_condition_decides_and_the_refusal_carries_the_row(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    (first,) = await engine.commit([put("a", status="open", n=1)])
    assert first.row
    for write in (
        Put(ITEMS, TEAM, "a", {"n": 2}, condition=attr("status") == "done"),
        Update(ITEMS, TEAM, "a", set={"n": 2}, condition=(attr("n") > 0) & (attr("status") == "done")),
        Delete(ITEMS, TEAM, "a", condition=attr("other").exists()),
        Check(ITEMS, TEAM, "a", condition=attr("n") == "1"),
    ):
        with pytest.raises(ConditionFailed) as refused:
            await engine.commit([write])
        assert refused.value.current == {"status": "open", "n": 1}
        assert refused.value.version == first.row.version
    await engine.commit([Update(ITEMS, TEAM, "a", set={"n": 2}, condition=attr("status") == "open")])
    row = await one(engine, "a")
    assert row
    assert row.item["n"] == 2


@needs("conditions")
async def test_a_guard_is_asked_of_the_row_or_of_the_empty_item_and_lets_an_upsert_be(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    begins, closes = attr("status").not_exists(), attr("status") == "open"
    for refused_write in (
        Put(ITEMS, TEAM, "a", {"status": "done"}, guard=closes),
        Update(ITEMS, TEAM, "a", set={"status": "done"}, guard=closes),
    ):
        with pytest.raises(ConditionFailed) as refused:
            await engine.commit([refused_write])
        assert (refused.value.current, refused.value.version) == (None, 0)
    await engine.commit([Update(ITEMS, TEAM, "a", set={"status": "open"}, base={"id": "a"}, guard=begins)])
    await engine.commit([Put(ITEMS, TEAM, "b", {"status": "open"}, guard=begins)])
    for refused_write in (
        Update(ITEMS, TEAM, "a", set={"status": "open"}, guard=begins),
        Update(ITEMS, TEAM, "a", set={"n": 1}, condition=attr("id") == "a", guard=begins),
        Update(ITEMS, TEAM, "a", set={"n": 1}, condition=attr("id") == "b", guard=closes),
        Put(ITEMS, TEAM, "b", {}, guard=attr("status") == "done"),
    ):
        with pytest.raises(ConditionFailed) as refused:
            await engine.commit([refused_write])
        assert refused.value.current is not None
        assert refused.value.current["status"] == "open"
    done = [
        await engine.commit([Update(ITEMS, TEAM, "a", set={"status": "done"}, guard=closes)]),
        await engine.commit([Put(ITEMS, TEAM, "b", {"status": "done"}, condition=closes, guard=closes)]),
    ]
    assert [d[0].row and d[0].row.item["status"] for d in done] == ["done", "done"]


@needs("conditions")
async def test_a_kept_row_is_not_asked_for_its_guard(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    guarded = Put(ITEMS, TEAM, "a", {"n": 1}, keep=True, guard=attr("n").not_exists())
    done = [(await engine.commit([guarded]))[0].changed for _ in range(2)]
    assert done == [True, False]
    with pytest.raises(ConditionFailed):
        await engine.commit([Put(ITEMS, TEAM, "b", {"n": 1}, keep=True, guard=attr("n").exists())])


@needs("conditions", "ttl_hidden")
async def test_an_expired_row_is_no_row_to_a_guard(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([Put(ITEMS, TEAM, "a", {"status": "done"}, expires_at=engine_case.clock() + 60)])
    engine_case.clock.advance(61)
    await engine.commit([Update(ITEMS, TEAM, "a", set={"status": "open"}, guard=attr("status").not_exists())])


@needs("conditions", "batches")
async def test_if_version_zero_means_absent_and_another_number_means_that_version(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    (first,) = await engine.commit([Put(ITEMS, TEAM, "a", {"n": 1}, if_version=0)])
    assert first.row
    with pytest.raises(ConditionFailed):
        await engine.commit([Put(ITEMS, TEAM, "a", {"n": 2}, if_version=0)])
    (second,) = await engine.commit([Put(ITEMS, TEAM, "a", {"n": 2}, if_version=first.row.version)])
    with pytest.raises(ConditionFailed) as refused:
        await engine.commit([Update(ITEMS, TEAM, "a", set={"n": 3}, if_version=first.row.version)])
    assert second.row
    assert refused.value.version == second.row.version
    await engine.commit([Check(ITEMS, TEAM, "a", if_version=second.row.version), Check(ITEMS, TEAM, "b", if_version=0)])
    await engine.commit([Delete(ITEMS, TEAM, "a", if_version=second.row.version)])


@needs("conditions")
async def test_keep_leaves_a_row_that_is_there_and_says_so(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    (first,) = await engine.commit([Put(ITEMS, TEAM, "a", {"n": 1}, keep=True)])
    (second,) = await engine.commit([Put(ITEMS, TEAM, "a", {"n": 2}, keep=True)])
    assert (first.changed, second.changed) == (True, False)
    assert second.row == first.row


async def test_delete_of_a_missing_row_is_no_change_and_no_error(engine_case: EngineCase) -> None:
    await engine_case.engine.commit([put("a", n=1)])
    done = [(await engine_case.engine.commit([Delete(ITEMS, TEAM, i)]))[0] for i in "ab"]
    assert [(w.row, w.changed) for w in done] == [(None, True), (None, False)]


async def test_an_empty_batch_is_fine(engine_case: EngineCase) -> None:
    assert await engine_case.engine.commit([]) == []


@needs("conditions", "batches")
async def test_a_batch_is_all_or_nothing_and_names_the_refused_write(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([put("a", n=1), put("z", n=1)])
    batch: list[Write] = [put("a", n=2), put("b", n=2), Delete(ITEMS, TEAM, "z"), Check(ITEMS, TEAM, "a", if_version=7)]
    if engine_case.capabilities.append:
        batch.insert(0, Append(LOG, TEAM, "s", "turn", {"n": 1}))
    with pytest.raises(ConditionFailed) as refused:
        await engine.commit(batch)
    assert refused.value.index == len(batch) - 1
    rows = await engine.get(ITEMS, TEAM, ["a", "b", "z"])
    assert [row and row.item["n"] for row in rows] == [1, None, 1]
    if engine_case.capabilities.append:
        assert await engine.get(LOG, TEAM, ["s/turn"]) == [None]


@needs("conditions", "batches")
async def test_writes_of_one_batch_see_each_other_in_order(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit(
        [
            put("a", n=1),
            Update(ITEMS, TEAM, "a", add={"n": 1}, condition=attr("n") == 1),
            Check(ITEMS, TEAM, "a", condition=attr("n") == 2),
            Delete(ITEMS, TEAM, "a"),
            Check(ITEMS, TEAM, "a", if_version=0),
            put("a", n=9),
        ]
    )
    row = await one(engine, "a")
    assert row
    assert row.item == {"n": 9}


def _some(engine: Engine, ids: str, n: int, **how: Any) -> list[Put]:
    """Puts of more rows than engines take by a short way, of a table that no index or log concerns."""
    many = 40 if engine.capabilities.atomic_rows is None else 2
    return [Put(leases.TABLE.name, TEAM, f"{i}{number}", {"n": n}, **how) for number in range(many) for i in ids]


@needs("own", "batches")
async def test_many_puts_that_ask_for_nothing_each_make_their_row_what_they_say(engine_case: EngineCase) -> None:
    engine, clock = engine_case.engine, engine_case.clock
    old = await engine.commit([*_some(engine, "a", 1), *_some(engine, "b", 1, expires_at=clock() + 60)])
    before = {one.row.id: one.row.version for one in old if one.row}
    for ids, teams in (("dac", [TEAM]), ("ca", [TEAM, OTHER]), ("abe", [TEAM])):
        clock.advance(25)  # what ends is absent to the last commit, and made anew
        puts = [replace(put, team=team) for put in _some(engine, ids, 2) for team in teams]
        puts[1::3] = [replace(put, expires_at=clock() + 900) for put in puts[1::3]]
        done = await engine.commit(puts)
        rows = [(await engine.get(leases.TABLE.name, put.team, [put.id]))[0] for put in puts]
        assert [(one.row, one.changed) for one in done] == [(row, True) for row in rows]
        assert [row and (row.team, row.item, row.expires_at) for row in rows] == [
            (put.team, put.item, put.expires_at) for put in puts
        ]
        for row in rows[:: len(teams)]:
            assert row is not None
            was = before.get(row.id, 0)
            assert row.version == was + 1 if row.id[0] == "a" else row.version > was
            before[row.id] = row.version


@needs("own", "conditions", "batches")
@pytest.mark.parametrize("asked", [{"if_version": 7}, {"condition": attr("n") == 5}, {"guard": attr("n").not_exists()}])
async def test_one_refused_put_among_many_keeps_all_from_being_written(
    engine_case: EngineCase, asked: dict[str, Any]
) -> None:
    engine = engine_case.engine
    await engine.commit(_some(engine, "a", 1))
    puts = [*_some(engine, "ab", 2)]
    puts[-2] = replace(puts[-2], **asked)
    with pytest.raises(ConditionFailed) as refused:
        await engine.commit(puts)
    assert refused.value.index == len(puts) - 2
    rows = await engine.get(leases.TABLE.name, TEAM, [put.id for put in puts])
    assert [row and row.item["n"] for row in rows] == [1 if put.id[0] == "a" else None for put in puts]
    puts[-2] = replace(_some(engine, "ab", 2)[-2], keep=True)
    assert [one.changed for one in await engine.commit(puts)] == [put is not puts[-2] for put in puts]


@needs("own", "batches")
async def test_one_bad_id_among_many_puts_keeps_all_from_being_written(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    puts = _some(engine, "ab", 1)
    with pytest.raises(InvalidId):
        await engine.commit([*puts[:-1], replace(puts[-1], id="a\0b")])
    assert await engine.get(leases.TABLE.name, TEAM, [put.id for put in puts]) == [None] * len(puts)


async def test_what_a_caller_does_to_its_values_afterwards_changes_nothing(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    given: dict[str, Any] = {"tags": ["a"]}
    (done,) = await engine.commit([Put(ITEMS, TEAM, "a", given)])
    given["tags"].append("b")
    first = await one(engine, "a")
    assert first
    first.item["tags"].append("c")
    second = await one(engine, "a")
    assert second
    assert second.item == {"tags": ["a"]}
    assert done.row


@needs("own")
async def test_a_team_neither_reads_nor_writes_anothers_rows(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put("a", n=1), put("a", OTHER, n=2), put("b", OTHER, n=2)])
    assert await one(engine, "b") is None
    await fill(engine, [Delete(ITEMS, TEAM, "a"), Delete(ITEMS, TEAM, "b")])
    rows = await engine.get(ITEMS, OTHER, ["a", "b"])
    assert [row and (row.item["n"], row.team) for row in rows] == [(2, OTHER), (2, OTHER)]


@pytest.mark.parametrize(
    "text",
    ["", "é", "e\u0301", "日本語。", "👩‍👩‍👧‍👦", "\ufeff\u2028\x01\x7f\\\"'", "\U0010ffff", "ß İ ı", "%_[]*?"],
    ids=ascii,
)
async def test_text_comes_back_to_the_code_point_also_as_an_id(engine_case: EngineCase, text: str) -> None:
    row_id = f"id {text}"
    await engine_case.engine.commit([put(row_id, text=text, **{f"name {text}": 1})])
    row = await one(engine_case.engine, row_id)
    assert row
    assert row.id == row_id
    assert row.item == {"text": text, f"name {text}": 1}


async def test_ids_differ_by_case_and_by_normal_form(engine_case: EngineCase) -> None:
    ids = ["a", "A", "é", "e\u0301", "a ", "ａ"]
    await fill(engine_case.engine, [put(i, is_=i) for i in ids])
    rows = await engine_case.engine.get(ITEMS, TEAM, ids)
    assert [row and row.item["is_"] for row in rows] == ids


async def test_numbers_of_38_digits_come_back_exactly(engine_case: EngineCase) -> None:
    numbers = [
        0,
        10**38 - 1,
        -(10**38 - 1),
        2**63,
        2**53 + 1,
        Decimal("0.1"),
        Decimal("12345678901234567890123456789012345.678"),
        Decimal("1E-130"),
        Decimal("9.9E+125"),
        Decimal("-0.00000000000000000001"),
    ]
    item = normalise_item({"numbers": numbers, "float": 0.1})
    await engine_case.engine.commit([Put(ITEMS, TEAM, "a", item)])
    row = await one(engine_case.engine, "a")
    assert row
    assert row.item == {"numbers": numbers, "float": Decimal("0.1")}
    assert not any(isinstance(n, float) for n in row.item["numbers"])


@needs("conditions")
async def test_neighbouring_numbers_beyond_64_bits_are_not_equal(engine_case: EngineCase) -> None:
    await engine_case.engine.commit([put("a", n=10**37)])
    with pytest.raises(ConditionFailed):
        await engine_case.engine.commit([Check(ITEMS, TEAM, "a", condition=attr("n") == 10**37 + 1)])


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800", "x" * 1025], ids=["empty", "NUL", "surrogate", "long"])
async def test_an_id_that_some_engine_could_not_keep_is_refused(engine_case: EngineCase, bad: str) -> None:
    writes: list[Write] = [put(bad, n=1), Update(ITEMS, TEAM, bad), Delete(ITEMS, TEAM, bad), Check(ITEMS, TEAM, bad)]
    if engine_case.capabilities.append:
        writes += [Append(LOG, TEAM, bad, "t", {}), Append(LOG, TEAM, "s", bad, {})]
    for write in writes:
        with pytest.raises(InvalidId):
            await engine_case.engine.commit([write])


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), Decimal("NaN"), "a\0b", "\ud800"], ids=["nan", "inf", "NaN", "NUL", "surrogate"]
)
async def test_a_value_that_some_engine_could_not_keep_is_refused_by_the_handle(
    engine_case: EngineCase, bad: Any
) -> None:
    attributes = {"id": Attribute("string"), "x": Attribute("array"), "y": Attribute("number")}
    tickets: Datastore[dict[str, Any]] = Datastore(engine_case.engine, Definition(ITEMS, "id", attributes), TEAM)
    with pytest.raises(InvalidValue):
        await tickets.put({"id": "a", "x": [{"deep": bad}]})
    with pytest.raises(InvalidValue):
        await tickets.update("a", append={"x": [bad]})
    assert await tickets.get("a") is None


@needs("own")
async def test_an_item_of_the_declared_size_fits_and_a_larger_one_is_refused(engine_case: EngineCase) -> None:
    engine, limit = engine_case.engine, engine_case.capabilities.item_limit
    frame = len('{"x":""}')
    await engine.commit([put("a", x="y" * (limit - frame))])
    row = await one(engine, "a")
    assert row
    assert len(row.item["x"]) == limit - frame
    with pytest.raises(ItemTooLarge) as refused:
        await engine.commit([put("a", x="y" * (limit - frame + 1))])
    assert (refused.value.size, refused.value.limit) == (limit + 1, limit)
    with pytest.raises(ItemTooLarge):
        await engine.commit([Update(ITEMS, TEAM, "a", set={"z": 1})])
    again = await one(engine, "a")
    assert again == row


@needs("ttl_hidden", "conditions", "batches")
async def test_a_row_past_its_expiry_is_absent_everywhere(engine_case: EngineCase) -> None:
    engine, clock = engine_case.engine, engine_case.clock
    await engine.commit([Put(ITEMS, TEAM, i, {"n": 1}, expires_at=clock() + 60) for i in "abcdef"])
    clock.advance(61)
    assert await engine.get(ITEMS, TEAM, ["a", "b"]) == [None, None]
    with pytest.raises(ConditionFailed) as refused:
        await engine.commit([Update(ITEMS, TEAM, "a", set={"n": 2}, condition=attr("n") == 1)])
    assert refused.value.current is None
    done = await engine.commit(
        [
            Put(ITEMS, TEAM, "a", {"n": 2}, if_version=0),
            Put(ITEMS, TEAM, "b", {"n": 2}, keep=True),
            Delete(ITEMS, TEAM, "c"),
            Check(ITEMS, TEAM, "d", if_version=0),
            Update(ITEMS, TEAM, "e", base={"id": "e"}, add={"n": 5}),
        ]
    )
    assert [w.changed for w in done] == [True, True, False, False, True]
    row = await one(engine, "e")
    assert row
    assert row.item == {"id": "e", "n": 5}


@needs("unique", "batches")
async def test_a_unique_value_has_one_holder_a_team(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([put("a", email="x"), put("a", OTHER, email="x"), put("b"), put("c")])
    for write in (put("b", email="x"), Update(ITEMS, TEAM, "c", set={"email": "x"})):
        with pytest.raises(UniqueViolation) as refused:
            await engine.commit([put("d", n=1), write])
        assert refused.value.current == {"email": "x"}
        assert (refused.value.attributes, refused.value.index) == (("email",), 1)
    await engine.commit([put("a", email="x", n=2)])
    await engine.commit([put("a", email="y"), put("b", email="x")])
    assert await one(engine, "d") is None


@needs("unique")
async def test_unique_values_are_compared_exactly(engine_case: EngineCase) -> None:
    values = [1, True, "1", 2**53, 2**53 + 1, Decimal("0.1"), Decimal("0.10000000000000000001"), 10**37, 10**37 + 1]
    await fill(engine_case.engine, [put(f"r{n}", email=value) for n, value in enumerate(values)])
    for value in values:
        with pytest.raises(ConditionFailed):
            await engine_case.engine.commit([put("new", email=value)])


@needs("unique", "batches")
async def test_a_unique_value_is_held_within_one_batch_too(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    with pytest.raises(ConditionFailed):
        await engine.commit([put("a", email="x"), put("b", email="x")])
    await engine.commit([put("a", email="x"), put("b", email="y")])
    swap: list[Write] = [Delete(ITEMS, TEAM, "a"), put("b", email="x"), put("a", email="y")]
    await engine.commit(swap)
    rows = await engine.get(ITEMS, TEAM, ["a", "b"])
    assert [row and row.item["email"] for row in rows] == ["y", "x"]


@needs("unique", "ttl_hidden")
async def test_an_expired_row_holds_no_unique_value(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([Put(ITEMS, TEAM, "a", {"email": "x"}, expires_at=engine_case.clock() + 60)])
    engine_case.clock.advance(61)
    await engine.commit([put("b", email="x")])
    row = await one(engine, "b")
    assert row
    with pytest.raises(ConditionFailed):
        await engine.commit([put("c", email="x")])


async def test_a_table_that_was_not_applied_is_a_clear_error(engine_case: EngineCase) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        await engine_case.engine.get("nowhere", TEAM, ["a"])
    assert refused.value.reason == "missing"
    with pytest.raises(StoreUnavailable):
        await engine_case.engine.commit([Put("nowhere", TEAM, "a", {})])


async def test_a_closed_engine_says_so_and_closing_twice_is_fine(engine_case: EngineCase) -> None:
    await engine_case.engine.close()
    await engine_case.engine.close()
    with pytest.raises(StoreUnavailable) as refused:
        await engine_case.engine.get(ITEMS, TEAM, ["a"])
    assert refused.value.reason == "closed"
    with pytest.raises(StoreUnavailable):
        await engine_case.engine.commit([put("a", n=1)])


@needs("durable")
async def test_what_was_written_is_there_after_opening_again(engine_case: EngineCase) -> None:
    await fill(engine_case.engine, [put("a", n=1), put("b", n=2), Delete(ITEMS, TEAM, "a")])
    engine = await engine_case.reopened()
    rows = await engine.get(ITEMS, TEAM, ["a", "b"])
    assert [row and row.item["n"] for row in rows] == [None, 2]
