"""Rotation: everything sealed gets onto the first key, whatever happens meanwhile, and a second look proves it."""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import stateroom as sr
from stateroom.engines.port import Put, Rewrite, Write, Written
from stateroom.layers import catalogue
from stateroom.layers.keys_rotate import PLAIN, Figures, Rotation, RotationRuns, Walk, count, left, walks
from stateroom.layers.walking import Pace
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.store import Store
from support.retention import OTHER, TEAM, Clock, rows_of
from support.threads import CHANNEL, TS, ask

OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
BOTH = f"{NEW},{OLD}"
APPS = Definition(
    "apps",
    "id",
    {
        "id": Attribute("string", required=True),
        "token": Attribute("string", encrypted=True),
        "scopes": Attribute("array", encrypted=True),
        "name": Attribute("string"),
        "ends": Attribute("slack#/types/timestamp"),
    },
    ttl="ends",
    changes=True,
    keep_deleted=600,
)
TABLES = ("apps", "trash_apps", "sr_once", "apps.changes", "sr_keys")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/rotate.db"
    async with Store(url, clock=clock, keys=OLD, encrypt_content=True) as opened:
        yield opened


def seen_by(store: Store, keys: str) -> Store:
    return Store("memory://", engine=store.raw, clock=store.clock, keys=keys, encrypt_content=True)


async def fill(store: Store) -> None:
    for team in (TEAM, OTHER):
        apps = store.team(team).items(APPS)
        for n in range(5):
            await apps.put({"id": f"a{n}", "token": f"xoxb-{n}", "scopes": [n]}, idempotency_key=f"k{n}")
        await apps.delete("a4")
        await store.team(team).thread(CHANNEL, TS).append([ask("words")], turn_id="t0")


async def walks_of(store: Store) -> list[Walk]:
    return walks(await store.everything(), await catalogue.known(store.raw))


async def rotated(store: Store, batch: int = 3) -> list[Figures]:
    assert store.data_keys is not None
    rotation = Rotation(store.raw, Pace(store.clock), store.keys, store.data_keys, told=lambda _: None, batch=batch)
    return await rotation.run(await walks_of(store))


async def sums(store: Store) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in await count(store.raw, await walks_of(store), lambda _: None):
        for key, number in one.values.items():
            total[key] = total.get(key, 0) + number
    return total


async def test_every_copy_of_a_secret_gets_onto_the_first_key(store: Store) -> None:
    await fill(store)
    before = await sums(store)
    # Of each team: 4 items and a deleted one, 5 results with 2 values and a call each, 5 changes, a data key.
    assert before == {"k1": 2 * (2 * 5 + 3 * 5 + 2 * 5 + 1)}
    new = seen_by(store, BOTH)
    await rotated(new)
    after = await sums(store)
    assert after.keys() == {"k2"}
    assert not left(await count(store.raw, await walks_of(store), lambda _: None), new.keys, new.data_keys)
    assert "sr-sealed:1:k1" not in repr([await rows_of(store.raw, name) for name in TABLES])
    only = seen_by(store, NEW)  # the older key may go
    apps = only.team(TEAM).items(APPS)
    assert await apps.get("a1") == {"id": "a1", "token": "xoxb-1", "scopes": [1]}
    assert (await apps.put({"id": "a1", "token": "xoxb-1", "scopes": [1]}, idempotency_key="k1"))["token"] == "xoxb-1"
    assert (await apps.restore("a4") or {})["token"] == "xoxb-4"
    changes = [one.item for one in (await apps.changes()).items if one.item]
    assert [item["token"] for item in changes][:5] == [f"xoxb-{n}" for n in range(5)]
    assert (await only.team(TEAM).thread(CHANNEL, TS).messages()).messages == [ask("words")]
    assert sum(one.sealed for one in await rotated(only)) == 0


async def test_a_row_that_is_written_meanwhile_keeps_what_was_written(store: Store) -> None:
    await fill(store)
    new = seen_by(store, BOTH)
    commit, todo = store.raw.commit, [True]

    async def slow(writes: list[Write]) -> list[Written]:
        if todo and any(one.table == "apps" for one in writes):
            todo.clear()
            await store.team(TEAM).items(APPS).update("a1", {"name": "new", "token": "changed"})
            await store.team(TEAM).items(APPS).delete("a2")
        return await commit(writes)

    store.raw.commit = slow  # type: ignore[method-assign,assignment]
    await rotated(new, batch=100)
    assert await new.team(TEAM).items(APPS).get("a1") == {"id": "a1", "name": "new", "token": "changed", "scopes": [1]}
    assert await new.team(TEAM).items(APPS).get("a2") is None
    assert (await sums(store)).keys() == {"k2"}


async def test_an_entry_that_was_erased_meanwhile_does_not_come_back(store: Store) -> None:
    await fill(store)
    (first, *_) = await rows_of(store.raw, "apps.changes")
    commit, todo = store.raw.commit, [True]

    async def slow(writes: list[Write]) -> list[Written]:
        if todo and writes[0].table == "apps.changes":
            todo.clear()
            bare = {name: value for name, value in first.item.items() if name != "item"}
            await commit([replaced(first, bare)])
        return await commit(writes)

    store.raw.commit = slow  # type: ignore[method-assign,assignment]
    await rotated(seen_by(store, BOTH))
    assert "item" not in (await rows_of(store.raw, "apps.changes"))[0].item
    assert not todo


def replaced(row: Any, item: dict[str, Any]) -> Write:
    return Rewrite("apps.changes", row.team, row.id.partition("/")[0], row.version, item)


class Killed(Exception):
    """The process ends here."""


async def test_a_killed_rotation_goes_on_where_it_stood(store: Store) -> None:
    await fill(store)
    new = seen_by(store, BOTH)
    seen: list[str] = []

    def told(one: Figures) -> None:
        seen.append(one.table)
        if seen.count("apps") == 2:
            raise Killed

    assert new.data_keys is not None
    rotation = Rotation(store.raw, Pace(store.clock), new.keys, new.data_keys, told=told, batch=2)
    with pytest.raises(Killed):
        await rotation.run(await walks_of(store))
    done = {one.table: one for one in await rotated(new, batch=2)}
    assert (done["apps"].seen, done["apps"].sealed) == (4, 4)
    assert (await sums(store)).keys() == {"k2"}


async def test_a_rotation_killed_between_reading_and_sealing_skips_nothing(store: Store) -> None:
    await fill(store)
    new = seen_by(store, BOTH)
    commit, pages = store.raw.commit, [0]

    async def cut(writes: list[Write]) -> list[Written]:
        pages[0] += writes[0].table == "apps"
        if writes[0].table == "apps" and pages[0] == 2:
            raise Killed
        return await commit(writes)

    store.raw.commit = cut  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        await rotated(new, batch=2)
    store.raw.commit = commit  # type: ignore[method-assign]
    await rotated(new, batch=2)
    assert (await sums(store)).keys() == {"k2"}


async def test_a_rotation_to_another_key_begins_anew(store: Store) -> None:
    await fill(store)
    seen: list[str] = []

    def told(one: Figures) -> None:
        seen.append(one.table)
        if seen.count("apps") == 2:
            raise Killed

    new = seen_by(store, BOTH)
    assert new.data_keys is not None
    rotation = Rotation(store.raw, Pace(store.clock), new.keys, new.data_keys, told=told, batch=2)
    with pytest.raises(Killed):
        await rotation.run(await walks_of(store))
    third = f"k3:{b64encode(bytes([3]) * 32).decode()}"
    await rotated(seen_by(store, f"{third},{BOTH}"), batch=2)
    assert (await sums(store)).keys() == {"k3"}


async def test_one_rotation_at_a_time(store: Store) -> None:
    await fill(store)
    new = seen_by(store, BOTH)
    again: list[type[Exception]] = []

    async def wait(_: float) -> None:
        try:
            await rotated(new)
        except RotationRuns as error:
            again.append(type(error))

    assert new.data_keys is not None
    pace = Pace(store.clock, rate=0.5, wait=wait)
    await Rotation(store.raw, pace, new.keys, new.data_keys, told=lambda _: None).run(await walks_of(store))
    assert again
    await rotated(new)


async def test_what_cannot_be_opened_stays_and_is_named(store: Store) -> None:
    await fill(store)
    lost = f"k3:{b64encode(bytes([3]) * 32).decode()}"
    await seen_by(store, f"{lost},{OLD}").team(TEAM).items(APPS).put({"id": "lost", "token": "x"})
    new = seen_by(store, BOTH)
    apps = next(one for one in await rotated(new) if one.table == "apps")
    assert list(apps.failed) == [
        "apps.token is sealed with the key k3, which was not given; add k3:… to STATEROOM_KEYS (docs/keys.md)"
    ]
    now = await count(store.raw, await walks_of(store), lambda _: None)
    assert left(now, new.keys, new.data_keys) == {"k3": 2}  # the item and its entry in the log


class Refusing:
    """A key service that has lost a key for good."""

    name = "test/1"

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        return key

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        raise sr.KeyServiceError(self.name, "DisabledException", retryable=False)


async def test_a_data_key_that_its_service_refuses_stays_and_the_rest_goes_on(store: Store) -> None:
    await fill(store)
    moved = {"id": "00000001", "wrapped": "sr-kms:1:test/0:AAAA", "at": 1}
    await store.raw.commit([Put("sr_keys", TEAM, "00000001", moved)])
    now = Store("memory://", engine=store.raw, clock=store.clock, keys=BOTH, encrypt_content=True, kms=Refusing())
    done = await rotated(now)
    assert (done[0].failed.total(), done[0].sealed) == (1, 1)
    assert "DisabledException" in str(done[0].failed)
    assert "k1" not in await sums(now)


async def test_values_that_stand_in_plain_are_sealed(store: Store) -> None:
    before = replace(APPS, attributes={**APPS.attributes, "token": Attribute("string")})
    await store.team(TEAM).items(before).put({"id": "a", "token": "was plain"})
    apps = store.team(TEAM).items(APPS)
    with pytest.raises(sr.SealBroken, match="keys rotate"):
        await apps.get("a")
    assert (await sums(store))[PLAIN] == 2
    await rotated(store)
    assert await apps.get("a") == {"id": "a", "token": "was plain"}
    assert (await sums(store)) == {"k1": 3}  # the item, the entry of its put, and that of its sealing


async def test_what_has_expired_is_removed_and_not_sealed_again(store: Store, clock: Clock) -> None:
    await store.team(TEAM).items(APPS).put({"id": "a", "token": "x", "ends": int(clock.now) + 5})
    clock.now += 10
    await rotated(seen_by(store, BOTH))
    assert await rows_of(store.raw, "apps") == []


async def test_old_versions_and_attributes_of_newer_code_are_rotated_too(store: Store) -> None:
    newer = replace(APPS, attributes={**APPS.attributes, "more": Attribute("string", encrypted=True)})
    await store.team(TEAM).items(newer).put({"id": "a", "more": "x"})
    gone = replace(APPS, version=2, attributes={"id": APPS.attributes["id"]}, ttl=None, upgrades={1: lambda item: item})
    await store.team(TEAM).items(gone).put({"id": "b"})
    found = walks([gone], {"apps": {1: APPS, 2: gone}})
    new = seen_by(store, BOTH)
    assert new.data_keys is not None
    await Rotation(store.raw, Pace(store.clock), new.keys, new.data_keys, told=lambda _: None).run(found)
    assert (await rows_of(store.raw, "apps"))[0].item["more"].startswith("sr-sealed:1:k2:")


async def test_a_look_alike_in_an_attribute_that_is_not_encrypted_is_left_alone(store: Store) -> None:
    looks = f"sr-sealed:1:k1:{'A' * 60}"
    await store.team(TEAM).items(APPS).put({"id": "a", "name": looks})
    new = seen_by(store, BOTH)
    assert sum(one.failed.total() for one in await rotated(new)) == 0
    assert await new.team(TEAM).items(APPS).get("a") == {"id": "a", "name": looks}
