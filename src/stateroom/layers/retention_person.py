"""What of one item is about one person, and what stays of it when they are erased.

Rules of this file: pure. A person is found by their Slack user id, as a whole value of a personal attribute: words that
merely mention them are other people's, and are counted, not changed.

- The item is *theirs* when a personal attribute is their id, or is an object that has it as a property.
- Theirs, in a datastore that deletes: the item goes. In one that clears, and in every log: their id goes, and with it
  every personal attribute that is not another person's id.
- Not theirs, but a personal array names them: those entries of the array go, and the rest stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition

USER: Final = "slack#/types/user_id"
TOMBSTONE: Final = "tombstone"


class Judged(NamedTuple):
    """What is to be done with an item. `item` is what stays of it, for `clear`."""

    action: Literal["keep", "clear", "delete"]
    item: dict[str, Any]


class Subject(NamedTuple):
    """What a definition says about its items' people. `deletes`: an item that is theirs goes as a whole."""

    key: str
    attributes: Mapping[str, Attribute]
    deletes: bool
    log: bool

    @property
    def personal(self) -> frozenset[str]:
        """Attributes that are personal, or have a part that is."""
        return frozenset(name for name, attribute in self.attributes.items() if _is_personal(attribute))


def subject_of(definition: Definition, newest: Definition | None = None) -> Subject:
    """For items of `definition`; where the newest version marks an attribute otherwise, that counts."""
    last = definition if newest is None else newest
    attributes = {n: last.attributes.get(n, a) for n, a in definition.attributes.items()}
    return Subject(last.key, attributes, last.on_erase == "delete" and not last.log, last.log)


def judge(subject: Subject, item: Mapping[str, Any], user: str) -> Judged:
    """What `erase` does with an item, given the person's id."""
    personal = subject.personal
    theirs = any(owns(item[name], user) for name in personal if name in item)
    if theirs and subject.deletes:
        return Judged("delete", {})
    rest = dict(item)
    for name in personal & item.keys():
        stays = _cleared(subject.attributes[name], item[name], user) if theirs else _without(item[name], user)
        if stays is None:
            del rest[name]
        else:
            rest[name] = stays
    if rest == item:
        return Judged("keep", rest)
    if theirs and subject.attributes.get(TOMBSTONE, _NONE).type == "boolean":
        rest[TOMBSTONE] = True
    return Judged("clear", rest)


def owns(value: Any, user: str) -> bool:
    """Whether a value is the person's id, or an object with it as a property."""
    if isinstance(value, Mapping):
        return any(owns(inner, user) for inner in value.values())
    return bool(value == user)


def holds(value: Any, user: str) -> bool:
    """Whether the person's id is a value anywhere inside."""
    if isinstance(value, Mapping):
        return any(holds(inner, user) for inner in value.values())
    if isinstance(value, list):
        return any(holds(inner, user) for inner in value)
    return bool(value == user)


def mentions(value: Any, user: str) -> bool:
    """Whether the person's id stands anywhere in the words inside."""
    if isinstance(value, Mapping):
        return any(mentions(inner, user) for inner in value.values())
    if isinstance(value, list):
        return any(mentions(inner, user) for inner in value)
    return isinstance(value, str) and user in value


def _is_personal(attribute: Attribute) -> bool:
    inner = [*attribute.properties.values(), *([attribute.items] if attribute.items else [])]
    return attribute.personal or any(_is_personal(one) for one in inner)


def _cleared(attribute: Attribute, value: Any, user: str) -> Any:
    """What stays of a personal attribute of an item that is theirs: other people's ids."""
    if attribute.type == USER:
        return None if value == user else value
    if attribute.items is not None and attribute.items.type == USER:
        return _without(value, user)
    return None


def _without(value: Any, user: str) -> Any:
    """A value of somebody else's item, without the entries of arrays that are the person's."""
    if isinstance(value, list):
        return [_without(entry, user) for entry in value if not owns(entry, user)]
    if isinstance(value, Mapping):
        return {name: _without(inner, user) for name, inner in value.items()}
    return value


_NONE: Final = Attribute("string")
