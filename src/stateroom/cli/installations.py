"""`stateroom installations`: in which workspaces the app is, who installed it, and how it gets out.

Rules of this file: reads and writes through layers/installations.py; a token is never shown, not even a part of one.
Taking over what slack_sdk's stores and others keep is in installations_import.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import click

from stateroom.cli import settings, stores
from stateroom.cli.installations_import import import_installations
from stateroom.cli.output import json_option, moment, print_json, print_table, store_option
from stateroom.cli.settings import Settings
from stateroom.layers.installations import Installations
from stateroom.model.errors import SlackError, StateroomError, WrongUse
from stateroom.model.ids import check_id
from stateroom.store import Store

_CALL: Final = 15.0  # seconds that Slack gets for each token
_DEAD: Final = frozenset({"token_revoked", "account_inactive", "invalid_auth", "token_expired", "not_authed"})
_TIMES: Final = ("state_at", "bot_installed_at", "bot_token_expires_at", "erase_at", "installed_at")
Place = dict[str, Any]

_client = click.option("--client-id", metavar="ID", help="The app, where several are installed. Default: all.")


class NotInstalled(StateroomError):
    """The app is not in that workspace."""


@click.group()
def installations() -> None:
    """Installations: workspaces that the app is in, and its tokens there."""


@installations.command("list")
@_client
@json_option
@store_option
def list_installations(*, client_id: str | None, as_json: bool, store: str | None) -> None:
    """Every workspace and organisation, with its state. Needs no keys."""

    async def job(opened: Store) -> list[Place]:
        return await places(opened, client_id)

    found = stores.use(settings.load(store=store), job)
    if as_json:
        for place in found:
            print_json(place)
        return
    rows = [
        (
            where(one),
            one["team_name"] or "",
            one["state"],
            one["client_id"],
            moment(one["bot_installed_at"]),
            one["bot_scopes"],
        )
        for one in found
    ]
    print_table(("Workspace", "Name", "State", "App", "Installed", "Scopes"), rows)


@installations.command()
@click.argument("team")
@_client
@json_option
@store_option
def show(*, team: str, client_id: str | None, as_json: bool, store: str | None) -> None:
    """One workspace (T…) or organisation (E…): its state, who installed it, and earlier grants. Needs no keys."""

    async def job(opened: Store) -> Place:
        place = await find(opened, team, client_id)
        kept = opened.installations(client_id=place["client_id"])
        return {**place, "people": await kept.people(**ids(place))}

    found = stores.use(settings.load(store=store), job)
    if as_json:
        print_json(found)
        return
    plain = {name: value for name, value in found.items() if name != "people" and value not in (None, "")}
    print_table(("", ""), [(name, moment(value) if name in _TIMES else value) for name, value in plain.items()])
    people = [
        (one["user_id"], moment(one["installed_at"]), "yes" if one["has_user_token"] else "", one["user_scopes"] or "")
        for one in found["people"]
    ]
    print_table(("Person", "Installed", "Own token", "Scopes"), people)


@installations.command()
@click.argument("team")
@_client
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@store_option
def revoke(*, team: str, client_id: str | None, yes: bool, as_json: bool, store: str | None) -> None:
    """Make the app's tokens in a workspace worthless at Slack, then forget them. Its data stays until it is erased."""
    if as_json and not yes:
        raise WrongUse("--json asks no questions; add --yes")
    found = settings.load(store=store)
    stores.check_there(found.store)
    if not yes:
        click.confirm(f"Revoke the app's tokens in {team}?", abort=True, err=True)

    async def job(opened: Store) -> Place:
        place = await find(opened, team, client_id)
        kept = opened.installations(client_id=place["client_id"])
        users = await revoke_all(found, opened, kept, place)
        event = f"cli:{secrets.token_hex(8)}"
        await kept.revoked(**ids(place), bot=True, users=users, at=opened.clock(), event_id=event)
        return {**ids(place), "client_id": place["client_id"], "state": await kept.state_of(**ids(place))}

    done = stores.use(found, job)
    if as_json:
        print_json(done)
    else:
        click.echo(f"{where(done)}: {done['state']}")


async def revoke_all(found: Settings, opened: Store, kept: Installations, place: Place) -> list[str]:
    """Revoke every token of a place at Slack; whose those were. One that does not work any more is as good."""
    held = await kept.find_bot(**ids(place))
    tokens = [] if held is None else [held["bot_token"]]
    users = [one["user_id"] for one in await kept.people(**ids(place))]
    for user in users:
        own = await kept.find_installation(**ids(place), user_id=user)
        tokens += [own["user_token"]] if own is not None and own["user_token"] else []
    from stateroom.slack.client import SlackClient

    for token in reversed(tokens):  # the bot's last: with it the app is gone
        async with SlackClient(token, found.slack_api_url, clock=opened.clock) as slack:
            try:
                await slack.auth_revoke(deadline=opened.clock() + _CALL)
            except SlackError as refused:
                if refused.code not in _DEAD:
                    raise
    return users


async def places(opened: Store, client_id: str | None) -> list[Place]:
    """All places, of one app or of all."""
    kept = opened.installations(client_id=client_id or "")
    found = [place async for place in kept.listed(every_client=client_id is None)]
    return sorted(found, key=lambda place: (where(place), place["client_id"]))


async def find(opened: Store, team: str, client_id: str | None) -> Place:
    """The place of that id. NotInstalled; WrongUse where several apps are there."""
    check_id("team", team)
    found = [place for place in await places(opened, client_id) if where(place) == team]
    if not found:
        raise NotInstalled("the app is not there; `stateroom installations list` shows where it is")
    if len(found) > 1:
        apps = {place["client_id"] for place in found}
        if len(apps) == 1:  # from before the workspace was in its organisation, and since
            return next((one for one in found if one["state"] == "INSTALLED"), found[0])
        raise WrongUse(f"several apps are there; give --client-id {min(apps)} or another")
    return found[0]


def where(place: Mapping[str, Any]) -> str:
    """The workspace's id, or the organisation's."""
    return str(place["team_id"] or place["enterprise_id"])


def ids(place: Mapping[str, Any]) -> dict[str, Any]:
    """What names the place in calls of the layer."""
    return {"enterprise_id": place["enterprise_id"], "team_id": place["team_id"]}


installations.add_command(import_installations)
