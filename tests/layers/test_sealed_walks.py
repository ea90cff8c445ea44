"""Walks over sealed rows: upgrade steps and erasing see what is inside, and leave it sealed."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.handle_sealing import plainly
from stateroom.engines.port import Put
from stateroom.layers import catalogue
from stateroom.layers.migrations import Migration
from stateroom.layers.migrations_backfill import backfill
from stateroom.layers.migrations_rewrite import failed_rows
from stateroom.layers.retention_erase import Erased, Eraser, targets
from stateroom.layers.walking import Pace
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.sealing import key_id
from stateroom.store import Store
from support.retention import ANN, BOB, TEAM, USER, Clock, rows_of

NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
APPS = Definition(
    "apps",
    "id",
    {
        "id": Attribute("string", required=True),
        "token": Attribute("string", encrypted=True),
        "note": Attribute("string"),
    },
    keep_deleted=600,
)
NEXT = replace(
    APPS,
    version=2,
    attributes={**APPS.attributes, "note": Attribute("string", encrypted=True), "size": Attribute("integer")},
    upgrades={1: lambda item: {**item, "size": len(item["token"])}},
)
PEOPLE = Definition(
    "people",
    "id",
    {
        "id": Attribute("string", required=True),
        "who": Attribute(USER, personal=True, encrypted=True),
        "with": Attribute("array", items=Attribute(USER), personal=True, encrypted=True),
        "note": Attribute("string", encrypted=True),
    },
    changes=True,
    keep_deleted=600,
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/walks.db"
    async with Store(url, clock=Clock(), keys=f"{NEW},{OLD}") as opened:
        yield opened


def seen_by(store: Store, keys: str | None) -> Store:
    return Store("memory://", engine=store.raw, clock=store.clock, keys=keys)


async def in_store(store: Store, *names: str) -> str:
    return json.dumps([[row.item for row in await rows_of(store.raw, name)] for name in names])


async def test_a_backfill_gives_its_steps_plain_values_and_seals_what_they_make(store: Store) -> None:
    apps = store.team(TEAM).items(APPS)
    for id in ("a", "b"):
        await apps.put({"id": id, "token": "xoxb-hush", "note": "said in plain"})
    await apps.delete("b")
    done = await backfill(store.engine, Pace(store.clock), NEXT, keyring=store.keys)
    assert (done.rewritten, done.failed) == (2, 0)
    text = await in_store(store, "apps", "trash_apps")
    assert "xoxb" not in text
    assert "said" not in text
    newer = store.team(TEAM).items(replace(NEXT, upgrades={}))
    expected = {"id": "a", "token": "xoxb-hush", "note": "said in plain", "size": 9}
    assert await newer.get("a") == expected
    assert await newer.restore("b") == expected | {"id": "b"}


async def test_rows_that_cannot_be_opened_stay_and_are_noted(store: Store) -> None:
    await store.team(TEAM).items(APPS).put({"id": "a", "token": "xoxb-hush"})
    for keys, words in ((None, "the key k2"), (OLD, "the key k2")):
        blind = seen_by(store, keys)
        done = await backfill(blind.engine, Pace(store.clock), NEXT, keyring=blind.keys)
        assert (done.rewritten, done.failed) == (0, 1)
        assert [words in row.item["reason"] async for row in failed_rows(store.engine)] == [True]
    assert (await backfill(store.engine, Pace(store.clock), NEXT, keyring=store.keys)).failed == 0


async def test_a_sealed_value_is_not_mistaken_for_one_of_the_new_type(store: Store) -> None:
    number = replace(APPS, attributes={**APPS.attributes, "token": Attribute("integer", encrypted=True)})
    text = replace(APPS, attributes={**APPS.attributes, "token": Attribute("slack#/types/user_id", encrypted=True)})
    await store.team(TEAM).items(APPS).put({"id": "a", "token": "xoxb-hush"})
    for one in (number, text):
        steps = await Migration(store.engine, store.clock, own=[], given=[one]).plan()
        assert any(step.destructive for step in steps)


async def erased(store: Store) -> dict[str, Erased]:
    found = await store.everything()
    eraser = Eraser(plainly(store.engine, store.keys, found), store.clock, ANN, team=None, told=lambda _: None)
    return {one.table.name: await eraser.run(one) for one in targets(found, await catalogue.known(store.raw))}


async def test_erasing_finds_a_person_in_what_is_sealed_and_leaves_others_sealed(store: Store) -> None:
    people = store.team(TEAM).items(PEOPLE)
    await people.put({"id": "a", "who": ANN, "note": "theirs"}, idempotency_key="k")
    others: dict[str, Any] = {"id": "b", "who": BOB, "with": [ANN, BOB], "note": "not theirs"}
    await people.put(others)
    await people.put({"id": "c", "who": ANN})
    await people.delete("c")
    done = await erased(store)
    assert (done["people"].removed, done["people"].cleared, done["trash_people"].removed) == (1, 1, 1)
    assert done["sr_once"].removed == 1
    assert await people.get("b") == others | {"with": [BOB]}
    left = [one.item for one in (await people.changes()).items if one.item is not None]
    assert left == [others | {"with": [BOB]}, others | {"with": [BOB]}]
    again = await erased(store)
    assert {one.removed + one.cleared for one in again.values()} == {0}


async def test_erasing_leaves_as_it_was_what_no_key_opens(store: Store) -> None:
    people = store.team(TEAM).items(PEOPLE)
    await people.put({"id": "b", "who": BOB, "with": [ANN]})
    (row,) = await rows_of(store.raw, "people")
    sealed = {**row.item, "note": row.item["who"]}
    await store.raw.commit([Put("people", TEAM, "b", sealed)])  # one of them is broken: it stands in another place
    done = await erased(store)
    assert done["people"].cleared == 1
    (after,) = await rows_of(store.raw, "people")
    assert after.item["note"] == sealed["note"]
    assert key_id(after.item["with"]) == "k2"
