"""Backfill: rows of older versions are rewritten in the one the code has, while old and new code go on.

Rules of this file: the steps are the definition's own (`Definition.upgrade`), and what they make must fit it, or the
row stays as it is and is noted. A row newer than the code is an error before anything is written. One backfill of a
datastore at a time, by a lease.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from stateroom.engines import leases
from stateroom.engines.handle_sealing import Secrets
from stateroom.engines.handle_trash import trash_of
from stateroom.engines.port import Engine, Query, Row
from stateroom.expr.tree import Compare, Condition, Exists, Literal, Or, Path
from stateroom.layers.migrations_rewrite import Progress, Rewriter, Work
from stateroom.layers.walking import BATCH, EVERYWHERE, Pace, Renewing, pages_if_any
from stateroom.model.definition import Definition
from stateroom.model.errors import FormatTooNew, StateroomError
from stateroom.model.sealing import Keyring
from stateroom.model.upgrades import VERSION, version_of

LEASE: Final = 5.0  # seconds; renewed with every page, so a killed backfill holds up the next one so long


class BackfillRuns(StateroomError):
    """Another process is at it, or was killed a moment ago: wait, or try again when its lease has run out."""

    retryable = True

    def __init__(self, datastore: str) -> None:
        super().__init__(f"{datastore}: another backfill runs, or was killed less than {LEASE:g} s ago; try again")


def older(definition: Definition) -> Condition:
    """Rows of an older version: it is told only when it is over 1."""
    path = Path((VERSION,))
    return Or((Exists(path, True), Compare(path, "<", Literal(definition.version))))


def upgrading(definition: Definition, keyring: Keyring | None = None) -> Work:
    """The walk that leads the rows of older versions to `definition`; its steps see secrets in plain."""
    secrets = Secrets(definition, keyring)

    def change(row: Row) -> Mapping[str, Any] | None:
        item, changed = definition.upgrade(secrets.opened(row.item, row.team, row.id))
        if not changed:
            return None
        shown = definition.visible(item)
        definition.check(shown)
        if definition.model is not None:
            definition.model.load(shown)  # what new code could not read must not take the place of what old code can
        return secrets.sealed(item, row.team, row.id)

    return Work(f"backfill:{definition.name}", definition, older(definition), change)


async def backfill(
    engine: Engine,
    pace: Pace,
    definition: Definition,
    told: Callable[[Progress], None] = lambda _: None,
    *,
    keyring: Keyring | None = None,
) -> Progress:
    """Rewrite every row of an older version, also of deleted ones that are kept.

    FormatTooNew when there are newer ones, BackfillRuns when one is at it.
    """
    await refuse_newer(engine, definition)
    if definition.version == 1:
        return Progress(1, finished=True)
    name = f"backfill:{definition.name}"
    lease = await leases.acquire(engine, pace.clock, EVERYWHERE, name, holder=secrets.token_hex(6), seconds=LEASE)
    if lease is None:
        raise BackfillRuns(definition.name)
    batch = BATCH if pace.rate is None else max(1, min(BATCH, int(pace.rate)))  # a page takes a second at most
    paced = Renewing(pace, lease, LEASE)
    try:
        done = await Rewriter(engine, paced, upgrading(definition, keyring), told=told, batch=batch).run()
        deleted = trash_of(definition)  # it can be restored, also when the steps are gone
        if deleted is None or not await has(engine, deleted, older(deleted), pace.clock()):
            return done
        kept = await Rewriter(engine, paced, upgrading(deleted, keyring), told=told, batch=batch).run()
        sums = {name: getattr(done, name) + getattr(kept, name) for name in ("seen", "rewritten", "failed")}
        return replace(done, **sums)
    finally:
        await lease.release()


async def has(engine: Engine, definition: Definition, condition: Condition | None, now: float) -> bool:
    """Whether a row that has not expired fulfils the condition; none is in a table that was never made."""
    query = Query(definition.name, None, BATCH, condition=condition, whole=True)
    async for rows, _ in pages_if_any(engine, query):
        if any(row.expires_at is None or row.expires_at > now for row in rows):
            return True
    return False


async def refuse_newer(engine: Engine, definition: Definition) -> None:
    """FormatTooNew when the store has a row of a newer version than the code."""
    newer = Compare(Path((VERSION,)), ">", Literal(definition.version))
    query = Query(definition.name, None, 1, condition=newer, whole=True)
    async for rows, _ in pages_if_any(engine, query):
        version = version_of(rows[0].item, definition.name)
        raise FormatTooNew(
            definition.name,
            f"a row was written by version {version} of the definition, the code has {definition.version}",
        )
