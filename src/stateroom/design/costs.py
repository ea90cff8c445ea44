"""What a run costs: calls, pages, bytes and time, and the sum over all patterns under Slack's tiers.

Rules of this file: formulas alone. A tier is an allowance of so many calls a minute, per method and workspace, that
starts full and refills evenly (docs/slack-parity.md). The worst moment to begin is behind everything that the busiest
minute holds: all patterns at once, and this run last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from stateroom.design.facts import TIER_OF, Facts
from stateroom.design.parts import PREFIX, Access, Cost, TierUse

QUERY = f"{PREFIX}query"
COUNT = f"{PREFIX}count"
SECONDS = 10_000  # milliseconds from which a time is told in seconds
MANY_SECONDS, MANY_HOURS, DAYS = 100, 2, 48  # seconds without tenths, hours from two on, days from two on


@dataclass(frozen=True)
class Work:
    """What a run does at one point in time, before it is priced.

    `calls` in their order. `walked`: pages that one count walks by itself; `wait_ms`: what it waits for on purpose.
    """

    items: int = 0
    evaluated: int = 0
    pages: int = 0
    calls: tuple[tuple[str, int], ...] = ()
    bytes: int = 0
    walked: int = 0
    wait_ms: int = 0


def cost(work: Work, facts: Facts, *, external: bool = False) -> Cost:
    """The price of a run when nothing else runs; `worst_ms` is filled by `under_load`."""
    calls: dict[str, int] = {}
    for method, times in work.calls:
        calls[method] = calls.get(method, 0) + times
    calls = {method: times for method, times in calls.items() if times}
    own = work.walked * facts.count_page_ms + work.wait_ms
    ms = facts.call_ms if external else sum(calls.values()) * facts.call_ms + own
    alone = ms if external else took(calls, {}, facts) + own
    return Cost(work.items, work.evaluated, work.pages, calls, work.bytes, ms, alone, alone)


def told(ms: int) -> str:
    """A time in words: milliseconds, or seconds, hours, days where there are many."""
    if ms < SECONDS:
        return f"{ms} ms"
    seconds, hours = ms / 1000, ms / 3_600_000
    if hours < MANY_HOURS:
        return f"{seconds:,.1f} s" if seconds < MANY_SECONDS else f"{seconds:,.0f} s"
    return f"{hours:.1f} h" if hours < DAYS else f"{hours / 24:.1f} days"


def took(calls: Mapping[str, int], others: Mapping[str, int], facts: Facts) -> int:
    """Milliseconds of calls one after the other, all the calls of others before them, from full allowances."""
    passed = 0
    for method, times in calls.items():
        last = ready_ms(times + others.get(method, 0), facts.tier(method)) + facts.call_ms if times else 0
        passed = max(passed + times * facts.call_ms, last)
    return passed


def ready_ms(calls: int, allowed: int) -> int:
    """When the last of so many calls may go: what is over the full allowance waits for the refill, from the start."""
    return max(0, math.ceil((calls - allowed) * 60000 / allowed))


def served(per_minute: float, allowed: int, minutes: float) -> float:
    """Calls a minute that are answered when so many are made for so long: the full allowance comes on top, once."""
    return min(per_minute, allowed * (minutes + 1) / minutes)


def tiers(accesses: Iterable[Access], facts: Facts) -> tuple[TierUse, ...]:
    """Calls of each method in the busiest minute, over all patterns: the sum that no pattern shows by itself."""
    listed = list(accesses)
    found = []
    for method, tier in TIER_OF.items():
        by = [(one.pattern, one.today.calls.get(method, 0) * one.per_minute) for one in listed]
        year = sum(one.year.calls.get(method, 0) * one.per_minute for one in listed)
        used = tuple((name, round(calls, 3)) for name, calls in by if calls)
        if used or year:
            today = round(sum(calls for _, calls in used), 3)
            found.append(TierUse(method, tier, facts.tier(method), today, round(year, 3), used))
    return tuple(found)


def under_load(accesses: Iterable[Access], facts: Facts) -> tuple[Access, ...]:
    """The accesses with `worst_ms`: each run after all that the busiest minute holds, its own pattern's too.

    None where the sum of all is over the tier: minute after minute, what waits grows.
    """
    listed = list(accesses)
    busy = {use.method: use for use in tiers(listed, facts)}
    today, year = _in_a_minute(listed, lambda one: one.today), _in_a_minute(listed, lambda one: one.year)
    over = {m for m, u in busy.items() if u.today > u.allowed}, {m for m, u in busy.items() if u.year > u.allowed}
    return tuple(
        replace(
            one,
            today=_loaded(one, one.today, today, over[0], facts),
            year=_loaded(one, one.year, year, over[1], facts),
        )
        for one in listed
    )


def _in_a_minute(accesses: list[Access], of: Callable[[Access], Cost]) -> Mapping[str, int]:
    """Calls of each method in one minute that has a run of every pattern, however seldom it is."""
    found: dict[str, int] = {}
    for one in accesses:
        for method, times in of(one).calls.items():
            found[method] = found.get(method, 0) + times * math.ceil(one.per_minute)
    return found


def _loaded(one: Access, cost_of: Cost, minute: Mapping[str, int], over: set[str], facts: Facts) -> Cost:
    if one.home == "external":
        return cost_of
    if over & set(cost_of.calls):
        return replace(cost_of, worst_ms=None)
    own = 1 if one.per_minute else 0  # this run is one of the minute's
    others = {method: calls - own * cost_of.calls.get(method, 0) for method, calls in minute.items()}
    waits = cost_of.alone_ms - took(cost_of.calls, {}, facts)
    return replace(cost_of, worst_ms=took(cost_of.calls, others, facts) + waits)
