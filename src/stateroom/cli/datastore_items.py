"""`stateroom datastore get|put|update|delete`: one item.

Rules of this file: what the Slack CLI's JSON can say, the flags can say, and the handle's conditions besides. `get` of
a missing item is an answer, no: exit code 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from stateroom.cli import datastore_argument as argument
from stateroom.cli.datastore_argument import common, given, item_flag, needed, split, words
from stateroom.cli.datastore_shown import print_item, print_line, tell
from stateroom.cli.datastore_target import Target, use
from stateroom.cli.datastore_values import additions, assignments, entries
from stateroom.cli.datastore_where import condition as parsed
from stateroom.model.errors import StateroomError, WrongUse

_id = click.option("--id", metavar="ID", help="The item's key.")
_item = click.option("--item", metavar="JSON", callback=item_flag, help="The item; - reads it from stdin.")
_if = click.option(
    "--if", "--condition", "holds", metavar="TEXT", help="Only if this holds for the stored item: \"status = 'open'\"."
)
_if_version = click.option(
    "--if-version",
    type=click.IntRange(0),
    metavar="N",
    help="Only if the item still has this version; 0: is not there.",
)
_once = click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Do it once: the same key again gives the first result and changes nothing.",
)
_CHANGES: Final = "give --item, --set, --add, --append or --remove"


class NoSuchItem(StateroomError):
    """The datastore has no item with that key."""


@click.command()
@words("[NAME [ID]]")
@_id
@click.option("--with-version", is_flag=True, help="Show the version, too, for --if-version.")
@common
def get(*, words: tuple[str, ...], id: str | None, with_version: bool, **options: Any) -> None:
    """One item by its key. Exit code 1 when there is none.

    \b
    stateroom datastore get '{"datastore":"tickets","id":"T-1"}'
    stateroom datastore get tickets T-1
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("id",), id=id, **flags)
    key = needed(asked, "id", "the item's id")

    async def job(target: Target) -> tuple[Mapping[str, Any] | None, int]:
        version = await target.read.version(key) if with_version else 0
        return await target.read.get(key), version

    item, version = use(source, asked, job)
    if item is None:
        raise NoSuchItem(f"{asked['datastore']} has no such item; `stateroom datastore query` shows those there are")
    if with_version and as_json:
        print_line({"version": version, "item": item})
        return
    print_item(item, as_json=as_json)
    if with_version:
        click.echo(f"version {version}")


@click.command()
@words("[NAME [ITEM]]")
@_item
@click.option("--if-absent", is_flag=True, help="Only if there is none with that key.")
@_if
@_if_version
@_once
@common
def put(
    *,
    words: tuple[str, ...],
    item: Any,
    if_absent: bool,
    holds: str | None,
    if_version: int | None,
    idempotency_key: str | None,
    **options: Any,
) -> None:
    """Create an item or replace the whole of it; shows it as stored.

    \b
    stateroom datastore put '{"datastore":"tickets","item":{"id":"T-1","status":"open"}}'
    stateroom datastore put tickets --item '{"id":"T-1","status":"open"}' --if-absent
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("item",), item=item, **flags)
    body = needed(asked, "item", "the item")
    if if_absent and if_version:
        raise WrongUse("--if-absent and --if-version contradict each other; give one of them")
    conditions = given(condition=holds and parsed(holds), if_version=if_version, idempotency_key=idempotency_key)
    conditions |= {"if_absent": True} if if_absent else {}

    async def job(target: Target) -> Mapping[str, Any]:
        return target.plain(await target.write.put(target.taken(body), **conditions))

    print_item(use(source, asked, job, makes=True), as_json=as_json)


@click.command()
@words("[NAME [ID]]")
@_id
@_item
@click.option("--set", "assigned", metavar="NAME=VALUE", multiple=True, help="Set an attribute. May be repeated.")
@click.option("--add", metavar="NAME=NUMBER", multiple=True, help="Add to a number, atomically. May be repeated.")
@click.option("--append", metavar="NAME=ENTRY", multiple=True, help="Append to an array. May be repeated.")
@click.option("--remove", metavar="NAME", multiple=True, help="Remove an attribute. May be repeated.")
@_if
@_if_version
@_once
@common
def update(
    *,
    words: tuple[str, ...],
    id: str | None,
    item: Any,
    assigned: tuple[str, ...],
    add: tuple[str, ...],
    append: tuple[str, ...],
    remove: tuple[str, ...],
    holds: str | None,
    if_version: int | None,
    idempotency_key: str | None,
    **options: Any,
) -> None:
    """Change attributes of an item, the others stay; shows the whole item. Without a condition it is made if missing.

    \b
    stateroom datastore update '{"datastore":"tickets","item":{"id":"T-1","status":"approved"}}'
    stateroom datastore update tickets T-1 --set status=approved --add votes=1 --if "status = 'open'"
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("id", "item"), id=id, item=item, **flags)
    if "item" not in asked and not (assigned or add or append or remove):
        raise WrongUse(f"what shall change? {_CHANGES[0].upper()}{_CHANGES[1:]}")
    conditions = given(condition=holds and parsed(holds), if_version=if_version, idempotency_key=idempotency_key)

    async def job(target: Target) -> Mapping[str, Any]:
        known = target.known
        changes = dict(asked.get("item", {}))
        key = changes.pop(known.key, asked.get("id"))
        if key is None or asked.get("id", key) != key:
            raise WrongUse(f"which item? Give --id, or {known.key} in the item" if key is None else "two ids differ")
        changes |= assignments(known, "--set", assigned)
        more = {"add": additions(known, add), "append": entries(known, append), "remove": remove}
        conditions.update({name: value for name, value in more.items() if value})
        return target.plain(await target.write.update(key, changes, **conditions))

    print_item(use(source, asked, job, makes=True), as_json=as_json)


@click.command()
@words("[NAME [ID]]")
@_id
@_if
@_if_version
@click.option("--forever", is_flag=True, help="Also where the definition keeps deleted items for a while.")
@common
def delete(
    *,
    words: tuple[str, ...],
    id: str | None,
    holds: str | None,
    if_version: int | None,
    forever: bool,
    **options: Any,
) -> None:
    """Remove an item by its key. Removing one that is not there is fine, unless a condition is given.

    \b
    stateroom datastore delete '{"datastore":"tickets","id":"T-1"}'
    stateroom datastore delete tickets T-1 --if "status = 'done'"
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("id",), id=id, **flags)
    key = needed(asked, "id", "the item's id")
    conditions = given(condition=holds and parsed(holds), if_version=if_version)

    async def job(target: Target) -> bool:
        return await target.write.delete(key, forever=forever, **conditions)

    done = use(source, asked, job, needs=True)
    said = {"datastore": asked["datastore"], "id": key, "deleted": done}
    tell(f"deleted {key}" if done else f"there was no {key}", said, as_json=as_json)
