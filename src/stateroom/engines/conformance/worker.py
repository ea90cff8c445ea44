"""A child process of the suite: does one job on the store that it is told about, a line on stdout a finished step.

Rules of this file: it is run as `python -m stateroom.engines.conformance.worker RECIPE ARGUMENT JOB JSON`; a line is
written with one write(2) and only after the step was acknowledged, so that the parent may kill us at any instant.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from stateroom.engines import leases
from stateroom.engines.conformance import ITEMS, LOG, TEAM, changes, fill
from stateroom.engines.port import Append, Engine, Put, Update, Write
from stateroom.expr.builder import attr
from stateroom.model.errors import ConditionFailed


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def append(engine: Engine, *, name: str, count: int, stream: str) -> None:
    """`count` turns of our own to one stream."""
    for n in range(count):
        (done,) = await engine.commit([Append(LOG, TEAM, stream, f"{name}-{n}", {"by": name, "n": n})])
        assert done.row is not None
        say(done.row.version)


async def increment(engine: Engine, *, count: int, row: str) -> None:
    """`count` increments by read, then write if the version is still the same."""
    for _ in range(count):
        while True:
            (found,) = await engine.get(ITEMS, TEAM, [row])
            value = 0 if found is None else found.item["n"]
            version = 0 if found is None else found.version
            try:
                await engine.commit([Put(ITEMS, TEAM, row, {"n": value + 1}, if_version=version)])
            except ConditionFailed:
                continue
            break
        say(value + 1)


async def claim(engine: Engine, *, name: str, count: int) -> None:
    """Take each of `count` tickets that nobody has."""
    for n in range(count):
        ours = Update(ITEMS, TEAM, f"ticket{n}", set={"by": name}, condition=attr("by").not_exists())
        try:
            await engine.commit([ours])
        except ConditionFailed:
            continue
        say(n)


async def hold(engine: Engine, *, name: str, count: int) -> None:
    """`count` times: take the lease, do a read and a write that would lose an update without it, let it go."""
    done = 0
    while done < count:
        lease = await leases.acquire(engine, time.time, TEAM, "shared", holder=name, seconds=30)
        if lease is None:
            await asyncio.sleep(0.001)
            continue
        (found,) = await engine.get(ITEMS, TEAM, ["guarded"])
        value = 0 if found is None else found.item["n"]
        await fill(engine, [lease.check(), Put(ITEMS, TEAM, "guarded", {"n": value + 1})])
        await lease.release()
        done += 1
        say(lease.token)


async def add(engine: Engine, *, count: int, row: str, tasks: int) -> None:
    """`count` times one more on the row, by several tasks at once."""

    async def one(times: int) -> None:
        for _ in range(times):
            (done,) = await engine.commit([Update(ITEMS, TEAM, row, add={"n": 1})])
            assert done.row is not None
            say(done.row.item["n"])

    await asyncio.gather(*(one(count // tasks) for _ in range(tasks)))


async def transit(engine: Engine, *, name: str, tasks: int, rows: int) -> None:
    """For each of `rows` several tasks of ours try one transition; the winner's name, or what the refusal tells."""

    async def one(row: str, who: str) -> None:
        ours = Update(ITEMS, TEAM, row, set={"status": "approved", "by": who}, guard=attr("status") == "open")
        try:
            await engine.commit([ours])
        except ConditionFailed as refused:
            found = refused.current or {}
            say(row, "refused", found.get("status"), found.get("by"))
        else:
            say(row, "won", "approved", who)

    for n in range(rows):
        await asyncio.gather(*(one(f"ticket{n}", f"{name}.{task}") for task in range(tasks)))


async def hold_unique(engine: Engine, *, name: str, count: int) -> None:
    """Try to be the holder of each of `count` unique values; which we got."""
    for n in range(count):
        try:
            await engine.commit([Put(ITEMS, TEAM, f"{name}.{n}", {"email": f"e{n}"})])
        except ConditionFailed:
            continue
        say(n)


async def churn(engine: Engine, *, seed: int, count: int, tasks: int) -> None:
    """Writes of all kinds to a few rows of the table whose changes are logged."""
    await asyncio.gather(*(changes.churn(engine, random.Random(f"{seed}.{task}"), count) for task in range(tasks)))


async def endless(engine: Engine, *, name: str, seed: int, tasks: int) -> None:
    """Batches of a put, an update and two appends, from several tasks, until killed."""
    dice = random.Random(seed)

    async def one(task: int) -> None:
        n = 0
        while True:
            n += 1
            mark = f"{name}.{task}.{n}"
            text = "x" * dice.choice([0, 10, 1300, 20_000])
            batch: list[Write] = [
                Put(ITEMS, TEAM, f"a.{mark}", {"mark": mark, "text": text}),
                Update(ITEMS, TEAM, f"count.{name}.{task}", add={"n": 1}),
                Append(LOG, TEAM, f"{name}.{task}", f"{mark}.1", {"mark": mark, "text": text}),
                Append(LOG, TEAM, f"{name}.{task}", f"{mark}.2", {"mark": mark}),
            ]
            await fill(engine, batch)  # one by one, where a row is all that is atomic
            say(name, task, n)

    await asyncio.gather(*(one(task) for task in range(tasks)))


JOBS: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {
    "append": append,
    "increment": increment,
    "claim": claim,
    "hold": hold,
    "add": add,
    "transit": transit,
    "hold_unique": hold_unique,
    "churn": churn,
    "endless": endless,
}


async def main(recipe: str, argument: str, job: str, options: dict[str, Any]) -> None:
    module, _, name = recipe.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(argument, time.time)
    await engine.open()
    say("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # all children begin together
    await JOBS[job](engine, **options)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
