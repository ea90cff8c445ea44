"""What leads from the definition that a store remembers to the one that the code has: pure.

Rules of this file: no rows are looked at. A difference that could lose something is *doubtful*: whether it does is
for the rows to say (migrations.py), so removing an attribute that no row holds is no loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from stateroom.layers.catalogue import shape
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition

_OPTIONS: Final = ("ttl", "expires", "on_erase", "lifecycle", "changes", "keep_deleted", "profile")
Kind = Literal[
    "engine", "new", "add", "option", "upgrade", "attribute", "type", "key", "index", "datastore", "blocked", "newer"
]


Stage = Literal["pre", "post"]
_POST: Final = ("attribute", "type", "key", "index", "datastore")


@dataclass(frozen=True)
class Step:
    """One step of a plan. `name`: the attribute or index. `destructive`: it loses rows, values, or an order.

    `blocked` and `newer` are no steps but what stands in the way.
    """

    datastore: str
    kind: Kind
    text: str
    name: str = ""
    destructive: bool = False

    @property
    def in_the_way(self) -> bool:
        """Whether no permission helps."""
        return self.kind in ("blocked", "newer")

    @property
    def stage(self) -> Stage:
        """When it may be done in a deploy that changes code bit by bit: what adds goes before the first new process,
        what takes away behind the last old one."""
        return "post" if self.kind in _POST else "pre"


def steps_between(before: Iterable[Definition], new: Definition) -> list[Step]:
    """From what is remembered of a datastore, by version, to `new`. Doubtful ones are marked destructive."""
    versions = {one.version: one for one in before}
    if not versions:
        return [Step(new.name, "new", f"remember {new.name} in version {new.version}")]
    newest = versions[max(versions)]
    if newest.version > new.version:
        text = f"the store knows {new.name} in version {newest.version}, the code has {new.version}: deploy newer code"
        return [Step(new.name, "newer", text)]
    found = [*_upgrades(versions, new), *_key(newest, new), *_indexes(newest, new)]
    if newest.version == new.version:
        found += [*_attributes(newest, new), *_options(newest, new)]
    return found


def _upgrades(versions: dict[int, Definition], new: Definition) -> Iterator[Step]:
    """A higher version: its steps lead old rows to it, so what they do with attributes is the author's word."""
    if new.version in versions:
        return
    missing = [number for number in range(min(versions), new.version) if number not in new.upgrades]
    for number in missing:
        text = f"{new.name} has no upgrade step from version {number}: declare it with sr.upgrade"
        yield Step(new.name, "blocked", text, str(number))
    if not missing:
        text = f"{new.name} goes from version {max(versions)} to {new.version}: rows are upgraded when they are read"
        yield Step(new.name, "upgrade", text)


def _key(old: Definition, new: Definition) -> Iterator[Step]:
    if old.key != new.key:
        yield Step(new.name, "key", f"the key of {new.name} was {old.key} and becomes {new.key}", new.key, True)


def _attributes(old: Definition, new: Definition) -> Iterator[Step]:
    for name, attribute in new.attributes.items():
        before = old.attributes.get(name)
        if before is None:
            yield Step(new.name, "add", f"{new.name}.{name} is added", name)
        elif shape(before) != shape(attribute):
            text = f"{new.name}.{name} was {_named(before)} and becomes {_named(attribute)}"
            yield Step(new.name, "type", text, name, True)
    for name in old.attributes:
        if name not in new.attributes and name != old.key:
            yield Step(new.name, "attribute", f"{new.name}.{name} is removed", name, True)


def _indexes(old: Definition, new: Definition) -> Iterator[Step]:
    kept = {index.name for index in new.indexes}
    for index in old.indexes:
        if index.name not in kept:
            text = f"the index {index.name} of {new.name} is removed: code that orders by it fails"
            yield Step(new.name, "index", text, index.name, True)


def _options(old: Definition, new: Definition) -> Iterator[Step]:
    """What is neither a value nor a place: obligations, ends, lifecycle, records."""
    common = [name for name in new.attributes if name in old.attributes]
    marks = any(_marks(old.attributes[name]) != _marks(new.attributes[name]) for name in common)
    names = {index.name for index in old.indexes}
    indexes = [i for i in new.indexes if i.name in names and i not in old.indexes]
    if marks or indexes or any(getattr(old, name) != getattr(new, name) for name in _OPTIONS):
        yield Step(new.name, "option", f"remember the options of {new.name} as they are now")


def _marks(attribute: Attribute) -> tuple[object, ...]:
    return (attribute.required, attribute.personal, attribute.encrypted, attribute.description, attribute.custom)


def _named(attribute: Attribute) -> str:
    inner = f" of {_named(attribute.items)}" if attribute.items is not None else ""
    return attribute.type.removeprefix("slack#/types/") + inner
