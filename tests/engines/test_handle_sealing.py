"""Encrypted attributes through every verb: plain for the user, sealed for the engine, open only in their place."""

import json
import shutil
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import stateroom as sr
from stateroom.engines.handle_sealing import SealingEngine
from stateroom.engines.port import Query
from stateroom.model.sealing import key_id
from stateroom.store import Store
from support.handles import OTHER, TEAM, Frozen, failure, opened

WORD = "xoxb-hush"
NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
KEYS = f"{NEW},{OLD}"
TABLES = ("apps", "trash_apps", "sr_once", "apps.changes")


class App(sr.Datastore, name="apps", changes=True, keep_deleted=3600):
    id: str = sr.key()
    name: str = ""
    code: str = ""
    token: SecretStr | None = sr.encrypted()
    scopes: list[str] = sr.encrypted(default_factory=list)
    limits: dict[str, Any] = sr.encrypted(default_factory=dict)
    tries: int = sr.encrypted(0)
    __indexes__ = [sr.Index("code", unique=True)]


def app(id: str = "A-1", **given: Any) -> App:
    return App(id=id, **{"token": SecretStr(WORD), "scopes": [WORD], "limits": {WORD: 1.5}, **given})


@pytest.fixture(params=["memory", "sqlite"])
async def sealed(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Frozen, empty_file: Path
) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        shutil.copy(empty_file, tmp_path / "store.db")
    async with opened(request.param, tmp_path, clock, keys=KEYS) as found:
        yield found


async def stored(store: Store, *tables: str) -> list[dict[str, Any]]:
    """Every row of the tables, as the engine has it."""
    found: list[dict[str, Any]] = []
    for table in tables:
        found += [row.item for row in (await store.engine.query(Query(table, None, 100, whole=True))).rows]
    return found


def with_keys(store: Store, keys: str | None) -> Store:
    """The same rows, seen with other keys."""
    return Store("memory://", engine=store.engine, clock=store.clock, keys=keys)


async def test_a_secret_is_plain_for_the_user_and_sealed_in_the_store(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    assert await apps.put(app(), if_absent=True) == app()
    assert await apps.get("A-1") == app()
    changed = await apps.update("A-1", {"limits": {"a": WORD}, "tries": 7})
    assert (changed.token, changed.limits, changed.tries) == (SecretStr(WORD), {"a": WORD}, 7)
    assert await apps.bulk_get(["A-1"]) == (await apps.query()).items == [one async for one in apps.scan()] == [changed]
    assert (await apps.bulk_put([app("A-2", code="b")])).items == [app("A-2", code="b")]
    assert WORD not in repr(changed)
    for item in await stored(sealed, "apps"):
        assert {key_id(item[name]) for name in ("token", "scopes", "limits", "tries")} == {"k2"}
        assert WORD not in json.dumps(item)
    assert (await apps.update("A-1", remove=["token"])).token is None
    assert "token" not in (await stored(sealed, "apps"))[0]


async def test_no_copy_of_an_item_holds_a_secret_in_plain(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.put(app(), idempotency_key="one")
    await apps.update("A-1", {"token": WORD}, idempotency_key="two")
    await apps.modify("A-1", lambda one: one or app())
    async with sealed.transaction() as tx:
        inside = tx.team(TEAM).datastore(App)
        await inside.put(app("A-2", code="b"))
        assert (await inside.update("A-1", {"token": WORD + "2"})).token == SecretStr(WORD + "2")
        await inside.delete("A-1")
    await apps.delete("A-2")
    rows = [await stored(sealed, table) for table in TABLES]
    assert [len(found) for found in rows] == [0, 2, 2, 6]
    assert WORD not in json.dumps([*rows[0], *rows[1], *rows[2], *rows[3]], default=str)


async def test_what_an_idempotency_key_remembers_is_given_back_in_plain(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    first = await apps.put(app(), idempotency_key="one")
    await apps.update("A-1", {"token": "other"})
    assert await apps.put(app(), idempotency_key="one") == first == app()
    assert isinstance(await failure(apps.put(app(tries=1), idempotency_key="one")), sr.IdempotencyMismatch)
    (note,) = await stored(sealed, "sr_once")
    assert key_id(note["call"]) == "k2"  # a digest of a short secret could be tried out


async def test_deleted_items_and_changes_come_back_in_plain(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.put(app())
    await apps.delete("A-1")
    assert await apps.restore("A-1") == app()
    changes = (await apps.changes()).items
    assert [(one.kind, one.item) for one in changes] == [("put", app()), ("delete", None), ("put", app())]


async def test_a_refused_write_shows_what_is_there_in_plain(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.put(app(code="c"))
    refused = await failure(apps.put(app(), if_absent=True))
    assert isinstance(refused, sr.ConditionFailed)
    assert refused.current is not None
    assert refused.current["token"] == WORD
    assert refused.current["tries"] == 0
    twice = await failure(apps.put(app("A-2", code="c")))
    assert isinstance(twice, sr.UniqueViolation)
    assert twice.current is not None
    assert (twice.current["id"], twice.current["token"]) == ("A-1", WORD)

    async def raced() -> None:
        async with sealed.transaction() as tx:
            await tx.team(TEAM).datastore(App).update("A-1", {"name": "a"})
            await apps.update("A-1", {"name": "b"})

    conflict = await failure(raced())
    assert isinstance(conflict, sr.TransactionConflict)
    assert conflict.current is not None
    assert (conflict.current["name"], conflict.current["token"]) == ("b", WORD)


async def test_versions_see_a_change_and_reading_makes_none(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.put(app())
    seen = await apps.version("A-1")
    await apps.get("A-1")
    assert await apps.version("A-1") == seen
    assert (await apps.put(app(name="n"), if_version=seen)).name == "n"
    assert isinstance(await failure(apps.put(app(), if_version=seen)), sr.ConditionFailed)


async def test_a_condition_may_only_ask_whether_a_secret_is_there(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.bulk_put([app(), app("A-2", code="b", token=None)])
    assert [one.id for one in (await apps.query(sr.attr("token").exists())).items] == ["A-1"]
    assert [one.id for one in (await apps.query("attribute_not_exists(#t)", names={"#t": "token"})).items] == ["A-2"]
    for asked in (
        sr.attr("token") == WORD,
        (sr.attr("name") == "a") & sr.attr("token").begins_with("x"),
        ~(sr.attr("limits").size() > 1),
        sr.attr("limits", "a").exists(),
        sr.attr("name") == sr.attr("token"),
    ):
        assert isinstance(await failure(apps.query(asked)), sr.InvalidCondition)
        assert isinstance(await failure(apps.update("A-1", {"name": "n"}, condition=asked)), sr.InvalidCondition)
    asked_as_text = apps.count("#t = :t", names={"#t": "token"}, values={":t": WORD})
    assert "encrypted" in str(await failure(asked_as_text))
    assert isinstance(await failure(apps.query(order="token")), sr.Unsupported)


async def test_the_store_neither_adds_nor_appends_to_a_secret(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.put(app())
    for call in (apps.update("A-1", add={"tries": 1}), apps.update("A-1", append={"scopes": ["a"]})):
        refused = await failure(call)
        assert isinstance(refused, sr.InvalidValue)
        assert "encrypted" in str(refused)
    assert (await apps.modify("A-1", lambda one: app(tries=(one or app()).tries + 1))).tries == 1


async def test_without_keys_no_secret_is_written_or_read(sealed: Store) -> None:
    apps = sealed.team(TEAM).datastore(App)
    await apps.put(app())
    blind = with_keys(sealed, None).team(TEAM)
    for call in (
        blind.datastore(App).put(app("A-2")),
        blind.datastore(App).get("A-1"),
        blind.datastore(App).update("A-3", {"name": "a"}),  # a new item would have sealed defaults
    ):
        refused = await failure(call)
        assert isinstance(refused, sr.KeyMissing)
        assert not refused.maybe_applied
    assert [item["id"] for item in await stored(sealed, "apps")] == ["A-1"]
    plain = blind.items(App.__definition__)
    assert await plain.put({"id": "A-4", "name": "no secret"}, idempotency_key="k") == {
        "id": "A-4",
        "name": "no secret",
    }


async def test_a_lost_key_is_named_and_what_was_changed_all_the_same_is_said(sealed: Store) -> None:
    await sealed.team(TEAM).datastore(App).put(app())
    lost = with_keys(sealed, OLD).team(TEAM).datastore(App)
    refused = await failure(lost.get("A-1"))
    assert isinstance(refused, sr.KeyMissing)
    assert (refused.key_id, refused.maybe_applied) == ("k2", False)
    changed = await failure(lost.update("A-1", {"name": "new"}))
    assert isinstance(changed, sr.KeyMissing)
    assert changed.maybe_applied
    done = await lost.bulk_put([app("A-2", code="b")])
    assert key_id((await stored(sealed, "apps"))[1]["token"]) == "k1"
    assert not done.failed
    assert await lost.put(app("A-1", code="c")) == app("A-1", code="c")  # it may be replaced
    assert (await with_keys(sealed, KEYS).team(TEAM).datastore(App).query()).items[1].token == SecretStr(WORD)


@pytest.mark.parametrize("keys", [OLD, None])
async def test_an_item_whose_secret_does_not_open_can_be_deleted_and_comes_back_with_it(
    sealed: Store, keys: str | None
) -> None:
    apps, lost = (one.team(TEAM).datastore(App) for one in (sealed, with_keys(sealed, keys)))
    await apps.put(app())
    assert await lost.delete("A-1")
    assert await lost.get("A-1") is None
    assert WORD not in repr(await stored(sealed, *TABLES))
    assert await apps.restore("A-1") == app()
    assert (await lost.bulk_delete(["A-1"])).items == ["A-1"]
    assert await apps.restore("A-1") == app()
    assert await lost.delete("A-1", forever=True)
    assert await stored(sealed, "apps", "trash_apps") == []


MOVES = {
    "row": (f"id = 'A-2' AND team = '{TEAM}'", "SELECT item ->> '$.token' FROM items_apps LIMIT 1"),
    "attribute": ("id = 'A-2'", "SELECT i.item ->> '$.scopes'"),
    "team": (f"id = 'A-2' AND team = '{TEAM}'", f"SELECT item ->> '$.token' FROM items_apps WHERE team = '{OTHER}'"),
    "plain": ("id = 'A-2'", "SELECT 'xoxb-planted'"),
    "key": ("id = 'A-2'", "SELECT replace(i.item ->> '$.token', ':k2:', ':k1:')"),
}


@pytest.mark.parametrize("move", MOVES)
async def test_a_sealed_value_moved_by_hand_is_refused_on_reading(tmp_path: Path, clock: Frozen, move: str) -> None:
    async with opened("sqlite", tmp_path, clock, keys=KEYS) as store:
        await store.team(TEAM).datastore(App).bulk_put([app(), app("A-2", code="b")])
        await store.team(OTHER).datastore(App).put(app("A-2"))
    where, value = MOVES[move]
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute(f"UPDATE items_apps AS i SET item = json_set(item, '$.token', ({value})) WHERE {where}")
    connection.commit()
    connection.close()
    async with opened("sqlite", tmp_path, clock, keys=KEYS) as store:
        apps = store.team(TEAM).datastore(App)
        assert await apps.get("A-1") == app()
        for call in (apps.get("A-2"), apps.query()):
            refused = await failure(call)
            assert isinstance(refused, sr.SealBroken)
            assert "A-2" not in str(refused)
        assert await apps.delete("A-2")
        assert isinstance(await failure(apps.restore("A-2")), sr.SealBroken)


class First(sr.Datastore, name="things"):
    id: str = sr.key()
    was_sealed: str = sr.encrypted("")
    was_plain: str = ""


class Second(sr.Datastore, name="things", version=2):
    id: str = sr.key()
    both: str = sr.encrypted("")
    was_plain: str = sr.encrypted("")

    @sr.upgrade(from_version=1)
    @staticmethod
    def join(item: dict[str, Any]) -> dict[str, Any]:
        return {"id": item["id"], "both": item["was_sealed"] + item["was_plain"], "was_plain": item["was_plain"]}


class Third(sr.Datastore, name="things", version=2):
    id: str = sr.key()
    open_now: str = ""

    @sr.upgrade(from_version=1)
    @staticmethod
    def open_it(item: dict[str, Any]) -> dict[str, Any]:
        return {"id": item["id"], "open_now": item["was_sealed"]}


async def test_upgrade_steps_see_plain_values_and_what_they_make_is_sealed(sealed: Store) -> None:
    await sealed.team(TEAM).datastore(First).put(First(id="a", was_sealed=WORD, was_plain="p"))
    things = sealed.team(TEAM).datastore(Second)
    assert await things.get("a") == Second(id="a", both=WORD + "p", was_plain="p")
    assert (await things.query(sr.attr("both").exists())).items == [Second(id="a", both=WORD + "p", was_plain="p")]
    assert (await sealed.team(TEAM).datastore(Third).query()).items == [Third(id="a", open_now=WORD)]
    await things.update("a", {"both": WORD})
    (row,) = await stored(sealed, "things")
    assert row["$v"] == 2
    assert {key_id(row["both"]), key_id(row["was_plain"])} == {"k2"}


async def test_old_text_that_only_looks_sealed_stays_text(sealed: Store) -> None:
    looks: Mapping[str, str] = {"was_sealed": "", "was_plain": f"sr-sealed:1:k9:{'A' * 60}"}
    await sealed.team(TEAM).datastore(First).put(First(id="a", **looks))
    assert await sealed.team(TEAM).datastore(Third).get("a") == Third(id="a", open_now="")


async def test_a_definition_without_secrets_meets_no_sealing(sealed: Store) -> None:
    class Plain(sr.Datastore, name="plain"):
        id: str = sr.key()

    assert sealed.team(TEAM).datastore(Plain)._raw is sealed.raw
    assert isinstance(sealed.team(TEAM).datastore(App)._raw, SealingEngine)
