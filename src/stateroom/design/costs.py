"""What a run costs: calls, pages, bytes and time, and the sum over all patterns under Slack's tiers.

Rules of this file: formulas alone. A tier is an allowance of so many calls a minute, per method and workspace, that
starts full and refills evenly (docs/slack-parity.md); whoever waits comes back as soon as there is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from stateroom.design.facts import TIER_OF, Facts
from stateroom.design.parts import PREFIX, Access, Cost, TierUse

QUERY = f"{PREFIX}query"
COUNT = f"{PREFIX}count"


@dataclass(frozen=True)
class Work:
    """What a run does at one point in time, before it is priced. `walked`: pages that one count walks by itself."""

    items: int = 0
    evaluated: int = 0
    pages: int = 0
    calls: tuple[tuple[str, int], ...] = ()
    bytes: int = 0
    walked: int = 0


def cost(work: Work, facts: Facts, *, external: bool = False) -> Cost:
    """The price of a run when nothing else runs; `worst_ms` is filled by `under_load`."""
    calls: dict[str, int] = {}
    for method, times in work.calls:
        calls[method] = calls.get(method, 0) + times
    calls = {method: times for method, times in calls.items() if times}
    ms = facts.call_ms if external else sum(calls.values()) * facts.call_ms + work.walked * facts.count_page_ms
    alone = ms + sum(waited(times, facts.tier(method), 0, facts) or 0 for method, times in calls.items())
    return Cost(work.items, work.evaluated, work.pages, calls, work.bytes, ms, alone, alone)


def waited(calls: int, allowed: int, others: float, facts: Facts) -> int | None:
    """Milliseconds that a run of `calls` waits for its tier while others use so many a minute; None: without end.

    While it waits, its own calls take their time as well, so only what the refill is behind them is waited for.
    """
    left = allowed - others
    if calls <= left:
        return 0
    if left <= 0:
        return None
    missing = calls - left
    return math.ceil(max(0.0, missing * 60000 / left - calls * facts.call_ms))


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
    """The accesses with `worst_ms`: each run beside all that the busiest minute holds, its own pattern's too."""
    listed = list(accesses)
    busy = {use.method: use for use in tiers(listed, facts)}
    return tuple(
        replace(
            one,
            today=_loaded(one.today, {m: u.today for m, u in busy.items()}, one.per_minute, facts),
            year=_loaded(one.year, {m: u.year for m, u in busy.items()}, one.per_minute, facts),
        )
        for one in listed
    )


def _loaded(one: Cost, busy: Mapping[str, float], per_minute: float, facts: Facts) -> Cost:
    worst: int | None = one.ms
    for method, calls in one.calls.items():
        others = max(0.0, busy.get(method, 0) - calls * min(per_minute, 1))
        more = waited(calls, facts.tier(method), others, facts)
        worst = None if worst is None or more is None else worst + more
    return replace(one, worst_ms=worst)
