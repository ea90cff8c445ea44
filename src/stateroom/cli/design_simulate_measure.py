"""Every pattern that Slack serves, measured: alone, behind a busy minute, and for a while all together.

Rules of this file: predictions are the plan's formulas at the loaded numbers of items; what is measured was counted by
the local Slack and by the simulated clock. Each run is undone uncounted, so that the volume stays what the file says.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stateroom.cli.design_simulate_clock import now
from stateroom.cli.design_simulate_items import Stock
from stateroom.cli.design_simulate_rows import Row
from stateroom.cli.design_simulate_runs import Run, Stopped, targets
from stateroom.cli.design_simulate_slack import CallFailed, Client, LocalSlack, Meter, full_again
from stateroom.design.costs import served, tiers
from stateroom.design.entities import STATE
from stateroom.design.parts import PREFIX, Access, Plan

RUNS = 5
MANY_PAGES = 20
ENOUGH = 6  # runs that came to their end, to see whether they take longer and longer
FEW = 0.08  # of all calls: where one run of each pattern makes more, the time is too short to tell a rate
ALL = "(all)"


@dataclass
class Stage:
    """A loaded local Slack: what the phases work on. `accesses`: those that Slack serves, at the loaded volumes."""

    plan: Plan
    stock: Stock
    slack: LocalSlack
    accesses: Sequence[Access]
    made: int = 0
    calls: dict[str, Mapping[str, float]] = field(default_factory=dict)  # measured, of each pattern

    def __post_init__(self) -> None:
        by_name = {one.name: one for one in self.plan.design.patterns}
        self._targets = {one.pattern: targets(self.plan, self.stock, by_name[one.pattern]) for one in self.accesses}

    def run(self, access: Access, number: int, client: Client | None = None) -> Run:
        """The next run of a pattern, about the item that comes in turn."""
        self.made += 1
        client = client or Client(self.slack)
        return Run(self.stock, access, self._targets[access.pattern](number), self.made, client)


async def alone(stage: Stage) -> list[Row]:
    """Each pattern by itself, tiers far away: calls, pages, items, bytes and time of one run."""
    rows: list[Row] = []
    for access in stage.accesses:
        times = 1 if access.today.pages > MANY_PAGES else RUNS
        meters, took = list[Meter](), 0.0
        for number in range(times):
            run = stage.run(access, number)
            began = now()
            await run.go()
            took += (now() - began) * 1000
            meters.append(run.client.meter)
            await run.client.undo()
        stage.calls[access.pattern] = _mean_calls(meters)
        rows += _of_runs(access, meters, stage.calls[access.pattern], took / times)
    return rows


def _mean_calls(meters: Sequence[Meter]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for one in meters:
        total += one.calls
    return {method: calls / len(meters) for method, calls in total.items()}


def _of_runs(access: Access, meters: Sequence[Meter], calls: Mapping[str, float], took: float) -> Iterator[Row]:
    today, name = access.today, access.pattern
    for method in dict.fromkeys((*today.calls, *calls)):
        verb = method.removeprefix(PREFIX)
        yield Row(name, f"calls {verb}", today.calls.get(method, 0), calls.get(method, 0))
    measured = {
        "pages": (today.pages, sum(one.pages for one in meters)),
        "evaluated": (today.evaluated, sum(one.evaluated for one in meters)),
        "bytes": (today.bytes, sum(one.bytes for one in meters)),
    }
    for metric, (predicted, total) in measured.items():
        if predicted or total:
            yield Row(name, metric, predicted, total / len(meters))
    yield Row(name, "ms", today.ms, took)


async def behind_a_minute(stage: Stage) -> list[Row]:
    """Each pattern under the tiers: from full allowances, then as the last run of the busiest minute."""
    rows = []
    stage.slack.tiers(on=True)
    for access in stage.accesses:
        await asyncio.sleep(full_again(stage.plan.facts))
        rows.append(Row(access.pattern, "alone_ms", access.today.alone_ms, await _timed(stage, access, {})))
        if access.today.worst_ms is not None:
            await asyncio.sleep(full_again(stage.plan.facts))
            measured = await _timed(stage, access, _others(stage, access))
            rows.append(Row(access.pattern, "worst_ms", access.today.worst_ms, measured))
    stage.slack.tiers(on=False)
    return rows


def _others(stage: Stage, access: Access) -> Mapping[str, int]:
    """The calls, as measured, of a minute that has all runs of the busiest one, but for this one."""
    found: Counter[str] = Counter()
    for one in stage.accesses:
        runs = math.ceil(one.per_minute) - (one is access and one.per_minute > 0)
        for method, calls in stage.calls[one.pattern].items():
            found[method] += round(calls) * runs
    return {method: times for method, times in found.items() if times and method in stage.calls[access.pattern]}


async def _timed(stage: Stage, access: Access, others: Mapping[str, int]) -> float:
    """Milliseconds of one run that begins as the others' calls are made, and comes after them."""
    began = now()
    ahead = {method: asyncio.create_task(_spend(stage, method, times)) for method, times in others.items()}
    run = stage.run(access, 0, Client(stage.slack, after=ahead))
    await run.go()
    took = (now() - began) * 1000
    await run.client.undo()
    return took


CHEAP: Mapping[str, Mapping[str, object]] = {
    "get": {"id": "nobody"},
    "put": {"item": {"job": "spent"}},
    "update": {"item": {"job": "spent"}},
    "delete": {"id": "nobody"},
    "query": {"limit": 1},
    "count": {},
    "bulkGet": {"ids": ["nobody"]},
    "bulkPut": {"items": [{"job": "spent"}]},
    "bulkDelete": {"ids": ["nobody"]},
}
"""The least that a call of each method can be: it spends as much of the allowance as any other."""


async def _spend(stage: Stage, method: str, times: int) -> None:
    args = {"datastore": STATE, **CHEAP[method.removeprefix(PREFIX)]}
    while times:
        reply = await stage.slack.answer(method, args)
        if reply.status == 429:
            await asyncio.sleep(int(reply.headers["Retry-After"]))
        else:
            times -= 1


@dataclass
class _Hour:
    """What is gathered while all patterns run."""

    calls: Counter[str] = field(default_factory=Counter)
    took: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # (began, ms)
    open: Counter[str] = field(default_factory=Counter)


async def together(stage: Stage, minutes: float) -> list[Row]:
    """All patterns at their rates of the busiest minute, for so many minutes: calls, times, what is never done."""
    rates = [one for one in stage.accesses if one.per_minute > 0]
    if not rates or not minutes:
        return []
    await asyncio.sleep(full_again(stage.plan.facts))
    stage.slack.tiers(on=True)
    hour, ends = _Hour(), now() + minutes * 60
    feeders = [asyncio.create_task(_feed(stage, access, ends, hour)) for access in rates]
    runs = [run for runs in await asyncio.gather(*feeders) for run in runs]
    for run in runs:
        run.cancel()  # what it has called by now counts: under a tier that is over, a run of many pages ends much later
    await asyncio.gather(*runs, return_exceptions=True)
    counted = hour.calls
    stage.slack.tiers(on=False)
    return [*_rates(stage, counted, minutes), *_times(rates, hour, _choked(stage, minutes))]


async def _feed(stage: Stage, access: Access, ends: float, hour: _Hour) -> list[asyncio.Task[None]]:
    """Begin the runs of one pattern; two at the same moment where the file says that runs meet."""
    pattern = next(one for one in stage.plan.design.patterns if one.name == access.pattern)
    pair = 2 if pattern.concurrent else 1
    period = pair * 60 / access.per_minute
    await asyncio.sleep(stage.slack.random.random() * period)
    tasks: list[asyncio.Task[None]] = []
    while now() < ends:
        for _ in range(pair):
            tasks.append(asyncio.create_task(_one_of_many(stage, access, len(tasks), hour)))
        await asyncio.sleep(min(period, max(0.0, ends - now())) or 0.001)
    return tasks


async def _one_of_many(stage: Stage, access: Access, number: int, hour: _Hour) -> None:
    run, began = stage.run(access, number), now()
    hour.open[access.pattern] += 1
    try:
        await run.go()
        hour.took.setdefault(access.pattern, []).append((began, (now() - began) * 1000))
        hour.open[access.pattern] -= 1
    except (Stopped, CallFailed):
        hour.open[access.pattern] -= 1
    finally:
        hour.calls += run.client.meter.calls
        await run.client.undo()


def _rates(stage: Stage, calls: Counter[str], minutes: float) -> Iterator[Row]:
    """Calls of each method in a minute. Where a tier is over, what its patterns call elsewhere comes late, too."""
    uses = {one.method: one for one in tiers(stage.accesses, stage.plan.facts)}
    over = {method for method, use in uses.items() if use.today > use.allowed}
    waiting = {method for one in stage.accesses if over & set(one.today.calls) for method in one.today.calls} - over
    for method, use in uses.items():
        predicted = served(use.today, use.allowed, minutes)
        if use.today and method not in waiting and _begun(stage, method) <= FEW * predicted * minutes:
            yield Row(ALL, f"calls a minute {method.removeprefix(PREFIX)}", predicted, calls[method] / minutes)


def _begun(stage: Stage, method: str) -> float:
    """How many calls more or fewer it makes that each pattern begins a run just within the time, or just after it."""
    by_name = {one.name: one for one in stage.plan.design.patterns}
    rates = [one for one in stage.accesses if one.per_minute > 0]
    return sum(one.today.calls.get(method, 0) * (2 if by_name[one.pattern].concurrent else 1) for one in rates)


def _choked(stage: Stage, minutes: float) -> set[str]:
    """Methods of which so much is asked that the time shows it: what comes on top has used up the full allowance."""
    uses = tiers(stage.accesses, stage.plan.facts)
    return {one.method for one in uses if (one.today - one.allowed) * minutes > 1.5 * one.allowed}


def _times(rates: Sequence[Access], hour: _Hour, choked: set[str]) -> Iterator[Row]:
    for access in rates:
        took = hour.took.get(access.pattern, [])
        if access.today.worst_ms is None:
            ended = len(took) >= ENOUGH or hour.open[access.pattern]  # a run that gave up says nothing of times
            if choked & set(access.today.calls) and ended:
                yield Row(access.pattern, "worst_ms", None, None if hour.open[access.pattern] or _grows(took) else 0)
        elif took and access.today.worst_ms == access.today.ms:
            yield Row(access.pattern, "busy_ms", access.today.ms, sorted(ms for _, ms in took)[len(took) // 2])


def _grows(took: Sequence[tuple[float, float]]) -> bool:
    """Whether runs take longer and longer."""
    ordered = [ms for _, ms in sorted(took)]
    third = len(ordered) // 3
    return third > 0 and sum(ordered[-third:]) > 1.5 * sum(ordered[:third])
