"""Consistency: each read-modify-write, how it is lost, the cure as a sequence, and what the cure leaves open.

Rules of this file: a cure that narrows a race never says that it closes it. States are walked, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stateroom.design.entities import entries_name
from stateroom.design.findings import finding
from stateroom.design.parts import Access, Finding, Race, StateCheck, Step, Store
from stateroom.design.structs import Design, Entity, Pattern, walk

RACING = ("transition", "update", "increment", "append", "unique")


def races(design: Design, accesses: Iterable[Access]) -> tuple[Race, ...]:
    """A race for each pattern that reads before it writes, whether the file says concurrent or not."""
    homes = {one.pattern: one.home for one in accesses}
    found = []
    for pattern in design.patterns:
        if pattern.kind in RACING:
            external = homes[pattern.name] == "external"
            found.append(_external(design, pattern) if external else _hosted(design, pattern))
    return tuple(found)


def _race(pattern: Pattern) -> tuple[Step, ...]:
    what = {
        "transition": f"write {pattern.to}",
        "update": "write what it computed from its read",
        "increment": f"write {', '.join(pattern.attributes)} + 1",
        "append": f"write the array {', '.join(pattern.attributes)} with its own entry",
        "unique": f"find {', '.join(pattern.attributes)} free and put its item",
    }[pattern.kind]
    return (
        Step("run A reads the item", "get"),
        Step("run B reads the same item", "get"),
        Step(f"run A: {what}", "put or update"),
        Step(f"run B: {what}, which replaces what A wrote", "put or update"),
    )


def _lost(design: Design, pattern: Pattern) -> str:
    cycle = design.by_name[pattern.entity].lifecycle
    if pattern.kind == "transition" and cycle is not None:
        rivals = [s for f in pattern.from_ for s in cycle.transitions.get(f, ()) if s != pattern.to]
        if rivals:
            went = " or ".join(dict.fromkeys(rivals))
            return f"that another run moved the item to {went}: it becomes {pattern.to}, and both people are told "
        return f"the step to {pattern.to} happens twice, with its messages and its audit row"
    return {
        "increment": f"one of two additions to {', '.join(pattern.attributes)}",
        "append": f"one of two entries of {', '.join(pattern.attributes)}",
        "unique": f"that no two items of {pattern.entity} have the same {', '.join(pattern.attributes)}",
    }.get(pattern.kind, f"the earlier of two changes to {', '.join(pattern.attributes) or 'the item'}")


def _lost_words(design: Design, pattern: Pattern) -> str:
    words = _lost(design, pattern)
    return f"{words}that they did it" if words.endswith("told ") else words


def _hosted(design: Design, pattern: Pattern) -> Race:
    lost = _lost_words(design, pattern)
    if pattern.kind in ("increment", "append") and pattern.concurrent:
        return _entries(pattern, lost)
    if pattern.kind == "unique":
        return _unique(pattern, lost)
    if pattern.concurrent:
        return _claimed(pattern, lost)
    steps = (
        Step("get the item", "get", "retry; nothing has happened"),
        Step("is it what this run expects? if not, stop and say so"),
        Step("update only the attributes that change", "update", "retry with the same values"),
    )
    remains = "two runs at once: the file says that none meet; if that is wrong, say concurrent: true"
    return Race(pattern.name, pattern.entity, _race(pattern), lost, "idempotency key", steps, False, remains)


def _claimed(pattern: Pattern, lost: str) -> Race:
    target = " or ".join(pattern.from_) or "the step"
    steps = (
        Step("get the claim; stop while another run holds it", "get", "retry; nothing has happened"),
        Step(f"put claim <entity>#<id>#{target} with this run's id as owner", "put", "retry with the same owner"),
        Step("wait longer than a rival may take from its look to its put; whoever took longer itself stops"),
        Step("read the claim back; stop unless the owner is this run", "get", "retry; the claim is there or not"),
        Step("get the item; stop and give the claim back unless it is as expected", "get", "retry"),
        Step("update the item", "update", "retry with the same values: it is the same write"),
        Step("read the item back: was it written by somebody without a claim?", "get", "retry"),
        Step("get the claim, and delete it if it is still this run's", "get, delete", "its lease ends by itself"),
    )
    remains = "Slack documents no read consistency: two runs whose reads do not see each other's claim both go on. No "
    remains += "order of calls closes this on Slack's datastores; a conditional write does"
    return Race(pattern.name, pattern.entity, _race(pattern), lost, "claim item", steps, False, remains)


def _entries(pattern: Pattern, lost: str) -> Race:
    names = [entries_name(pattern.entity, one) for one in pattern.attributes]
    steps = tuple(
        Step(f"put one item into {name} under the event's id", "put", "retry: the same key") for name in names
    )
    remains = "a reader may not see the newest entry yet, because Slack documents no read consistency"
    return Race(pattern.name, pattern.entity, _race(pattern), lost, "one item per entry", steps, True, remains)


def _unique(pattern: Pattern, lost: str) -> Race:
    steps = (
        Step(f"get by the key made of {', '.join(pattern.attributes)}; stop if it is taken", "get", "retry"),
        Step("put it with this run's id as owner", "put", "retry with the same owner"),
        Step("read it back; stop unless the owner is this run", "get", "retry"),
        Step("put the item", "put", "retry: the same key"),
    )
    remains = "two that put after each other's reading back; only a unique index closes this"
    return Race(pattern.name, pattern.entity, _race(pattern), lost, "claim item", steps, False, remains)


def _external(design: Design, pattern: Pattern) -> Race:
    lost = _lost_words(design, pattern)
    if pattern.kind == "append":
        step = Step("append with the turn's id; a repeated id changes nothing", "append", "retry with the same id")
        return Race(pattern.name, pattern.entity, _race(pattern), lost, "conditional append", (step,), True, "")
    words = {
        "transition": f"update to {pattern.to} on the condition that it is {' or '.join(pattern.from_)}",
        "increment": "add to the number in the store, with an idempotency key",
        "unique": "put, refused by the unique index when it is taken",
    }.get(pattern.kind, "update on the condition that the version is the one that was read")
    steps = (
        Step(words, "update with condition", "retry with the same idempotency key"),
        Step("ConditionFailed carries the item as it is: decide again, or tell the person"),
    )
    return Race(pattern.name, pattern.entity, _race(pattern), lost, "conditional write", steps, True, "")


# States


def states(design: Design) -> tuple[StateCheck, ...]:
    """Each lifecycle walked from where items begin."""
    return tuple(_check(design, one) for one in design.entities if one.lifecycle is not None)


def _check(design: Design, entity: Entity) -> StateCheck:
    cycle = entity.lifecycle
    assert cycle is not None
    ways = cycle.transitions
    reached = cycle.reached()
    ends = tuple(state for state, following in ways.items() if not following)
    back = {state: tuple(s for s, following in ways.items() if state in following) for state in ways}
    finishing = walk(back, ends)
    done = {(f, one.to) for one in design.of(entity.name) if one.kind == "transition" for f in one.from_}
    missing = [f"{f} -> {t}" for f, following in ways.items() for t in following if (f, t) not in done]
    return StateCheck(
        entity.name,
        tuple(state for state in ways if state not in reached),
        ends,
        tuple(state for state in ways if ends and state not in finishing and state in reached),
        () if design.source == "definitions" else tuple(missing),
    )


def findings(
    design: Design, stores: Iterable[Store], found: Iterable[Race], checks: Iterable[StateCheck]
) -> Iterator[Finding]:
    """What is told of races and states."""
    places = {one.name: f"access_patterns[{number}]" for number, one in enumerate(design.patterns)}
    by_name = {one.name: one for one in design.patterns}
    for race in found:
        pattern, place = by_name[race.pattern], places[race.pattern]
        if race.cure == "one item per entry":
            yield finding("SR-302", design, place, f"{race.pattern}: otherwise {race.lost} would be lost")
        elif not race.closes and pattern.concurrent:
            yield finding("SR-301", design, place, f"{race.pattern}: lost is {race.lost}. Left open: {race.remains}")
    for check in checks:
        place = f"entities.{check.entity}.lifecycle"
        for id, states_of, words in (
            ("SR-303", check.unreachable, "nothing leads to {}"),
            ("SR-304", check.dead_ends, "no end can be reached from {}"),
            ("SR-305", check.without_code, "no pattern does {}"),
        ):
            if states_of:
                yield finding(id, design, place, f"{check.entity}: {words.format(', '.join(states_of))}")
    for pattern in design.patterns:
        if pattern.kind == "put" and pattern.concurrent:
            yield finding("SR-306", design, places[pattern.name], f"{pattern.name} may meet another put of its key")
    for store in stores:
        if store.role == "lookup" and store.many and store.home == "slack":
            place = f"entities.{store.entity}"
            yield finding("SR-307", design, place, f"{store.name} is written by {', '.join(store.writers)}")
