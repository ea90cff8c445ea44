"""What an old design allowed and the new one does not: values of an attribute, states, transitions.

Rules of this file: no manifest has these, so Slack says nothing to them and keeps every row as it is. That is why they
are told here: which rows hold what is gone, what breaks, and how they are brought over. What such a row becomes is
decided by people (or by the `default` that the new design gives), never guessed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stateroom.design.costs import told
from stateroom.design.evolution import rollout
from stateroom.design.facts import FORMULA, source
from stateroom.design.findings import finding
from stateroom.design.parts import Claim, Fill, Finding, Part, Plan, Step, Store
from stateroom.design.structs import Entity
from stateroom.model.schema.compat import Change

DEPLOY = "(cd typescript && slack deploy)"
BACKFILL = "(cd typescript && slack trigger create --trigger-def triggers/backfill.ts)"


@dataclass(frozen=True)
class Narrowed:
    """An attribute that may hold less. `gone`: the values; empty where it might hold anything. `left`: those of now."""

    store: Store
    attribute: str
    gone: tuple[str, ...]
    left: tuple[str, ...]
    states: bool

    @property
    def words(self) -> str:
        """What is gone, in words."""
        return ", ".join(self.gone) if self.gone else f"anything but {', '.join(self.left)}"


@dataclass(frozen=True)
class Closed:
    """Transitions that are gone, out of one state. `stuck`: nothing leads out of it any more."""

    store: Store
    attribute: str
    state: str
    to: tuple[str, ...]
    stuck: bool


def narrowed(old: Plan, new: Plan) -> tuple[Narrowed, ...]:
    """The attributes of entities in both plans that may hold less than before."""
    return tuple(one for before, after in _both(old, new) for one in _values(before, after, new.store(after.name)))


def closed(old: Plan, new: Plan) -> tuple[Closed, ...]:
    """The transitions of entities in both plans that are no longer allowed, of states that are still there."""
    return tuple(one for before, after in _both(old, new) for one in _ways(before, after, new.store(after.name)))


def _both(old: Plan, new: Plan) -> Iterator[tuple[Entity, Entity]]:
    for after in new.design.entities:
        before = old.design.by_name.get(after.name)
        if before is not None:
            yield before, after


def _allowed(entity: Entity, attribute: str) -> tuple[str, ...]:
    """The values that an attribute may hold: those of the file, or its states; none: any."""
    values = entity.attributes[attribute].values
    cycle = entity.lifecycle
    return values or (tuple(cycle.transitions) if cycle is not None and cycle.attribute == attribute else ())


def _values(before: Entity, after: Entity, store: Store) -> Iterator[Narrowed]:
    for name, one in after.attributes.items():
        if name not in before.attributes or before.attributes[name].type != one.type:
            continue  # new, or replaced as a whole: diff.py
        was, now = _allowed(before, name), _allowed(after, name)
        gone = tuple(value for value in was if value not in now)
        if now and (gone or not was):
            states = after.lifecycle is not None and after.lifecycle.attribute == name
            yield Narrowed(store, name, gone, now, states)


def _ways(before: Entity, after: Entity, store: Store) -> Iterator[Closed]:
    if before.lifecycle is None or after.lifecycle is None or before.lifecycle.attribute != after.lifecycle.attribute:
        return
    ways = after.lifecycle.transitions
    for state, following in before.lifecycle.transitions.items():
        now = ways.get(state, ())
        lost = tuple(to for to in following if to not in now and (to in ways or not now))  # a state that is gone: above
        if state in ways and lost:
            yield Closed(store, after.lifecycle.attribute, state, lost, not now)


# What is told


def changes(values: tuple[Narrowed, ...], ways: tuple[Closed, ...]) -> Iterator[Change]:
    """As the table of a migration has them."""
    for one in values:
        kind = "states removed" if one.states else "values removed"
        yield Change(one.store.name, one.attribute, kind, True, f"{one.words}: {_breaks(one)}")
    for way in ways:
        detail = f"{way.state} -> {', '.join(way.to)}: {_ends(way)}"
        yield Change(way.store.name, way.attribute, "transitions removed", way.stuck, detail)


def _breaks(one: Narrowed) -> str:
    if one.store.home == "external":
        words = "a row that holds it is read, and each write of it is refused until it has another value"
    else:
        words = "Slack checks no values, so rows keep it, and the new code meets what it does not know"
    return f"{words}; no transition leads out of it" if one.states else words


def _ends(one: Closed) -> str:
    who = "a run that began before, or a button in an older message, is refused"
    return f"{who}; nothing leads out of {one.state} any more, so items stay there for good" if one.stuck else who


def findings(new: Plan, values: tuple[Narrowed, ...], ways: tuple[Closed, ...]) -> Iterator[Finding]:
    """SR-603 and SR-604."""
    for one in values:
        place = f"entities.{one.store.name}.attributes.{one.attribute}"
        reason = f"{one.store.name}.{one.attribute} may no longer be {one.words}; {_breaks(one)}"
        yield finding("SR-603", new.design, place, reason)
    for way in ways:
        place = f"entities.{way.store.name}.lifecycle"
        reason = f"{way.store.name} no longer goes from {way.state} to {' or '.join(way.to)}; {_ends(way)}"
        yield finding("SR-604", new.design, place, reason)


# What is done


def fills(new: Plan, values: tuple[Narrowed, ...]) -> Iterator[Fill]:
    """What rows that hold something else become, where the new design says so (`default`)."""
    for one in values:
        default = new.design.by_name[one.store.name].attributes[one.attribute].default
        if default is not None and one.store.home == "slack":
            yield Fill(one.store.name, one.attribute, default, only=one.left)


def parts(old: Plan, new: Plan, values: tuple[Narrowed, ...], ways: tuple[Closed, ...]) -> Iterator[Part]:
    """One part for each attribute that may hold less, and for each state that loses ways out of it."""
    for one in values:
        yield _hosted(old, new, one) if one.store.home == "slack" else _outside(old, one)
    for way in ways:
        yield _closing(way)


def _hosted(old: Plan, new: Plan, one: Narrowed) -> Part:
    name, attribute = one.store.name, one.attribute
    was = next(store for store in old.stores if store.name == name)
    took = rollout(old.design, was, new.facts, attribute)
    text = f"at most {took.items:,} items of {name} hold {one.words}: {told(took.seconds * 1000)} in {took.runs:,} runs"
    claim = Claim(text, took.seconds, "s", _breaks(one), source("tier_4", "sweep_share", "function_seconds"))
    default = new.design.by_name[name].attributes[attribute].default
    entry = f'{{ job, datastore, key, attribute: "{attribute}", version: null, only: [what is allowed now], fill }}'
    becomes = f"they become {default}, the default" if default is not None else f"write what they become: {entry}"
    file = f"{name}.{attribute}.jsonl"
    steps = (
        Step(f"deploy code that writes {one.words} no more and still reads it", "slack deploy", "deploy the old code"),
        Step(f"export the items that hold it into {file}: what they held is nowhere else afterwards", "query"),
        Step(f"run the backfill ({becomes} in typescript/changes.ts)", "query, update", "run it again"),
        Step("count the items that hold it: go on only at 0", "count", "run the backfill again"),
        Step("deploy code that knows only what is left", "slack deploy", "deploy the code before it"),
    )
    asked = shlex.quote(json.dumps(_asked(one)))
    export, count = f"slack datastore query {asked} --to-file {file}", f"slack datastore count {asked}"
    commands = (DEPLOY, export, BACKFILL, count, DEPLOY)
    back = (Step(f"deploy the code before it; what items held is in {file}"),)
    return Part(f"Take {one.words} out of {name}.{attribute}", "replace", claim, steps, back, commands)


def _outside(old: Plan, one: Narrowed) -> Part:
    name, attribute = one.store.name, one.attribute
    items = old.design.by_name[name].volume.initial
    claim = Claim(f"at most {items} items of {name} hold {one.words}", items, "items", _breaks(one), FORMULA)
    file = f"{name}.{attribute}.jsonl"
    steps = (
        Step(f"deploy code that writes {one.words} no more, with the old definitions.py", "", "deploy the old code"),
        Step(f"export the items that hold it into {file}: what they held is nowhere else afterwards", "export"),
        Step("give definitions.py a version more, and an upgrade step that says what they become (definitions.md)"),
        Step("rewrite the rows of the version before", "stateroom migrate backfill", "run it again"),
        Step("count the items that hold it: go on only at 0", "count", "run the backfill again"),
        Step("deploy the new definitions.py", "", "deploy the one before it"),
    )
    asked = shlex.quote(json.dumps(_asked(one)))
    commands = (
        f"stateroom datastore export {asked} --output {file}",
        "stateroom migrate backfill",
        f"stateroom datastore count {asked}",
    )
    back = (Step(f"deploy the definitions.py before it; what items held is in {file}"),)
    return Part(f"Take {one.words} out of {name}.{attribute}", "replace", claim, steps, back, commands)


def _closing(way: Closed) -> Part:
    name, lost = way.store.name, " or ".join(way.to)
    claim = Claim(f"{name} no longer goes from {way.state} to {lost}", True, "", _ends(way), FORMULA)
    deploy = "slack deploy" if way.store.home == "slack" else ""
    steps = [
        Step(f"deploy code that offers {lost} no more, and says so to whoever presses an older button", deploy),
        Step(f"wait until runs that began before have ended, and count what is still {way.state}", "count"),
    ]
    if way.stuck:
        steps.append(Step(f"decide about those: while the old lifecycle is there they may still go to {lost}"))
    steps.append(Step("deploy the new lifecycle", deploy, "deploy the one before it"))
    tool = "slack" if way.store.home == "slack" else "stateroom"
    asked = _equal(name, way.attribute, (way.state,))
    count = f"{tool} datastore count {shlex.quote(json.dumps(asked))}"
    commands = (DEPLOY, count, DEPLOY) if tool == "slack" else (count,)
    back = (Step("deploy the lifecycle before it: it allows what this one does"),)
    return Part(f"Close {way.state} -> {lost} of {name}", "remove", claim, tuple(steps), back, commands)


def _asked(one: Narrowed) -> dict[str, object]:
    """The items that hold what is gone, by operators that Slack documents; none that lacks the attribute."""
    if one.gone:
        return _equal(one.store.name, one.attribute, one.gone)
    kept = sorted(one.left, key=str.encode)  # as DynamoDB orders texts
    gaps = [f"(#a > :v{n} AND #a < :v{n + 1})" for n in range(len(kept) - 1)]
    expression = " OR ".join(("#a < :v0", *gaps, f"#a > :v{len(kept) - 1}"))
    return _condition(one.store.name, one.attribute, expression, kept)


def _equal(datastore: str, attribute: str, values: tuple[str, ...]) -> dict[str, object]:
    return _condition(datastore, attribute, " OR ".join(f"#a = :v{n}" for n in range(len(values))), values)


def _condition(datastore: str, attribute: str, expression: str, values: Sequence[str]) -> dict[str, object]:
    given = {f":v{n}": value for n, value in enumerate(values)}
    return {
        "datastore": datastore,
        "expression": expression,
        "expression_attributes": {"#a": attribute},
        "expression_values": given,
    }
