"""`stateroom erase`: a person, or a whole workspace, goes from everything the store holds.

Rules of this file: it asks first, walks what layers/retention_erase.py erases, and reports what went, what stays and
why. It may be killed and run again; a second run finds nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.definitions import chosen, definitions_option
from stateroom.cli.output import json_option, note, print_json, print_table, store_option
from stateroom.cli.progress import live
from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.handle_sealing import plainly
from stateroom.engines.port import Table, changes_table
from stateroom.engines.steps import fitting
from stateroom.layers import catalogue
from stateroom.layers.keys import KEYS
from stateroom.layers.retention_erase import Erased, Eraser, erase_team, stays, targets
from stateroom.model.definition import Definition
from stateroom.model.errors import WrongUse
from stateroom.model.ids import check_id
from stateroom.store import Store

_HEADERS: Final = ("Datastore", "Seen", "Removed", "Cleared")


@click.command()
@click.option("--user", metavar="U", help="The person, by their Slack user id.")
@click.option("--team", metavar="T", help="The workspace: with --user only there, alone everything of it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@definitions_option
@json_option
@store_option
def erase(
    *, user: str | None, team: str | None, yes: bool, definitions: str | None, as_json: bool, store: str | None
) -> None:
    """Remove a person, or a workspace, from every datastore, thread, trash, log of changes and repeated call.

    A person's rows are those whose personal attributes hold their id: they are removed or cleared, as the definition
    says (on_erase); turns of theirs become tombstones. Says what stays and why. Safe to kill and to run again.
    """
    if user is None and team is None:
        raise WrongUse("say whom: --user U… for a person, --team T… for a workspace")
    if user is not None:
        check_id("user", user)
    if team is not None:
        check_id("team", team)
    if as_json and not yes:
        raise WrongUse("--json asks no questions; add --yes")
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)
    stores.check_there(found.store)
    if not yes:
        whom = f"everything of workspace {team}" if user is None else f"{user}{f' of {team}' if team else ''}"
        click.confirm(f"Erase {whom} for good?", abort=True, err=True)

    async def job(opened: Store) -> list[Erased]:
        everything = await opened.everything(given)
        await opened.prepare(fitting([table_of(one) for one in everything], opened.engine.capabilities))
        with live("erasing") as told:

            def hear(one: Erased) -> None:
                told(f"{one.datastore}: {one.seen} seen, {one.removed} removed, {one.cleared} cleared")

            if user is None:
                return [await erase_team(opened.raw, opened.clock, str(team), t, hear) for t in tables(everything)]
            eraser = Eraser(plainly(opened.engine, opened.keys, everything), opened.clock, user, team=team, told=hear)
            versions = await catalogue.known(opened.engine)
            return [await eraser.run(target) for target in targets(everything, versions)]

    done = stores.use(found, job)
    tell(done, user, team, as_json=as_json)
    if any(one.raced for one in done):
        sys.exit(1)


def tables(definitions: Sequence[Definition]) -> list[Table]:
    """Every table that has rows of a team; logs of changes come last, because removing rows writes to them."""
    logs = [Table(changes_table(one.name), log=True) for one in definitions if one.changes]
    return [*(table_of(one) for one in definitions), leases.TABLE, *logs]


def tell(done: Sequence[Erased], user: str | None, team: str | None, *, as_json: bool) -> None:
    """What went, what stays and why."""
    met = [one for one in done if one.removed or one.cleared]
    left = stays(done, user)
    if user is None and any(one.datastore == KEYS.name for one in met):
        left.append("its data key is gone: its sealed words open no more, but in backups that hold the key as well")
    if as_json:
        figures = [{"datastore": o.datastore, "removed": o.removed, "cleared": o.cleared} for o in met]
        total = {name: sum(getattr(one, name) for one in met) for name in ("removed", "cleared")}
        print_json({"user": user, "team": team, **total, "datastores": figures, "stays": left})
        return
    if met:
        print_table(_HEADERS, [(one.datastore, one.seen, one.removed, one.cleared) for one in met])
    else:
        click.echo("nothing was left to erase")
    note("What stays:")
    for sentence in left:
        note(f"- {sentence}")
