"""Idempotency keys: a write that is applied once, and answers its repetitions with its first result.

Rules of this file: the record is written in the same commit as the write, so one is never there without the other. A
refused call leaves no record: its repetition is tried anew. Which call a key belongs to is told by a digest of its
arguments; nothing of them is kept. The record holds the resulting item, so it ends with the window and is reached by
`erase` like any other row. Its format is in docs/format.md, "Idempotency keys".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from stateroom.engines.handle_commit import Committer, ItemWrite, replacement
from stateroom.engines.handle_surroundings import attempts
from stateroom.engines.port import Put, Row, Update
from stateroom.expr.render import render
from stateroom.model.attributes import Attribute
from stateroom.model.codec import encode, normalise
from stateroom.model.definition import Definition
from stateroom.model.errors import IdempotencyMismatch, InvalidId, Unsupported
from stateroom.model.ids import check_key
from stateroom.model.upgrades import OWN

WINDOW: Final = 24 * 3600.0  # seconds a key is remembered
KEY_LIMIT: Final = 255  # bytes

ONCE: Final = Definition(
    name="sr_once",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <datastore>/<key>
        "item": Attribute("string", required=True),  # the id of the item that was written
        "call": Attribute("string", required=True),  # what was asked, as a digest
        "result": Attribute("object", required=True, personal=True),  # the item as the call left it
        "version": Attribute("integer", required=True),
        "at": Attribute("number", required=True),
    },
    expires=True,
)
DEFINITIONS: Final = (ONCE,)


async def once(committer: Committer, key: str, write: ItemWrite, window: float = WINDOW) -> Row:
    """The row as `write` left it the first time it was called with `key`. IdempotencyMismatch for another call."""
    able = committer.engine.capabilities
    if able.atomic_rows == 1 or not able.conditions:
        raise Unsupported(able.name, "idempotency keys: they need two conditional rows in one commit")
    place = f"{committer.form.name}/{_checked(key)}"
    asked = digest(write)
    async for _ in attempts(committer.around):
        (record,) = await committer.engine.get(ONCE.name, committer.team, (place,))
        if record is not None:
            return _first(record, asked, place)
        row = await committer.read(write.id)
        current = committer.current(row)
        done = committer.judge(current, write)
        assert done.row is not None
        note = _record(place, asked, done.row, now=committer.around.clock(), window=window, team=committer.team)
        results = await committer.attempt([*replacement(write, row, done), note], write)
        if results is not None:
            assert results[0].row is not None
            return results[0].row
    raise committer.exhausted(write.id)


def digest(write: ItemWrite) -> str:
    """What tells one call from another: every argument, in one form."""
    asked: dict[str, Any] = {"verb": type(write).__name__.lower(), "id": write.id, "if_version": write.if_version}
    if write.condition is not None:
        asked["condition"] = _sorted(render(write.condition)._asdict())
    if isinstance(write, Put):
        asked["item"] = _sorted(_own_out(write.item))
    elif isinstance(write, Update):
        asked |= {"set": _sorted(_own_out(write.set)), "add": _sorted(write.add), "append": _sorted(write.append)}
        asked["remove"] = sorted(write.remove)
    return hashlib.sha256(encode(asked)).hexdigest()


def _own_out(item: Mapping[str, Any]) -> dict[str, Any]:
    """Without Stateroom's own attributes: the same call by a newer definition is the same call."""
    return {name: value for name, value in item.items() if not name.startswith(OWN)}


def _sorted(value: Any) -> Any:
    """The same value with its names in one order."""
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value


def _record(place: str, asked: str, row: Row, *, now: float, window: float, team: str) -> Put:
    item = {
        "id": place,
        "item": row.id,
        "call": asked,
        "result": dict(row.item),
        "version": row.version,
        "at": normalise(round(now, 6), "at"),
    }
    return Put(ONCE.name, team, place, item, expires_at=now + window, if_version=0)


def _first(record: Row, asked: str, place: str) -> Row:
    item = record.item
    if item["call"] != asked:
        raise IdempotencyMismatch(place)
    return Row(item["item"], item["result"], item["version"], None, record.team)


def _checked(key: object) -> str:
    found = check_key(key, "idempotency_key")
    if len(found.encode()) > KEY_LIMIT:
        raise InvalidId("idempotency_key", f"is longer than {KEY_LIMIT} bytes")
    return found
