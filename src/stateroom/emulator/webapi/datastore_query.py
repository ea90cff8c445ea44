"""`apps.datastore.query` and `count`: a walk in the order of ids, filtered after it was paged.

Rules of this file: `limit` and 1 MB count what is looked at, not what matches, so a page may be empty and go on. A
cursor is good for the app, the datastore and the expression that it came from; it holds no secret and needs no memory
of ours, so it outlives a restart.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from stateroom.emulator.datastores import Collection
from stateroom.emulator.records import Json
from stateroom.emulator.tiers import TIER_3, TIER_4
from stateroom.emulator.webapi.datastore_errors import (
    INVALID_EXPRESSION,
    KEY_IN_EXPRESSION,
    collection_of,
    datastore_error,
    entry,
)
from stateroom.emulator.webapi.datastore_method import reading
from stateroom.emulator.webapi.method import Arg, Call, invalid_arguments
from stateroom.engines.slack_paging import DEFAULT_LIMIT, LIMIT, Tally
from stateroom.expr.check import check, paths
from stateroom.expr.compiled import compile as compiled
from stateroom.expr.parser import parse
from stateroom.model.errors import InvalidCondition

Matches = Callable[[Mapping[str, Any]], bool]
# A client may build its maps anew for each page: the order of their names means nothing.
_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


def query(call: Call) -> Json:
    limit = call.args.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= LIMIT:
        raise invalid_arguments(f"must be from 1 to {LIMIT}: limit")
    collection = collection_of(call)
    matches, cursor = _matches(call, collection), call.text("cursor")
    binding = _binding(call)
    tally = Tally(limit)
    found, last = _page(collection, matches, tally, None if cursor is None else _behind(cursor, binding))
    call.looked.items, call.looked.bytes, call.looked.pages = tally.evaluated, tally.bytes, 1
    content: Json = {"datastore": collection.definition.name, "items": found}
    if last is not None:
        content["response_metadata"] = {"next_cursor": _cursor(last, binding)}
    return content


def count(call: Call) -> Json:
    collection = collection_of(call)
    matches = _matches(call, collection)
    number = len(collection.ids)
    if matches is not None:
        number = sum(1 for kept in collection.items.values() if matches(kept.item))
    sizes = [kept.size for kept in map(collection.items.__getitem__, collection.ids)]
    call.looked.add(sizes, pages=_walked(sizes))
    return {"datastore": collection.definition.name, "count": number}


def _walked(sizes: Iterable[int]) -> int:
    """The pages that Slack walks by itself for one count: each as full as a page can be, the last with a cursor too."""
    pages, page = 1, Tally(LIMIT)
    for size in sizes:
        if not page.take(size):
            pages, page = pages + 1, Tally(LIMIT)
            page.take(size)
    return pages + page.full


def _page(
    collection: Collection, matches: Matches | None, tally: Tally, after: str | None
) -> tuple[list[Json], str | None]:
    """The matches among the next items, and the last id looked at unless the end was seen."""
    last = after
    found: list[Json] = []
    for item_id, item, size in collection.after(after):
        if not tally.take(size):
            return found, last
        last = item_id
        if matches is None or matches(item):
            found.append(item)
    return found, last if tally.full else None


def _matches(call: Call, collection: Collection) -> Matches | None:
    """The filter, None without an expression. Raises Refused("datastore_error")."""
    text, names, values = (call.args.get(name) for name in _EXPRESSION_ARGS)
    for name, given in zip(_EXPRESSION_ARGS[1:], (names, values), strict=True):
        if given is not None and (not given or text is None):
            problem = "is empty" if not given else "needs an expression"
            raise datastore_error(entry(INVALID_EXPRESSION, f"{name} {problem}", f"/{name}"))
    if text is None:
        return None
    try:
        condition = parse(text, names, values)
        key = collection.definition.key
        if key in paths(condition):
            problem = f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {key}"
            raise datastore_error(entry(KEY_IN_EXPRESSION, problem, "/expression"))
        check(condition)
    except InvalidCondition as error:
        raise datastore_error(entry(INVALID_EXPRESSION, str(error), "/expression")) from None
    return compiled(condition)


def _binding(call: Call) -> str:
    """What a cursor is good for, as a short digest."""
    sent = [call.app.app_id, call.args["datastore"], *(call.args.get(name) for name in _EXPRESSION_ARGS)]
    return blake2b(_sorted(sent), digest_size=9).hexdigest()


def _cursor(last: str, binding: str) -> str:
    return b64encode(msgspec.json.encode({"after": last, "of": binding})).decode()


def _behind(cursor: str, binding: str) -> str:
    """The id in a cursor. Raises Refused for one that is none, or is another query's."""
    try:
        held = msgspec.json.decode(b64decode(cursor, validate=True), type=dict[str, str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        held = {}
    if held.get("of") != binding or "after" not in held:
        raise invalid_arguments("is not a cursor of this app, datastore and expression: cursor")
    return held["after"]


_EXPRESSION_ARGS = ("expression", "expression_attributes", "expression_values")
_FILTER = (
    Arg("expression", null=True),
    Arg("expression_attributes", "item", null=True),
    Arg("expression_values", "item", null=True),
)
_PAGE = (Arg("cursor", null=True), Arg("limit", "number", null=True))

METHODS = (reading("query", query, TIER_4, *_FILTER, *_PAGE), reading("count", count, TIER_3, *_FILTER))
