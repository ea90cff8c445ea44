"""`stateroom design simulate`: the claims of a design, proven by running it.

Rules of this file: it wires the plan, the local Slack and the engine, and shows what they say. Predictions are
design/'s formulas, measurements are the others' counts; nothing is computed here. Exit codes: 0 every prediction holds,
1 one is off by more than 10 %, 2 wrong use.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from stateroom.cli.design_simulate_clock import START, run
from stateroom.cli.design_simulate_external import external, unreadable
from stateroom.cli.design_simulate_faults import faults
from stateroom.cli.design_simulate_items import Stock
from stateroom.cli.design_simulate_measure import Stage, alone, behind_a_minute, together
from stateroom.cli.design_simulate_races import races
from stateroom.cli.design_simulate_rows import Number, Row, short
from stateroom.cli.design_simulate_slack import LocalSlack
from stateroom.cli.output import note, print_json, print_table, printable
from stateroom.design.access import at_volumes
from stateroom.design.parts import Plan

MOST_ITEMS: Final = 50_000
MOST_EXTERNAL: Final = 1_000  # what an engine costs does not grow with what it holds: it has indexes


@dataclass(frozen=True)
class Options:
    """`minutes` of all patterns together; `most`: items loaded of all entities; `faults`: kinds that are injected."""

    minutes: float = 60
    seed: int = 1
    most: int = MOST_ITEMS
    faults: tuple[str, ...] = ()
    store: str = "memory://"


@dataclass(frozen=True)
class Simulated:
    """All rows; items loaded of those that the file states, by place and entity; and what cannot be run."""

    rows: tuple[Row, ...]
    loaded: Mapping[str, tuple[int, int]]
    left_out: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every prediction holds."""
        return all(row.ok for row in self.rows)


Tell = Callable[[str], None]


def simulate(plan: Plan, options: Options, tell: Tell = lambda _: None) -> Simulated:
    """Run a design; `tell` is given what is being done. WrongUse where Slack would not take its datastores."""
    rows: list[Row] = []
    loaded: dict[str, tuple[int, int]] = {}
    stated = {one.name: one.volume.initial for one in plan.design.entities}
    for home, most in (("slack", options.most), ("external", min(options.most, MOST_EXTERNAL))):
        names = {one.entity for one in plan.accesses if one.home == home}
        if not names:
            continue
        counts = counts_of(stated, most)
        stock = Stock(plan, counts, int(START))
        hosted = {one.name for one in plan.stores if one.role == "entity" and one.home == "slack"}
        names |= hosted if home == "slack" else {n for p in plan.design.patterns if p.entity in names for n in p.join}
        loaded |= {f"{home} {name}": (counts[name], stated[name]) for name in stated if name in names}
        if home == "slack":
            rows += run(_on_slack(plan, stock, options, tell))
        else:
            tell("what Slack does not serve, on the engine of --store")
            rows += asyncio.run(external(plan, stock, options.store))
    away = {one.pattern for one in plan.accesses if one.home == "external"}
    left_out = tuple(reason for name, reason in unreadable(plan).items() if name in away)
    return Simulated(tuple(rows), loaded, left_out)


def show_simulated(found: Simulated, *, as_json: bool) -> None:
    """Rows on stdout: JSON Lines, or a table with a sum below it."""
    if as_json:
        for row in found.rows:
            print_json(row.json())
    else:
        cells = [
            (r.pattern, r.metric, _shown(r.predicted), _shown(r.measured), "" if r.ok else "off") for r in found.rows
        ]
        print_table(("pattern", "metric", "predicted", "measured", ""), cells)
    for place, (items, stated) in found.loaded.items():
        part = "" if items >= stated else f", 1 of {stated / items:.1f} that the file states: predicted for these"
        note(f"stateroom: {printable(place)}: {items:,} items{part}")
    for reason in found.left_out:
        note(f"stateroom: not run: {printable(reason)} (SR-804)")
    off = sum(not row.ok for row in found.rows)
    note(f"stateroom: {len(found.rows)} predictions, {off} off by more than 10 %")


def _shown(value: Number) -> str:
    return "without end" if value is None else f"{short(value):,}"


def counts_of(stated: Mapping[str, int], most: int) -> dict[str, int]:
    """Items to load of each entity: all that are stated, or as many of each hundred; at least one."""
    scale = min(1.0, most / max(1, sum(stated.values())))
    return {name: max(1, math.ceil(items * scale)) for name, items in stated.items()}


async def _on_slack(plan: Plan, stock: Stock, options: Options, tell: Tell) -> list[Row]:
    slack = LocalSlack(plan, options.seed)
    await slack.start()
    try:
        tell("loading items")
        for store in plan.stores:
            if store.home == "slack" and store.role == "entity":
                await slack.fill(store.name, list(stock.items(store.name)))
            elif store.home == "slack" and store.role == "lookup":
                await slack.fill(store.name, list(stock.lookups(store)))
        sized = at_volumes(plan.design, plan.stores, plan.accesses, stock.counts, plan.facts)
        stage = Stage(plan, stock, slack, [one for one in sized if one.home == "slack"])
        rows: list[Row] = []
        for words, phase in _phases(stage, options):
            tell(words)
            rows += await phase()
        return rows
    finally:
        await slack.close()


def _phases(stage: Stage, options: Options) -> Iterable[tuple[str, Callable[[], Awaitable[list[Row]]]]]:
    yield "each pattern alone", partial(alone, stage)
    yield "each pattern behind a busy minute", partial(behind_a_minute, stage)
    yield f"all patterns for {options.minutes:g} minutes", partial(together, stage, options.minutes)
    yield "runs that meet at one item", partial(races, stage)
    yield "calls that fail", partial(faults, stage, options.faults)
