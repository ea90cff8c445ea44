"""Transactions: all or nothing, on what was read, without a lock."""

import asyncio

import pytest

import stateroom as sr
from stateroom.engines.handle_surroundings import Surroundings
from stateroom.engines.handle_transaction import Transaction
from support.handles import OTHER, TEAM, Frozen
from support.reduced_engine import Reduced


class Account(sr.Datastore, name="accounts"):
    id: str = sr.key()
    coins: int = 0


class Note(sr.Datastore, name="notes", keep_deleted=60, version=3):
    id: str = sr.key()
    email: str | None = None
    __indexes__ = [sr.Index("email", unique=True)]


async def move(store: sr.Store, source: str, target: str, coins: int) -> None:
    async with store.transaction() as tx:
        accounts = tx.team(TEAM).datastore(Account)
        one, other = await accounts.get(source), await accounts.get(target)
        assert one is not None
        assert other is not None
        if one.coins >= coins:
            await accounts.put(Account(id=source, coins=one.coins - coins))
            await asyncio.sleep(0)
            await accounts.put(Account(id=target, coins=other.coins + coins))


async def test_all_is_written_when_the_block_is_left_and_nothing_before(store: sr.Store) -> None:
    accounts = store.team(TEAM).datastore(Account)
    notes = store.team(TEAM).datastore(Note)
    await accounts.put(Account(id="a", coins=5))
    async with store.transaction() as tx:
        inside = tx.team(TEAM).datastore(Account)
        assert (await inside.update("a", add={"coins": -2})).coins == 3
        await inside.put(Account(id="b", coins=2), if_absent=True)
        await tx.team(TEAM).datastore(Note).put(Note(id="n"))
        assert await accounts.get("a") == Account(id="a", coins=5)
        assert await notes.get("n") is None
    assert await accounts.get("a") == Account(id="a", coins=3)
    assert await accounts.get("b") == Account(id="b", coins=2)
    assert await notes.get("n") == Note(id="n")


async def test_a_block_sees_its_own_writes(store: sr.Store) -> None:
    async with store.transaction() as tx:
        inside = tx.team(TEAM).datastore(Account)
        assert await inside.get("a") is None
        await inside.put(Account(id="a", coins=1))
        assert await inside.get("a") == Account(id="a", coins=1)
        await inside.update("a", add={"coins": 1}, condition=sr.attr("coins") == 1)
        with pytest.raises(sr.ConditionFailed) as failed:
            await inside.put(Account(id="a"), if_absent=True)
        assert failed.value.current == {"id": "a", "coins": 2}
        assert await inside.delete("a")
        assert await inside.get("a") is None
        assert not await inside.delete("a")
        await inside.put(Account(id="a", coins=7), if_absent=True)
    assert await store.team(TEAM).datastore(Account).get("a") == Account(id="a", coins=7)


async def test_a_block_that_raises_writes_nothing(store: sr.Store) -> None:
    with pytest.raises(KeyError):  # noqa: PT012  the block is the call
        async with store.transaction() as tx:
            await tx.team(TEAM).datastore(Account).put(Account(id="a"))
            raise KeyError
    with pytest.raises(sr.ConditionFailed):  # noqa: PT012  the block is the call
        async with store.transaction() as tx:
            await tx.team(TEAM).datastore(Account).put(Account(id="a"))
            await tx.team(TEAM).datastore(Account).update("b", {"coins": 1}, condition=sr.attr("coins") == 0)
    assert await store.team(TEAM).datastore(Account).count() == 0


@pytest.mark.parametrize("what", ["changed", "deleted", "made", "remade"])
async def test_what_was_read_and_has_changed_since_is_a_conflict(store: sr.Store, what: str) -> None:
    accounts = store.team(TEAM).datastore(Account)
    await accounts.put(Account(id="a", coins=1))
    with pytest.raises(sr.TransactionConflict) as conflict:  # noqa: PT012  the block is the call
        async with store.transaction() as tx:
            inside = tx.team(TEAM).datastore(Account)
            await inside.get("z" if what == "made" else "a")
            await inside.put(Account(id="b"))
            if what == "made":
                await accounts.put(Account(id="z"))
            elif what == "changed":
                await accounts.update("a", add={"coins": 1})
            else:
                await accounts.delete("a")
            if what == "remade":
                store.clock.advance(1)  # type: ignore[attr-defined]
                await accounts.put(Account(id="a", coins=1))
    assert conflict.value.retryable
    assert conflict.value.place == ("accounts/z" if what == "made" else "accounts/a")
    assert await accounts.get("b") is None


async def test_what_is_written_without_reading_conflicts_with_a_writer_in_between(store: sr.Store) -> None:
    accounts = store.team(TEAM).datastore(Account)
    with pytest.raises(sr.TransactionConflict) as conflict:  # noqa: PT012  the block is the call
        async with store.transaction() as tx:
            await tx.team(TEAM).datastore(Account).put(Account(id="a", coins=1))
            await accounts.put(Account(id="a", coins=2))
    assert conflict.value.current == {"id": "a", "coins": 2}
    assert await accounts.get("a") == Account(id="a", coins=2)


async def test_a_block_that_only_reads_is_told_when_what_it_saw_was_never_true_together(store: sr.Store) -> None:
    accounts = store.team(TEAM).datastore(Account)
    await accounts.bulk_put([Account(id="a", coins=1), Account(id="b", coins=1)])
    with pytest.raises(sr.TransactionConflict):  # noqa: PT012  the block is the call
        async with store.transaction() as tx:
            inside = tx.team(TEAM).datastore(Account)
            await inside.get("a")
            await accounts.bulk_put([Account(id="a", coins=0), Account(id="b", coins=2)])
            await inside.get("b")
    async with store.transaction() as tx:
        inside = tx.team(TEAM).datastore(Account)
        await inside.get("a")
        await inside.get("b")


async def test_money_moved_by_many_tasks_is_neither_made_nor_lost(store: sr.Store) -> None:
    accounts = store.team(TEAM).datastore(Account)
    await accounts.bulk_put([Account(id=str(n), coins=10) for n in range(4)])
    conflicts = 0

    async def mover(task: int) -> None:
        nonlocal conflicts
        for n in range(5):
            while True:
                try:
                    await move(store, str((task + n) % 4), str((task + n + 1) % 4), 1 + n)
                except sr.TransactionConflict:
                    conflicts += 1
                    await asyncio.sleep(0)
                    continue
                break

    await asyncio.gather(*(mover(task) for task in range(8)))
    assert sum([a.coins async for a in accounts.scan()]) == 40
    assert conflicts


async def test_a_transaction_is_of_one_team_and_over_when_it_is_over(store: sr.Store) -> None:
    async with store.transaction() as tx:
        inside = tx.team(TEAM).datastore(Account)
        with pytest.raises(sr.WrongUse, match="one team"):
            tx.team(OTHER).datastore(Account)
        await inside.put(Account(id="a"))
    with pytest.raises(sr.WrongUse, match="over"):
        await inside.get("a")
    with pytest.raises(sr.WrongUse, match="over"):
        await inside.put(Account(id="a"))
    with pytest.raises(sr.WrongUse, match="over"):
        tx.team(TEAM).datastore(Account)


async def test_unique_values_hold_and_deleted_items_can_be_restored(store: sr.Store) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n", email="a@b"))
    with pytest.raises(sr.UniqueViolation) as refused:
        async with store.transaction() as tx:
            await tx.team(TEAM).datastore(Note).put(Note(id="m", email="a@b"))
    assert refused.value.current == {"id": "n", "email": "a@b"}
    async with store.transaction() as tx:
        assert await tx.team(TEAM).datastore(Note).delete("n")
    assert await notes.get("n") is None
    assert await notes.restore("n") == Note(id="n", email="a@b")


async def test_an_engine_that_commits_single_rows_says_that_it_cannot() -> None:
    async def nothing(_: object) -> None:
        return

    with pytest.raises(sr.Unsupported, match="transactions"):
        Transaction(Reduced(Frozen()), Surroundings(), nothing)
