"""`stateroom installations import`: takes over what slack_sdk's stores, or a table of tokens, have kept.

Rules of this file: of each person and of each bot the newest row counts, as it does for slack_sdk; the bots' table
before the other, because a token that was exchanged may stand there alone. What the store has that is as new or newer
stays, so the import may run again at any time, also after tokens were exchanged here. A row that is refused is told by
its name and a reason, never by its values, and holds up no other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.installations_sources import Found, rows
from stateroom.cli.output import json_option, note, print_json, store_option
from stateroom.layers.installations import Installations
from stateroom.layers.installations_entity import BOT_FIELDS, FIELDS, Given, check_client, given_of
from stateroom.model.errors import InvalidValue, WrongUse
from stateroom.store import Store

_BOT_OWN: Final = ("bot_token", "bot_refresh_token", "bot_token_expires_at")


@dataclass
class Taken:
    """What became of the rows, each counted once. `older`: newer ones of the same were in the source; `there`: the
    store has all that it says.
    """

    imported: int = 0
    there: int = 0
    older: int = 0
    bad: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Chosen:
    """The newest of what the source has of one person, or of one bot. `row`: the number of its row, maybe of both."""

    given: Given
    values: Mapping[str, Any]
    row: int


@click.command("import")
@click.option(
    "--from", "source", required=True, metavar="URL", help="sqlite:///path, an SQLAlchemy URL, or dynamodb://."
)
@click.option(
    "--client-id", metavar="ID", help="Only this app's rows; a DynamoDB table needs it. Default: $SLACK_CLIENT_ID."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
@store_option
def import_installations(
    *, source: str, client_id: str | None, dry_run: bool, as_json: bool, store: str | None
) -> None:
    """Take over installations from slack_sdk's tables (slack_installations, slack_bots) or a DynamoDB table.

    The table is one item a workspace: team_id, bot_token, installation_timestamp, bot_user_id, scope. May run again:
    what is here and as new stays. Exits with 1 when rows were refused; each is told with its reason.
    """
    found = settings.load(store=store)
    if found.keys is None and not dry_run:
        raise WrongUse("set STATEROOM_KEYS: without keys no token is stored (docs/keys.md)")
    wanted = client_id or found.slack_client_id or None
    if wanted is None and source.startswith("dynamodb:"):
        raise WrongUse("a DynamoDB table does not say whose tokens it holds: give --client-id, or set SLACK_CLIENT_ID")

    async def job(opened: Store) -> Taken:
        taken = Taken()
        people, bots = choose(rows(source), wanted, opened.clock(), taken)
        await take(opened, people, bots, taken, dry_run=dry_run)
        return taken

    taken = stores.use(found, job, makes=True)
    tell(taken, as_json=as_json, dry_run=dry_run)
    if taken.bad:
        sys.exit(1)


Key = tuple[str, str, str]  # client, team of the rows, key of the row


def choose(
    found: Iterable[Found], wanted: str | None, now: float, taken: Taken
) -> tuple[dict[Key, Chosen], dict[Key, Chosen]]:
    """The newest row of each person and of each bot."""
    people: dict[Key, Chosen] = {}
    bots: dict[Key, Chosen] = {}
    judged_rows: set[int] = set()
    for number, row in enumerate(found):
        if row.client_id is not None and wanted is not None and row.client_id != wanted:
            continue
        try:
            client = check_client(row.client_id or wanted)
            given, values = judged(row, client, now)
        except InvalidValue as refused:
            taken.bad.append({"row": row.place, "reason": str(refused)})
            continue
        place, one = given.place, Chosen(given, values, number)
        judged_rows.add(number)
        if row.person:
            _keep(people, (client, place.team, place.person(values["user_id"])), one)
        if values.get("bot_token"):  # of an installation's row only where the bots' table has none as new
            _keep(bots, (client, place.team, place.key), one)
    taken.older = len(judged_rows - {one.row for chosen in (people, bots) for one in chosen.values()})
    return people, bots


def judged(row: Found, client: str, now: float) -> tuple[Given, dict[str, Any]]:
    """The row at the layer's door. InvalidValue."""
    names = FIELDS if row.person else BOT_FIELDS
    values = {name: row.values[name] for name in names if row.values.get(name) not in (None, "")}
    if "installed_at" not in values:
        raise InvalidValue("installed_at", "is missing")
    return given_of(client, values, now, person=row.person), values


def _keep(chosen: dict[Key, Chosen], key: Key, new: Chosen) -> None:
    old = chosen.get(key)
    if old is None or old.given.installed_at <= new.given.installed_at:
        chosen[key] = new


async def take(
    opened: Store, people: Mapping[Key, Chosen], bots: Mapping[Key, Chosen], taken: Taken, *, dry_run: bool
) -> None:
    """Store what is newer than what is there: people without the bot, then each place's bot."""
    brought: dict[int, bool] = {}
    for chosen, person in ((people, True), (bots, False)):
        for (client, _, _), one in chosen.items():
            kept = opened.installations(client_id=client)
            there = await is_there(kept, one, person=person)
            brought[one.row] = brought.get(one.row, False) or not there
            if there or dry_run:
                continue
            if person:
                await kept.save({name: value for name, value in one.values.items() if name not in _BOT_OWN})
            else:
                await kept.save_bot({name: value for name, value in one.values.items() if name in BOT_FIELDS})
    taken.imported = sum(brought.values())
    taken.there = len(brought) - taken.imported


async def is_there(kept: Installations, one: Chosen, *, person: bool) -> bool:
    """Whether the store has it as new or newer. Needs no keys."""
    at = await kept.installed_at(one.given.place, one.values["user_id"] if person else None)
    return at is not None and at >= float(one.given.installed_at)


def tell(taken: Taken, *, as_json: bool, dry_run: bool) -> None:
    """What became of them."""
    figures = {"imported": taken.imported, "there": taken.there, "older": taken.older, "bad": len(taken.bad)}
    if as_json:
        print_json({**figures, "dry_run": dry_run, "rejects": taken.bad})
        return
    for one in taken.bad:
        note(f"{one['row']}: {one['reason']}")
    done = "would be imported" if dry_run else "imported"
    click.echo(f"{taken.imported} {done}, {taken.there} already there, {taken.older} older, {len(taken.bad)} refused")
