"""`apps.datastore.bulkGet`, `bulkPut`, `bulkDelete`: up to 25 items.

Rules of this file: a batch with an unfit item or with one key twice is refused as a whole. A batch fails in part only
when a fault says so: then its last inputs fail, all others are done, and `failed_items` holds the failed ones as they
were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from stateroom.emulator.datastores import Collection
from stateroom.emulator.records import Json
from stateroom.emulator.tiers import TIER_3
from stateroom.emulator.webapi import datastore_errors as errors
from stateroom.emulator.webapi.datastore_errors import Unfit, collection_of, datastore_error, entry, measured, readable
from stateroom.emulator.webapi.datastore_method import reading, writing
from stateroom.emulator.webapi.method import Arg, Call, invalid_arguments

BATCH = 25

_T = TypeVar("_T")


def bulk_get(call: Call) -> Json:
    collection, ids = _ids(call)
    done, failed = _parted(call, ids)
    found = [kept for kept in map(collection.items.get, done) if kept is not None]
    call.looked.add(kept.size for kept in found)
    content: Json = {"datastore": collection.definition.name, "items": [kept.item for kept in found]}
    return {**content, **_partial(failed)} if failed else content


def bulk_delete(call: Call) -> Json:
    collection, ids = _ids(call)
    done, failed = _parted(call, ids)
    for item_id in done:
        call.world.datastores.delete(collection, item_id)
    return {"failed_items": [], **_partial(failed)}


def bulk_put(call: Call) -> Json:
    given: list[Json] = call.args["items"]
    _check_number("items", given)
    collection = collection_of(call)
    ready = _ready(collection, given)
    done, _ = _parted(call, ready)
    for item_id, item, size in done:
        call.looked.bytes += size
        call.world.datastores.put(collection, item_id, item, size)
    name = collection.definition.name
    return {"datastore": name, "failed_items": [], **_partial(_parted(call, given)[1])}


def _ready(collection: Collection, given: list[Json]) -> list[tuple[str, Json, int]]:
    """Every item with its id and size; all that is wrong with any is told at once."""
    ready, wrong, seen = [], [], set()
    for position, sent in enumerate(given):
        pointer = f"/items/{position}"
        try:
            item_id, item = readable(collection, sent)
            if item_id in seen:
                raise Unfit(errors.DUPLICATE, "The primary key stands twice in the batch")
            seen.add(item_id)
            ready.append((item_id, item, measured(item)))
        except Unfit as unfit:
            wrong.append(unfit.told(pointer, sent))
    if wrong:
        raise datastore_error(*wrong)
    return ready


def _ids(call: Call) -> tuple[Collection, list[str]]:
    ids: list[str] = call.args["ids"]
    _check_number("ids", ids)
    if not all(ids):
        raise invalid_arguments("must be non-empty strings: ids")
    collection = collection_of(call)
    if len(set(ids)) < len(ids):
        raise datastore_error(entry(errors.DUPLICATE, "A primary key stands twice in the batch", "/ids"))
    return collection, ids


def _check_number(name: str, given: Sequence[object]) -> None:
    if not 1 <= len(given) <= BATCH:
        raise invalid_arguments(f"must have 1 to {BATCH} entries: {name}")


def _parted(call: Call, given: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    """What is done, and what the fault of this call makes fail."""
    done = max(0, len(given) - call.failures)
    return given[:done], given[done:]


def _partial(failed: Sequence[Any]) -> Json:
    return {"ok": False, "error": "partial_failure", "failed_items": list(failed)} if failed else {}


_IDS = Arg("ids", "keys", required=True, null=True)
_ITEMS = Arg("items", "items", required=True)

METHODS = (
    reading("bulkGet", bulk_get, TIER_3, _IDS),
    writing("bulkPut", bulk_put, TIER_3, _ITEMS),
    writing("bulkDelete", bulk_delete, TIER_3, _IDS),
)
