"""Deleting so that it can be undone: for `keep_deleted` seconds the item lies in a companion datastore.

Rules of this file: the item moves there and back in one commit. The companion `trash_<name>` has the same attributes
with the same obligations, so sweep, erase and export treat it as any other datastore. An item that its own ttl has
ended is gone there, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Final

from stateroom.engines.handle_commit import Committer, replacement
from stateroom.engines.handle_sealing import tolerant
from stateroom.engines.handle_surroundings import attempts
from stateroom.engines.port import Delete, Put, Row, Write, Written
from stateroom.model.codec import normalise
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed, KeyMissing, SealBroken

DELETED_AT: Final = "$deleted_at"  # seconds since 1970
EXPIRES_AT: Final = "$expires_at"  # the item's own end, for when it comes back


def trash_of(definition: Definition) -> Definition | None:
    """The companion, or None where deleted items are not kept."""
    if definition.keep_deleted is None:
        return None
    return replace(
        definition,
        name=f"trash_{definition.name}",
        ttl=None,
        expires=True,
        indexes=(),
        lifecycle=None,
        changes=False,
        keep_deleted=None,
        profile="open",
        model=None,
    )


def kept(definition: Definition, row: Row, now: float) -> Put:
    """The write that keeps a copy of a row about to be deleted."""
    assert definition.keep_deleted is not None
    item: dict[str, Any] = {**row.item, DELETED_AT: normalise(round(now, 6), DELETED_AT)}
    until = now + definition.keep_deleted
    if row.expires_at is not None:
        item[EXPIRES_AT] = normalise(row.expires_at, EXPIRES_AT)
        until = min(until, row.expires_at)
    return Put(f"trash_{definition.name}", row.team, row.id, item, expires_at=until)


async def discard(committer: Committer, write: Delete) -> Written:
    """Delete and keep a copy."""
    definition = committer.form.definition

    def beside(current: Row | None, done: Written) -> Sequence[Write]:
        return [kept(definition, current, committer.around.clock())] if current is not None and done.changed else ()

    try:
        return await committer.decided(write.id, lambda _: write, beside)
    except (KeyMissing, SealBroken):
        return await _unopened(committer).decided(write.id, lambda _: write, beside)


async def restore(committer: Committer, id: str) -> Row | None:
    """Bring the deleted item back as it was; None when none is kept, ConditionFailed when there is a new one."""
    form, team, engine = committer.form, committer.team, committer.engine
    trash = f"trash_{form.name}"
    async for _ in attempts(committer.around):
        (found,) = await engine.get(trash, team, (id,))
        if found is None:
            return None
        item = dict(found.item)
        form.refuse_newer(item)
        item.pop(DELETED_AT, None)
        expires = item.pop(EXPIRES_AT, None)
        there = await committer.read(id)
        if there is not None:
            raise ConditionFailed(f"{form.name}/{id}", form.shown(form.upgraded(there).item), version=there.version)
        back = Put(form.name, team, id, item, None if expires is None else float(expires), if_version=0)
        results = await committer.attempt([back, Delete(trash, team, id, if_version=found.version)], back)
        if results is not None:
            return results[0].row
    raise committer.exhausted(id)


async def erase(committer: Committer, write: Delete) -> bool:
    """Delete without a copy, and the copy of an earlier delete with it; whether there was something."""
    try:
        return await _erased(committer, write)
    except (KeyMissing, SealBroken):
        return await _erased(_unopened(committer), write)


def _unopened(committer: Committer) -> Committer:
    """The same for an item with a secret that does not open: its copy holds it as it was, sealed."""
    made = copy(committer)
    made.engine = tolerant(committer.engine)
    return made


async def _erased(committer: Committer, write: Delete) -> bool:
    gone = Delete(f"trash_{write.table}", write.team, write.id)
    async for _ in attempts(committer.around):
        row = await committer.read(write.id)
        done = committer.judge(committer.current(row), write)
        results = await committer.attempt([*replacement(write, row, done), gone], write)
        if results is not None:
            return any(one.changed for one in results)
    raise committer.exhausted(write.id)
