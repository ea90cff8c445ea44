"""The document of a plan: what design.md and design.html say, the decisions first.

Rules of this file: every number comes from the plan, and each claim stands with its reason and source. A reader who has
a minute reads the first two tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stateroom.design.costs import told
from stateroom.design.facts import table as facts_table
from stateroom.design.parts import PREFIX, Access, Claim, Cost, Plan, Step, Store
from stateroom.design.render import Block, Chart, Code, Folded, Heading, Listed, Table, Words


def blocks(plan: Plan) -> list[Block]:
    """The whole document."""
    design = plan.design
    found: list[Block] = [Heading(1, f"{design.app.name}: the design of its state")]
    counts = {kind: sum(one.severity == kind for one in plan.findings) for kind in ("error", "warning", "info")}
    words = f"Target {design.app.target}, {len(plan.stores)} datastores, {len(plan.accesses)} access patterns; "
    words += f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes. Rates are those of the "
    words += "busiest minute of the busiest workspace, volumes those of the whole app."
    found += [Words(words), Heading(2, "Decisions"), _decisions(plan)]
    if plan.verdicts:
        rows = [
            (one.obligation, one.place, "go" if one.go else "no-go", one.meets, one.reason) for one in plan.verdicts
        ]
        found += [Heading(2, "Obligations"), Table(("obligation", "of", "verdict", "met by", "because"), rows)]
    found += [Heading(2, "Findings"), _findings(plan)]
    for title, part in _PARTS:
        found += [Heading(2, title), *part(plan)]
    return found


def _decisions(plan: Plan) -> Table:
    rows = []
    for one in plan.accesses:
        worst = "never ends" if one.today.worst_ms is None else told(one.today.worst_ms)
        served = "external store" if one.home == "external" else f"{one.operation} on {one.datastore}"
        why = one.external.why if one.external is not None else "fits today and in a year"
        rows.append((one.pattern, served, _calls(one, one.today), _calls(one, one.year), worst, why))
    return Table(("pattern", "served by", "calls today", "in a year", "worst today", "why"), rows)


def _calls(access: Access, cost: Cost) -> str:
    if access.home == "external":
        return "1 outside of Slack"
    return ", ".join(f"{n} {method.removeprefix(PREFIX)}" for method, n in cost.calls.items() if n) or "none"


def _findings(plan: Plan) -> Block:
    if not plan.findings:
        return Words("No findings.")
    rows = [
        (
            one.id,
            one.severity,
            one.place if one.line is None else f"{one.place} (line {one.line})",
            one.reason,
            one.cure,
        )
        for one in plan.findings
    ]
    return Table(("id", "severity", "place", "found", "cure"), rows, [one.severity for one in plan.findings])


def _claims(claims: tuple[Claim, ...]) -> Table:
    return Table(("claim", "because", "source"), [(one.text, one.reason, one.source) for one in claims])


def _stores(plan: Plan) -> Iterator[Block]:
    for store in plan.stores:
        yield Heading(3, f"{store.name} ({store.role}, {'Slack' if store.home == 'slack' else 'external store'})")
        yield Words(f"{store.reason.text}: {store.reason.reason}.")
        yield Table(
            ("attribute", "type", "notes"),
            [(f"`{one.name}`", one.type, _notes(store, one)) for one in store.attributes.values()],
        )
        if store.recipe.reason:
            made = " + ".join(store.recipe.parts)
            yield Words(f"Key `{store.key}` from {made}, as `{store.recipe.example}`: {store.recipe.reason}.")
        for copy in store.copies:
            keepers = ", ".join(copy.keepers) or "nothing"
            yield Words(f"Copy: {copy.attribute} of {copy.source}, kept right by {keepers}; repair: {copy.repair}.")


def _notes(store: Store, one: Any) -> str:
    notes = ["key"] if one.name == store.key else []
    notes += ["time to live"] if one.name == store.ttl else []
    notes += ["personal"] if one.personal else []
    notes += ["encrypted"] if one.encrypted else []
    notes += [f"one of {', '.join(one.values)}"] if one.values else []
    return ", ".join(notes)


def _map(plan: Plan) -> Iterator[Block]:
    for one in plan.accesses:
        yield Heading(3, one.pattern)
        yield from _access(one)


def _access(one: Access) -> Iterator[Block]:
    rows = []
    for number, call in enumerate(one.calls, 1):
        asked = (
            ""
            if call.expression is None
            else f"`{call.expression}` names {_json(call.names)} values {_json(_values(call))}"
        )
        by = asked or ", ".join(call.key_of)
        rows.append((number, call.method.removeprefix(PREFIX), call.datastore, call.repeat, by, call.purpose))
    if rows:
        yield Table(("", "call", "datastore", "how often", "asks", "why"), rows)
    priced = [(when, *_cost(cost)) for when, cost in (("today", one.today), ("in a year", one.year))]
    yield Table(("", "items", "evaluated", "pages", "calls", "bytes", "ms alone", "ms at the busiest"), priced)
    yield _claims(one.claims)
    if one.external is not None:
        yield Words(
            f"{'Served by' if one.home == 'external' else 'Alternative:'} {one.external.engine}: {one.external.why}."
        )
        yield Code(";\n".join(one.external.sql) + ";", "sql")


def _cost(cost: Cost) -> tuple[object, ...]:
    worst = "without end" if cost.worst_ms is None else cost.worst_ms
    return (cost.items, cost.evaluated, cost.pages, cost.total_calls, cost.bytes, cost.ms, worst)


def _json(given: Mapping[str, Any]) -> str:
    """As Slack is sent it, not as Python writes it."""
    return json.dumps(dict(given), ensure_ascii=False, default=lambda one: int(one) if one == int(one) else float(one))


def _values(call: Any) -> dict[str, Any]:
    given = {name: f"<{of or 'value'}>" for name, of in call.where.parameters.items()}
    return {**call.values, **given}


def _steps(steps: tuple[Step, ...]) -> Listed:
    words = [
        f"{one.do}{f' (`{one.call}`)' if one.call else ''}{f'; if it fails: {one.if_fails}' if one.if_fails else ''}"
        for one in steps
    ]
    return Listed(words, numbered=True)


def _consistency(plan: Plan) -> Iterator[Block]:
    if not plan.races:
        yield Words("No pattern reads before it writes.")
    for race in plan.races:
        yield Heading(3, race.pattern)
        closed = "closes it" if race.closes else "narrows it and does not close it"
        yield Words(f"Lost without a cure: {race.lost}. Cure: {race.cure}, which {closed}.")
        yield _steps(race.steps)
        if race.remains:
            yield Words(f"Left open: {race.remains}.")
    rows = [
        (
            one.entity,
            ", ".join(one.unreachable) or "none",
            ", ".join(one.dead_ends) or "none",
            ", ".join(one.without_code) or "none",
        )
        for one in plan.states
    ]
    if rows:
        yield Table(("lifecycle of", "unreachable", "dead ends", "without a pattern"), rows)


def _capacity(plan: Plan) -> Iterator[Block]:
    rows = [
        (
            one.datastore,
            one.item_bytes,
            one.item_max_bytes or "no bound",
            one.largest,
            one.items_today,
            one.items_year,
            one.bytes_year,
            one.items_per_page,
        )
        for one in plan.capacity
    ]
    yield Table(
        ("datastore", "bytes an item", "largest", "by", "items today", "in a year", "bytes in a year", "items a page"),
        rows,
    )
    rows2 = [(one.datastore, b.claim.text, _day(b.day), b.claim.reason) for one in plan.capacity for b in one.breaks]
    if rows2:
        yield Table(("datastore", "limit", "breaks on", "because"), rows2)
    rows3 = [
        (
            one.method.removeprefix(PREFIX),
            one.tier,
            one.allowed,
            one.today,
            one.year,
            ", ".join(f"{n} {c:g}" for n, c in one.by),
        )
        for one in plan.tiers
    ]
    if rows3:
        yield Table(("method", "tier", "allowed a minute", "used today", "in a year", "by"), rows3)
    for one in plan.capacity:
        if one.growth[-1][1] != one.growth[0][1]:
            yield Chart(f"{one.datastore}", "items", [(day, items) for day, items, _ in one.growth])
    yield _claims(tuple(claim for one in plan.capacity for claim in one.claims))


def _day(day: int | None) -> str:
    return "not within ten years" if day is None else "today" if day == 0 else f"day {day:,}"


def _retention(plan: Plan) -> Iterator[Block]:
    for one in plan.retention:
        yield Heading(3, one.entity)
        yield _claims(one.claims)
        yield Words(f"{one.trade_off}.")
        if one.erasure:
            yield Words("To forget a person:")
            yield _steps(one.erasure)


def _evolution(plan: Plan) -> Iterator[Block]:
    for one in plan.rollouts:
        yield Heading(3, one.datastore)
        yield _claims(one.claims)
        yield _steps(one.steps)
        yield Words("The way back:")
        yield _steps(one.back)
    if not plan.rollouts:
        yield Words("Nothing is in Slack's datastores: `stateroom migrate` upgrades old items as they are read.")


def _failure(plan: Plan) -> Iterator[Block]:
    """Equal rows of several patterns are one."""
    said: dict[tuple[str, ...], list[str]] = {}
    for one in plan.failures:
        waits = ", ".join(map(str, one.wait_ms))
        same = (one.call, one.error, one.retry, waits, one.midway, one.person, one.reconciled)
        said.setdefault(same, []).append(one.pattern)
    rows = [(*same[:2], ", ".join(patterns), *same[2:]) for same, patterns in said.items()]
    words = f"What each call does when it fails, what is left half done, and who mends it ({len(rows)} cases)"
    headers = ("call", "error", "of", "retry", "waits (ms)", "midway", "the person sees", "mended by")
    yield Folded(words, Table(headers, rows))


def _facts(plan: Plan) -> Iterator[Block]:
    words = "Every limit and rule of thumb that these numbers rest on"
    yield Folded(words, Table(("fact", "number", "source"), facts_table(plan.facts)))


_PARTS = (
    ("Datastores", _stores),
    ("Access map", _map),
    ("Consistency", _consistency),
    ("Capacity", _capacity),
    ("Retention", _retention),
    ("Evolution", _evolution),
    ("Failure", _failure),
    ("Facts", _facts),
)
