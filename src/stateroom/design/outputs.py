"""All files of a plan, as texts by their names: what `design build --out DIR` writes.

Rules of this file: pure. Equal plans give equal bytes: no dates, no versions of ours but the format's.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from stateroom.design.alternatives import index_of
from stateroom.design.diff import Migration
from stateroom.design.entities import definition_of
from stateroom.design.parts import PREFIX, Finding, Plan
from stateroom.design.render import markdown, page
from stateroom.design.render_document import blocks
from stateroom.design.render_runbooks import cleanup, migration, recovery
from stateroom.design.typescript import typescript_files
from stateroom.model.definition import Definition
from stateroom.model.schema import python
from stateroom.model.schema.manifest import manifest_of

LOCK_VERSION: Final = 1
CSV_COLUMNS: Final = (
    *("pattern", "entity", "kind", "operation", "datastore", "home", "expression", "names", "values", "parameters"),
    *("items_today", "evaluated_today", "pages_today", "calls_today", "ms_today", "worst_ms_today"),
    *("items_year", "evaluated_year", "pages_year", "calls_year", "ms_year", "worst_ms_year", "external", "why"),
)


def outputs(plan: Plan, found: Migration | None = None) -> dict[str, str]:
    """File name to text. `found`: the migration from an older design, for migration.md."""
    title = f"{plan.design.app.name}: the design of its state"
    document = blocks(plan)
    fills = () if found is None else found.fills
    made = {
        "design.md": markdown(document),
        "design.html": page(title, document),
        "manifest.json": _json(manifest(plan)),
        "definitions.py": python.write(definitions(plan)),
        "access-patterns.csv": access_csv(plan),
        "cleanup.md": markdown(cleanup(plan)),
        "migration.md": markdown(migration(plan, found)),
        "recovery.md": markdown(recovery(plan)),
    }
    made |= {f"typescript/{path}": text for path, text in typescript_files(plan, fills).items()}
    return made | {"design.lock.json": lock(plan, made)}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(type(value).__name__)


def definitions(plan: Plan) -> list[Definition]:
    """Every datastore as a definition: those of an external store with the indexes of their patterns."""
    found = []
    for store in plan.stores:
        patterns = [one for one in plan.design.of(store.name) if store.role == "entity"]
        held = {name for name, one in store.attributes.items() if one.type not in _UNORDERED and not one.encrypted}
        wanted = dict.fromkeys(
            (index, one.kind == "unique") for one in patterns if (index := index_of(one)) and set(index) <= held
        )
        seen: dict[tuple[str, ...], bool] = {}
        for index, unique in wanted:
            seen[index] = seen.get(index, False) or unique
        found.append(definition_of(store, plan.design, indexes=seen.items()))
    return found


_UNORDERED: Final = ("array", "object", "slack#/types/rich_text", "slack#/types/expanded_rich_text")


def manifest(plan: Plan) -> dict[str, Any]:
    """The parts of a manifest that Slack's datastores need; empty datastores when none is Slack's."""
    hosted = [definition_of(one, plan.design) for one in plan.stores if one.home == "slack"]
    return manifest_of(hosted, name=plan.design.app.name)


def access_csv(plan: Plan) -> str:
    """One line for each pattern, for a spreadsheet. What would be read as a formula there is marked as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in plan.accesses:
        asked = next((call for call in one.calls if call.where is not None), None)
        row: list[object] = [one.pattern, one.entity, one.kind, one.operation, one.datastore, one.home]
        if asked is None or asked.where is None:
            row += ["", "", "", ""]
        else:
            maps = (dict(asked.names), dict(asked.values), dict(asked.where.parameters))
            row += [asked.expression, *(json.dumps(m, default=_plain) for m in maps)]
        for cost in (one.today, one.year):
            row += [cost.items, cost.evaluated, cost.pages, cost.total_calls, cost.ms]
            row.append("without end" if cost.worst_ms is None else cost.worst_ms)
        row += ["", ""] if one.external is None else [one.external.engine, one.external.why]
        writer.writerow([f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@") else cell for cell in row])
    return out.getvalue()


def findings_json(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Findings for machines."""
    return [dataclasses.asdict(one) for one in findings]


def summary(plan: Plan) -> dict[str, Any]:
    """What the lock keeps of a plan, and `--format json` prints: what a later build is compared with."""
    return {
        "app": dataclasses.asdict(plan.design.app),
        "datastores": [
            {
                "name": one.name,
                "role": one.role,
                "home": one.home,
                "key": one.key,
                "ttl": one.ttl,
                "attributes": {name: attribute.type for name, attribute in one.attributes.items()},
            }
            for one in plan.stores
        ],
        "patterns": [
            {
                "name": one.pattern,
                "operation": one.operation,
                "datastore": one.datastore,
                "home": one.home,
                "calls_today": _short(one.today.calls),
                "calls_year": _short(one.year.calls),
                "evaluated_today": one.today.evaluated,
                "evaluated_year": one.year.evaluated,
                "pages_today": one.today.pages,
                "pages_year": one.year.pages,
                "worst_ms_today": one.today.worst_ms,
                "worst_ms_year": one.year.worst_ms,
            }
            for one in plan.accesses
        ],
        "tiers": {one.method.removeprefix(PREFIX): [one.today, one.year, one.allowed] for one in plan.tiers},
        "items": {one.datastore: [one.items_today, one.items_year, one.item_bytes] for one in plan.capacity},
        "verdicts": [dataclasses.asdict(one) for one in plan.verdicts],
        "findings": findings_json(plan.findings),
    }


def _short(calls: Mapping[str, int]) -> dict[str, int]:
    return {method.removeprefix(PREFIX): times for method, times in calls.items()}


def lock(plan: Plan, files: Mapping[str, str]) -> str:
    """What was decided, and the SHA-256 of each file: a review sees what a change of the design changes."""
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())}
    return _json({"format": "stateroom-design-lock", "version": LOCK_VERSION, "files": hashes, **summary(plan)})
