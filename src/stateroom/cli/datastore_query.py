"""`stateroom datastore query|count`: items by a condition, in Slack's syntax or as people write it.

Rules of this file: `--limit` counts matches, unlike Slack's, which counts what was looked at. `--all` goes through page
by page, so that it needs no more memory for a million items than for a hundred.
"""

from __future__ import annotations

from typing import Any, Final

import click

from stateroom.cli import datastore_argument as argument
from stateroom.cli.datastore_argument import FILTER, common, filtered, split, words
from stateroom.cli.datastore_export import run_export
from stateroom.cli.datastore_shown import print_items, tell, tell_cursor
from stateroom.cli.datastore_target import Target, use
from stateroom.cli.datastore_where import condition_of
from stateroom.model.errors import WrongUse

LIMIT: Final = 100
ALL: Final = 500  # of a page, when every page is wanted


@click.command()
@words("[NAME]")
@filtered
@click.option("--order", metavar="INDEX", help="The order of a declared index, by its attributes. Default: by key.")
@click.option("--descending", is_flag=True, help="The last first.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help=f"At most so many matches. [default: {LIMIT}]")
@click.option("--cursor", metavar="CURSOR", help="Go on behind a page.")
@click.option("--all", "whole", is_flag=True, help="Every match, page by page.")
@click.option("--to-file", metavar="FILE", help="Every match as JSON Lines into a file: the same as `export`.")
@common
def query(
    *,
    words: tuple[str, ...],
    where: str | None,
    order: str | None,
    descending: bool,
    limit: int | None,
    cursor: str | None,
    whole: bool,
    to_file: str | None,
    expression: str | None,
    names: Any,
    values: Any,
    **options: Any,
) -> None:
    """Items that fulfil a condition, or all.

    \b
    stateroom datastore query '{"datastore":"tickets","expression":"#s = :s",
        "expression_attributes":{"#s":"status"},"expression_values":{":s":"open"}}'
    stateroom datastore query tickets --where "status = 'open' AND votes > 3" --order opened_at
    """
    source, as_json, flags = split(options)
    flags |= {"expression": expression, "expression_attributes": names, "expression_values": values}
    asked = argument.request(words, (*FILTER, "limit", "cursor"), limit=limit, cursor=cursor, **flags)
    if to_file is not None:
        if order is not None or descending or "cursor" in asked:
            raise WrongUse("--to-file writes every match by key; leave --order, --descending and --cursor away")
        run_export(source, asked, where, to_file, as_json=as_json)
        return
    chosen = condition_of(asked, where)
    size = asked.get("limit", ALL if whole else LIMIT)

    async def job(target: Target) -> None:
        after = asked.get("cursor")
        key = target.definition.key if target.definition else None
        while True:
            page = await target.read.query(chosen, descending=descending, limit=size, cursor=after, order=order)
            if page.items or not whole:
                print_items(page.items, as_json=as_json, key=key)
            after = page.cursor
            if after is None or not whole:
                break
        tell_cursor(after, as_json=as_json)

    use(source, asked, job)


@click.command()
@words("[NAME]")
@filtered
@common
def count(
    *, words: tuple[str, ...], where: str | None, expression: str | None, names: Any, values: Any, **options: Any
) -> None:
    """How many items fulfil a condition, or how many there are.

    \b
    stateroom datastore count '{"datastore":"tickets"}'
    stateroom datastore count tickets --where "begins_with(title, 'Printer')"
    """
    source, as_json, flags = split(options)
    flags |= {"expression": expression, "expression_attributes": names, "expression_values": values}
    asked = argument.request(words, FILTER, **flags)
    chosen = condition_of(asked, where)

    async def job(target: Target) -> int:
        return await target.read.count(chosen)

    total = use(source, asked, job)
    tell(str(total), {"datastore": asked["datastore"], "count": total}, as_json=as_json)
