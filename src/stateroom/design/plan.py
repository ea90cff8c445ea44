"""`plan(design)`: everything that follows from a design, each number computed from the file and from facts.

Rules of this file: it only puts the jobs together, one file each; the order of everything is the file's. No clock, no
randomness: equal designs and facts give equal plans.
"""

from __future__ import annotations

from stateroom.design import capacity, compliance, consistency, evolution, failure, modelling, retention
from stateroom.design.access import mapped
from stateroom.design.costs import tiers
from stateroom.design.facts import SLACK, Facts
from stateroom.design.findings import sorted_findings
from stateroom.design.parts import Plan
from stateroom.design.sizes import settled
from stateroom.design.structs import Design


def plan(design: Design, facts: Facts = SLACK) -> Plan:
    """The plan of a design. `facts`: other limits than Slack's published ones."""
    design = settled(design, facts)
    stores, accesses = mapped(design, facts)
    uses = tiers(accesses, facts)
    sizes = capacity.capacity(design, stores, accesses, facts)
    races, states = consistency.races(design, accesses), consistency.states(design)
    kept = retention.retention(design, stores, facts)
    rollouts = evolution.rollouts(design, stores, facts)
    verdicts = compliance.verdicts(design, stores)
    found = [
        *modelling.of_entities(design, stores, facts),
        *modelling.of_copies(design, stores),
        *modelling.of_accesses(design, stores, accesses, facts),
        *consistency.findings(design, stores, races, states),
        *capacity.findings(design, sizes, accesses, uses, facts),
        *retention.findings(design, kept, stores, facts),
        *evolution.findings(design, rollouts),
        *failure.findings(design, accesses),
        *compliance.findings(design, verdicts, stores),
    ]
    return Plan(
        design,
        facts,
        stores,
        accesses,
        uses,
        sizes,
        races,
        states,
        kept,
        rollouts,
        failure.failures(accesses, facts),
        verdicts,
        sorted_findings(found),
    )
