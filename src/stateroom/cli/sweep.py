"""`stateroom sweep`: rows past their expiry are removed for good.

Rules of this file: it walks what layers/retention.py sweeps and shows the figures; workers do the same in the
background (bot/sweeper.py). Stopping it anywhere is safe; the next run goes on.
"""

from __future__ import annotations

from typing import Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.definitions import chosen, definitions_option
from stateroom.cli.output import json_option, note, print_json, print_table, store_option
from stateroom.cli.progress import live
from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.steps import fitting
from stateroom.layers.retention import Sweep, Swept
from stateroom.layers.retention import sweep as sweep_tables
from stateroom.layers.walking import BATCH, Pace
from stateroom.model.ids import check_id
from stateroom.store import Store

MOST: Final = 10_000  # rows of one commit; more would hold up others


@click.command()
@click.option("--team", metavar="T", help="Only this workspace.")
@click.option("--batch", type=click.IntRange(1, MOST), default=BATCH, show_default=True, help="Rows of one commit.")
@click.option("--max-seconds", type=click.FloatRange(0, min_open=True), help="Stop after so long; run it again later.")
@click.option("--dry-run", is_flag=True, help="Count, and remove nothing.")
@definitions_option
@json_option
@store_option
def sweep(
    *,
    team: str | None,
    batch: int,
    max_seconds: float | None,
    dry_run: bool,
    definitions: str | None,
    as_json: bool,
    store: str | None,
) -> None:
    """Remove what has expired: items past their ttl, deleted ones past their restore window, closed turns, old words.

    Readers have not seen them since they expired; this frees the space and ends what `restore` could bring back. It
    may be killed and run again at any time, and beside running workers, which sweep too.
    """
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)
    if team is not None:
        check_id("team", team)

    async def job(opened: Store) -> Sweep:
        every = [*(table_of(one) for one in await opened.everything(given)), leases.TABLE]
        tables = fitting(every, opened.engine.capabilities)
        await opened.prepare(tables)
        pace = Pace(opened.clock, ends=None if max_seconds is None else opened.clock() + max_seconds)
        with live("sweeping") as told:

            def hear(one: Swept) -> None:
                told(f"{one.datastore}: {one.seen} seen, {one.removed} removed")

            return await sweep_tables(opened.engine, tables, pace, team=team, batch=batch, dry_run=dry_run, told=hear)

    tell(stores.use(found, job), dry_run=dry_run, as_json=as_json)


def tell(done: Sweep, *, dry_run: bool, as_json: bool) -> None:
    """The figures: one line a datastore that had something, and whether all of it was seen to."""
    met = [one for one in done.tables if one.seen]
    if as_json:
        total = {name: sum(getattr(one, name) for one in met) for name in ("seen", "removed", "kept")}
        figures = [one.plain() for one in met]
        print_json({"finished": done.finished, "dry_run": dry_run, **total, "datastores": figures})
        return
    if met:
        print_table(("Datastore", "Seen", "Removed", "Kept"), [(o.datastore, o.seen, o.removed, o.kept) for o in met])
    else:
        note("nothing has expired")
    if dry_run and met:
        note("nothing was removed: this was a dry run")
    if not done.finished:
        note("the time was up; run it again for the rest")
