"""`stateroom doctor`: is everything there that the bot needs, and what to do where it is not.

Rules of this file: it changes nothing and shows no secret. Every check is run, whatever another one found:
doctor_here.py looks at this machine, doctor_model.py at the model, doctor_slack.py asks Slack, doctor_teams.py reads
who installed the app. Exit code 1 when something is wrong.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import click

from stateroom.cli import doctor_here, doctor_model, doctor_slack, doctor_teams, settings
from stateroom.cli.doctor_finding import Finding, is_wrong
from stateroom.cli.output import console, json_option, print_json, printable, store_option
from stateroom.cli.settings import Settings
from stateroom.model.errors import WrongUse


@click.command()
@click.option("--scopes", is_flag=True, help="Only compare the token's scopes with those that the features need.")
@json_option
@store_option
def doctor(*, scopes: bool, as_json: bool, store: str | None) -> None:
    """Check settings, store, keys, model, Slack, scopes and clock; say what is wrong and what to do.

    Nothing is changed, and no secret is shown. The features come from STATEROOM_FEATURES, which `stateroom init` wrote.
    Exit code 1 when something is wrong.
    """
    found = examine(store, scopes_only=scopes)
    if as_json:
        for one in found:
            print_json(one._asdict())
    else:
        tell(found)
    sys.exit(1 if is_wrong(found) else 0)


def examine(store: str | None, *, scopes_only: bool) -> list[Finding]:
    """Every finding."""
    try:
        given = settings.load(store=store)
    except WrongUse as refused:
        return [Finding("settings", "wrong", str(refused), "docs/settings.md lists them")]
    if scopes_only:
        return asyncio.run(doctor_slack.slack(given, scopes_only=True))
    return asyncio.run(everything(given))


async def everything(given: Settings) -> list[Finding]:
    """All checks, the ones on this machine first."""
    count = f"{len(given.given)} given, by environment or {given.config.name}"
    return [
        Finding("settings", "ok", count),
        *doctor_here.transport(given),
        *await doctor_here.store(given),
        *doctor_here.keys(given),
        *await doctor_model.model(given),
        *await doctor_slack.slack(given, scopes_only=False),
        *await doctor_slack.socket_mode(given),
        *await doctor_teams.teams(given),
    ]


SHOWN = {"ok": "ok", "unknown": "?", "warning": "look", "wrong": "WRONG"}


def tell(found: Sequence[Finding]) -> None:
    """A table for people; long lines are wrapped, never cut."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("Check", "", "Found", "What to do"):
        table.add_column(header, no_wrap=header in ("Check", ""), overflow="fold")
    for one in found:
        advice = "" if one.status == "ok" else one.advice
        table.add_row(*(printable(cell) for cell in (one.check, SHOWN[one.status], one.found, advice)))
    console().print(table)
