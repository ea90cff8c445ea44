"""Two runs meet at one item: what is lost without the plan's cure, and what with it.

Rules of this file: a race is made, not waited for: both runs begin within the time of one call. An update is lost when
a run was told that it had done it and nothing of it is left, or when two were told that they did what happens once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from stateroom.cli.design_simulate_measure import Stage
from stateroom.cli.design_simulate_rows import Row
from stateroom.cli.design_simulate_runs import Run, Stopped
from stateroom.cli.design_simulate_slack import Client
from stateroom.design.parts import Access, Race, Store
from stateroom.design.structs import Pattern

TRIALS: Final = 5
NEAR: Final = 0.9  # of a call's time: the second run reads before the first one writes
Goes = Callable[[Run], Awaitable[bool]]


async def races(stage: Stage) -> list[Row]:
    """Each race of patterns that the file calls concurrent."""
    served = {one.pattern: one for one in stage.accesses}
    patterns = {one.name: one for one in stage.plan.design.patterns}
    rows: list[Row] = []
    for race in stage.plan.races:
        if race.pattern in served and patterns[race.pattern].kind == "unique":
            rows += await _unique(stage, patterns[race.pattern], served[race.pattern])
        elif race.pattern in served and patterns[race.pattern].concurrent:
            rows += await _raced(stage, race, patterns[race.pattern], served[race.pattern])
    for access in stage.accesses:
        if patterns[access.pattern].kind == "put" or _entries(stage, access) is not None:
            rows.append(await _repeated(stage, access))
    return rows


async def _raced(stage: Stage, race: Race, pattern: Pattern, access: Access) -> Iterator[Row]:
    rival = _rival(stage, pattern, access)
    both = race.cure == "one item per entry"
    naive = [await _trial(stage, access, rival, number, _naive) for number in range(TRIALS)]
    cured = [await _trial(stage, access, rival, number, _whole) for number in range(TRIALS)]
    name = race.pattern
    return iter(
        (
            Row(name, "lost updates without the cure", TRIALS, sum(lost for _, lost in naive)),
            Row(name, "lost updates", 0, sum(lost for _, lost in cured)),
            Row(name, "runs that did it, of two each", TRIALS * (2 if both else 1), sum(done for done, _ in cured)),
        )
    )


def _rival(stage: Stage, pattern: Pattern, access: Access) -> Access:
    """Another transition out of the same states, or the pattern itself."""
    for one in stage.plan.design.of(pattern.entity):
        same = one.kind == "transition" == pattern.kind and set(one.from_) == set(pattern.from_)
        if same and one.concurrent and one.name != pattern.name:
            return next((other for other in stage.accesses if other.pattern == one.name), access)
    return access


async def _trial(stage: Stage, access: Access, rival: Access, number: int, goes: Goes) -> tuple[int, int]:
    """How many of two runs were told that they did it, and how many of these were lost."""
    first = stage.run(access, number)
    second = stage.run(rival, number)
    second.number, second.target = first.number, first.target
    before = await _state(stage, access, first)
    pause = stage.slack.random.random() * NEAR * stage.plan.facts.call_ms / 1000
    told = await asyncio.gather(goes(first), _later(pause, goes(second)))
    done, kept = sum(told), await _state(stage, access, first) - before
    lost = max(0, done - kept) if kept or before >= 0 else 0
    for run in (first, second):
        await run.client.undo()
    return done, lost


async def _later(seconds: float, work: Awaitable[bool]) -> bool:
    await asyncio.sleep(seconds)
    return await work


async def _whole(run: Run) -> bool:
    """The run as the plan has it."""
    try:
        await run.go()
    except Stopped:
        return False
    return True


async def _naive(run: Run) -> bool:
    """What people write first: read, look, write."""
    run.seen = await run.client.one(run.entity.name, run.target[run.key])
    cycle = run.entity.lifecycle
    if cycle is not None and run.pattern.from_ and run.seen.get(cycle.attribute) not in run.pattern.from_:
        return False
    item = {run.key: run.target[run.key], **run.change()}
    await run.client.call("update", datastore=run.entity.name, item=item)
    return True


async def _state(stage: Stage, access: Access, run: Run) -> int:
    """How often it has happened, by what is kept: a number, a list's length, entries; once at most for what is set."""
    pattern, key = run.pattern, str(run.target[run.key])
    item = (await stage.slack.quietly("get", datastore=run.entity.name, id=key))["item"]
    if pattern.kind == "increment":
        count = sum(int(item.get(name, 0)) for name in pattern.attributes) // len(pattern.attributes)
    elif pattern.kind == "append":
        count = sum(len(item.get(name, [])) for name in pattern.attributes) // len(pattern.attributes)
    else:
        return int(item != run.target)
    entries = _entries(stage, access)
    if entries is not None:
        owner = f"of_{run.key}"
        count += sum(one[owner] == key for one in (await stage.slack.all(entries.name)).values())
    return count


def _entries(stage: Stage, access: Access) -> Store | None:
    """Where a pattern puts one item for each entry, if it does."""
    stores = (stage.plan.store(call.datastore) for call in access.calls)
    return next((one for one in stores if one.role == "entries"), None)


async def _unique(stage: Stage, pattern: Pattern, access: Access) -> list[Row]:
    """Two want the same values: who looks and puts, and who also reads back whose it is."""
    store = stage.plan.store(access.datastore)
    if store.role != "lookup" or store.many:
        return []
    lost = {True: 0, False: 0}
    for careful in lost:
        for number in range(TRIALS):
            runs = [Client(stage.slack), Client(stage.slack)]
            pause = stage.slack.random.random() * NEAR * stage.plan.facts.call_ms / 1000
            key = f"free-{number}"
            first = _take(runs[0], store, key, "one", careful=careful)
            told = await asyncio.gather(first, _later(pause, _take(runs[1], store, key, "two", careful=careful)))
            lost[careful] += max(0, sum(told) - 1)
            for client in runs:
                await client.undo()
    name = pattern.name
    return [Row(name, "lost updates without the cure", TRIALS, lost[False]), Row(name, "lost updates", 0, lost[True])]


async def _take(client: Client, store: Store, key: str, owner: str, *, careful: bool) -> bool:
    if await client.one(store.name, key):
        return False
    await client.call("put", datastore=store.name, item={"lookup_key": key, "target": owner})
    return not careful or (await client.one(store.name, key)).get("target") == owner


async def _repeated(stage: Stage, access: Access) -> Row:
    """The same event twice, as Slack redelivers it: what is counted once more than it happened."""
    run = stage.run(access, 0)
    await run.go()
    again = Run(stage.stock, access, run.number, stage.made, run.client)
    await again.go()
    entries = _entries(stage, access)
    name = access.entity if entries is None else entries.name
    new = {place for place in run.client.touched if place[0] == name and not stage.slack.pristine[place]}
    await run.client.undo()
    return Row(access.pattern, "items of one event that came twice", 1, len(new))
