"""`apps.datastore.get`, `put`, `update`, `delete`: one item.

Rules of this file: put replaces the whole item, update merges attribute by attribute and inserts what is not there,
a missing item is read as an empty one and deleted without an error. The key argument is `id` whatever the attribute
is called.
"""

from __future__ import annotations

from stateroom.emulator.records import Json
from stateroom.emulator.tiers import TIER_4
from stateroom.emulator.webapi.datastore_errors import Unfit, collection_of, datastore_error, measured, readable
from stateroom.emulator.webapi.datastore_method import reading, writing
from stateroom.emulator.webapi.method import Arg, Call


def get(call: Call) -> Json:
    collection = collection_of(call)
    kept = collection.items.get(call.args["id"])
    call.looked.add([kept.size] if kept is not None else [])
    return {"datastore": collection.definition.name, "item": kept.item if kept is not None else {}}


def put(call: Call) -> Json:
    return _write(call, merge=False)


def update(call: Call) -> Json:
    return _write(call, merge=True)


def _write(call: Call, *, merge: bool) -> Json:
    collection = collection_of(call)
    try:
        item_id, item = readable(collection, call.args["item"])
        kept = collection.items.get(item_id) if merge else None
        if kept is not None:
            item = {**kept.item, **item}
        size = measured(item)
    except Unfit as unfit:
        raise datastore_error(unfit.told("/item")) from None
    call.looked.bytes += size
    call.world.datastores.put(collection, item_id, item, size)
    return {"datastore": collection.definition.name, "item": item}


def delete(call: Call) -> Json:
    call.world.datastores.delete(collection_of(call), call.args["id"])
    return {}


_ID = Arg("id", required=True)
_ITEM = Arg("item", "item", required=True)

METHODS = (
    reading("get", get, TIER_4, _ID),
    writing("put", put, TIER_4, _ITEM),
    writing("update", update, TIER_4, _ITEM),
    writing("delete", delete, TIER_4, _ID),
)
