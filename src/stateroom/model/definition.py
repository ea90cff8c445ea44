"""What a datastore is: its key, attributes, indexes, ttl and obligations, as one frozen value.

Rules of this file: a definition is checked when it is made (model/rules.py, model/profiles.py), and the error names the
attribute. Engines and layers see only this value; the pydantic face (model/datastore.py) compiles to it. Attributes
that begin with `$` are Stateroom's own: users can neither declare nor set them, and do not see them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from stateroom.model.attributes import Attribute, Clean
from stateroom.model.codec import encode
from stateroom.model.errors import DefinitionWarning, InvalidValue
from stateroom.model.index import Index
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.profiles import check_definition, check_size, warnings_of
from stateroom.model.rules import check
from stateroom.model.shape import Shape
from stateroom.model.upgrades import VERSION, Step, upgraded

__all__ = ["RESERVED_PREFIX", "TRASH_PREFIX", "Definition", "Index", "Profile"]

RESERVED_PREFIX: Final = "sr_"  # Stateroom's own layers
TRASH_PREFIX: Final = "trash_"  # what keeps the deleted items of a datastore
Profile = Literal["open", "slack"]


@dataclass(frozen=True)
class Definition:
    """One datastore. `log=True` makes it a set of append-only streams instead of items by key.

    `changes`: what is committed can be read in order. `keep_deleted`: seconds in which a deleted item can be restored.
    `upgrades`: n to a pure step from an item of version n to one of n + 1. `profile`: whose limits hold.
    `expires`: its rows end without an attribute that says so (a `ttl` attribute implies it). `on_erase`: what `erase`
    does with a row that names the person in a personal attribute: remove it, or clear its personal attributes.
    """

    name: str
    key: str
    attributes: Mapping[str, Attribute]
    version: int = 1
    ttl: str | None = None
    indexes: tuple[Index, ...] = ()
    log: bool = False
    expires: bool = False
    on_erase: Literal["delete", "clear"] = "delete"
    lifecycle: Lifecycle | None = None
    changes: bool = False
    keep_deleted: int | None = None
    upgrades: Mapping[int, Step] = field(default_factory=dict, compare=False)
    profile: Profile = "open"
    model: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check(self)
        check_definition(self, self.profile)
        for words in self.warnings:
            warnings.warn(words, DefinitionWarning, stacklevel=_outside())

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What Slack may not take of this definition, one sentence each; empty with the profile `open`."""
        return tuple(warnings_of(self, self.profile))

    @property
    def ends(self) -> bool:
        """Whether its rows may be past their expiry: what a sweep looks at."""
        return self.ttl is not None or self.expires or self.log

    @cached_property
    def encrypted(self) -> frozenset[str]:
        """Attributes that must be sealed before they reach an engine."""
        return frozenset(n for n, a in self.attributes.items() if a.encrypted)

    @cached_property
    def personal(self) -> frozenset[str]:
        """Attributes that hold a person's id or words, anywhere inside: what `erase` looks at."""
        return frozenset(n for n, a in self.attributes.items() if _holds_personal(a))

    @cached_property
    def _declared(self) -> frozenset[str]:
        return frozenset(self.attributes)

    @cached_property
    def _cleaners(self) -> Mapping[str, Clean]:
        return {name: attribute.cleaner() for name, attribute in self.attributes.items()}

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return tuple(name for name, attribute in self.attributes.items() if attribute.required)

    def clean(self, item: Mapping[str, Any], *, whole: bool = True) -> dict[str, Any]:
        """`item` in canonical form, or InvalidValue naming the path of what does not fit (`tickets.tags[2].label`).

        `whole=False`: required attributes may be absent.
        """
        cleaners, found = self._cleaners, {}
        for name, value in item.items():
            cleaner = cleaners.get(name)
            if cleaner is None:
                raise InvalidValue(f"{self.name}.{name}", "is not declared")
            if value is None:
                raise InvalidValue(f"{self.name}.{name}", "is null; leave it out instead")
            try:
                found[name] = cleaner(value)
            except InvalidValue as error:
                raise InvalidValue(f"{self.name}.{name}{error.field}", error.detail) from None
        if whole:
            for name in self._required:
                if name not in found:
                    raise InvalidValue(f"{self.name}.{name}", "is required")
        return found

    @cached_property
    def mark(self) -> dict[str, Any]:
        """What of the version is stored with an item."""
        return {VERSION: self.version} if self.version > 1 else {}

    @cached_property
    def _shape(self) -> Shape:
        return Shape(self.attributes, self._cleaners)

    def check(self, item: Mapping[str, Any], *, whole: bool = True) -> None:
        """`clean` without its result."""
        self.clean(item, whole=whole)

    def stored(self, item: Any) -> dict[str, Any]:
        """What a user gives, as it is stored: plain, canonical, checked, of allowed size, with its version.

        InvalidValue or ItemTooLarge; takes an object of the definition's class, too.
        """
        return self.written(item)[0]

    def written(self, item: Any) -> tuple[dict[str, Any], str]:
        """`stored`, and its JSON."""
        given = item if self.model is None else self.model.dump(item)
        quickly = self._shape.canonical(given, self.mark)
        body = self.clean(given) | self.mark if quickly is None else quickly[0]
        if self.profile != "open":
            check_size(self, self.visible(body))
        return quickly or (body, encode(body).decode())

    def written_all(self, items: Sequence[Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """`written` of many, the items and their JSON apart. InvalidValue or ItemTooLarge for some one of them."""
        given = items if self.model is None else [self.model.dump(item) for item in items]
        found = self._shape.canonical_all(given, self.mark)
        if found is None:
            each = [self.written(item) for item in items]
            return [body for body, _ in each], [text for _, text in each]
        if self.profile != "open":
            for body in found[0]:
                check_size(self, self.visible(body))
        return found

    def changed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Some attributes of an item, as they are stored; checked one by one. InvalidValue."""
        return self.clean(given if self.model is None else self.model.changes(given), whole=False)

    def load(self, item: Mapping[str, Any]) -> Any:
        """A stored item as the user knows it: upgraded, and an object where the definition has a class.

        What newer code added is not shown. CorruptData when it does not fit, FormatTooNew when newer code wrote it.
        """
        if item.get(VERSION, 1) != self.version:
            item, _ = self.upgrade(item)
        return self.visible(item) if self.model is None else self.model.load(item)

    def load_all(self, items: list[dict[str, Any]]) -> list[Any]:
        """`load` of many, which costs less each. The items become the user's: those that may stay as they are do."""
        version, model = self.version, self.model
        if model is None and version == 1 and self._declared.issuperset(set().union(*items)):  # so none has a version
            return items
        current = [i if i.get(VERSION, 1) == version else self.upgrade(i)[0] for i in items]
        found: list[Any] = [self.visible(i) for i in current] if model is None else model.load_all(current)
        return found

    def upgrade(self, item: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """A stored item as this version stores it, and whether that differs. FormatTooNew for newer ones. Pure."""
        return upgraded(item, self.version, self.upgrades, self.name, self.key)

    def visible(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """A stored item as users see it: declared attributes only, none of Stateroom's own."""
        declared = self.attributes
        if item.keys() <= declared.keys():
            return dict(item)
        return {name: value for name, value in item.items() if name in declared}


def _outside() -> int:
    """How far up the code stands that makes the definition: a warning without its line would not be found."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("stateroom.model.", "pydantic.")
    ):
        level, frame = level + 1, frame.f_back
    return level


def _holds_personal(attribute: Attribute) -> bool:
    inner = [*attribute.properties.values(), *([] if attribute.items is None else [attribute.items])]
    return attribute.personal or any(_holds_personal(one) for one in inner)
