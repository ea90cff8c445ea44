"""Slack's rate tiers, as leaky allowances.

Rules of this file: pure state, the moment handed in. Facts: docs.slack.dev/apis/web-api/rate-limits (tiers 1 to 4 allow
1, 20, 50, 100 calls a minute per method and workspace and app; posting about 1 message a second per channel, short
bursts allowed) and docs.slack.dev/changelog/2025/05/29 (history of unlisted commercial apps: 1 call a minute, 15
messages). Slack does not publish its exact buckets; ours start full and refill evenly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tier:
    """`allowed` calls per `seconds`; with `per_channel` each channel has its own allowance."""

    allowed: int
    seconds: float = 60.0
    per_channel: bool = False
    error: str = "ratelimited"


TIER_1 = Tier(1)
TIER_2 = Tier(20)
TIER_3 = Tier(50)
TIER_4 = Tier(100)
POSTING = Tier(5, seconds=5.0, per_channel=True, error="rate_limited")
STATUS = Tier(600)
RATIONED = Tier(1)
FREE = Tier(1_000_000)


class Allowances:
    """Counts calls. `take` answers None, or after how many whole seconds to come back."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}

    def take(self, key: tuple[str, ...], tier: Tier, now: float, scale: float) -> int | None:
        rate = tier.allowed / (tier.seconds * scale)
        tokens, at = self._buckets.get(key, (float(tier.allowed), now))
        tokens = min(float(tier.allowed), tokens + (now - at) * rate)
        # A rounding error must not refuse the caller that waited exactly as long as it was told.
        if tokens >= 1 - 1e-9:
            self._buckets[key] = (tokens - 1, now)
            return None
        self._buckets[key] = (tokens, now)
        return max(1, math.ceil((1 - tokens) / rate))
