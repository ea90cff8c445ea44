"""The fields of a design file, once: what document.py reads by and docs/design.schema.json is made from.

Rules of this file: data. A field's words say its unit; `python -m stateroom.design.schema` prints the JSON Schema.
"""

from __future__ import annotations

import json
from typing import Any, Final

from stateroom.design.shapes import Choice, Flag, ListOf, MapOf, Number, Record, Text
from stateroom.model.attributes import REFUSED, SLACK, TYPES

SCHEMA_ID: Final = "https://json-schema.org/draft/2020-12/schema"
KINDS: Final = (
    *("get", "list", "search", "count", "aggregate", "top", "join", "unique"),
    *("put", "update", "transition", "increment", "append", "delete", "bulk", "sweep", "export"),
)
TARGETS: Final = ("slack-hosted", "self-hosted", "mixed")
TYPE_NAMES: Final = tuple(
    name for full in TYPES if full not in REFUSED for name in dict.fromkeys((full.removeprefix(SLACK), full))
)

_NAME: Final = Text("a name: a letter, then letters, digits and _, at most 63", r"[A-Za-z][A-Za-z0-9_]{0,62}")
_FIELD: Final = Text("an attribute's name", r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PLACE: Final = Text("entity.attribute", r"[A-Za-z][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*")

_ATTRIBUTE: Final = Record(
    {
        "type": Choice(TYPE_NAMES, "a Slack attribute type, with or without slack#/types/"),
        "values": ListOf(Text("an allowed value"), least=1, most=200),
        "items": Choice(TYPE_NAMES, "the type of an array's items"),
        "avg_bytes": Number("bytes of an average value, in UTF-8", most=10**9),
        "max_bytes": Number("bytes of the largest value, in UTF-8", most=10**9),
        "avg_items": Number("entries of an average array", most=10**7, whole=False),
        "max_items": Number("entries of the longest array", most=10**7),
        "required": Flag("whether an item without it is refused"),
        "personal": Flag("whether it holds a person's id or words"),
        "default": Text("what a backfill gives to items that lack it", longest=1000),
        "copy_of": _PLACE,
        "references": _NAME,
        "description": Text("what it is for", longest=2000),
    },
    required=("type",),
    short="type",
    words="An attribute; its type alone may stand for it.",
)
_ENTITY: Final = Record(
    {
        "key": ListOf(_FIELD, least=1, most=6, alone=True),
        "copy_key": Flag("keep a copy of the key in an attribute, so that expressions may look at it"),
        "attributes": MapOf(_FIELD, _ATTRIBUTE, least=1, most=500),
        "lifecycle": Record(
            {
                "attribute": _FIELD,
                "initial": ListOf(Text("a state"), least=1, alone=True),
                "transitions": MapOf(Text("a state"), ListOf(Text("a state")), least=1, most=100),
            },
            required=("attribute", "transitions"),
        ),
        "volume": Record(
            {
                "initial": Number("items on the first day, in the whole app", most=10**10),
                "per_day": Number("new items a day, in the whole app", most=10**9, whole=False),
                "peak_per_minute": Number("new items in the busiest minute", most=10**7, whole=False),
            }
        ),
        "retention": Record(
            {
                "after": _FIELD,
                "days": Number("days that an item is kept", least=0.01, most=36500, whole=False),
                "mode": Choice(("soft", "hard"), "soft marks, hard removes"),
                "legal_hold": Flag("whether nothing may be removed for now"),
            },
            required=("after", "days"),
        ),
        "isolation": Choice(("workspace", "app"), "who may see an item"),
        "description": Text("what it is", longest=2000),
    },
    required=("key", "attributes"),
    words="What the app remembers.",
)
_PATTERN: Final = Record(
    {
        "name": Text("a name", longest=80),
        "entity": _NAME,
        "kind": Choice(KINDS, "what is done"),
        "where": Text("a condition, as `requester = :u AND status = 'open'`", longest=4096),
        "order": Text("an attribute, then asc or desc", r"[A-Za-z_][A-Za-z0-9_]*( +(asc|desc))?"),
        "attributes": ListOf(_FIELD, least=1),
        "from": ListOf(Text("a state"), least=1, alone=True),
        "to": Text("a state"),
        "join": ListOf(_NAME, least=1, most=9, alone=True),
        "on": _FIELD,
        "group_by": _FIELD,
        "function": Choice(("count", "sum", "avg", "min", "max"), "what an aggregate computes"),
        "operation": Choice(("get", "put", "delete"), "what a bulk pattern does"),
        "expected_items": Number("items that it finds or writes", most=10**9),
        "per_minute": Number("runs in the busiest minute of the busiest workspace", most=10**7, whole=False),
        "per_day": Number("runs a day; without it, as at the busiest minute in 8 hours", most=10**10, whole=False),
        "concurrent": Flag("whether two runs may meet at one item"),
        "max_ms": Number("milliseconds that it may take", least=1, most=10**9),
        "description": Text("what it is for", longest=2000),
    },
    required=("name", "entity", "kind"),
    words="How the app reads or writes an entity.",
)
DESIGN: Final = Record(
    {
        "app": Record(
            {
                "name": Text("the app's name", longest=35),
                "target": Choice(TARGETS, "where it runs"),
                "workspaces": Number("workspaces that install it", least=1, most=10**7),
            },
            required=("name",),
        ),
        "entities": MapOf(_NAME, _ENTITY, least=1, most=200),
        "access_patterns": ListOf(_PATTERN, most=2000),
        "compliance": Record(
            {
                "erasure": Flag("whether a person may ask to be forgotten"),
                "audit": Flag("whether each change must be recorded"),
                "residency": Text("a region such as eu", r"[a-z]{2}([a-z0-9-]{0,30})"),
                "encryption": ListOf(_PLACE),
            }
        ),
    },
    required=("app", "entities"),
    words="A design of Stateroom: what an app remembers, how it is used, and what it must fulfil.",
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a design file, as published in docs/design.schema.json."""
    return {"$schema": SCHEMA_ID, "title": "Stateroom design", **DESIGN.json_schema()}


def published() -> str:
    """The text of docs/design.schema.json."""
    return json.dumps(json_schema(), indent=1) + "\n"
