"""`transaction(connection=)`: the store inside of a transaction of the caller's own, beside a table of theirs."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, IsolationLevel, sql
from psycopg.rows import dict_row
from pydantic import SecretStr

import stateroom as sr
from stateroom.engines.port import Query
from support.handles import OTHER, TEAM, Frozen, opened
from support.postgres import server

pytestmark = pytest.mark.service
PLACE = ("C00000001", "1700000000.000100")
TALK = [{"kind": "request", "parts": []}]
KEYS = f"k1:{base64.b64encode(b'k' * 32).decode()}"


class Order(sr.Datastore, name="orders", changes=True):
    id: str = sr.key()
    email: str | None = None
    paid: int = 0
    __indexes__ = [sr.Index("email", unique=True)]


class App(sr.Datastore, name="apps"):
    id: str = sr.key()
    token: SecretStr = sr.encrypted()


class Caller:
    """A connection of the caller's, with a table of theirs, and a second look from outside."""

    def __init__(self, connection: AsyncConnection[Any], table: str) -> None:
        self.connection = connection
        self.table = sql.Identifier(table)

    async def note(self, text: str) -> None:
        await self.connection.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(self.table), (text,))

    async def notes(self) -> list[str]:
        """What is committed in the table."""
        async with await AsyncConnection.connect(server()) as other:
            found = await other.execute(sql.SQL("SELECT text FROM {} ORDER BY text").format(self.table))
            return [text for (text,) in await found.fetchall()]


@pytest.fixture
async def store(tmp_path: Path, clock: Frozen) -> AsyncIterator[sr.Store]:
    async with opened("postgresql", tmp_path, clock) as found:
        await found.team(TEAM).datastore(Order).count()  # its tables are made outside
        yield found


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    table = f"own_{secrets.token_hex(4)}"
    connection = await AsyncConnection.connect(server(), autocommit=True)
    await connection.execute(f"CREATE TABLE {table} (text text)")
    await connection.set_autocommit(False)
    yield Caller(connection, table)
    await connection.close()
    async with await AsyncConnection.connect(server(), autocommit=True) as other:
        await other.execute(f"DROP TABLE {table}")


async def test_what_is_written_inside_is_there_with_the_callers_commit_and_not_before(
    store: sr.Store, caller: Caller
) -> None:
    outside = store.team(TEAM).datastore(Order)
    await outside.put(Order(id="old"))
    async with store.transaction(connection=caller.connection) as tx:
        await caller.note("ordered")
        inside = tx.team(TEAM).datastore(Order)
        await inside.put(Order(id="a", paid=1), if_absent=True)
        assert (await inside.update("a", add={"paid": 2})).paid == 3
        assert await inside.delete("old")
        await tx.team(OTHER).datastore(Order).put(Order(id="theirs"))
        assert await tx.team(TEAM).thread(*PLACE).append(TALK, turn_id="t1") == 1
        assert await inside.get("a") == Order(id="a", paid=3)
        assert [one.id for one in (await inside.query()).items] == ["a"]
        assert [one.id for one in (await outside.query()).items] == ["old"], "it is seen before it is committed"
    assert await outside.get("a") is None, "leaving the block commits nothing"
    assert await caller.notes() == []
    await caller.connection.commit()
    assert [one.id for one in (await outside.query()).items] == ["a"]
    assert await store.team(OTHER).datastore(Order).get("theirs") == Order(id="theirs")
    assert len((await store.team(TEAM).thread(*PLACE).entries()).items) == 1
    assert await caller.notes() == ["ordered"]
    assert [(one.kind, one.id) for one in (await outside.changes()).items] == [
        ("put", "old"),
        ("put", "a"),
        ("update", "a"),
        ("delete", "old"),
    ]


async def test_a_rollback_takes_everything_with_it_and_leaves_no_gap(store: sr.Store, caller: Caller) -> None:
    outside, thread = store.team(TEAM).datastore(Order), store.team(TEAM).thread(*PLACE)
    for ends in (caller.connection.rollback, caller.connection.commit):
        async with store.transaction(connection=caller.connection) as tx:
            await caller.note("ordered")
            inside = tx.team(TEAM).datastore(Order)
            await inside.put(Order(id="a", email="x"), idempotency_key="once")
            again = await inside.put(Order(id="a", email="x"), idempotency_key="once")
            assert again == Order(id="a", email="x")
            await tx.team(TEAM).thread(*PLACE).append(TALK, turn_id="t1")
        await ends()
        done = ends == caller.connection.commit
        assert (await outside.get("a") is not None) is done
        assert len((await thread.entries()).items) == done
        assert len(await caller.notes()) == done
        assert [one.number for one in (await outside.changes()).items] == ([1] if done else [])
    await outside.put(Order(id="a", email="x"), idempotency_key="once")
    assert len((await outside.changes()).items) == 1, "the key was committed with its write"


async def test_what_is_refused_leaves_the_callers_transaction_as_it_was(store: sr.Store, caller: Caller) -> None:
    outside = store.team(TEAM).datastore(Order)
    await outside.put(Order(id="a", email="x"))
    async with store.transaction(connection=caller.connection) as tx:
        await caller.note("before")
        inside = tx.team(TEAM).datastore(Order)
        with pytest.raises(sr.ConditionFailed) as failed:
            await inside.put(Order(id="a"), if_absent=True)
        assert failed.value.current == {"id": "a", "email": "x", "paid": 0}
        with pytest.raises(sr.ConditionFailed):
            await inside.update("a", {"paid": 1}, if_version=await inside.version("a") + 1)
        with pytest.raises(sr.UniqueViolation):
            await inside.put(Order(id="b", email="x"))
        with pytest.raises(sr.ConditionFailed):
            await inside.update("none", {"paid": 1}, condition=sr.attr("paid") == 1)
        await inside.put(Order(id="c", email="y"))
        with pytest.raises(sr.UniqueViolation):
            await inside.put(Order(id="d", email="y"))
        await caller.note("behind")
    await caller.connection.commit()
    assert await caller.notes() == ["before", "behind"] or await caller.notes() == ["behind", "before"]
    assert [one.id for one in (await outside.query()).items] == ["a", "c"]


async def test_a_savepoint_of_the_callers_takes_back_what_was_written_behind_it(
    store: sr.Store, caller: Caller
) -> None:
    outside = store.team(TEAM).datastore(Order)
    async with caller.connection.transaction(), store.transaction(connection=caller.connection) as tx:
        inside = tx.team(TEAM).datastore(Order)
        await inside.put(Order(id="a"))
        with pytest.raises(KeyError):  # noqa: PT012  the block is the call
            async with caller.connection.transaction():
                await inside.put(Order(id="b"))
                raise KeyError
        assert await inside.get("b") is None
        await asyncio.gather(*(inside.update("n", add={"paid": 1}) for _ in range(20)))
    assert {one.id: one.paid for one in (await outside.query()).items} == {"a": 0, "n": 20}


async def test_writers_outside_wait_for_the_callers_commit_and_nothing_is_lost(store: sr.Store, caller: Caller) -> None:
    outside = store.team(TEAM).datastore(Order)
    await outside.put(Order(id="a"))
    async with store.transaction(connection=caller.connection) as tx:
        await tx.team(TEAM).datastore(Order).update("a", add={"paid": 10})
        beside = [asyncio.ensure_future(outside.update("a", add={"paid": 1})) for _ in range(3)]
        await asyncio.wait(beside, timeout=0.2)
        assert not any(one.done() for one in beside)
        await tx.team(TEAM).datastore(Order).update("a", add={"paid": 10})
    await caller.connection.commit()
    await asyncio.gather(*beside)
    assert (await outside.get("a")) == Order(id="a", paid=23)


async def test_what_others_committed_meanwhile_is_decided_on_or_is_a_conflict(store: sr.Store, caller: Caller) -> None:
    outside = store.team(TEAM).datastore(Order)
    await outside.put(Order(id="a"))
    async with store.transaction(connection=caller.connection) as tx:
        inside = tx.team(TEAM).datastore(Order)
        assert (await inside.get("a")) == Order(id="a")
        await outside.update("a", add={"paid": 1})
        assert (await inside.update("a", add={"paid": 1})).paid == 2
    await caller.connection.commit()
    await caller.connection.set_isolation_level(IsolationLevel.SERIALIZABLE)
    async with store.transaction(connection=caller.connection) as tx:
        inside = tx.team(TEAM).datastore(Order)
        assert (await inside.get("a")) == Order(id="a", paid=2)
        await outside.update("a", add={"paid": 1})
        for write in (
            lambda: inside.update("a", add={"paid": 1}),
            lambda: inside.modify("a", lambda item: Order(id="a", paid=5)),
        ):
            with pytest.raises(sr.TransactionConflict) as conflict:
                await write()
            assert conflict.value.retryable
    await caller.connection.rollback()
    assert await outside.get("a") == Order(id="a", paid=3)


async def test_what_the_caller_has_set_on_the_connection_makes_no_difference(store: sr.Store, caller: Caller) -> None:
    caller.connection.row_factory = dict_row
    caller.connection.cursor_factory = psycopg.AsyncRawCursor
    caller.connection.prepare_threshold = None
    async with store.transaction(connection=caller.connection) as tx:
        inside = tx.team(TEAM).datastore(Order)
        await inside.put(Order(id="a", email="x"))
        assert (await inside.modify("a", lambda item: Order(id="a", paid=1))).paid == 1
        assert await inside.bulk_get(["a", "b"]) == [Order(id="a", paid=1), None]
    await caller.connection.commit()
    assert await store.team(TEAM).datastore(Order).get("a") == Order(id="a", paid=1)


async def test_encrypted_attributes_are_sealed_inside_as_they_are_outside(
    tmp_path: Path, clock: Frozen, caller: Caller
) -> None:
    async with opened("postgresql", tmp_path, clock, keys=KEYS) as store:
        await store.team(TEAM).datastore(App).count()
        async with store.transaction(connection=caller.connection) as tx:
            await tx.team(TEAM).datastore(App).put(App(id="a", token=SecretStr("heron")))
            found = await tx.team(TEAM).datastore(App).get("a")
            assert found is not None
            assert found.token.get_secret_value() == "heron"
        await caller.connection.commit()
        (row,) = (await store.raw.query(Query("apps", TEAM, 5))).rows
        assert "heron" not in str(row.item["token"])


async def refused(store: sr.Store, connection: object) -> str:
    with pytest.raises(sr.WrongUse) as found:
        async with store.transaction(connection=connection):
            pass
    return str(found.value)


async def test_a_connection_that_cannot_carry_it_is_refused_with_the_reason(store: sr.Store, caller: Caller) -> None:
    with psycopg.connect(server()) as other:
        assert "AsyncConnection" in await refused(store, other)
    await caller.connection.set_autocommit(True)
    assert "in no transaction" in await refused(store, caller.connection)
    async with caller.connection.pipeline():
        assert "pipeline" in await refused(store, caller.connection)
    await caller.connection.set_autocommit(False)
    with pytest.raises(psycopg.Error):
        await caller.connection.execute("SELECT 1 / 0")
    assert "has failed" in await refused(store, caller.connection)
    await caller.connection.rollback()
    name = f"other_{secrets.token_hex(4)}"
    async with await AsyncConnection.connect(server(), autocommit=True) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
        elsewhere = await AsyncConnection.connect(server(), dbname=name)
        assert "another database" in await refused(store, elsewhere)
        await elsewhere.close()
        await admin.execute(f"DROP DATABASE {name}")
    assert "closed" in await refused(store, elsewhere)


async def test_a_transaction_that_fails_or_ends_meanwhile_is_told_and_not_gone_on_with(
    store: sr.Store, caller: Caller
) -> None:
    async with store.transaction(connection=caller.connection) as tx:
        inside = tx.team(TEAM).datastore(Order)
        await inside.put(Order(id="a"))
        with pytest.raises(psycopg.Error):
            await caller.connection.execute("SELECT 1 / 0")
        for call in (inside.get("a"), inside.put(Order(id="b")), inside.modify("c", lambda _: Order(id="c"))):
            with pytest.raises(sr.WrongUse, match="has failed"):
                await call
        await caller.connection.rollback()
    with pytest.raises(sr.WrongUse, match="is over"):
        await inside.get("a")
    assert await store.team(TEAM).datastore(Order).count() == 0


async def test_a_connection_that_is_lost_has_applied_nothing(store: sr.Store, caller: Caller) -> None:
    async with store.transaction(connection=caller.connection) as tx:
        inside = tx.team(TEAM).datastore(Order)
        await inside.put(Order(id="a"))
        async with await AsyncConnection.connect(server(), autocommit=True) as admin:
            pid = caller.connection.info.backend_pid
            await admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(sr.StoreUnavailable) as lost:
            await inside.put(Order(id="b"))
        assert (lost.value.retryable, lost.value.maybe_applied) == (True, False)
    assert await store.team(TEAM).datastore(Order).count() == 0


@pytest.mark.parametrize("engine", ["memory", "sqlite", "dynamodb"])
async def test_engines_without_it_say_so(engine: str, tmp_path: Path, clock: Frozen) -> None:
    async with opened(engine, tmp_path, clock) as other:
        with pytest.raises(sr.Unsupported) as found:
            async with other.transaction(connection=object()):
                pass
    assert found.value.construct.startswith("transaction(connection=")
