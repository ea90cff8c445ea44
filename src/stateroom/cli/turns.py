"""`stateroom turns`: where messages stand on their way to an answer.

Rules of this file: reads and writes through layers/inbox.py; what it shows never holds a word of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.output import json_option, moment, print_json, print_table, store_option
from stateroom.layers import copy_hold, inbox
from stateroom.layers.copy_cutover import live_leases
from stateroom.model.errors import ConditionFailed, StateroomError, WrongUse
from stateroom.store import Store, held

STATES: Final = (*inbox.OPEN, *inbox.CLOSED)
MANY: Final = 1_000_000
TIMES: Final = ("received_at", "due_at", "closed_at")
Turn = dict[str, Any]

_team = click.option("--team", metavar="T", help="The workspace, where the id is in more than one.")


class NoSuchTurn(StateroomError):
    """The inbox has no such turn, or none that can be tried again."""


@click.group()
def turns() -> None:
    """Turns: every accepted message, from its arrival to its answer."""


@turns.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only turns in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--held", "aside", is_flag=True, help="Those that no worker finds, in a copy or after `turns hold`.")
@json_option
@store_option
def list_turns(*, state: str | None, limit: int, aside: bool, as_json: bool, store: str | None) -> None:
    """Open turns by the time they are due, then closed ones, newest first."""

    async def job(opened: Store) -> list[Turn]:
        if aside:
            return await _held(opened, state, limit)
        return await inbox.turns(opened.engine, state=state, limit=limit)

    found = stores.use(settings.load(store=store), job)
    if as_json:
        for turn in found:
            print_json(turn)
        return
    print_table(("Id", "Team", "State", "Attempts", "Received", "Reason"), [row(turn) for turn in found])


@turns.command()
@click.argument("id")
@_team
@json_option
@store_option
def show(*, id: str, team: str | None, as_json: bool, store: str | None) -> None:
    """One turn, by its id (CHANNEL:TS)."""

    async def job(opened: Store) -> Turn:
        return await find(opened, id, team)

    tell(stores.use(settings.load(store=store), job), as_json=as_json)


@turns.command()
@click.argument("id")
@_team
@json_option
@store_option
def retry(*, id: str, team: str | None, as_json: bool, store: str | None) -> None:
    """Answer a failed turn again, or a waiting one now. A running worker picks it up."""

    async def job(opened: Store) -> Turn:
        turn = await find(opened, id, team)
        try:
            done = await inbox.retry(opened.engine, opened.clock, turn["team"], id)
        except ConditionFailed:
            raise NoSuchTurn("the turn moved on just now; look at it with `stateroom turns show`") from None
        if done is None:
            raise NoSuchTurn(f"the turn is {turn['state']}: there is nothing to try again")
        return done

    tell(stores.use(settings.load(store=store), job), as_json=as_json)


@turns.command()
@json_option
@store_option
def hold(*, as_json: bool, store: str | None) -> None:
    """Put all open turns and jobs aside, so that no worker answers or runs them.

    For a backup that was put in a store's place: what was open in it has been answered since. Run it before the bot
    starts; messages that come from then on are answered. `turns list --held` shows what was put aside, `turns retry ID`
    answers one of them, `turns release` lets all of them go on.
    """

    async def job(opened: Store) -> int:
        if await live_leases(opened.raw, opened.clock()):
            raise WrongUse("a worker is answering from this store; stop it, and wait half a minute")
        return await copy_hold.hold(opened.raw, held())

    _told("held", stores.use(settings.load(store=store), job), as_json=as_json)


@turns.command()
@json_option
@store_option
def release(*, as_json: bool, store: str | None) -> None:
    """Let workers find all turns and jobs that were put aside."""

    async def job(opened: Store) -> int:
        return await copy_hold.release(opened.raw, held())

    _told("released", stores.use(settings.load(store=store), job), as_json=as_json)


def _told(done: str, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({done: count})
    else:
        click.echo(f"{done}: {count} turns and jobs")


async def _held(opened: Store, state: str | None, limit: int) -> list[Turn]:
    """Those that are put aside, in the order of their workspaces and ids."""
    found: list[Turn] = []
    async for rows in copy_hold.waiting(opened.raw, inbox.INBOX.name):
        found += [inbox.describe(one) for one in rows if state in (None, one.item["state"])]
        if len(found) >= limit:
            break
    return found[:limit]


async def find(opened: Store, turn_id: str, team: str | None) -> Turn:
    """The turn of that id; NoSuchTurn, or WrongUse when several workspaces have it."""
    if team is not None:
        stored = await inbox.Inbox(opened.engine, opened.clock).get(opened.team(team).id, turn_id)
        found = [] if stored is None else [inbox.describe(stored)]
    else:
        every = [*await inbox.turns(opened.engine, limit=MANY), *await _held(opened, None, MANY)]
        found = [turn for turn in every if turn["id"] == turn_id]
    if not found:
        raise NoSuchTurn("there is no such turn; `stateroom turns list` shows those there are")
    if len(found) > 1:
        raise WrongUse(f"several workspaces have a turn of that id; give --team {found[0]['team']} or another")
    return found[0]


def row(turn: Turn) -> tuple[object, ...]:
    """A turn as one line of a table."""
    started = moment(turn["received_at"])
    return turn["id"], turn["team"], turn["state"], turn.get("attempts", 0), started, turn.get("reason", "")


def tell(turn: Mapping[str, Any], *, as_json: bool) -> None:
    """Show one turn."""
    if as_json:
        print_json(turn)
        return
    print_table(("", ""), [(name, moment(value) if name in TIMES else value) for name, value in turn.items()])
