"""A row on its way from one store to another: what is written of it, and whether two rows say the same.

Rules of this file: pure. Rows go as they are stored, sealed values as they were sealed. What a worker would find and do
(`held` attributes, by table) is put aside into one attribute that no index knows, so that nothing copied is done before
somebody releases it. Rows are compared by their exact values: true is not 1, and names have no order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from stateroom.engines.port import Put, Row, Update
from stateroom.expr.builder import attr

HELD: Final = "held"
WIDTH: Final = 16  # bytes of a row's digest
_SPACE: Final = 1 << (8 * WIDTH)
exactly: Final = msgspec.json.Encoder(decimal_format="number", order="sorted").encode

Held = Mapping[str, tuple[str, ...]]  # by table: the attributes that let a worker find a row


def carried(row: Row, names: tuple[str, ...]) -> Row:
    """The row as the target is to have it, with `names` put aside."""
    found = {name: row.item[name] for name in names if name in row.item}
    if not found:
        return row
    rest = {name: value for name, value in row.item.items() if name not in found}
    return row._replace(item={**rest, HELD: found})


def release_of(table: str, row: Row) -> Update:
    """The write that lets workers find a held row again; refused where somebody else has done so."""
    held: Mapping[str, Any] = row.item[HELD]
    open_ = "closed_at" not in row.item and not any(name in row.item for name in held)
    return Update(table, row.team, row.id, set=held if open_ else {}, remove=(HELD,), condition=attr(HELD).exists())


def put_of(table: str, row: Row) -> Put:
    """The write that makes the row what it is, whatever is there."""
    return Put(table, row.team, row.id, row.item, row.expires_at)


def alive(row: Row, now: float) -> bool:
    """Whether readers see it."""
    return row.expires_at is None or row.expires_at > now


def same(mine: Row, theirs: Row) -> bool:
    """Whether two rows hold the same, to the type of each value."""
    if mine.expires_at != theirs.expires_at or mine.item != theirs.item:
        return False
    return bool(exactly(mine.item) == exactly(theirs.item))


def size_of(row: Row) -> int:
    """Bytes of its JSON."""
    return len(exactly(row.item))


def digest(row: Row, *, log: bool) -> int:
    """A number that stands for all of the row: its place, its number in a log, its values, its end."""
    head = [row.team, row.id, row.version if log else 0, row.expires_at]
    data = exactly(head) + b"\n" + exactly(row.item)
    return int.from_bytes(hashlib.blake2b(data, digest_size=WIDTH).digest())


def added(sum_: int, more: int) -> int:
    """Digests are summed: the order of rows, which differs between stores, does not count."""
    return (sum_ + more) % _SPACE
