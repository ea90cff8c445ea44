"""Every limit, tier and rule of thumb that a formula uses, each with where it comes from.

Rules of this file: a number stands nowhere else in design/. `plan(design, facts)` takes another set, so that a changed
limit changes every claim that rests on it. A source names the part of Slack's documentation, or says "our choice" (then
docs/slack-parity.md or docs/design.md tells why).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

_REFERENCE: Final = "Slack Web API reference, apps.datastore."
_GUIDE: Final = "Slack guide, datastores: "
_LIMITS: Final = "Slack docs, rate limits"
_OURS: Final = "our choice (docs/design.md)"

TIER_OF: Final[Mapping[str, int]] = {
    "apps.datastore.get": 4,
    "apps.datastore.put": 4,
    "apps.datastore.update": 4,
    "apps.datastore.delete": 4,
    "apps.datastore.query": 4,
    "apps.datastore.bulkGet": 3,
    "apps.datastore.bulkPut": 3,
    "apps.datastore.bulkDelete": 3,
    "apps.datastore.count": 3,
}
"""Each method's rate tier (Slack Web API reference, its method pages)."""


@dataclass(frozen=True)
class Facts:
    """The numbers. Bytes, seconds, milliseconds and calls a minute as the names say."""

    datastores: int = 10
    attributes: int = 100
    item_bytes: int = 400 * 1024
    page_items: int = 1000
    page_bytes: int = 1024 * 1024
    bulk: int = 25
    tier_1: int = 1
    tier_2: int = 20
    tier_3: int = 50
    tier_4: int = 100
    function_seconds: int = 60
    interactivity_seconds: int = 10
    ttl_hours: int = 48
    key_bytes: int = 1024
    call_ms: int = 150
    count_page_ms: int = 20
    sweep_share: float = 0.5
    busy_hours: int = 8
    text_bytes: int = 40
    warn_share: float = 0.8
    sort_items: int = 1000
    backoff_ms: int = 1000
    attempts: int = 5
    settle_ms: int = 1050

    def tier(self, method: str) -> int:
        """Calls a minute of a method, for each workspace."""
        return int(getattr(self, f"tier_{TIER_OF[method]}"))


SOURCES: Final[Mapping[str, str]] = {
    "datastores": "Slack manifest schema 2.0.0, datastores.maxProperties",
    "attributes": "Slack manifest schema 2.0.0, datastores.*.attributes.maxProperties",
    "item_bytes": f"{_GUIDE}an item is smaller than 400 KB; counted as DynamoDB counts (docs/slack-parity.md)",
    "page_items": f"{_REFERENCE}query: limit is 1 to 1000, of items evaluated before the filter",
    "page_bytes": f"{_REFERENCE}query: at most 1 MB is evaluated for a page",
    "bulk": f"{_REFERENCE}bulkPut, bulkGet, bulkDelete: 1 to 25 entries",
    "tier_1": f"{_LIMITS}: tier 1 is 1+ a minute, per method and workspace",
    "tier_2": f"{_LIMITS}: tier 2 is 20+ a minute, per method and workspace",
    "tier_3": f"{_LIMITS}: tier 3 is 50+ a minute, per method and workspace",
    "tier_4": f"{_LIMITS}: tier 4 is 100+ a minute, per method and workspace",
    "function_seconds": "Slack docs, functions: a deployed function may take 60 s",
    "interactivity_seconds": "Slack docs, functions: a deployed interactivity handler may take 10 s",
    "ttl_hours": f"{_GUIDE}time to live: do not rely on a removal before 48 h past expiry",
    "key_bytes": "DynamoDB's limit of a sort key (docs/slack-parity.md)",
    "call_ms": f"{_OURS}: one call of the Web API from a hosted function",
    "count_page_ms": f"{_OURS}: a page that Slack walks by itself within one count",
    "sweep_share": f"{_OURS}: a batch job leaves half of a tier to people",
    "busy_hours": f"{_OURS}: without per_day, a day has 8 busy hours",
    "text_bytes": f"{_OURS}: a text of which nothing is said",
    "warn_share": f"{_OURS}: from 80 % of a limit it is told",
    "sort_items": f"{_OURS}: what a function sorts in memory within its time",
    "backoff_ms": f"{_OURS}: the first wait where Slack gives no Retry-After",
    "settle_ms": f"{_OURS}: claim.ts waits 1 s and up to 100 ms before it reads its claim back",
    "attempts": f"{_OURS}: after which a run gives up, and says so",
}
SLACK: Final = Facts()
FORMULA: Final = "computed from the design file"


def source(*names: str) -> str:
    """The sources of these facts, for a claim that rests on them; none: the file alone."""
    return "; ".join(SOURCES[name] for name in names) or FORMULA


def table(facts: Facts = SLACK) -> list[tuple[str, Any, str]]:
    """Each fact with its number and source, in their order."""
    return [(one.name, getattr(facts, one.name), SOURCES[one.name]) for one in fields(facts)]
