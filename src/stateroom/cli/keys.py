"""`stateroom keys`: which key each secret is sealed with, and all of them to the newest one.

Rules of this file: it shows what layers/keys_rotate.py and keys_text.py count and do, and never a key or a value.
`rotate` answers by its exit code whether a second look over everything found nothing on an older key.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import click

from stateroom.cli import settings, stores
from stateroom.cli.definitions import chosen, definitions_option
from stateroom.cli.output import json_option, note, print_json, print_table, store_option
from stateroom.cli.progress import bar
from stateroom.layers import catalogue
from stateroom.layers.keys import DataKeys
from stateroom.layers.keys_rotate import (
    LEASE,
    PLAIN,
    Figures,
    Rotation,
    RotationRuns,
    Walk,
    check_keys,
    count,
    left,
    walks,
)
from stateroom.layers.keys_text import TextFigures, TextRotation, check_text, count_text
from stateroom.layers.walking import Pace
from stateroom.model.definition import Definition
from stateroom.store import Store, own_words

T = TypeVar("T")
_POLL: Final = 0.2
_WORDS: Final = {PLAIN: "no key (in plain)"}


class Done(NamedTuple):
    """What a rotation did (empty: it was a dry run), what is there now, and what of that is not on the newest key.

    `text`: the same of people's words, where that was asked for.
    """

    did: list[Figures]
    now: list[Figures]
    left: Counter[str]
    text: TextFigures | None


@click.group()
def keys() -> None:
    """Keys of what is encrypted: list, rotate."""


@keys.command("list")
@definitions_option
@json_option
@store_option
def list_keys(*, definitions: str | None, as_json: bool, store: str | None) -> None:
    """How many sealed values are on each key, and how many data keys each wraps. Needs no keys and opens nothing."""
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)

    async def job(opened: Store) -> tuple[list[Figures], Counter[str]]:
        now = await _count(opened, await _walks(opened, given))
        return now, left(now, opened.keys, opened.data_keys)

    now, rest = stores.use(found, job)
    if as_json:
        print_json({"keys": _ids(found), "values": _sums(now), "left": rest, "tables": _tables(now)})
    elif not _show(now):
        note("nothing is sealed")


@keys.command()
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Rows a second, at most. Default: no limit.")
@click.option("--text", is_flag=True, help="Give people's words new data keys, too, and remove the older ones.")
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@definitions_option
@json_option
@store_option
def rotate(
    *, rate: float | None, text: bool, dry_run: bool, definitions: str | None, as_json: bool, store: str | None
) -> None:
    """Seal everything with the first key of STATEROOM_KEYS: items, deleted ones, remembered results, logs of changes,
    data keys. Then look at all of it again: exits with 1 when anything is left on another key.

    Bot and apps go on meanwhile, once they all know the new key. It may be killed and run again. With --text each
    workspace gets a new data key, and what people said is sealed anew with it.
    """
    found = settings.load(store=store, definitions=definitions)
    given = chosen(found, needed=False)

    async def job(opened: Store) -> Done:
        data_keys, pace = check_keys(opened.data_keys), Pace(opened.clock, rate=rate)
        if text:
            check_text(opened.raw, own_words())
        walking = await _walks(opened, given)
        did: list[Figures] = []
        if not dry_run:
            total = sum(one.seen for one in await count(opened.raw, walking, lambda _: None))
            with bar("sealing anew", total) as seen:
                rotation = Rotation(opened.raw, pace, opened.keys, data_keys, told=_adding(seen))
                did = await _alone(lambda: rotation.run(walking))
        words = await _text(opened, pace, data_keys, dry_run=dry_run) if text else None
        now = await _count(opened, walking)
        return Done(did, now, left(now, opened.keys, data_keys), words)

    done = stores.use(found, job)
    _tell(done, _ids(found), dry_run=dry_run, as_json=as_json)
    if (done.left or (done.text and done.text.left)) and not dry_run:
        sys.exit(1)


async def _walks(opened: Store, given: Sequence[Definition]) -> list[Walk]:
    return walks(await opened.everything(given), await catalogue.known(opened.raw))


async def _count(opened: Store, walking: Sequence[Walk]) -> list[Figures]:
    with bar("counting", None) as seen:
        return await count(opened.raw, walking, _adding(seen))


async def _text(opened: Store, pace: Pace, keys: DataKeys, *, dry_run: bool) -> TextFigures:
    if dry_run:
        figures = TextFigures()
        for one, number in (await count_text(opened.raw, own_words(), pace)).items():
            figures.left[one.table] += number
        return figures
    with bar("sealing words anew", None) as seen:
        return await _alone(TextRotation(opened.raw, pace, keys, own_words(), told=seen).run)


async def _alone(run: Callable[[], Awaitable[T]]) -> T:
    """If another one is at it, or was killed just now, wait until its lease has run out."""
    ends = time.monotonic() + LEASE + 1
    while True:
        try:
            return await run()
        except RotationRuns:
            if time.monotonic() > ends:
                raise
            await asyncio.sleep(_POLL)


def _adding(seen: Any) -> Any:
    """Tells a bar how many rows more than at the last call of the same table."""
    before: dict[str, int] = {}

    def told(one: Figures) -> None:
        seen(one.seen - before.get(one.table, 0))
        before[one.table] = one.seen

    return told


def _ids(found: settings.Settings) -> list[str]:
    return [] if found.keys is None else list(found.keys.ids)


def _sums(figures: Sequence[Figures]) -> Counter[str]:
    return sum((one.values for one in figures), Counter[str]())


def _tables(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    return [{"table": one.table, "values": one.values} for one in figures if one.values]


def _show(figures: Sequence[Figures]) -> bool:
    rows = [(one.table, _WORDS.get(key, key), n) for one in figures for key, n in sorted(one.values.items())]
    if rows:
        print_table(("Table", "Key", "Values"), rows)
    return bool(rows)


def _tell(done: Done, ids: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    failed = sum((one.failed for one in done.did), Counter[str]())
    raced = sum(one.raced for one in done.did)
    sealed = sum(one.sealed for one in done.did)
    if as_json:
        figures = {"rows": sealed, "raced": raced, "failed": failed, "left": done.left}
        text = {} if done.text is None else {"text": _of_text(done.text)}
        print_json({"dry_run": dry_run, "keys": list(ids), **figures, **text, "tables": _tables(done.now)})
        return
    _show(done.now)
    _note_failed(failed)
    if dry_run:
        note(f"{done.left.total()} values would be sealed anew; nothing was changed")
    elif done.left:
        names = ", ".join(f"{number} on {_WORDS.get(key, key)}" for key, number in sorted(done.left.items()))
        note(f"not done: {names}. See that every process has the new key first in STATEROOM_KEYS, and run it again")
    else:
        note(f"{sealed} rows were sealed anew; nothing is left on an older key, which may be taken out now")
    if done.text is not None:
        _tell_text(done.text, dry_run=dry_run)


def _of_text(did: TextFigures) -> dict[str, Any]:
    figures = {"rows": did.sealed, "raced": did.raced, "failed": did.failed, "left": did.left}
    return {**figures, "keys_removed": did.keys, "resumed": did.resumed}


def _note_failed(failed: Counter[str]) -> None:
    for reason, number in failed.items():
        note(f"{number} values were left as they are: {reason}")


def _tell_text(did: TextFigures, *, dry_run: bool) -> None:
    _note_failed(did.failed)
    if dry_run:
        note(f"words: {did.left.total()} values would be sealed anew")
        return
    if did.resumed:
        note("words: this went on with a run that was ended before its time, and with the data keys of that one")
    if did.left:
        names = ", ".join(f"{number} in {table}" for table, number in sorted(did.left.items()))
        note(f"words: not done: {names} are on an older data key, which stays; run it again")
    else:
        note(
            f"words: {did.sealed} rows were sealed anew; {did.keys} older data keys are gone, nothing was left on them"
        )
