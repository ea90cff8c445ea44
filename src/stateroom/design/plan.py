"""`plan(design)`: everything that follows from a design, each number computed from the file and from facts.

Rules of this file: it only puts the jobs together, one file each; the order of everything is the file's. No clock, no
randomness: equal designs and facts give equal plans.
"""

from __future__ import annotations

from stateroom.design.access import mapped
from stateroom.design.costs import tiers
from stateroom.design.facts import SLACK, Facts
from stateroom.design.parts import Plan
from stateroom.design.structs import Design


def plan(design: Design, facts: Facts = SLACK) -> Plan:
    """The plan of a design. `facts`: other limits than Slack's published ones."""
    stores, accesses = mapped(design, facts)
    return Plan(design, facts, stores, accesses, tiers(accesses, facts), ())
