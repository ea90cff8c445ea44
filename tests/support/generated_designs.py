"""Designs made by Hypothesis: any entities, volumes and patterns that the reader takes, and that can be true at once.

Rules of this file: small volumes, so that one is simulated in a moment; every kind of pattern comes up. What a file
says of how many items a condition finds fits its volumes, since a simulation can only load what can be.
"""

import json
import math
from typing import Any

from hypothesis import strategies as st

STATES = {"open": ["held", "done"], "held": ["open", "done"], "done": []}
RATES = st.sampled_from([0, 0.2, 1, 3, 8, 25])
KEYS: tuple[Any, ...] = ("id", ["who", "serial"], ["place", "at"])
TYPED: dict[str, Any] = {
    "state": {"type": "string", "values": list(STATES)},
    "who": {"type": "user_id"},
    "place": {"type": "channel_id"},
    "n": {"type": "integer"},
    "serial": {"type": "integer"},
    "code": {"type": "string", "avg_bytes": 12},
    "flag": {"type": "boolean"},
    "at": {"type": "timestamp", "required": True},
}


@st.composite
def entities(draw: st.DrawFn, others: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One entity; it may refer to those before it, and copy what they have."""
    average = draw(st.sampled_from([10, 60, 400, 2500]))
    attributes = dict(TYPED)
    attributes["body"] = {"type": "string", "avg_bytes": average, "max_bytes": 2 * average}
    attributes["tags"] = {"type": "array", "items": "string", "avg_bytes": 8, "avg_items": draw(st.integers(0, 6))}
    if others:
        other = draw(st.sampled_from(sorted(others)))
        attributes["ref"] = {"type": "string", "references": other}
        if draw(st.booleans()):
            attributes["twin"] = {"type": "string", "copy_of": f"{other}.{draw(st.sampled_from(['body', 'state']))}"}
    initial, per_day = draw(st.sampled_from([1, 20, 300, 1000, 2600])), draw(st.sampled_from([0, 1, 40, 400]))
    found: dict[str, Any] = {
        "key": draw(st.sampled_from(KEYS)),
        "attributes": attributes,
        "lifecycle": {"attribute": "state", "transitions": STATES},
        "volume": {"initial": initial, "per_day": per_day},
        "copy_key": draw(st.booleans()),
    }
    if draw(st.booleans()):
        days, mode = draw(st.sampled_from([1, 30])), draw(st.sampled_from(["hard", "soft"]))
        found["retention"] = {"after": "at", "days": days, "mode": mode}
    return found


FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "get": {},
    "list": {"order": (None, "at desc"), "max_ms": (None, 400)},
    "search": {"where": ("contains(body, :w)",), "expected_items": (5,)},
    "count": {},
    "aggregate": {"function": ("sum",), "attributes": (["n"],), "group_by": (None, "state")},
    "top": {"order": ("n desc",), "expected_items": (3,)},
    "unique": {"attributes": (["code"], ["code", "flag"])},
    "put": {"concurrent": (False, True)},
    "update": {"attributes": (["body"], ["n", "state"], ["flag"]), "concurrent": (False, True)},
    "transition": {"from": ("open", ["open", "held"]), "to": ("done",), "concurrent": (False, True)},
    "increment": {"attributes": (["n"],), "concurrent": (False, True)},
    "append": {"attributes": (["tags"],), "concurrent": (False, True)},
    "delete": {},
    "bulk": {"operation": ("get", "put", "delete"), "expected_items": (1, 25, 60)},
    "sweep": {"expected_items": (None, 40)},
    "export": {},
}


def conditions(of: dict[str, Any], held: dict[str, dict[str, Any]], each: int) -> dict[str, int | None]:
    """Conditions on an entity, each with how many items it finds; None: that is not said."""
    items = of["volume"]["initial"]
    found: dict[str, int | None] = {
        "who = :u": min(items, len(STATES) * each),
        "who = :u AND state = 'held'": min(max(1, items // len(STATES)), each),
        "state = 'open'": max(1, items // len(STATES)),
        "n > :n": None,
    }
    if "ref" in of["attributes"]:
        other = held[of["attributes"]["ref"]["references"]]["volume"]["initial"]
        found["ref = :r"] = math.ceil(items / other)
    return found


@st.composite
def patterns(draw: st.DrawFn, name: str, held: dict[str, dict[str, Any]], each: int) -> dict[str, Any]:
    """One pattern of any kind. `each`: items of one person in one state."""
    entity = draw(st.sampled_from(sorted(held)))
    attributes = held[entity]["attributes"]
    kind = draw(st.sampled_from([*FIELDS, *(["join"] if "ref" in attributes else [])]))
    found: dict[str, Any] = {"name": name, "entity": entity, "kind": kind, "per_minute": draw(RATES)}
    asked = conditions(held[entity], held, each)
    if kind == "join":
        return found | {
            "join": attributes["ref"]["references"],
            "where": "who = :u",
            "expected_items": asked["who = :u"],
        }
    if kind in ("list", "count") and (kind == "list" or draw(st.booleans())):
        found["where"] = draw(st.sampled_from(sorted(asked)))
        expected = asked[found["where"]] if draw(st.booleans()) else None
        found |= {} if expected is None or kind == "count" else {"expected_items": expected}
    for field, possible in FIELDS[kind].items():
        value = draw(st.sampled_from(possible))
        if value is not None:
            found[field] = value
    if kind == "sweep" and "retention" not in held[entity]:
        found["where"] = "at < :t"
    return found


@st.composite
def designs(draw: st.DrawFn, targets: tuple[str, ...] = ("slack-hosted", "mixed", "self-hosted")) -> str:
    """A design as JSON."""
    held: dict[str, dict[str, Any]] = {}
    for name in draw(st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]])):
        held[name] = draw(entities(held))
    wanted, each = draw(st.integers(1, 7)), draw(st.sampled_from([1, 7, 20]))
    made = [draw(patterns(f"p{number}", held, each)) for number in range(wanted)]
    return json.dumps(
        {
            "app": {"name": "made", "target": draw(st.sampled_from(targets))},
            "entities": held,
            "access_patterns": made,
            "compliance": {"audit": draw(st.booleans())},
        },
        indent=1,
    )
