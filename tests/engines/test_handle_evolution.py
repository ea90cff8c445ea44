"""Old rows and new code, new rows and old code: upgraded on read, judged in their new shape, never overwritten."""

import asyncio

import pytest

import stateroom as sr
from stateroom.engines.port import Put
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from support.handles import TEAM


class First(sr.Datastore, name="people"):
    id: str = sr.key()
    name: str = ""
    visits: int = 0


class Second(sr.Datastore, name="people", version=2, changes=True):
    """The name in two parts; visits are counted from ten."""

    id: str = sr.key()
    given: str = ""
    family: str = ""
    visits: int = 0
    stage: str = "new"
    __lifecycle__ = sr.Lifecycle("stage", new=["known"], known=["gone"])

    @sr.upgrade(from_version=1)
    @staticmethod
    def parts(item: dict) -> dict:
        given, _, family = item.pop("name", "").partition(" ")
        return {**item, "given": given, "family": family, "visits": item.get("visits", 0) + 10, "stage": "known"}


class Wider(sr.Datastore, name="people"):
    """First, and an attribute more."""

    id: str = sr.key()
    name: str = ""
    visits: int = 0
    email: str | None = None


@pytest.fixture
async def old(store: sr.Store) -> None:
    first = store.team(TEAM).datastore(First)
    for n in range(5):
        await first.put(First(id=f"P{n}", name=f"Ann Lee{n}", visits=n))


async def raw(store: sr.Store, id: str) -> dict[str, object]:
    (row,) = await store.engine.get("people", TEAM, [id])
    assert row is not None
    return row.item


@pytest.mark.usefixtures("old")
async def test_old_rows_are_read_in_their_new_shape_and_not_rewritten_by_reading(store: sr.Store) -> None:
    people = store.team(TEAM).datastore(Second)
    before = await raw(store, "P1")
    assert await people.get("P1") == Second(id="P1", given="Ann", family="Lee1", visits=11, stage="known")
    assert [p.visits for p in (await people.query()).items] == [10, 11, 12, 13, 14]
    assert [p.visits async for p in people.scan()] == [10, 11, 12, 13, 14]
    found = await people.bulk_get(["P4", "no"])
    assert [p and p.visits for p in found] == [14, None]
    assert await store.team(TEAM).items(Second.__definition__).get("P0") == {
        "id": "P0", "given": "Ann", "family": "Lee0", "visits": 10, "stage": "known"
    }  # fmt: skip
    assert await raw(store, "P1") == before


@pytest.mark.usefixtures("old")
async def test_conditions_mean_the_new_shape_also_where_rows_are_old(store: sr.Store) -> None:
    people = store.team(TEAM).datastore(Second)
    await people.put(Second(id="P9", given="Bo", visits=12))
    twelve = sr.attr("visits") == 12
    assert [p.id for p in (await people.query(twelve)).items] == ["P2", "P9"]
    assert [p.id for p in (await people.query(twelve, paging="slack")).items] == ["P2", "P9"]
    assert await people.count(sr.attr("family").begins_with("Lee")) == 5
    assert await people.count(sr.attr("visits") < 10) == 0
    ids: list[str] = []
    cursor = None
    while True:
        page = await people.query(sr.attr("visits") > 10, limit=2, cursor=cursor)
        assert len(page.items) <= 2
        ids += [p.id for p in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert ids == ["P1", "P2", "P3", "P4", "P9"]


@pytest.mark.usefixtures("old")
async def test_writing_to_an_old_row_judges_and_keeps_it_in_its_new_shape(store: sr.Store) -> None:
    people = store.team(TEAM).datastore(Second)
    changed = await people.update("P1", {"given": "Cy"}, add={"visits": 1}, condition=sr.attr("visits") == 11)
    assert changed == Second(id="P1", given="Cy", family="Lee1", visits=12, stage="known")
    assert await raw(store, "P1") == {
        "id": "P1", "given": "Cy", "family": "Lee1", "visits": 12, "stage": "known", "$v": 2
    }  # fmt: skip
    assert (await people.update("P2", add={"visits": 1})).visits == 13
    with pytest.raises(sr.ConditionFailed) as failed:
        await people.update("P3", add={"visits": 1}, condition=sr.attr("visits") == 3)
    assert failed.value.current == {"id": "P3", "given": "Ann", "family": "Lee3", "visits": 13, "stage": "known"}
    with pytest.raises(sr.ConditionFailed):
        await people.delete("P3", condition=sr.attr("visits") == 3)
    assert await people.delete("P3", condition=sr.attr("visits") == 13)
    assert not await people.delete("P3")
    version = await people.version("P4")
    with pytest.raises(sr.ConditionFailed):
        await people.put(Second(id="P4"), if_version=version + 1)
    with pytest.raises(sr.IllegalTransition) as illegal:
        await people.put(Second(id="P4", stage="new"), if_version=version)
    assert illegal.value.from_state == "known"
    assert (await people.put(Second(id="P4", stage="gone"), if_version=version)).visits == 0
    with pytest.raises(sr.ConditionFailed):
        await people.put(Second(id="P0", stage="known"), if_absent=True)


@pytest.mark.usefixtures("old")
async def test_adding_to_an_old_row_from_many_tasks_upgrades_it_once_and_loses_nothing(store: sr.Store) -> None:
    people = store.team(TEAM).datastore(Second)
    await asyncio.gather(*(people.update("P1", add={"visits": 1}) for _ in range(20)))
    assert (await raw(store, "P1"))["visits"] == 1 + 10 + 20


@pytest.mark.usefixtures("old")
async def test_old_rows_in_modify_transactions_once_and_bulk(store: sr.Store) -> None:
    people = store.team(TEAM).datastore(Second)
    made = await people.modify("P0", lambda p: p.model_copy(update={"visits": p.visits + 1}) if p else Second(id="P0"))
    assert made.visits == 11
    async with store.transaction() as tx:
        inside = tx.team(TEAM).datastore(Second)
        assert await inside.get("P1") == await people.get("P1")
        await inside.update("P2", add={"visits": 1})
    assert (await raw(store, "P1")).get("$v") is None
    assert (await raw(store, "P2"))["visits"] == 13
    for _ in range(2):
        assert (await people.update("P3", add={"visits": 1}, idempotency_key="k")).visits == 14
    done = await people.bulk_put([Second(id="P4", stage="known"), Second(id="P5")])
    assert [p.id for p in done.items] == ["P4", "P5"]


@pytest.mark.usefixtures("old")
async def test_old_code_neither_reads_nor_overwrites_what_newer_code_wrote(store: sr.Store) -> None:
    new, old = store.team(TEAM).datastore(Second), store.team(TEAM).datastore(First)
    await new.put(Second(id="P1", given="Di", stage="known"))
    kept = await raw(store, "P1")
    version = await old.version("P1")
    calls = [
        old.get("P1"),
        old.put(First(id="P1")),
        old.put(First(id="P1"), if_version=version),
        old.put(First(id="P1"), condition=sr.attr("visits") == 0),
        old.update("P1", {"name": "x"}),
        old.update("P1", add={"visits": 1}),
        old.update("P1", add={"visits": 1}, idempotency_key="k"),
        old.modify("P1", lambda _: First(id="P1")),
        old.delete("P1", condition=sr.attr("visits") == 0),
        old.query(),
        old.query(sr.attr("visits") == 0),
        old.bulk_get(["P1"]),
    ]
    for call in calls:
        with pytest.raises(sr.FormatTooNew, match="version 2"):
            await call
    with pytest.raises(sr.FormatTooNew):
        async with store.transaction() as tx:
            await tx.team(TEAM).datastore(First).put(First(id="P1"))
    done = await old.bulk_put([First(id="P0"), First(id="P1")])
    assert isinstance(done.failed[1], sr.FormatTooNew)
    assert [p.id for p in done.items] == ["P0"]
    assert await raw(store, "P1") == kept


@pytest.mark.usefixtures("old")
async def test_what_newer_code_added_is_hidden_from_old_code_and_kept_by_its_changes(store: sr.Store) -> None:
    wide, old = store.team(TEAM).datastore(Wider), store.team(TEAM).datastore(First)
    await wide.update("P1", {"email": "a@b"})
    assert await old.get("P1") == First(id="P1", name="Ann Lee1", visits=1)
    for _ in range(2):
        assert [p.visits for p in (await old.query()).items] == [0, 1, 2, 3, 4]
    assert await old.update("P1", add={"visits": 1}) == First(id="P1", name="Ann Lee1", visits=2)
    await old.modify("P1", lambda p: First(id="P1", name="New", visits=p.visits if p else 0))
    async with store.transaction() as tx:
        await tx.team(TEAM).datastore(First).update("P1", add={"visits": 1})
    assert await wide.get("P1") == Wider(id="P1", name="New", visits=3, email="a@b")
    with pytest.raises(sr.ConditionFailed) as failed:
        await old.update("P1", {"name": "x"}, condition=sr.attr("visits") == 0)
    assert failed.value.current == {"id": "P1", "name": "New", "visits": 3}


async def test_reserved_attributes_are_neither_set_nor_shown(store: sr.Store) -> None:
    items = store.team(TEAM).items(Second.__definition__)
    await items.put({"id": "a", "visits": 1})
    assert await items.get("a") == {"id": "a", "visits": 1}
    with pytest.raises(sr.InvalidValue, match="not declared"):
        await items.put({"id": "a", "$v": 1})
    with pytest.raises(sr.InvalidValue, match="not declared"):
        await items.update("a", {"$v": 7})
    with pytest.raises(sr.InvalidValue, match="not declared"):
        await items.update("a", remove=["$v"])
    assert (await raw(store, "a"))["$v"] == 2


async def test_an_upgraded_expiry_counts(store: sr.Store, clock: object) -> None:
    attributes = {"id": Attribute("string", required=True), "until": Attribute("slack#/types/timestamp")}
    definition = Definition(
        "codes", "id", attributes, version=2, ttl="until", upgrades={1: lambda item: {**item, "until": 9_999_999_999}}
    )
    codes = store.team(TEAM).items(definition)
    assert await codes.get("a") is None
    await store.engine.commit([Put("codes", TEAM, "a", {"id": "a"})])
    await codes.update("a", {})
    (row,) = await store.engine.get("codes", TEAM, ["a"])
    assert row is not None
    assert row.expires_at == 9_999_999_999
