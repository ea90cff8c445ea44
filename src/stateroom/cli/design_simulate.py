"""`stateroom design simulate`: the claims of a design, proven by running it.

Rules of this file: it wires the plan, the local Slack and the engine, and shows what they say. Predictions are
design/'s formulas, measurements are the others' counts; nothing is computed here. Exit codes: 0 every prediction holds,
1 one is off by more than 10 %, 2 wrong use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stateroom.cli.design_simulate_clock import START, run
from stateroom.cli.design_simulate_faults import faults
from stateroom.cli.design_simulate_items import Stock
from stateroom.cli.design_simulate_measure import Stage, alone, behind_a_minute, together
from stateroom.cli.design_simulate_races import races
from stateroom.cli.design_simulate_rows import Number, Row, short
from stateroom.cli.design_simulate_slack import LocalSlack
from stateroom.cli.output import note, print_json, print_table
from stateroom.design.access import at_volumes
from stateroom.design.parts import Plan

MOST_ITEMS: Final = 50_000


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
    """All rows, and how many items of each entity were loaded. `scale`: of the stated numbers, 1 where all were."""

    rows: tuple[Row, ...]
    counts: Mapping[str, int]
    scale: float

    @property
    def ok(self) -> bool:
        """Whether every prediction holds."""
        return all(row.ok for row in self.rows)


def simulate(plan: Plan, options: Options) -> Simulated:
    """Run a design. WrongUse where Slack would not take its datastores."""
    counts, scale = counts_of(plan, options.most)
    rows = run(_on_slack(plan, counts, options)) if any(one.home == "slack" for one in plan.accesses) else []
    return Simulated(tuple(rows), counts, scale)


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
    loaded = ", ".join(f"{items:,} {name}" for name, items in found.counts.items())
    part = "all that the file states" if found.scale == 1 else f"scaled: 1 of {1 / found.scale:.1f} of what is stated"
    off = sum(not row.ok for row in found.rows)
    note(f"stateroom: loaded {loaded} ({part}); {len(found.rows)} predictions, {off} off by more than 10 %")


def _shown(value: Number) -> str:
    return "without end" if value is None else f"{short(value):,}"


def counts_of(plan: Plan, most: int) -> tuple[dict[str, int], float]:
    """Items to load of each entity, at least one, and the scale that it took."""
    stated = {one.name: one.volume.initial for one in plan.design.entities}
    scale = min(1.0, most / max(1, sum(stated.values())))
    return {name: max(1, math.ceil(items * scale)) for name, items in stated.items()}, scale


async def _on_slack(plan: Plan, counts: Mapping[str, int], options: Options) -> list[Row]:
    slack = LocalSlack(plan, options.seed)
    await slack.start()
    try:
        stock = Stock(plan, counts, int(START))
        for store in plan.stores:
            if store.home == "slack" and store.role == "entity":
                await slack.fill(store.name, list(stock.items(store.name)))
            elif store.home == "slack" and store.role == "lookup":
                await slack.fill(store.name, list(stock.lookups(store)))
        sized = at_volumes(plan.design, plan.stores, plan.accesses, counts, plan.facts)
        stage = Stage(plan, stock, slack, [one for one in sized if one.home == "slack"])
        rows = await alone(stage)
        rows += await behind_a_minute(stage)
        rows += await together(stage, options.minutes)
        rows += await races(stage)
        rows += await faults(stage, options.faults)
        return rows
    finally:
        await slack.close()
