"""Plans from what a store remembers to what the code defines: additive ones are done, lossy ones need permission."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

import stateroom as sr
from stateroom.layers import catalogue
from stateroom.layers.migrations import State
from stateroom.layers.migrations_compare import Step, steps_between
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import FormatTooNew, MigrationNeeded, MigrationRefused
from stateroom.store import Store
from support.migrating import OTHERS, SAME, SLIM, Server, fill, migration, with_attributes
from support.retention import ANN, NOW, TEAM, TICKETS, rows_of
from support.tables import each


async def state(store: Store, definition: Definition) -> State:
    (found,) = [one for one in await migration(store, definition).states() if one.datastore == definition.name]
    return found


@each(
    ("new", "expected"),
    [
        (TICKETS, []),
        (with_attributes(more=Attribute("string")), [("add", "more", False)]),
        (SLIM, [("attribute", "notes", True)]),
        (with_attributes(notes=Attribute("integer", personal=True)), [("type", "notes", True)]),
        (
            with_attributes(watchers=Attribute("array", items=Attribute("string"), personal=True)),
            [("type", "watchers", True)],
        ),
        (replace(TICKETS, indexes=()), [("index", "status", True)]),
        (replace(TICKETS, indexes=(*TICKETS.indexes, Index("owner"))), []),
        (replace(TICKETS, key="status"), [("key", "status", True)]),
        (replace(TICKETS, on_erase="clear"), [("option", "", False)]),
        (replace(TICKETS, indexes=(Index("status", unique=True),)), [("option", "", False)]),
        (with_attributes(approver=Attribute("slack#/types/user_id", personal=True)), [("option", "", False)]),
        (replace(SLIM, version=2, upgrades={1: SAME}), [("upgrade", "", False)]),
        (replace(SLIM, version=3, upgrades={2: SAME}), [("blocked", "1", False)]),
        (
            replace(TICKETS, version=2, upgrades={1: SAME}, key="status"),
            [("upgrade", "", False), ("key", "status", True)],
        ),
    ],
)
def test_each_difference_is_one_step(new: Definition, expected: list[tuple[str, str, bool]]) -> None:
    found = steps_between([TICKETS], new)
    assert [(step.kind, step.name, step.destructive) for step in found] == expected


def test_what_is_not_remembered_is_new_and_what_is_newer_is_in_the_way() -> None:
    assert [step.kind for step in steps_between([], TICKETS)] == ["new"]
    (step,) = steps_between([TICKETS, replace(TICKETS, version=3)], replace(TICKETS, version=2))
    assert (step.kind, step.in_the_way) == ("newer", True)
    assert "version 3" in step.text
    assert "deploy newer code" in step.text


async def test_a_plan_changes_nothing_and_apply_does_it_once(store: Store) -> None:
    before = await catalogue.known(store.engine)
    steps = await migration(store, TICKETS).plan()
    assert [step.text for step in steps if step.kind == "new"] == ["remember tickets in version 1"]
    assert any("make table tickets" in step.text for step in steps)
    assert await catalogue.known(store.engine) == before == {}
    assert await migration(store, TICKETS).apply() == steps
    assert await migration(store, TICKETS).plan() == []
    assert (await state(store, TICKETS)).word == "current"


async def test_what_no_row_holds_may_go_without_permission(store: Store) -> None:
    await fill(store, {"status": "open"})
    (step,) = await migration(store, SLIM).plan()
    assert (step.kind, step.destructive) == ("attribute", False)
    await migration(store, SLIM).apply()
    assert "notes" not in catalogue.newest(await catalogue.known(store.engine))["tickets"].attributes


async def test_an_attribute_that_rows_hold_is_removed_only_with_permission(store: Store) -> None:
    await fill(store, {"notes": "x", "status": "open"}, {"status": "done"})
    with pytest.raises(MigrationRefused) as refused:
        await migration(store, SLIM).apply()
    assert refused.value.steps == ("tickets.notes is removed, and rows hold it",)
    assert not refused.value.blocked
    assert "--allow-data-loss" in str(refused.value)
    assert sum("notes" in row.item for row in await rows_of(store.engine, "tickets")) == 2
    await migration(store, SLIM).apply(allow_data_loss=True)
    found = await rows_of(store.engine, "tickets")
    assert [row.item for row in found] == [{"id": "t0", "status": "open"}, {"id": "t1", "status": "done"}] * 2
    assert await migration(store, SLIM).plan() == []


async def test_a_type_changes_freely_while_all_rows_fit_and_else_only_with_permission(store: Store) -> None:
    await fill(store, {"notes": "x", "status": "open"})
    widened = with_attributes(status=Attribute("string", values=("open", "done")))
    (step,) = await migration(store, widened).plan()
    assert (step.kind, step.destructive) == ("type", False)
    number = with_attributes(notes=Attribute("integer", personal=True))
    with pytest.raises(MigrationRefused):
        await migration(store, number).apply()
    await migration(store, number).apply(allow_data_loss=True)
    assert [row.item for row in await rows_of(store.engine, "tickets")] == [{"id": "t0", "status": "open"}] * 2


async def test_a_required_attribute_that_does_not_fit_needs_an_upgrade_step_and_no_permission_helps(
    store: Store,
) -> None:
    await fill(store, {"notes": "x"})
    number = with_attributes(notes=Attribute("integer", personal=True, required=True))
    with pytest.raises(MigrationRefused) as refused:
        await migration(store, number).apply(allow_data_loss=True)
    assert refused.value.blocked
    assert "upgrade step" in str(refused.value)


async def test_a_missing_upgrade_step_is_said_before_anything_is_changed(store: Store) -> None:
    await fill(store, {"notes": "x"})
    with pytest.raises(MigrationRefused, match=r"no upgrade step from version 1: declare it with sr\.upgrade"):
        await migration(store, replace(SLIM, version=2), OTHERS).apply(allow_data_loss=True)
    assert "others" not in await catalogue.known(store.engine)


async def test_a_datastore_that_the_code_no_longer_has_goes_only_with_permission(store: Store) -> None:
    kept = replace(TICKETS, changes=True, keep_deleted=60)
    await fill(store, {"owner": ANN}, {"owner": ANN}, definition=kept)
    await store.team(TEAM).items(kept).delete("t1")
    assert await migration(store).plan() == [], "without definitions nobody says that there are none"
    with pytest.raises(MigrationRefused, match="tickets is removed, and there are rows"):
        await migration(store, OTHERS).apply()
    await migration(store, OTHERS).apply(allow_data_loss=True)
    for table in ("tickets", "trash_tickets", "tickets.changes"):
        assert await rows_of(store.engine, table) == []
    assert set(await catalogue.known(store.engine)) == {"others"}


async def test_a_changed_key_costs_the_rows_so_it_needs_permission(store: Store) -> None:
    await fill(store, {"status": "open"})
    rekeyed = replace(TICKETS, key="status")
    with pytest.raises(MigrationRefused, match="the key of tickets was id and becomes status, and there are rows"):
        await migration(store, rekeyed).apply()
    assert len(await rows_of(store.engine, "tickets")) == 2
    await migration(store, rekeyed).apply(allow_data_loss=True)
    assert await rows_of(store.engine, "tickets") == []


async def test_a_removed_index_needs_permission_and_loses_no_row(store: Store) -> None:
    await fill(store, {"status": "open"})
    plain = replace(TICKETS, indexes=())
    with pytest.raises(MigrationRefused, match="index status"):
        await migration(store, plain).apply()
    await migration(store, plain).apply(allow_data_loss=True)
    assert len(await rows_of(store.engine, "tickets")) == 2
    assert await migration(store, plain).plan() == []


async def test_a_store_that_newer_code_migrated_is_not_touched_by_older_code(store: Store) -> None:
    await migration(store, replace(TICKETS, version=2, upgrades={1: SAME})).apply()
    with pytest.raises(FormatTooNew, match="deploy newer code"):
        await migration(store, TICKETS).apply(allow_data_loss=True)
    assert (await state(store, TICKETS)).word == "too new"


async def test_rows_of_older_and_newer_versions_show_in_the_state(store: Store) -> None:
    await fill(store, {"status": "open"})
    second = replace(TICKETS, version=2, upgrades={1: SAME})
    await migration(store, second).apply()
    found = await state(store, second)
    assert (found.word, found.old_rows, found.to_do) == ("backfill", True, True)
    await store.team(TEAM).items(replace(TICKETS, version=3, upgrades={1: SAME, 2: SAME})).put({"id": "t9"})
    assert (await state(store, second)).word == "too new"


async def test_the_store_plans_and_applies_classes_too(store: Store) -> None:
    class Note(sr.Datastore, name="notes"):
        id: str = sr.key()

    assert "remember notes in version 1" in await store.migrate([Note])
    assert await catalogue.known(store.engine) == {}
    await store.migrate([Note], apply=True)
    assert await store.migrate([Note]) == []


async def test_a_server_gets_tables_by_migrate_alone() -> None:
    server = Server(time.time)
    async with Store("server://", engine=server, migrating=True) as store:
        with pytest.raises(MigrationNeeded):
            await store.team(TEAM).items(TICKETS).get("t1")
        steps = await store.migrate([TICKETS], apply=True)
        assert "make table tickets" in steps
    async with Store("server://", engine=server) as store:
        await store.team(TEAM).items(TICKETS).put({"id": "t1"})


async def test_a_kill_between_two_steps_leaves_a_plan_that_is_carried_to_its_end(store: Store) -> None:
    await fill(store, *({"notes": "x"} for _ in range(5)))
    commit = store.engine.commit

    class Killed(Exception):
        pass

    async def dying(writes: Sequence[Any]) -> list[Any]:
        if any(write.table == "sr_definitions" for write in writes):
            raise Killed
        return await commit(writes)

    store.engine.commit = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await migration(store, SLIM).apply(allow_data_loss=True)
    store.engine.commit = commit  # type: ignore[method-assign]
    (step,) = await migration(store, SLIM).plan()
    assert step == Step("tickets", "attribute", "tickets.notes is removed", "notes")
    await migration(store, SLIM).apply()
    assert await migration(store, SLIM).plan() == []


async def test_an_expired_row_holds_nothing_that_could_be_lost(store: Store) -> None:
    await store.team(TEAM).items(TICKETS).put({"id": "t1", "notes": "x", "ends": int(NOW) - 1})
    (step,) = await migration(store, SLIM).plan()
    assert not step.destructive
