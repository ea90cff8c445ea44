"""A process with a store and a job, for tests that race real processes: `handle_worker.py URL JOB JSON`.

It says `ready`, waits for a line, works, and prints what happened as one line of JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import stateroom as sr
from stateroom.engines.handle import Datastore

TEAM = "T00000001"


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: Literal["open", "approved", "done"] = "open"
    by: str = ""
    votes: int = 0
    __lifecycle__ = sr.Lifecycle("status", initial="open", open=["approved"], approved=["done"])


class OldPerson(sr.Datastore, name="people"):
    id: str = sr.key()
    name: str = ""
    visits: int = 0


class WiderPerson(sr.Datastore, name="people"):
    """An attribute and an index more: what needs no version."""

    id: str = sr.key()
    name: str = ""
    visits: int = 0
    mails: list[str] = []
    stage: str = "new"
    __indexes__ = [sr.Index("stage")]


class NewPerson(sr.Datastore, name="people", version=2):
    """Another shape: what needs one."""

    id: str = sr.key()
    names: list[str] = []
    visits: int = 0

    @sr.upgrade(from_version=1)
    @staticmethod
    def split(item: dict[str, Any]) -> dict[str, Any]:
        return {"id": item["id"], "names": item.get("name", "").split(), "visits": item.get("visits", 0) + 1000}


async def transition(store: sr.Store, *, name: str) -> Any:
    """Try to approve the one ticket."""
    tickets = store.team(TEAM).datastore(Ticket)
    try:
        won = await tickets.update("T-1", {"status": "approved", "by": name})
    except sr.ConditionFailed as error:
        return {"error": type(error).__name__, "current": error.current}
    return {"won": won.by}


async def vote(store: sr.Store, *, keys: list[str]) -> Any:
    """Vote once for each key; the votes that each call saw."""
    tickets = store.team(TEAM).datastore(Ticket)
    return [(await tickets.update("T-1", add={"votes": 1}, idempotency_key=key)).votes for key in keys]


async def add(store: sr.Store, *, count: int) -> Any:
    """`count` plain additions."""
    tickets = store.team(TEAM).datastore(Ticket)
    for _ in range(count):
        await tickets.update("T-1", add={"votes": 1})
    return count


async def modify(store: sr.Store, *, count: int) -> Any:
    """`count` additions by a function."""
    tickets = store.team(TEAM).datastore(Ticket)

    def more(found: Ticket | None) -> Ticket:
        assert found is not None
        return found.model_copy(update={"votes": found.votes + 1})

    for _ in range(count):
        await tickets.modify("T-1", more)
    return count


async def transfer(store: sr.Store, *, count: int, seed: int) -> Any:
    """Move a vote between two of four tickets, `count` times; how often somebody was in the way."""
    conflicts = 0
    for n in range(count):
        source, target = f"A-{(seed + n) % 4}", f"A-{(seed + 2 * n + 1) % 4}"
        while source != target:
            try:
                async with store.transaction() as tx:
                    tickets = tx.team(TEAM).datastore(Ticket)
                    await tickets.update(source, add={"votes": -1})
                    await tickets.update(target, add={"votes": 1})
            except sr.TransactionConflict:
                conflicts += 1
                continue
            break
    return conflicts


async def old_code(store: sr.Store, *, name: str, count: int, ids: list[str]) -> Any:
    """Traffic by code that knows `OldPerson`: what it did, and which errors it met."""
    return await _traffic(store.team(TEAM).datastore(OldPerson), OldPerson, name, count, ids)


async def wider_code(store: sr.Store, *, name: str, count: int, ids: list[str]) -> Any:
    """The same by newer code that only added things, and that uses them."""
    people = store.team(TEAM).datastore(WiderPerson)
    for id in ids:
        await people.update(id, append={"mails": [name]})
        await people.update(id, {"stage": "seen"})
    return await _traffic(people, WiderPerson, name, count, ids)


async def new_code(store: sr.Store, *, name: str, count: int, ids: list[str]) -> Any:
    """The same by code of version 2."""
    return await _traffic(store.team(TEAM).datastore(NewPerson), NewPerson, name, count, ids)


async def _traffic(people: Datastore[Any], cls: type[Any], name: str, count: int, ids: list[str]) -> Any:
    done: dict[str, int] = dict.fromkeys(ids, 0)
    errors: dict[str, int] = {}
    made = []
    for n in range(count):
        id = ids[n % len(ids)]
        try:
            if n % 3 == 2:
                await people.modify(id, _visited)
            else:
                await people.update(id, add={"visits": 1})
            done[id] += 1
            await people.get(id)
            await people.put(cls(id=f"{name}-{n}", visits=1), if_absent=True)
            made.append(f"{name}-{n}")
            await people.query(prefix=f"{name}-", limit=5)
        except sr.StateroomError as error:
            kind = type(error).__name__
            errors[kind] = errors.get(kind, 0) + 1
        await asyncio.sleep(0)
    return {"done": done, "errors": errors, "made": made}


def _visited(found: Any) -> Any:
    return found.model_copy(update={"visits": found.visits + 1})


JOBS: dict[str, Callable[..., Awaitable[Any]]] = {
    job.__name__: job for job in (transition, vote, add, modify, transfer, old_code, wider_code, new_code)
}


async def main(url: str, job: str, options: dict[str, Any]) -> None:
    async with sr.open(url) as store:
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        print(json.dumps(await JOBS[job](store, **options)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
