"""What a store remembers of the definitions that were used on it."""

from dataclasses import replace

import pytest

from stateroom.engines.port import Put
from stateroom.layers import catalogue
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Index
from stateroom.model.errors import CorruptData, FormatTooNew
from stateroom.store import Store
from support.retention import TEAM, TICKETS

SLIM = replace(TICKETS, attributes={n: a for n, a in TICKETS.attributes.items() if n != "approver"}, indexes=())


async def test_a_definition_that_is_used_is_remembered_by_name_and_version(store: Store) -> None:
    assert await catalogue.known(store.engine) == {}
    await store.team(TEAM).items(TICKETS).get("t1")
    newer = replace(TICKETS, version=2)
    await store.team(TEAM).items(newer).get("t1")
    found = await catalogue.known(store.engine)
    assert found == {"tickets": {1: TICKETS, 2: newer}}
    assert catalogue.newest(found) == {"tickets": newer}


async def test_old_and_new_code_widen_what_is_remembered_and_neither_narrows_it(store: Store) -> None:
    for used in (SLIM, TICKETS, SLIM):
        await store.team(TEAM).items(used).get("t1")
        Store.__init__(store, store.url, clock=store.clock, engine=store.engine)  # another process has prepared nothing
    found = catalogue.newest(await catalogue.known(store.engine))["tickets"]
    assert found.attributes == TICKETS.attributes
    assert found.indexes == TICKETS.indexes


async def test_what_cannot_be_both_stays_as_it_was_until_somebody_decides(store: Store) -> None:
    await store.team(TEAM).items(TICKETS).get("t1")
    other = replace(
        TICKETS, attributes={**TICKETS.attributes, "notes": Attribute("integer")}, indexes=(Index("notes"),)
    )
    await catalogue.remember(store.engine, store.clock, other)
    assert catalogue.newest(await catalogue.known(store.engine))["tickets"] == TICKETS


async def test_everything_to_walk_has_the_companions_of_all_versions(store: Store) -> None:
    kept = replace(TICKETS, keep_deleted=60)
    found = catalogue.everything([replace(TICKETS, version=2)], {"tickets": {1: kept}, "other": {1: SLIM}})
    assert [d.name for d in found] == ["tickets", "tickets", "trash_tickets"]
    assert found[-1].expires


async def test_a_record_that_cannot_be_read_is_an_error_and_never_nothing(store: Store) -> None:
    put = catalogue.record(TICKETS, 1.0)
    broken = {**put.item, "definition": "{}"}
    await store.engine.commit([Put(put.table, put.team, put.id, broken)])
    with pytest.raises(CorruptData):
        await catalogue.known(store.engine)
    newer = {**put.item, "definition": '{"format":"stateroom/definitions","version":9,"definitions":[]}'}
    await store.engine.commit([Put(put.table, put.team, put.id, newer)])
    with pytest.raises(FormatTooNew):
        await catalogue.known(store.engine)
