"""Slack's rate tiers, kept from our side: a call waits until Slack would take it.

Rules of this file: pure state, the moment handed in. Facts: docs.slack.dev/apis/web-api/rate-limits (tier 3 allows 50
calls a minute, tier 4 allows 100, per method and workspace and app). Slack does not publish its buckets, so ours are
made such that no minute, wherever it begins, has more calls than the tier: a fifth may come at once, the rest evenly.
Several processes share Slack's allowance and not ours: then Slack says 429, and `hold` keeps everybody here waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TIER_3: Final = 50
TIER_4: Final = 100
TIERS: Final[Mapping[str, int]] = {
    "get": TIER_4,
    "put": TIER_4,
    "update": TIER_4,
    "delete": TIER_4,
    "query": TIER_4,
    "count": TIER_3,
    "bulkGet": TIER_3,
    "bulkPut": TIER_3,
    "bulkDelete": TIER_3,
}
MINUTE: Final = 60.0
BURST: Final = 5  # the part of a minute's calls that may come at once: one in so many


class Pace:
    """When the next call of each method may leave. `strict=False`: at once, unless Slack has said otherwise."""

    def __init__(self, *, strict: bool = True) -> None:
        self._strict = strict
        self._free: dict[str, float] = {}  # by method: when its bucket would be empty of debts
        self._held: dict[str, float] = {}

    def take(self, method: str, now: float) -> float:
        """Seconds until the call may leave, from 0; the call is counted."""
        held = max(0.0, self._held.get(method, now) - now)
        if not self._strict:
            return held
        burst = TIERS[method] // BURST
        each = MINUTE / (TIERS[method] - burst)
        # A bucket as the time at which it is full again: each call puts that off by what one call costs.
        full = max(self._free.get(method, now), now) + each
        self._free[method] = full
        return max(held, full - now - burst * each)

    def hold(self, method: str, until: float) -> None:
        """Slack said: not before then."""
        self._held[method] = max(until, self._held.get(method, until))


def seconds_for(method: str, calls: int) -> float:
    """How long so many calls take at least: what a dry run tells."""
    burst = TIERS[method] // BURST
    return max(0, calls - burst) * MINUTE / (TIERS[method] - burst)
