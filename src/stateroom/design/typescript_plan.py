"""`plan.ts` and `changes.ts` of a generated project: what its code works on, as data.

Rules of this file: here alone a design's own names reach generated code, each through `literal`. A table is made from
the plan; one that is empty makes no job.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from stateroom.design.entities import AUDIT, CLAIMS, DELETED, STATE, key_attribute, link
from stateroom.design.parts import Fill, Plan, Store
from stateroom.design.sizes import removed_by
from stateroom.design.structs import Design, Entity, Pattern
from stateroom.model.attributes import SLACK
from stateroom.model.schema.names import text

STEPS_MOST: Final = 10
_UNITS: Final[Mapping[str, str]] = {f"{SLACK}date": "date", f"{SLACK}message_ts": "message_ts"}


@dataclass(frozen=True)
class Tables:
    """What the jobs work on, in the order of the plan."""

    state: str
    sweeps: tuple[Mapping[str, Any], ...]
    orphans: tuple[Mapping[str, Any], ...]
    lookups: tuple[Mapping[str, Any], ...]
    copies: tuple[Mapping[str, Any], ...]
    exported: tuple[Mapping[str, Any], ...]
    lifecycles: tuple[Mapping[str, Any], ...]
    claims: bool
    audit: bool
    steps: Mapping[str, int]

    @property
    def jobs(self) -> tuple[str, ...]:
        """The kinds of job that there is work for."""
        return tuple(self.steps)


def literal(value: Any) -> str:
    """A value as TypeScript: JSON, with what nobody sees escaped, and no key that sets a prototype."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)}: {literal(one)}" for name, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (float, Decimal)) and value == int(value):
        return str(int(value))
    if isinstance(value, Decimal):
        return json.dumps(float(value))
    return json.dumps(value, allow_nan=False)


def _key(name: str) -> str:
    return f"[{text(name)}]" if name == "__proto__" else text(name)


def jobs_of(plan: Plan) -> tuple[str, ...]:
    """The kinds of job that a plan asks for; none where no datastore is Slack's."""
    return tables(plan).jobs if any(one.home == "slack" for one in plan.stores) else ()


def tables(plan: Plan) -> Tables:
    """What a plan asks for of Slack's own datastores."""
    hosted = {one.name: one for one in plan.stores if one.home == "slack"}
    entities = [one for one in plan.design.entities if one.name in hosted]
    sweeps = tuple(sweep for one in entities for sweep in _sweeps(plan, one, hosted[one.name]))
    orphans = tuple(_orphan(plan, one) for one in hosted.values() if one.role == "entries" and _ends(plan, one))
    lookups = tuple(_lookup(plan, one) for one in hosted.values() if one.role == "lookup")
    exported = tuple(
        {"job": f"export {one.name}", "datastore": one.name, "key": one.key}
        for one in hosted.values()
        if one.role in ("entity", "entries", "audit")
    )
    runs = [one.runs for one in plan.retention if one.how == "sweep"]
    steps = {"sweep": _steps(sum(runs))} if sweeps or orphans else {}
    steps |= {"backfill": STEPS_MOST} if entities else {}
    steps |= {"export": _steps(len(exported))} if exported else {}
    steps |= {"rebuild": _steps(2 * len(lookups))} if lookups else {}
    copies = tuple(row for one in entities for row in _copies(plan.design, one, set(hosted)))
    steps |= {"copies": _steps(len(copies))} if copies else {}
    roles = {one.role for one in hosted.values()}
    cycles = tuple(_lifecycle(one) for one in entities if one.lifecycle is not None)
    return Tables(STATE, sweeps, orphans, lookups, copies, exported, cycles, "claims" in roles, "audit" in roles, steps)


def _steps(runs: int) -> int:
    """Steps of a workflow; what they do not finish the next hour does."""
    return max(1, min(runs, STEPS_MOST))


def _ends(plan: Plan, entries: Store) -> bool:
    return removed_by(plan.design.by_name[entries.entity or ""], plan.facts) != "never"


# Sweeps


def _sweeps(plan: Plan, entity: Entity, store: Store) -> Iterable[Mapping[str, Any]]:
    kept = entity.retention
    if kept is not None and kept.legal_hold:
        return
    asked = [
        one for one in plan.design.of(entity.name) if one.kind == "sweep" and plan.access(one.name).home == "slack"
    ]
    plain = any(one.where is None for one in asked)
    if kept is not None and (plain or removed_by(entity, plan.facts) == "sweep"):
        yield _of_retention(entity, store)
    for number, pattern in enumerate(asked):
        if pattern.where is not None and _knows_values(entity, pattern):
            yield _of_pattern(entity, store, pattern, number)


def _base(entity: Entity, store: Store, job: str) -> dict[str, Any]:
    kept = entity.retention
    return {
        "job": job,
        "datastore": store.name,
        "key": store.key,
        "after": None,
        "unit": "seconds" if kept is None else _UNITS.get(entity.attributes[kept.after].type, "seconds"),
        "days": 0 if kept is None else kept.days,
        "deleted": DELETED if kept is not None and kept.mode == "soft" else None,
        "expression": None,
        "names": {},
        "values": {},
        "before": [],
    }


def _of_retention(entity: Entity, store: Store) -> Mapping[str, Any]:
    """What is due by the entity's retention. No expression may look at a key, so then each page is looked through."""
    assert entity.retention is not None
    base, after = _base(entity, store, f"sweep {entity.name}"), entity.retention.after
    base["after"] = after
    if after == key_attribute(entity):
        return base
    base |= {"expression": "#after < :before", "names": {"#after": after}, "before": [":before"]}
    if base["deleted"] is not None:
        base["expression"] = "attribute_not_exists(#deleted) AND #after < :before"
        base["names"] = {"#deleted": DELETED, "#after": after}
    return base


def _knows_values(entity: Entity, pattern: Pattern) -> bool:
    """Whether a scheduled run has all values: it can compute only the moment that the retention counts to."""
    assert pattern.where is not None
    after = None if entity.retention is None else entity.retention.after
    return all(attribute == after for attribute in pattern.where.parameters.values())


def _of_pattern(entity: Entity, store: Store, pattern: Pattern, number: int) -> Mapping[str, Any]:
    assert pattern.where is not None
    where = pattern.where
    asked = {"expression": where.expression, "names": where.names, "values": where.values}
    before = list(where.parameters)
    return {**_base(entity, store, f"sweep {entity.name} {number + 1} {pattern.name}"), **asked, "before": before}


# The rest


def _orphan(plan: Plan, store: Store) -> Mapping[str, Any]:
    entity = plan.design.by_name[store.entity or ""]
    key = key_attribute(entity)
    owner = {"owner": f"of_{key}", "owners": entity.name, "ownersKey": key}
    return {"job": f"orphans {store.name}", "datastore": store.name, "key": store.key, **owner}


def _lookup(plan: Plan, store: Store) -> Mapping[str, Any]:
    key = key_attribute(plan.design.by_name[store.entity or ""])
    of = {"of": list(store.of), "many": store.many, "items": store.entity, "itemsKey": key}
    return {"job": f"rebuild {store.name}", "datastore": store.name, "key": store.key, **of}


def _copies(design: Design, entity: Entity, hosted: set[str]) -> Iterable[Mapping[str, Any]]:
    """One row for each entity of which an entity has copies, and to which it refers."""
    sources: dict[str, list[list[str]]] = {}
    for name, one in entity.attributes.items():
        if one.copy_of is not None:
            of, _, attribute = one.copy_of.partition(".")
            sources.setdefault(of, []).append([name, attribute])
    for of, pairs in sources.items():
        named = link(entity, of)
        if named is not None and of in hosted:
            source = {"source": of, "sourceKey": key_attribute(design.by_name[of]), "of": pairs}
            base = {"job": f"copies {entity.name} {of}", "datastore": entity.name, "key": key_attribute(entity)}
            yield {**base, "link": named, **source}


def _lifecycle(entity: Entity) -> Mapping[str, Any]:
    assert entity.lifecycle is not None
    cycle = entity.lifecycle
    return {
        "datastore": entity.name,
        "key": key_attribute(entity),
        "attribute": cycle.attribute,
        "transitions": {state: list(following) for state, following in cycle.transitions.items()},
    }


# The files


def plan_module(of: Tables) -> str:
    """`plan.ts`; it imports types alone, of files that are there."""
    parts = ["// What this project's code works on. Made by `stateroom design build`: change the design, not this.\n"]
    typed: list[tuple[str, str, str, tuple[Mapping[str, Any], ...]]] = []
    if "sweep" in of.jobs:
        typed += [("SWEEPS", "Sweep", "sweep.ts", of.sweeps), ("ORPHANS", "Orphan", "sweep.ts", of.orphans)]
    if "rebuild" in of.jobs:
        typed.append(("LOOKUPS", "Lookup", "rebuild.ts", of.lookups))
    if "copies" in of.jobs:
        typed.append(("COPIES", "Copied", "copies.ts", of.copies))
    if "export" in of.jobs:
        typed.append(("EXPORTED", "Exported", "export.ts", of.exported))
    parts += [f'import type {{ {kind} }} from "./{module}";\n' for _, kind, module, _ in typed]
    parts.append(f"\nexport const STATE = {literal(of.state)};\n")
    parts.append(
        f"/** Steps of each workflow: runs of a function that one hour may take. */\n{_const('STEPS', of.steps)}"
    )
    parts += [_list(name, f"{kind}[]", rows) for name, kind, _, rows in typed]
    if of.claims or "sweep" in of.jobs:
        parts.append(f"export const AUDIT: string | null = {literal(AUDIT if of.audit else None)};\n")
    if of.claims:
        shape = "{ datastore: string; key: string; attribute: string; transitions: Record<string, string[]> }[]"
        parts.append(f"export const CLAIMS = {literal(CLAIMS)};\n")
        parts.append(_list("LIFECYCLES", shape, of.lifecycles))
    return "".join(parts)


def _const(name: str, value: Any) -> str:
    return f"export const {name} = {literal(value)};\n"


def _list(name: str, kind: str, rows: Iterable[Mapping[str, Any]]) -> str:
    return f"export const {name}: {kind} = [\n" + "".join(f"  {literal(row)},\n" for row in rows) + "];\n"


def changes_module(plan: Plan, fills: Iterable[Fill]) -> str:
    """`changes.ts`: the backfills that are known, and a place for others. KeyError: there is no such datastore."""
    keys = {one.name: one.key for one in plan.stores if one.home == "slack"}
    rows = []
    for one in fills:
        given = asdict(one)
        what = " values" if one.only else "" if one.version is None else f" {one.version}"
        head: dict[str, Any] = {"job": f"backfill {one.datastore} {one.attribute}{what}", "datastore": one.datastore}
        head |= {"key": keys[one.datastore], "attribute": one.attribute, "version": one.version}
        head |= {"only": sorted(one.only, key=str.encode)} if one.only else {}
        rows.append(f"  {{ ...{literal(head)}, fill: () => ({literal({one.attribute: given['value']})}) }},\n")
    names = ", ".join(literal(one.name) for one in plan.stores if one.role == "entity" and one.home == "slack")
    return (
        "// What a backfill gives to items. Deploy the attribute first, declared and not required; then this.\n"
        '// An entry: { job: "its own name", datastore, key, attribute, version: null, fill: (item) => ({ ... }) }\n'
        "// Values that are gone: only: [...] lists what is allowed now; every item with another one is filled.\n"
        f"// Datastores: {names}\n"
        'import type { Change } from "./backfill.ts";\n\n'
        "export const CHANGES: Change[] = [\n" + "".join(rows) + "];\n"
    )
