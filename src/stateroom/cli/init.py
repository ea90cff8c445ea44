"""`stateroom init`: the manifest of your Slack app from what it shall do, and the environment it runs in.

Rules of this file: nothing is sent anywhere; files that are there stay unless --force is given, and then what is filled
in stays. It asks a person at a terminal, and nobody else. Where Slack reaches the bot decides the transport.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from stateroom.cli import settings
from stateroom.cli.definitions import chosen, definitions_option
from stateroom.cli.init_env import Variable, variables, write_env
from stateroom.cli.output import json_option, print_json, print_table, printable
from stateroom.model.errors import WrongUse
from stateroom.slack.app_manifest import Choice, app_manifest, base_of, create_url
from stateroom.slack.features import DEFAULT, FEATURES, checked, scopes
from stateroom.slack.prompts import Prompt

MANIFEST: Final = "manifest.json"
ENV: Final = ".env"
PROMPTS: Final = (
    Prompt("What can you do?", "What can you do for me?"),
    Prompt("What do you remember?", "What do you remember of this conversation?"),
)
_names = click.Choice(tuple(FEATURES))


@click.command()
@click.option("--name", default="Stateroom", show_default=True, help="The app's name in Slack, at most 35 characters.")
@click.option("--socket", is_flag=True, help="Events come over Socket Mode: no public address is needed. The default.")
@click.option("--http", "http_url", metavar="URL", help="Events come over HTTP, to this public address of the bot.")
@click.option("--feature", "more", type=_names, multiple=True, help="What the app shall do, too; may be given often.")
@click.option("--without", "less", type=_names, multiple=True, help="What it shall not do; may be given often.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    show_default=True,
    help="Where the two files go.",
)
@click.option("--force", is_flag=True, help="Replace files that are there; values in .env are kept, keys above all.")
@definitions_option
@json_option
def init(
    *,
    name: str,
    socket: bool,
    http_url: str | None,
    more: tuple[str, ...],
    less: tuple[str, ...],
    folder: Path,
    force: bool,
    definitions: str | None,
    as_json: bool,
) -> None:
    """Write manifest.json for Slack and .env for the bot, and say what to do next.

    Without --feature and --without the app answers mentions, follow-ups in threads and direct messages, and has
    /stateroom. Each scope is there for a reason, which is told. With --definitions the manifest declares your
    datastores as Slack's hosted ones, too.

    \b
    stateroom init
    stateroom init --http https://bot.example.com --feature install
    stateroom init --feature agent --dir deploy
    """
    if socket and http_url is not None:
        raise WrongUse("give --socket or --http URL, not both")
    asked = not (socket or http_url or as_json)
    base = base_of(http_url) if http_url is not None else _ask() if asked else None
    features = checked({*DEFAULT, *more} - set(less))
    prompts = PROMPTS if {"agent", "assistant"} & set(features) else ()
    choice = Choice(features, name, base, prompts)
    manifest = app_manifest(choice, _hosted(definitions, name))
    wanted = list(variables(choice, secrets.token_bytes))
    paths = write(folder, manifest, wanted, force=force)
    report = {
        "manifest": str(paths[0]),
        "env": str(paths[1]),
        "transport": "http" if base is not None else "socket",
        "features": list(features),
        "scopes": [{"scope": scope, "reasons": why} for scope, why in scopes(features).items()],
        "events": manifest["settings"]["event_subscriptions"]["bot_events"],
        "create_url": create_url(manifest),
        "next": steps(choice, paths, [one.name for one in wanted if not one.value]),
    }
    print_json(report) if as_json else tell(report)


def _ask() -> str | None:
    """The public address, from a person at a terminal; None without one, and over Socket Mode."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    url = click.prompt("Public address of the bot (empty: Socket Mode, which needs none)", "", show_default=False)
    return base_of(url.strip()) if url.strip() else None


def _hosted(definitions: str | None, name: str) -> Mapping[str, Any] | None:
    """The manifest's part about datastores; only where --definitions asks for it."""
    if definitions is None:
        return None
    from stateroom.model.profiles import check_profile
    from stateroom.model.schema.manifest import manifest_of

    found = chosen(settings.load(definitions=definitions))
    check_profile(found, "slack")
    return manifest_of(found, name=name)


def write(folder: Path, manifest: Mapping[str, Any], wanted: Sequence[Variable], *, force: bool) -> tuple[Path, Path]:
    """Both files, or none. WrongUse when one is there and is not to be replaced, or the folder cannot be written."""
    paths = folder / MANIFEST, folder / ENV
    there = [path.name for path in paths if path.exists()]
    if there and not force:
        raise WrongUse(f"{' and '.join(there)} there already; --force writes anew and keeps what .env has values for")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = paths[1].read_text(encoding="utf-8") if paths[1].exists() else ""
        _replace(paths[0], json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", 0o644)
        _replace(paths[1], write_env(wanted, before), 0o600)
    except OSError as error:
        raise WrongUse(f"--dir cannot be written: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{ENV} is not text in UTF-8; move it away") from None
    return paths


def _replace(path: Path, text: str, mode: int) -> None:
    """The whole file or the one before; never readable by others for a moment, when it is not to be."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def steps(choice: Choice, paths: tuple[Path, Path], empty: Sequence[str]) -> list[str]:
    """What to do next, in order."""
    manifest, env = paths
    where = env if env.is_absolute() else f"./{env}"
    found = [
        f"Create the app: open the link below, or api.slack.com/apps, From a manifest, and paste {manifest}.",
        f"Fill in {env}: {', '.join(empty)}; each line says where it is found.",
        f"Run it: set -a; . {where}; set +a; stateroom serve",
        "Check it: stateroom doctor",
    ]
    if choice.base_url is not None:
        found.append(f"In Slack, Event Subscriptions: press Retry, so that {choice.base_url}/slack/events is verified.")
    if "direct" in choice.features:
        found.append("Try it: write to the bot directly, or invite it into a channel and name it.")
    return found


def tell(report: Mapping[str, Any]) -> None:
    """For people."""
    click.echo(f"wrote {printable(report['manifest'])} and {printable(report['env'])} ({report['transport']})\n")
    rows = [(one["scope"], "; ".join(dict.fromkeys(one["reasons"].values()))) for one in report["scopes"]]
    print_table(("Scope", "Why"), rows)
    for number, step in enumerate(report["next"], 1):
        click.echo(f"{number}. {printable(step)}")
    click.echo(f"\n{report['create_url']}")
