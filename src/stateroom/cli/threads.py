"""`stateroom threads`: the histories of conversations, out of a store and into one.

Rules of this file: everything goes through layers/threads.py and needs nothing but the store, so it works while the bot
runs and when nothing else does. `export` writes the layer's lines as they are.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.output import json_option, moment, note, print_json, print_table, store_option
from stateroom.cli.threads_shown import print_entry, progress, tell
from stateroom.layers.threads import Entry, Report, Thread, ThreadInfo, export, import_folder, import_lines, teams
from stateroom.model.errors import StateroomError, WrongUse
from stateroom.store import Store

PAGE: Final = 100

_team = click.option("--team", metavar="T", help="Only this workspace.")
_channel = click.option("--channel", metavar="C", help="Only this channel.")
_thread = click.option("--thread", "thread_ts", metavar="TS", help="Only this thread.")
_place = click.argument("place", required=False, metavar="[CHANNEL:TS]")


class NoSuchThread(StateroomError):
    """The store has no such thread."""


@click.group()
def threads() -> None:
    """Histories of conversations: list, show, export, import, erase."""


@threads.command("list")
@_team
@_channel
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@json_option
@store_option
def list_threads(*, team: str | None, channel: str | None, limit: int, as_json: bool, store: str | None) -> None:
    """The threads there are, by workspace, channel and time."""

    async def job(opened: Store) -> list[tuple[str, ThreadInfo]]:
        found = []
        async for where, info in all_threads(opened, team, channel):
            found.append((where, info))
            if len(found) > limit:
                break
        return found

    found = stores.use(settings.load(store=store), job)
    if len(found) > limit:
        note(f"the first {limit}; give --limit for more")
    if as_json:
        for where, info in found[:limit]:
            print_json({"team": where, **info._asdict()})
        return
    rows = [(i.id, where, i.turns, moment(i.created_at), moment(i.last_at)) for where, i in found[:limit]]
    print_table(("Thread", "Team", "Turns", "Since", "Last"), rows)


@threads.command()
@_place
@_team
@_channel
@_thread
@json_option
@store_option
def show(
    *,
    place: str | None,
    team: str | None,
    channel: str | None,
    thread_ts: str | None,
    as_json: bool,
    store: str | None,
) -> None:
    """What was said in one thread, given as CHANNEL:TS or by --channel and --thread."""

    async def job(opened: Store) -> None:
        _, thread = await chosen(opened, place, team, channel, thread_ts)
        async for entry in entries(thread):
            if as_json:
                print_json(entry._asdict())
            else:
                print_entry(entry)

    stores.use(settings.load(store=store), job)


@threads.command("export")
@_team
@_channel
@_thread
@json_option
@store_option
def export_threads(
    *, team: str | None, channel: str | None, thread_ts: str | None, as_json: bool, store: str | None
) -> None:
    """Every turn of every thread as JSON Lines on stdout; docs/format.md describes a line."""
    _ = as_json  # the output is JSON anyway; errors are, too, with it

    async def job(opened: Store) -> None:
        out = sys.stdout.buffer
        async for line in export(opened.engine, team=team, channel=channel, thread_ts=thread_ts):
            out.write(line)
        out.flush()

    stores.use(settings.load(store=store), job)


@threads.command("import")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, allow_dash=True), required=False)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of <thread_ts>.json files, each an array of pydantic-ai messages.",
)
@click.option("--team", metavar="T", help="With --folder: the workspace the threads belong to.")
@click.option("--channel", metavar="C", help="With --folder: the channel the threads belong to.")
@json_option
@store_option
def import_threads(
    *,
    source: str | None,
    folder: Path | None,
    team: str | None,
    channel: str | None,
    as_json: bool,
    store: str | None,
) -> None:
    """Read what `export` wrote, from SOURCE or - (stdin), or a --folder. Reading it again changes nothing.

    Bad lines are skipped and told with their reasons; the exit code is then 1.
    """
    if (source is None) == (folder is None):
        raise WrongUse("give a file, - for stdin, or --folder")
    if folder is not None and (team is None or channel is None):
        raise WrongUse("--folder needs --team and --channel: the files do not say where they belong")
    if folder is None and (team is not None or channel is not None):
        raise WrongUse("--team and --channel go with --folder; exported lines say themselves where they belong")
    found = settings.load(store=store)

    async def job(opened: Store) -> Report:
        engine, clock, content = opened.engine, opened.clock, found.content
        if folder is not None:
            with progress(folder.name):
                return await import_folder(engine, clock, folder, team=str(team), channel=str(channel), content=content)
        with click.open_file(str(source), "rb") as file, progress("importing", file) as lines:
            return await import_lines(engine, clock, lines, content=content)

    report = stores.use(found, job, makes=True)
    tell(report, as_json=as_json)
    if report.bad:
        sys.exit(1)


@threads.command()
@_place
@_team
@_channel
@_thread
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@store_option
def erase(
    *,
    place: str | None,
    team: str | None,
    channel: str | None,
    thread_ts: str | None,
    yes: bool,
    as_json: bool,
    store: str | None,
) -> None:
    """Remove one thread's history for good; the messages in Slack stay."""
    if as_json and not yes:
        raise WrongUse("--json asks no questions; add --yes")
    found = settings.load(store=store)

    async def look(opened: Store) -> tuple[str, str, int]:
        where, thread = await chosen(opened, place, team, channel, thread_ts)
        return where, thread.id, await thread.count()

    where, thread_id, turns = stores.use(found, look)
    if not yes:
        click.confirm(f"Erase {thread_id} of {where} with {turns} turns?", abort=True, err=True)

    async def job(opened: Store) -> int:
        _, thread = await chosen(opened, thread_id, where, None, None)
        return await thread.erase()

    erased = stores.use(found, job)
    if as_json:
        print_json({"team": where, "id": thread_id, "erased": erased})
    else:
        click.echo(f"erased {thread_id} of {where}: {erased} turns")


async def all_threads(opened: Store, team: str | None, channel: str | None) -> AsyncIterator[tuple[str, ThreadInfo]]:
    """Each thread with its workspace, page by page."""
    for one in await teams(opened.engine) if team is None else [team]:
        after: str | None = None
        while True:
            page = await opened.team(one).threads.list(channel=channel, after=after, limit=PAGE)
            for info in page.items:
                yield one, info
            if page.cursor is None:
                break
            after = page.cursor


async def chosen(
    opened: Store, place: str | None, team: str | None, channel: str | None, thread_ts: str | None
) -> tuple[str, Thread]:
    """The one thread that is meant, and its workspace; NoSuchThread, or WrongUse when it is not clear which."""
    if place is not None:
        channel, _, thread_ts = place.partition(":")
    if not channel or not thread_ts:
        raise WrongUse("name the thread: CHANNEL:TS as `stateroom threads list` shows it, or --channel and --thread")
    asked = await teams(opened.engine) if team is None else [team]
    found = [(one, opened.team(one).thread(channel, thread_ts)) for one in asked]
    known = [(one, thread) for one, thread in found if await thread.known()]
    if not known:
        raise NoSuchThread("there is no such thread; `stateroom threads list` shows those there are")
    if len(known) > 1:
        raise WrongUse(f"several workspaces have that thread; give --team {known[0][0]} or another")
    return known[0]


async def entries(thread: Thread) -> AsyncIterator[Entry]:
    """All turns of a thread, oldest first."""
    after: int | None = 0
    while after is not None:
        page = await thread.entries(after=after, limit=PAGE)
        for entry in page.items:
            yield entry
        after = page.cursor
