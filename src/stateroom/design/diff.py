"""From an old design to a new one: what changes, what breaks, and the steps with the way back.

Rules of this file: what Slack says to a change is model/schema/compat.py's word; what Slack does not see at all is
narrowing.py's (values, states, transitions). A change that breaks is never a step of its own: it becomes something new
beside the old, a backfill, a cut-over, and much later a removal. The gate of a backfill is the absence of the new
attribute (evolution.py says why).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stateroom.design import narrowing
from stateroom.design.entities import DELETED, definition_of
from stateroom.design.evolution import rollout
from stateroom.design.facts import FORMULA, source
from stateroom.design.findings import finding
from stateroom.design.narrowing import DEPLOY
from stateroom.design.parts import Claim, Fill, Finding, Part, Plan, Step, Store
from stateroom.design.structs import Attr
from stateroom.model.schema.compat import Change, compare


@dataclass(frozen=True)
class Migration:
    """All changes in Slack's eyes, the parts in their order, what is told, and what the backfill gives (changes.ts)."""

    changes: tuple[Change, ...]
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    fills: tuple[Fill, ...] = ()


def diff(old: Plan, new: Plan) -> Migration:
    """The migration from one plan to another."""
    before = [definition_of(one, old.design) for one in old.stores if one.home == "slack"]
    after = [definition_of(one, new.design) for one in new.stores if one.home == "slack"]
    changes, outside = tuple(compare(before, after)), tuple(_outside(old, new))
    values, ways = narrowing.narrowed(old, new), narrowing.closed(old, new)
    parts = (
        *_added(old, new, changes),
        *_moved(old, new),
        *_replaced(old, new, changes),
        *narrowing.parts(old, new, values, ways),
        *_migrated(outside),
    )
    found = [
        finding("SR-602", new.design, _place(new, one), f"{one.place}: {one.kind}; {one.detail}")
        for one in (*changes, *outside)
        if one.breaking
    ]
    found += narrowing.findings(new, values, ways)
    listed = (*changes, *outside, *narrowing.changes(values, ways))
    return Migration(listed, parts, tuple(found), (*_fills(old, new, changes), *narrowing.fills(new, values)))


def _outside(old: Plan, new: Plan) -> Iterator[Change]:
    """What changes in the external store, of which `stateroom migrate` has the last word."""
    homes = ({one.name: one.home for one in of.stores} for of in (old, new))
    on_slack = {name for of in homes for name, home in of.items() if home == "slack"}
    before, after = (
        [definition_of(one, of.design) for one in of.stores if one.name not in on_slack] for of in (old, new)
    )
    for change in compare(before, after):
        detail = "stateroom migrate apply does it"
        if change.breaking:
            detail = "stateroom migrate plan says whether rows hold what would be lost; apply refuses it unasked"
        yield change._replace(detail=detail, code=None)


def _migrated(outside: tuple[Change, ...]) -> Iterator[Part]:
    if not outside:
        return
    places = ", ".join(dict.fromkeys(one.place for one in outside))
    claim = Claim(f"the external store changes at {places}", len(outside), "changes", "the new design says so", FORMULA)
    steps = (
        Step("read what would be done, and what it would lose", "stateroom migrate plan"),
        Step("add what is new", "stateroom migrate apply --stage pre", "run it again"),
        Step("deploy the code with the new definitions.py", "", "deploy the old code again"),
        Step("take away what is no longer defined", "stateroom migrate apply --stage post", "run it again"),
    )
    back = (Step("until the last step: deploy the code before it. After it: only from a backup"),)
    yield Part("Change what is kept outside of Slack", "additive", claim, steps, back)


def _fills(old: Plan, new: Plan, changes: tuple[Change, ...]) -> Iterator[Fill]:
    """What the new attributes of entities are filled with: those of which a value is known."""
    names = {one.name for one in old.stores}
    for change in changes:
        store = next((one for one in new.stores if one.name == change.datastore), None)
        if store is None or store.role != "entity" or store.name not in names or change.kind != "attribute added":
            continue
        attribute = store.attributes[change.attribute or ""]
        value = _first(attribute)
        if value is not None:
            yield Fill(store.name, attribute.name, value)


def _first(attribute: Attr) -> Any:
    """The value for items that were there before: its default, its first value, or what is empty; None: unknown."""
    if attribute.default is not None:
        return attribute.default
    if attribute.values:
        return attribute.values[0]
    return {"boolean": False, "integer": 0, "number": 0, "array": []}.get(attribute.type)


def _place(new: Plan, change: Change) -> str:
    place = f"entities.{change.datastore}" if change.datastore in new.design.by_name else "entities"
    return place if change.attribute is None else f"{place}.attributes.{change.attribute}"


def _added(old: Plan, new: Plan, changes: tuple[Change, ...]) -> Iterator[Part]:
    names = {one.name for one in old.stores}
    for store in new.stores:
        if store.home != "slack":
            continue
        if store.name not in names:
            claim = Claim(f"{store.name} is new", True, "", "adding a datastore is always taken", FORMULA)
            rebuild = (f"{_START}/rebuild.ts)",) if store.role == "lookup" else ()
            commands = (DEPLOY, *rebuild, DEPLOY)
            yield Part(f"Add the datastore {store.name}", "additive", claim, tuple(_new_store(store)), _LEAVE, commands)
        for change in changes:
            if change.datastore != store.name or change.kind != "attribute added" or change.attribute is None:
                continue
            if change.attribute == store.key:
                continue  # an item cannot be given another key: _rekeyed
            if store.role == "entity" and change.attribute == DELETED:
                yield _marked(store)
            else:
                yield _filled(old, new, store, change.attribute)


def _new_store(store: Store) -> Iterator[Step]:
    yield Step(f"deploy the manifest with {store.name}", "slack deploy", "nothing has changed")
    if store.role == "lookup":
        yield Step(f"deploy the writers that keep {store.name} right", "slack deploy", "deploy the old code again")
        yield Step(f"run the rebuild: it reads every {store.entity}, not only open ones", "query, put", "run it again")
        yield Step("deploy the readers", "slack deploy", "deploy the readers before it")
    else:
        yield Step(f"deploy the code that writes {store.name}", "slack deploy", "deploy the old code again")


def _marked(store: Store) -> Part:
    """The mark of soft deletion: its absence has a meaning, so a backfill would delete every item."""
    place, why = f"{store.name}.{DELETED}", "an item that lacks it is there: nothing is filled in"
    steps = (
        Step(f"deploy the schema with {DELETED}, declared and not required", "slack deploy", "nothing has changed"),
        Step(f"deploy readers that ask attribute_not_exists(#{DELETED})", "slack deploy", "deploy the old code again"),
        Step("deploy the sweep that marks instead of removing", "slack deploy", "deploy the old code again"),
    )
    return Part(f"Add {place}", "additive", Claim(f"{place} is new", True, "", why, FORMULA), steps, _LEAVE, (DEPLOY,))


def _filled(old: Plan, new: Plan, store: Store, attribute: str) -> Part:
    """A new attribute: items lack it until the backfill has been there."""
    was = next(one for one in old.stores if one.name == store.name)
    took = rollout(old.design, was, new.facts, attribute) if was.role == "entity" else None
    gate = {
        "datastore": store.name,
        "expression": "attribute_not_exists(#new)",
        "expression_attributes": {"#new": attribute},
    }
    asked = json.dumps(gate)
    if took is None:
        claim = Claim(f"{store.name}.{attribute} is new", True, "", "its writers give it from now on", FORMULA)
        return Part(f"Add {store.name}.{attribute}", "additive", claim, tuple(_new_store(store)), _LEAVE, (DEPLOY,))
    commands = (DEPLOY, f"{_START}/backfill.ts)", f"slack datastore count '{asked}'", DEPLOY)
    return Part(f"Add {store.name}.{attribute}", "backfill", took.claims[0], took.steps, took.back, commands)


_START = "(cd typescript && slack trigger create --trigger-def triggers"
_LEAVE = (
    Step(
        "deploy the code before it; leave what was added declared, because a manifest without it is refused with "
        "schema_compatibility_error"
    ),
)


def _moved(old: Plan, new: Plan) -> Iterator[Part]:
    """Entities that go to another home."""
    homes = {one.name: one.home for one in old.stores}
    for store in new.stores:
        if store.role == "entity" and homes.get(store.name, store.home) != store.home:
            was, file = homes[store.name], f"{store.name}.jsonl"
            claim = Claim(
                f"{store.name} moves from {was} to {store.home}", store.home, "", "the new design says so", FORMULA
            )
            asked = json.dumps({"datastore": store.name})
            out = f"slack datastore query '{asked}' --to-file {file}"
            into = f"stateroom datastore import '{asked}' --from-file {file} --if-absent --any-state"
            if was == "external":
                out = f"stateroom datastore export '{asked}' --output {file}"
                into = f"slack datastore bulk-put '{asked}' --from-file {file}"
            steps = (
                Step(
                    "deploy writers that write both, the old store first", "slack deploy", "deploy the old code again"
                ),
                Step("export the old store and import what the new one lacks", "export, import", "run both again"),
                Step("compare the counts, then read from the new store", "count", "read from the old store again"),
                Step("after a week stop writing the old store", "slack deploy", "write both again"),
            )
            back = (Step("read from the old store: it has every write until the last step"),)
            yield Part(f"Move {store.name}", "move", claim, steps, back, (out, into))


def _replaced(old: Plan, new: Plan, changes: tuple[Change, ...]) -> Iterator[Part]:
    """What breaks: done beside what is there, never in its place."""
    for change in changes:
        if not change.breaking or not _stored(old, change):
            continue
        what = change.attribute or change.datastore
        reason = source("tier_4", "function_seconds")
        claim = Claim(f"{change.place}: {change.kind}", True, "", change.detail, reason)
        if change.kind.endswith("removed"):
            steps = (
                Step(f"deploy code that no longer reads {what}", "slack deploy", "deploy the old code again"),
                Step(f"deploy code that no longer writes {what}", "slack deploy", "deploy the old code again"),
                Step("export, and wait until nobody misses it", "export"),
                Step(
                    "deploy the manifest without it, with --force: from here there is no way back",
                    "slack deploy --force",
                ),
            )
            last = Step("before the last step: deploy the code before it. After it: only from the export")
            asked = json.dumps({"datastore": change.datastore})
            out = f"slack datastore query '{asked}' --to-file {change.datastore}.jsonl"
            forced = DEPLOY.replace("deploy", "deploy --force")
            yield Part(f"Remove {change.place}", "remove", claim, steps, (last,), (DEPLOY, DEPLOY, out, forced))
        elif change.kind == "primary key changed":
            yield _rekeyed(change, claim)
        else:
            beside = (
                Step(
                    f"add {what}_2 (or the datastore {change.datastore}_2) beside it, as the new design has it",
                    "slack deploy",
                ),
                Step("deploy writers that write both", "slack deploy", "deploy the old code again"),
                Step(f"backfill {what}_2 where it is absent, page by page", "query, update", "run it again"),
                Step("count the absent: go on only at 0", "count", "run the backfill again"),
                Step(f"deploy readers of {what}_2", "slack deploy", "deploy the readers before it"),
            )
            still = Step(f"deploy the readers of {what}: it is still written")
            yield Part(
                f"Replace {change.place}",
                "replace",
                claim,
                beside,
                (still,),
                (DEPLOY, f"{_START}/backfill.ts)", DEPLOY),
            )


def _rekeyed(change: Change, claim: Claim) -> Part:
    """Another key makes other items, so they go to a datastore beside the old one."""
    name, other = change.datastore, f"{change.datastore}_2"
    asked = json.dumps({"datastore": name})
    steps = (
        Step(f"add the datastore {other} with the key {change.attribute} beside {name}", "slack deploy"),
        Step("deploy writers that write both", "slack deploy", "deploy the old code again"),
        Step(f"export {name}, give each item its new key, and put it into {other} unless it is there", "query, put"),
        Step("compare the counts: go on only when they are equal", "count", "export and put again"),
        Step(f"deploy readers of {other}", "slack deploy", "deploy the readers before it"),
    )
    commands = (DEPLOY, f"slack datastore query '{asked}' --to-file {name}.jsonl", DEPLOY)
    back = (Step(f"deploy the readers of {name}: it is still written"),)
    return Part(f"Replace the key of {name}", "replace", claim, steps, back, commands)


def _stored(old: Plan, change: Change) -> bool:
    return any(one.name == change.datastore and one.home == "slack" for one in old.stores)
