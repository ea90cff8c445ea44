"""`stateroom migrate`: what the code defines against what the store remembers, and old rows to new versions.

Rules of this file: it shows what layers/migrations*.py finds and does. `status` answers by its exit code, too: 1 when
something is to do. Nothing that loses data is done without --allow-data-loss.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import click

from stateroom.cli import settings, stores
from stateroom.cli.definitions import chosen, definitions_option
from stateroom.cli.output import json_option, moment, note, print_json, print_table, store_option
from stateroom.cli.progress import live
from stateroom.engines.handle import tables_of
from stateroom.layers.migrations import Migration, State
from stateroom.layers.migrations_backfill import LEASE, BackfillRuns, backfill
from stateroom.layers.migrations_compare import Stage, Step
from stateroom.layers.migrations_rewrite import Progress, failed_rows
from stateroom.layers.walking import Pace
from stateroom.model.definition import Definition
from stateroom.model.errors import Unsupported, WrongUse
from stateroom.model.ids import check_id
from stateroom.store import Store, own_tables

if TYPE_CHECKING:
    from stateroom.engines.port import Granting

SHOWN: Final = 20  # failed rows that people are shown
_POLL: Final = 0.2


@click.group()
def migrate() -> None:
    """The store's schema, roles and old rows: status, plan, apply, grants, backfill."""


@migrate.command()
@definitions_option
@json_option
@store_option
def status(*, definitions: str | None, as_json: bool, store: str | None) -> None:
    """Where each datastore stands, and which rows could not be rewritten. Exits with 1 when something is to do."""
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)

    async def job(opened: Store) -> tuple[list[State], list[Step], list[dict[str, Any]]]:
        migration = _migration(opened, given)
        failed = [{"team": row.team, **row.item} async for row in failed_rows(opened.engine)]
        engine = [step for step in await migration.plan() if step.kind == "engine"]
        return await migration.states(), engine, failed

    states, engine, failed = stores.use(found, job, migrating=True)
    to_do = bool(engine) or bool(failed) or any(state.to_do for state in states if given or state.failed)
    if as_json:
        print_json({"to_do": to_do, "datastores": [_plain(s) for s in states], "failed": [_failure(f) for f in failed]})
    else:
        _show(states, engine, failed, knows=bool(given))
    if to_do:
        sys.exit(1)


@migrate.command()
@click.option("--format", "form", type=click.Choice(["cloudformation", "terraform"]), help="The table as a template.")
@definitions_option
@json_option
@store_option
def plan(*, form: str | None, definitions: str | None, as_json: bool, store: str | None) -> None:
    """What `apply` would do, step by step. Exits with 1 when it would be refused.

    With --format, for dynamodb://: a template of the table and of the policies of the app and of `migrate`. Nothing is
    asked of AWS; `apply` then finds the table made.
    """
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)
    if form is not None:
        click.echo(_template(form, found.store, given), nl=False)
        return

    async def job(opened: Store) -> list[Step]:
        return await _migration(opened, given).plan()

    steps = stores.use(found, job, migrating=True)
    _tell(steps, "nothing to do", as_json=as_json)
    if any(step.destructive or step.in_the_way for step in steps):
        sys.exit(1)


@migrate.command()
@click.option("--stage", type=click.Choice(["pre", "post"]), help="Only what goes before, or behind, a deploy.")
@click.option("--allow-data-loss", is_flag=True, help="Also do what loses rows or values; the plan says which.")
@definitions_option
@json_option
@store_option
def apply(
    *, stage: Stage | None, allow_data_loss: bool, definitions: str | None, as_json: bool, store: str | None
) -> None:
    """Carry the plan out: make tables and indexes, remember the definitions, drop what is no longer defined.

    Refuses, before anything is changed, what would lose data, unless that is allowed. Old rows stay as they are and
    are upgraded when they are read; `stateroom migrate backfill` rewrites them.

    For a deploy that replaces code bit by bit: `--stage pre` first (it only adds), then the code, then `--stage post`.
    """
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)

    async def job(opened: Store) -> list[Step]:
        with live("migrating") as told:
            return await _migration(opened, given).apply(allow_data_loss=allow_data_loss, stage=stage, told=told)

    _tell(stores.use(found, job, makes=True, migrating=True), "nothing was to do", as_json=as_json)


@migrate.command()
@click.option("--role", required=True, help="Who is to be let in; the role is there already.")
@click.option("--team", help="Let it read this workspace's rows and nothing else.")
@store_option
def grants(*, role: str, team: str | None, store: str | None) -> None:
    """Print the SQL that gives a role of PostgreSQL what it needs, and no more: of the app, or of a reader of one team.

    Run it as the role that runs `migrate apply`. Nothing is changed by printing it.
    """
    found = settings.load(store=store)

    async def job(opened: Store) -> list[str]:
        if not opened.raw.capabilities.roles:
            raise Unsupported(opened.raw.capabilities.name, "grants: it has no roles of its own")
        return await cast("Granting", opened.raw).grants(role, check_id("team", team) if team else None)

    for statement in stores.use(found, job, migrating=True):
        click.echo(f"{statement};")


@migrate.command("backfill")
@click.argument("datastore", required=False)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Rows a second, at most. Default: no limit.")
@definitions_option
@json_option
@store_option
def backfill_rows(
    *, datastore: str | None, rate: float | None, definitions: str | None, as_json: bool, store: str | None
) -> None:
    """Rewrite rows of older versions, of DATASTORE or of all, while old and new code go on.

    It may be killed and run again. Rows that cannot be upgraded stay as they are, with the reason under
    `stateroom migrate status`; the exit code is then 1.
    """
    found = settings.load(store=store, definitions=definitions)
    given = {one.name: one for one in chosen(found)}
    if datastore is not None and datastore not in given:
        raise WrongUse(f"there is no datastore {datastore}; your definitions have {', '.join(given)}")
    wanted = list(given.values()) if datastore is None else [given[datastore]]

    async def job(opened: Store) -> list[tuple[str, Progress]]:
        return [(one.name, await _backfill(opened, one, rate)) for one in wanted if one.version > 1 or datastore]

    done = stores.use(found, job)
    if as_json:
        print_json({"datastores": [{"datastore": name, **progress.plain()} for name, progress in done]})
    elif done:
        rows = [(name, p.version, p.rewritten, p.failed) for name, p in done]
        print_table(("Datastore", "Version", "Rewritten", "Failed"), rows)
    else:
        note("all definitions have version 1: there is nothing to rewrite")
    if any(progress.failed for _, progress in done):
        sys.exit(1)


async def _backfill(opened: Store, definition: Definition, rate: float | None) -> Progress:
    """Backfill one datastore; if another is at it, or was killed just now, wait until its lease has run out."""
    ends = time.monotonic() + LEASE + 1
    with live(f"rewriting {definition.name}") as told:

        def hear(progress: Progress) -> None:
            told(f"{progress.rewritten} rewritten, {progress.failed} failed")

        while True:
            try:
                return await backfill(
                    opened.engine, Pace(opened.clock, rate=rate), definition, hear, keyring=opened.keys
                )
            except BackfillRuns:
                if time.monotonic() > ends:
                    raise
                told("another one runs; waiting")
                await asyncio.sleep(_POLL)


def _template(form: str, url: str, given: Sequence[Definition]) -> str:
    if not url.startswith("dynamodb://"):
        raise WrongUse("--format is for a store on DynamoDB: give --store dynamodb://region/table")
    from stateroom.engines import dynamodb, dynamodb_templates

    tables = [*own_tables(), *(table for one in given for table in tables_of(one))]
    _, table, *_ = dynamodb.read_url(url)
    return dynamodb_templates.template(form, table, dynamodb.slots_of(tables))


def _migration(opened: Store, given: Sequence[Definition]) -> Migration:
    return Migration(opened.engine, opened.clock, own=own_tables(), given=given)


def _plain(state: State) -> dict[str, Any]:
    progress = None if state.progress is None else state.progress.plain()
    return {
        "datastore": state.datastore,
        "state": state.word,
        "stored": state.stored,
        "code": state.code,
        "steps": [_step(step) for step in state.steps],
        "old_rows": state.old_rows,
        "failed": state.failed,
        "backfill": progress,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "datastore": step.datastore or None,
        "kind": step.kind,
        "stage": step.stage,
        "text": step.text,
        "destructive": step.destructive,
        "blocked": step.in_the_way,
    }


def _failure(failed: dict[str, Any]) -> dict[str, Any]:
    return {name: failed[name] for name in ("team", "datastore", "row", "reason")} | {"at": float(failed["at"])}


def _show(states: Sequence[State], engine: Sequence[Step], failed: Sequence[dict[str, Any]], *, knows: bool) -> None:
    if not knows:
        note("no definitions were given (--definitions): this is what the store remembers")
    print_table(
        ("Datastore", "Stored", "Code", "State", "Failed"),
        [(s.datastore, s.stored or "-", s.code or "-", s.word if knows else "", s.failed) for s in states],
    )
    for step in (*engine, *(step for state in states for step in state.steps)):
        note(f"- {step.text}{_mark(step)}")
    for state in states:
        if state.old_rows:
            note(f"- {state.datastore} has rows of older versions: stateroom migrate backfill {state.datastore}")
    for one in failed[:SHOWN]:
        note(f"- {one['team']} {one['datastore']}/{one['row']} failed {moment(float(one['at']))}: {one['reason']}")
    if len(failed) > SHOWN:
        note(f"- and {len(failed) - SHOWN} more; --json lists all")


def _tell(steps: Sequence[Step], nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"steps": [_step(step) for step in steps]})
        return
    for step in steps:
        click.echo(f"{step.stage:5}{step.text}{_mark(step)}")
    if not steps:
        click.echo(nothing)


def _mark(step: Step) -> str:
    if step.in_the_way:
        return " [in the way]"
    return " [loses data: needs --allow-data-loss]" if step.destructive else ""
