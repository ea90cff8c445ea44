"""`stateroom datastore bulk-get|bulk-put|bulk-delete`: many items by key, any number of them.

Rules of this file: what fails is told with its reason and the others are done; the exit code is then 1. Removing many
asks first on a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import click

from stateroom.cli import datastore_argument as argument
from stateroom.cli.datastore_argument import common, item_flag, needed, split, words
from stateroom.cli.datastore_import import Options, run_import
from stateroom.cli.datastore_loader import Loader
from stateroom.cli.datastore_shown import print_items, tell
from stateroom.cli.datastore_target import Target, use
from stateroom.cli.output import note
from stateroom.model.errors import WrongUse

AT_ONCE: Final = 25  # what every profile takes in one call
_ids = click.option("--id", "ids", metavar="ID", multiple=True, help="An item's key. May be repeated.")


class Failed(NamedTuple):
    """An item that was not stored: its place among those given, from 1, and why."""

    number: int
    item: dict[str, Any]
    reason: str


@click.command("bulk-get")
@words("[NAME [ID]...]")
@_ids
@common
def bulk_get(*, words: tuple[str, ...], ids: tuple[str, ...], **options: Any) -> None:
    """Items by their keys, in the order asked. Exit code 1 when some are not there; stderr names them.

    \b
    stateroom datastore bulk-get '{"datastore":"tickets","ids":["T-1","T-2"]}'
    stateroom datastore bulk-get tickets T-1 T-2
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("ids",), ids=list(ids) or None, **flags)
    keys = needed(asked, "ids", "the ids")

    async def job(target: Target) -> list[str]:
        missing: list[str] = []
        key = target.definition.key if target.definition else None
        for part in parts(keys):
            found = await target.read.bulk_get(part)
            missing += [one for one, item in zip(part, found, strict=True) if item is None]
            print_items([item for item in found if item is not None], as_json=as_json, key=key)
        return missing

    missing = use(source, asked, job)
    if missing:
        note(f"not there: {', '.join(missing)}")
        sys.exit(1)


@click.command("bulk-put")
@words("[NAME [ITEM]...]")
@click.option(
    "--item", "items", metavar="JSON", multiple=True, callback=item_flag, help="An item. May be repeated; - is stdin."
)
@click.option("--from-file", metavar="FILE", help="Items from JSON Lines: the same as `import`.")
@common
def bulk_put(*, words: tuple[str, ...], items: Any, from_file: str | None, **options: Any) -> None:
    """Create or replace items. Those that are refused are told with the reason, the others stored; exit code 1 then.

    \b
    stateroom datastore bulk-put '{"datastore":"tickets","items":[{"id":"T-1"},{"id":"T-2"}]}'
    stateroom datastore bulk-put tickets --item '{"id":"T-1"}' --item '{"id":"T-2"}'
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("items",), items=items, **flags)
    if from_file is not None:
        if "items" in asked:
            raise WrongUse("--from-file and items exclude each other; give one of them")
        run_import(source, asked, Options(from_file), as_json=as_json)
        return
    given = needed(asked, "items", "the items")
    failed: list[Failed] = []

    def settled(done: list[tuple[int, dict[str, Any] | None, str | None]]) -> None:
        failed.extend(Failed(number, item, reason) for number, item, reason in done if item is not None and reason)

    async def job(target: Target) -> None:
        loader: Loader[int] = Loader(target.put_all, target.known.key, settled)
        try:
            for number, item in enumerate(given, start=1):
                await loader.add(number, item)
            await loader.finish()
        finally:
            await loader.stop()

    use(source, asked, job, makes=True)
    stored = len(given) - len(failed)
    said = {"datastore": asked["datastore"], "stored": stored, "failed": [one._asdict() for one in failed]}
    if not as_json:
        for one in failed:
            note(f"item {one.number}: {one.reason}")
    tell(f"stored {stored}, failed {len(failed)}", said, as_json=as_json)
    if failed:
        sys.exit(1)


@click.command("bulk-delete")
@words("[NAME [ID]...]")
@_ids
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def bulk_delete(*, words: tuple[str, ...], ids: tuple[str, ...], yes: bool, **options: Any) -> None:
    """Remove items by their keys. Asks first on a terminal.

    \b
    stateroom datastore bulk-delete '{"datastore":"tickets","ids":["T-1","T-2"]}'
    stateroom datastore bulk-delete tickets T-1 T-2 --yes
    """
    source, as_json, flags = split(options)
    asked = argument.request(words, ("ids",), ids=list(ids) or None, **flags)
    keys = list(dict.fromkeys(needed(asked, "ids", "the ids")))
    if on_terminal() and not yes:
        if as_json:
            raise WrongUse("--json asks no questions; add --yes")
        click.confirm(f"Remove {len(keys)} items of {asked['datastore']}?", abort=True, err=True)

    async def job(target: Target) -> int:
        removed = 0
        for part in parts(keys):
            done = await target.write.bulk_delete(part)
            done.check()
            removed += len(done.items)
        return removed

    removed = use(source, asked, job, needs=True)
    missing = len(keys) - removed
    said = {"datastore": asked["datastore"], "deleted": removed, "missing": missing}
    tell(f"deleted {removed}, not there {missing}", said, as_json=as_json)


def parts(keys: Sequence[str]) -> list[list[str]]:
    """AT_ONCE each."""
    return [list(keys[start : start + AT_ONCE]) for start in range(0, len(keys), AT_ONCE)]


def on_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()
