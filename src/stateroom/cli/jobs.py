"""`stateroom jobs`: where the requests of a Bolt app stand that was made durable.

Rules of this file: reads and writes through layers/jobs.py; what it shows never holds a word of a request.
"""

from __future__ import annotations

from typing import Any, Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.output import json_option, moment, print_json, print_table, store_option
from stateroom.layers import copy_hold
from stateroom.layers import jobs as layer
from stateroom.model.errors import ConditionFailed, StateroomError, WrongUse
from stateroom.store import Store

MANY: Final = 1_000_000
Job = dict[str, Any]


class NoSuchJob(StateroomError):
    """There is no such job, or none that can be run again."""


@click.group()
def jobs() -> None:
    """Jobs: every request that `stateroom.bolt.durable` claimed for a listener."""


@jobs.command("list")
@click.option("--state", type=click.Choice((*layer.OPEN, *layer.CLOSED)), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--held", "aside", is_flag=True, help="Those that no app finds, in a copy or after `turns hold`.")
@json_option
@store_option
def list_jobs(*, state: str | None, limit: int, aside: bool, as_json: bool, store: str | None) -> None:
    """Open jobs by the time they are due, then closed ones, newest first."""

    async def work(opened: Store) -> list[Job]:
        if aside:
            return [job for job in await _held(opened) if state in (None, job["state"])][:limit]
        return await layer.listed(opened.engine, state=state, limit=limit)

    found = stores.use(settings.load(store=store), work)
    if as_json:
        for job in found:
            print_json(job)
        return
    print_table(("Id", "Team", "What", "State", "Attempts", "Received", "Reason"), [row(job) for job in found])


@jobs.command()
@click.argument("id")
@click.option("--team", metavar="T", help="The workspace, where the id is in more than one.")
@json_option
@store_option
def retry(*, id: str, team: str | None, as_json: bool, store: str | None) -> None:
    """Run a failed job again, or a waiting one now. A running app takes it up."""

    async def work(opened: Store) -> Job:
        job = await find(opened, id, team)
        try:
            done = await layer.retry(opened.engine, opened.clock, job["team"], id)
        except ConditionFailed:
            raise NoSuchJob("the job moved on just now; look at it with `stateroom jobs list`") from None
        if done is None:
            raise NoSuchJob(f"the job is {job['state']}, or its request is not kept: there is nothing to run again")
        return done

    done = stores.use(settings.load(store=store), work)
    if as_json:
        print_json(done)
    else:
        print_table(("", ""), [("Id", done["id"]), ("Team", done["team"]), ("State", done["state"])])


async def _held(opened: Store) -> list[Job]:
    """Those that are put aside."""
    return [layer.describe(one) async for rows in copy_hold.waiting(opened.raw, layer.JOBS.name) for one in rows]


async def find(opened: Store, job_id: str, team: str | None) -> Job:
    """The job of that id; NoSuchJob, or WrongUse when several workspaces have it."""
    every = [*await layer.listed(opened.engine, limit=MANY), *await _held(opened)]
    found = [job for job in every if job["id"] == job_id and team in (None, job["team"])]
    if not found:
        raise NoSuchJob("there is no such job; `stateroom jobs list` shows those there are")
    if len(found) > 1:
        raise WrongUse(f"several workspaces have a job of that id; give --team {found[0]['team']} or another")
    return found[0]


def row(job: Job) -> tuple[object, ...]:
    """A job as one line of a table."""
    started = moment(job["received_at"])
    attempts, reason = job.get("attempts", 0), job.get("reason", "")
    return job["id"], job["team"], job["what"], job["state"], attempts, started, reason
