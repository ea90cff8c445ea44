"""What makes a definition sound, on every engine and profile: InvalidDefinition names the attribute that is not.

Rules of this file: pure, run once when a definition is made. It sees a definition through `Draft`, so that
model/definition.py may import it. What only Slack's platform asks for is in model/profiles.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from stateroom.model.attributes import REFUSED, TYPES, Attribute
from stateroom.model.errors import InvalidDefinition
from stateroom.model.index import Index
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.upgrades import OWN

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
TRASH: Final = "trash_"  # what the datastore of deleted items is called, before the datastore's own name
_TIMESTAMP: Final = "slack#/types/timestamp"
_UNORDERED: Final = ("array", "object", "slack#/types/rich_text", "slack#/types/expanded_rich_text")

Fault = tuple[str | None, str]  # the attribute, and what is wrong with it


class Draft(Protocol):
    """What is looked at of a `Definition`."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, Attribute]: ...
    @property
    def version(self) -> int: ...
    @property
    def ttl(self) -> str | None: ...
    @property
    def indexes(self) -> tuple[Index, ...]: ...
    @property
    def log(self) -> bool: ...
    @property
    def on_erase(self) -> str: ...
    @property
    def personal(self) -> frozenset[str]: ...
    @property
    def lifecycle(self) -> Lifecycle | None: ...
    @property
    def changes(self) -> bool: ...
    @property
    def keep_deleted(self) -> int | None: ...
    @property
    def upgrades(self) -> Mapping[int, Any]: ...
    @property
    def profile(self) -> str: ...


def check(draft: Draft) -> None:
    """InvalidDefinition for the first fault."""
    for rule in (_names, _types, _key, _ttl, _indexes, _lifecycle, _versions, _obligations):
        for attribute, words in rule(draft):
            raise InvalidDefinition(draft.name, attribute, words)


def _names(draft: Draft) -> Iterator[Fault]:
    if not _NAME.fullmatch(draft.name):
        yield None, "a name is letters, digits and _, at most 63, a letter first"
    for name in draft.attributes:
        if not isinstance(name, str) or not name:
            yield None, "an attribute's name is a string that is not empty"
        elif name.startswith(OWN):
            yield name, f"attributes that begin with {OWN} are Stateroom's own"
        elif "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
            yield None, "an attribute's name holds U+0000 or a lone surrogate"


def _types(draft: Draft) -> Iterator[Fault]:
    for name, attribute in draft.attributes.items():
        yield from _type(name, attribute, top=True)


def _type(path: str, attribute: Attribute, *, top: bool = False) -> Iterator[Fault]:
    if attribute.type not in TYPES:
        words = "cannot be in a datastore" if attribute.type in REFUSED else "is no Slack attribute type"
        yield path, f"{attribute.type!r} {words}"
    if attribute.items is not None and attribute.type != "array":
        yield path, "has items and is no array"
    if attribute.properties and attribute.type != "object":
        yield path, "has properties and is no object"
    if attribute.encrypted and not top:
        yield path, "is encrypted inside of another attribute: encrypt that one as a whole"
    if not all(TYPES[attribute.type].fits(value) for value in attribute.values):
        yield path, f"has values that are no {attribute.type}"
    if attribute.items is not None:
        yield from _type(f"{path}[]", attribute.items)
    for name, inner in attribute.properties.items():
        yield from _type(f"{path}.{name}", inner)


def _key(draft: Draft) -> Iterator[Fault]:
    key = draft.attributes.get(draft.key)
    if key is None:
        yield draft.key, "the key is not a declared attribute"
    elif key.type != "string":
        yield draft.key, "the key must be a string"
    elif key.encrypted:
        yield draft.key, "the key cannot be encrypted: engines order by it"


def _ttl(draft: Draft) -> Iterator[Fault]:
    if draft.ttl is None:
        return
    attribute = draft.attributes.get(draft.ttl)
    if attribute is None or attribute.type != _TIMESTAMP:
        yield draft.ttl, "a ttl attribute is declared and of type timestamp"
    elif attribute.encrypted:
        yield draft.ttl, "a ttl attribute cannot be encrypted: engines read it"


def _indexes(draft: Draft) -> Iterator[Fault]:
    seen: set[str] = set()
    for index in draft.indexes:
        if not index.attributes:
            yield None, "has an index without attributes"
        for name in index.attributes:
            attribute = draft.attributes.get(name)
            if attribute is None:
                yield name, "is indexed but not declared"
            elif attribute.encrypted:
                yield name, "is indexed and encrypted: sealed text has no order"
            elif attribute.type in _UNORDERED:
                yield name, f"is indexed and of type {attribute.type}, which has no order"
            elif any(letter in "\"'\\" or ord(letter) < 32 for letter in name):
                yield name, "is indexed and has a quote, backslash or control character, which SQLite cannot look up"
        if len(set(index.attributes)) < len(index.attributes):
            yield index.attributes[0], "is indexed twice in one index"
        if index.name in seen:
            yield index.attributes[0], f"two indexes have the name {index.name}"
        seen.add(index.name)


def _lifecycle(draft: Draft) -> Iterator[Fault]:
    if draft.lifecycle is None:
        return
    name = draft.lifecycle.attribute
    attribute = draft.attributes.get(name)
    if attribute is None:
        yield name, "has a lifecycle but is not declared"
    elif attribute.type != "string":
        yield name, "has a lifecycle and is no string"
    elif attribute.encrypted or name == draft.key:
        yield name, "has a lifecycle and is the key or encrypted: the store cannot decide on it"
    else:
        yield from ((name, words) for words in draft.lifecycle.faults(attribute.values))
    if draft.log:
        yield name, "has a lifecycle in a log, whose entries never change"


def _versions(draft: Draft) -> Iterator[Fault]:
    if not _positive(draft.version):
        yield None, "a version is a whole number, 1 or more"
        return
    steps: Sequence[int] = sorted(draft.upgrades)
    if not steps:
        return
    for number in steps:
        if not 1 <= number < draft.version:
            yield None, f"has an upgrade step from version {number}, and is version {draft.version} itself"
    for number in range(steps[0], draft.version):
        if number not in steps:
            yield None, f"lacks the upgrade step from version {number} to {number + 1}"


def _obligations(draft: Draft) -> Iterator[Fault]:
    if draft.keep_deleted is not None and not _positive(draft.keep_deleted):
        yield None, "keep_deleted is whole seconds, 1 or more"
    if draft.keep_deleted is not None and not _NAME.fullmatch(f"{TRASH}{draft.name}"):
        yield None, f"keeps what is deleted under {TRASH} and its name, which gets longer than 63"
    if draft.on_erase == "clear":
        for name in sorted(draft.personal):
            if name == draft.key or draft.attributes[name].required:
                yield name, "is personal and required, so it cannot be cleared; give it a default"


def _positive(value: object) -> bool:
    return type(value) is int and value >= 1
