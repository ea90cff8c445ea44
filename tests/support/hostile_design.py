"""A plan whose names would do harm if they were more than names.

Rules of this file: datastores have plain names (anything else is refused, tests hold that); everything else is hostile.
"""

from __future__ import annotations

from stateroom.design.parts import Plan
from stateroom.design.plan import plan
from stateroom.design.structs import App, Attr, Design, Entity, Pattern, States

HOSTILE = (
    '"); process.exit(0); ("',
    "x${process.exit(0)}",
    "*/ x /*",
    "a\nb // c",
    "`",
    "\\",
    "\u2028",
    "'",
    "toString",
)


def hostile() -> Plan:
    """Attributes, states and the app's name are hostile."""
    entities, patterns = [], []
    for number, name in enumerate(HOSTILE):
        attributes = {name: Attr(name, "string", description=name), "id": Attr("id", "string")}
        ways = {name: (name + "2",), name + "2": (), "__proto__": (name,)}
        entities.append(Entity(f"e{number}", ("id",), attributes, States(name, ways, (name,))))
        patterns.append(Pattern(name, f"e{number}", "transition", from_=(name,), to=f"{name}2", concurrent=True))
    return plan(Design(App('x", evil: "'), tuple(entities), tuple(patterns)))
