"""What a store remembers about itself: the definitions its rows were written under, work in progress, rows that failed.

Rules of this file: definitions are kept by name and version, so that a row of an older version is still understood by
those who walk the store without its code. On an embedded store a definition is remembered when it is first used; what
is remembered is only ever widened there, and narrowed by `migrate apply` alone. docs/format.md, "Definitions".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from stateroom.engines.handle_trash import trash_of
from stateroom.engines.port import Engine, Put, Query, Row
from stateroom.layers.walking import EVERYWHERE, Clock, pages_if_any
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise
from stateroom.model.definition import RESERVED_PREFIX, Definition, Index
from stateroom.model.errors import (
    ConditionFailed,
    CorruptData,
    DefinitionWarning,
    FormatTooNew,
    InvalidDefinition,
)
from stateroom.model.schema import document

KNOWN: Final = Definition(
    name="sr_definitions",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <name>:<version>
        "name": Attribute("string", required=True),
        "version": Attribute("integer", required=True),
        "definition": Attribute("string", required=True),  # a document of it alone (docs/format.md, "Definitions")
        "at": Attribute("number", required=True),
    },
)
PROGRESS: Final = Definition(
    name="sr_progress",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <work>:<datastore>
        "version": Attribute("integer", required=True),  # that rows are led to
        "after": Attribute("string"),  # JSON of the position behind which the walk goes on; absent: from the beginning
        "seen": Attribute("integer", required=True),
        "rewritten": Attribute("integer", required=True),
        "failed": Attribute("integer", required=True),
        "finished": Attribute("boolean", required=True),
        "at": Attribute("number", required=True),
        "source": Attribute("string"),  # of a copy, as the following three: a digest of where it comes from
        "state": Attribute("string"),  # copying | copied | frozen | releasing | switched
        "behind": Attribute("string"),  # JSON of the place of a log's entry behind which the walk goes on
        "marks": Attribute("string"),  # JSON by team: the number of the last change that was carried
    },
)
FAILED: Final = Definition(
    name="sr_failed",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # SHA-256 of datastore and row
        "datastore": Attribute("string", required=True),
        "row": Attribute("string", required=True, personal=True),  # a key may be a person's id
        "reason": Attribute("string", required=True),  # never content
        "at": Attribute("number", required=True),
    },
)
DEFINITIONS: Final = (KNOWN, PROGRESS, FAILED)

Versions = Mapping[int, Definition]


async def known(engine: Engine) -> dict[str, Versions]:
    """The remembered definitions of users, by name and version; nothing where a store has no such table yet."""
    found: dict[str, dict[int, Definition]] = {}
    async for rows, _ in pages_if_any(engine, Query(KNOWN.name, EVERYWHERE, 100)):
        for row in rows:
            definition = _read(row)
            found.setdefault(definition.name, {})[definition.version] = definition
    return dict(found)


def newest(versions: Mapping[str, Versions]) -> dict[str, Definition]:
    """The highest version of each."""
    return {name: of[max(of)] for name, of in versions.items()}


def everything(given: Iterable[Definition], versions: Mapping[str, Versions]) -> list[Definition]:
    """`given`, what is remembered of others, and the companions of both that keep what was deleted: all to walk."""
    found = {**newest(versions), **{definition.name: definition for definition in given}}
    before = [one for of in versions.values() for one in of.values()]
    trash = {one.name: one for d in [*before, *found.values()] if (one := trash_of(d)) is not None}
    return [*found.values(), *trash.values()]


def record(definition: Definition, now: float) -> Put:
    """The write that remembers a definition, whatever is remembered now."""
    key = f"{definition.name}:{definition.version}"
    item = {
        "id": key,
        "name": definition.name,
        "version": definition.version,
        "definition": msgspec.json.encode(document.write([definition])).decode(),
        "at": normalise(round(now, 6), "at"),
    }
    return Put(KNOWN.name, EVERYWHERE, key, item)


async def remember(engine: Engine, clock: Clock, definition: Definition) -> None:
    """Remember a definition that is used, unless what is remembered says as much already."""
    if definition.name.startswith(RESERVED_PREFIX):
        return
    put = record(definition, clock())
    (row,) = await engine.get(KNOWN.name, EVERYWHERE, [put.id])
    if row is not None and row.item["definition"] == put.item["definition"]:
        return
    chosen = definition if row is None else widened(_read(row), definition)
    if row is not None and chosen == _read(row):
        return
    put = msgspec.structs.replace(record(chosen, clock()), if_version=0 if row is None else row.version)
    try:
        await engine.commit([put])
    except ConditionFailed:
        return  # another process remembers just now; what it left is widened by the next use


def widened(old: Definition, new: Definition) -> Definition:
    """`new`, and what rows of `old` may hold besides; `old` itself where both cannot be true."""
    common = old.attributes.keys() & new.attributes.keys()
    if old.key != new.key or any(shape(old.attributes[n]) != shape(new.attributes[n]) for n in common):
        return old
    gone = {n: replace(a, required=False) for n, a in old.attributes.items() if n not in new.attributes}
    attributes = {**gone, **new.attributes}
    indexes = new.indexes + left_over(old, new, attributes)
    code: dict[str, Any] = {"model": None, "upgrades": {}}
    return replace(new, attributes=attributes, indexes=indexes, **code)


def left_over(old: Definition, new: Definition, attributes: Mapping[str, Attribute]) -> tuple[Index, ...]:
    """The indexes of `old` that `new` has no more, and that a definition with `attributes` may have."""
    names = {index.name for index in new.indexes}

    def may(name: str) -> bool:
        found = attributes.get(name)
        return found is not None and not found.encrypted and shape(found) == shape(old.attributes[name])

    return tuple(one for one in old.indexes if one.name not in names and all(may(name) for name in one.attributes))


def shape(attribute: Attribute) -> tuple[object, ...]:
    """What decides which values fit."""
    inner = None if attribute.items is None else shape(attribute.items)
    parts = tuple(sorted((name, shape(one), one.required) for name, one in attribute.properties.items()))
    return (attribute.type, inner, parts, tuple(sorted(map(str, attribute.values))))


def _read(row: Row) -> Definition:
    place = f"{KNOWN.name}/{row.id}"
    try:
        with warnings.catch_warnings():  # they were given when it was defined
            warnings.simplefilter("ignore", DefinitionWarning)
            (definition,) = document.read(msgspec.json.decode(row.item["definition"]))
    except FormatTooNew as error:
        raise FormatTooNew(place, "a newer version of Stateroom remembered it") from error
    except (msgspec.DecodeError, InvalidDefinition, LookupError, TypeError, ValueError):
        raise CorruptData(place, "is no definition") from None
    return definition
