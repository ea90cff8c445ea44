"""Who and what is there at the start, and how an app or a team is added later.

Rules of this file: functions over a World, the moment and new ids handed in. Seed names are those of DESIGN section 6;
a team added later gets ids of its own unless the caller names them, and every known app is installed in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stateroom.emulator import config as seeds
from stateroom.emulator.config import EmulatorConfig
from stateroom.emulator.manifests import definitions_of, part
from stateroom.emulator.records import App, Channel, Enterprise, Install, Json, Team, User
from stateroom.emulator.world import World
from stateroom.model.errors import WrongUse

BOT_NAME = "stateroom"
COLORS = ("4a6fa5", "b5577d", "2e8b78", "a5672e", "7a5cc0", "557a2e")

_ADA = ("ada", "Ada Lovelace")
_GRACE = ("grace", "Grace Hopper")


@dataclass(frozen=True, slots=True)
class AppSpec:
    """What a registration may say about an app; None leaves what is there."""

    app_id: str
    name: str | None = None
    event_url: str | None = None
    signing_secret: str | None = None
    bot_token: str | None = None
    app_token: str | None = None
    scopes: list[str] | None = None
    bot_events: list[str] | None = None
    manifest: Json | None = None
    client_id: str | None = None
    client_secret: str | None = None
    rationed: bool | None = None
    install: bool = True


def spec_from_manifest(app_id: str, manifest: Json) -> AppSpec:
    """What a Slack app manifest says; parts that the local Slack does not know are left alone."""
    name = part(manifest, ("features", "bot_user", "display_name")) or part(manifest, ("display_information", "name"))
    return AppSpec(
        app_id=app_id,
        name=name,
        event_url=part(manifest, ("settings", "event_subscriptions", "request_url")),
        scopes=part(manifest, ("oauth_config", "scopes", "bot")),
        bot_events=part(manifest, ("settings", "event_subscriptions", "bot_events")),
        manifest=manifest or None,
    )


def read_manifest(path: Path) -> Json:
    """A manifest file in JSON. Raises WrongUse."""
    try:
        manifest = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise WrongUse(f"--manifest {path.name} cannot be read ({error.strerror}); give a readable JSON file") from None
    except msgspec.DecodeError:
        raise WrongUse(f"--manifest {path.name} is not JSON; export the manifest as JSON") from None
    if not isinstance(manifest, dict):
        raise WrongUse(f"--manifest {path.name} is not a JSON object; export the manifest as JSON")
    return manifest


def slug(name: str) -> str:
    """A user name from a display name."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or BOT_NAME


def next_id(prefix: str, taken: Iterable[str]) -> str:
    """The next number of a family of ids, as in `U00000003`; the width is that of the seeds."""
    pattern = re.compile(re.escape(prefix) + r"[0-9]+")
    numbers = [int(one.removeprefix(prefix)) for one in taken if pattern.fullmatch(one)]
    return f"{prefix}{max(numbers, default=0) + 1:0{9 - len(prefix)}d}"


def seed(world: World, config: EmulatorConfig, now: float) -> None:
    """A new workspace: two people, #general, one app with its bot and a direct message."""
    team = seeds.SEED_TEAM
    world.add_team(Team(id=team, name="Local workspace"))
    add_people(world, team, [seeds.SEED_USER, seeds.SEED_OTHER_USER])
    people = [seeds.SEED_USER, seeds.SEED_OTHER_USER]
    topic = "Say hello to the bot"
    world.add_channel(
        Channel(id=seeds.SEED_CHANNEL, team=team, name="general", members=people, topic=topic, created=int(now))
    )
    app = App(app_id=config.app_id, name=BOT_NAME, signing_secret=config.signing_secret, app_token=config.app_token)
    install = Install(team=team, bot_user_id=seeds.SEED_BOT_USER, bot_id=seeds.SEED_BOT, bot_token=config.bot_token)
    install_app(world, app, install, now, dm=seeds.SEED_DM)


def add_people(world: World, team: str, ids: list[str]) -> None:
    for number, (user, (name, real_name)) in enumerate(zip(ids, (_ADA, _GRACE), strict=True)):
        world.add_user(User(id=user, team=team, name=name, real_name=real_name, color=COLORS[number]))


def install_app(world: World, app: App, install: Install, now: float, dm: str | None = None) -> None:
    """Give an app a bot user in a team, in every channel, and a direct message with the first person."""
    team = install.team
    color = COLORS[2 + len(world.apps) % (len(COLORS) - 2)]
    world.add_user(
        User(
            id=install.bot_user_id,
            team=team,
            name=slug(app.name),
            real_name=app.name,
            is_bot=True,
            app_id=app.app_id,
            bot_id=install.bot_id,
            color=color,
        )
    )
    for channel in world.channels_of(team):
        if not channel.is_im and install.bot_user_id not in channel.members:
            channel.members.append(install.bot_user_id)
            world.keep(channel)
    person = world.people(team)[0].id
    channel_id = dm or next_id("D", (channel.id for _, channel in _channels(world)))
    members = [person, install.bot_user_id]
    world.add_channel(Channel(id=channel_id, team=team, is_im=True, user=person, members=members, created=int(now)))
    app.installs[team] = install
    world.add_app(app)


def _channels(world: World) -> list[tuple[str, Channel]]:
    return [(room.channel.team, room.channel) for room in world.rooms.values()]


def mint_install(world: World, team: str, token: str | None) -> Install:
    """A bot user and a token of its own for an app in a team."""
    users = [user.id for user in world.users.values()]
    bots = [user.bot_id for user in world.users.values() if user.bot_id is not None]
    tokens = [install.bot_token for app in world.apps.values() for install in app.installs.values()]
    number = 1 + max((int(one) for one in (t.removeprefix("xoxb-local-") for t in tokens) if one.isdigit()), default=0)
    return Install(
        team=team,
        bot_user_id=next_id("UB", users),
        bot_id=next_id("B", bots),
        bot_token=token or f"xoxb-local-{number}",
    )


def mint_app_token(world: World) -> str:
    """The app-level token of a further app, `xapp-local-<n>`."""
    used = [app.app_token.removeprefix("xapp-local-") for app in world.apps.values()]
    return f"xapp-local-{1 + max((int(one) for one in used if one.isdigit()), default=0)}"


def register(world: World, spec: AppSpec, team: str, now: float) -> App:
    """Add an app or change a known one. A token that another app has is taken over, with its bot user and its past;
    so is a client id. An app that was removed from a team stays removed. `spec.install` False: it waits for OAuth.

    Raises WrongUse for a manifest whose datastores cannot be; nothing is changed then.
    """
    definitions = None if spec.manifest is None else definitions_of(spec.manifest)
    holder = world.by_client_id(spec.client_id or "")
    if holder is not None and holder.app_id != spec.app_id:
        holder.client_id = f"1.{holder.app_id}"
        world.keep(holder)
    app = world.apps.get(spec.app_id)
    if app is None:
        app = App(app_id=spec.app_id, name=spec.name or spec.app_id, signing_secret=seeds.SEED_SECRET)
    _merge(app, spec)
    app.client_id, app.client_secret = app.client_id or f"1.{app.app_id}", app.client_secret or seeds.SEED_CLIENT_SECRET
    if spec.bot_token is not None:
        world.grants.revive(spec.bot_token)
    app.app_token = app.app_token or mint_app_token(world)
    owner = world.by_token(spec.bot_token) if spec.bot_token is not None else None
    if owner is not None and owner[0].app_id != app.app_id:
        _take_over(world, app, *owner)
    elif team not in app.installs:
        if spec.bot_token is not None or (spec.install and not _was_removed(world, app, team)):
            install_app(world, app, mint_install(world, team, spec.bot_token), now)
    elif spec.bot_token is not None:
        app.installs[team].bot_token = spec.bot_token
    if definitions is not None:
        world.datastores.define(app.app_id, definitions)
    world.add_app(app)
    _rename_bots(world, app, spec.name)
    return app


def _was_removed(world: World, app: App, team: str) -> bool:
    return any(user.app_id == app.app_id and user.deleted for user in world.members_of(team))


def _rename_bots(world: World, app: App, name: str | None) -> None:
    for install in app.installs.values():
        bot = world.users[install.team, install.bot_user_id]
        if name is not None and bot.real_name != name:
            bot.real_name, bot.name = name, slug(name)
            world.add_user(bot)


def _merge(app: App, spec: AppSpec) -> None:
    for name in (
        *("name", "event_url", "signing_secret", "scopes", "bot_events", "manifest"),
        *("client_id", "client_secret", "rationed", "app_token"),
    ):
        value = getattr(spec, name)
        if value is not None:
            setattr(app, name, value)
    if spec.manifest is not None:  # it speaks for all of them, also by saying nothing
        app.scopes, app.bot_events = spec.scopes, spec.bot_events
        app.socket_mode = part(spec.manifest, ("settings", "socket_mode_enabled")) is True
    elif spec.event_url is not None:
        app.socket_mode = False


def _take_over(world: World, app: App, owner: App, install: Install) -> None:
    del owner.installs[install.team]
    app.installs[install.team] = install
    if owner.installs:
        world.keep(owner)
    else:
        del world.apps[owner.app_id]
        world.datastores.drop(owner.app_id)
        world.forget(owner.key)
    bot = world.users[install.team, install.bot_user_id]
    bot.app_id = app.app_id
    world.keep(bot)


@dataclass(frozen=True, slots=True)
class TeamSpec:
    """A further team, as a caller gives it; what is None gets the next free id."""

    id: str
    name: str = "Another workspace"
    channel: str | None = None
    dm: str | None = None
    users: list[str] | None = None
    bot_user: str | None = None
    bot_token: str | None = None
    enterprise_id: str | None = None
    install: bool = True


def add_team(world: World, spec: TeamSpec, now: float) -> Json:
    """A team with #general, two people, and every known app installed unless `spec.install` is false. Returns its ids
    and tokens. An enterprise that nobody named before is made.
    """
    if spec.enterprise_id is not None and spec.enterprise_id not in world.enterprises:
        world.add_enterprise(Enterprise(id=spec.enterprise_id, name=f"Organisation {spec.enterprise_id}"))
    world.add_team(Team(id=spec.id, name=spec.name, domain=slug(spec.name), enterprise=spec.enterprise_id))
    known = [user.id for user in world.users.values()]
    first = spec.users[0] if spec.users else next_id("U", known)
    second = spec.users[1] if spec.users else next_id("U", [*known, first])
    add_people(world, spec.id, [first, second])
    channel_id = spec.channel or next_id("C", (channel.id for _, channel in _channels(world)))
    world.add_channel(Channel(id=channel_id, team=spec.id, name="general", members=[first, second], created=int(now)))
    installs = []
    for number, app in enumerate(list(world.apps.values()) if spec.install else []):
        install = mint_install(world, spec.id, spec.bot_token if number == 0 else None)
        install.enterprise = spec.enterprise_id
        if number == 0 and spec.bot_user is not None:
            install.bot_user_id = spec.bot_user
        install_app(world, app, install, now, dm=spec.dm if number == 0 else None)
        dm = world.dm_between(spec.id, first, install.bot_user_id)
        installs.append(
            {
                "app_id": app.app_id,
                "bot_user_id": install.bot_user_id,
                "bot_token": install.bot_token,
                "dm": dm.id if dm is not None else None,
            }
        )
    return {"team": spec.id, "channel": channel_id, "users": [first, second], "installs": installs}
