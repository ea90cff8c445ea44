"""What a datastore is: its key, attributes, indexes, ttl and obligations, as one frozen value.

Rules of this file: a definition is checked when it is made (model/rules.py, model/profiles.py), and the error names the
attribute. Engines and layers see only this value; the pydantic face (model/datastore.py) compiles to it. Attributes
that begin with `$` are Stateroom's own: users can neither declare nor set them, and do not see them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from stateroom.model.attributes import Attribute, Check
from stateroom.model.errors import DefinitionWarning, InvalidValue
from stateroom.model.index import Index
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.profiles import check_definition, warnings_of
from stateroom.model.rules import check
from stateroom.model.upgrades import VERSION, Step, upgraded

__all__ = ["RESERVED_PREFIX", "Definition", "Index", "Profile"]

RESERVED_PREFIX: Final = "sr_"  # Stateroom's own layers
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
            warnings.warn(words, DefinitionWarning, stacklevel=3)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What Slack may not take of this definition, one sentence each; empty with the profile `open`."""
        return tuple(warnings_of(self, self.profile))

    @cached_property
    def encrypted(self) -> frozenset[str]:
        """Attributes that must be sealed before they reach an engine."""
        return frozenset(n for n, a in self.attributes.items() if a.encrypted)

    @cached_property
    def personal(self) -> frozenset[str]:
        """Attributes that hold a person's id or words: what `erase` looks at."""
        return frozenset(n for n, a in self.attributes.items() if a.personal)

    @cached_property
    def _checks(self) -> Mapping[str, Check]:
        return {name: attribute.checker() for name, attribute in self.attributes.items()}

    def check(self, item: Mapping[str, Any], *, whole: bool = True) -> None:
        """InvalidValue naming the attribute that does not fit; `whole=False`: required ones may be absent."""
        checks = self._checks
        for name, value in item.items():
            check = checks.get(name)
            if check is None:
                raise InvalidValue(f"{self.name}.{name}", "is not declared")
            if value is None:
                raise InvalidValue(f"{self.name}.{name}", "is null; leave it out instead")
            fault = check(value)
            if fault:
                raise InvalidValue(f"{self.name}.{name}{fault[0]}", fault[1])
        if whole:
            for name, attribute in self.attributes.items():
                if attribute.required and name not in item:
                    raise InvalidValue(f"{self.name}.{name}", "is required")

    def upgrade(self, item: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """A stored item as this version stores it, and whether that differs. FormatTooNew for newer ones. Pure."""
        return upgraded(item, self.version, self.upgrades, self.name, self.key)

    def stamp(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """A user's item as it is stored: with its version, when that is over 1."""
        return {**item, VERSION: self.version} if self.version > 1 else dict(item)

    def visible(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """A stored item as users see it: declared attributes only, none of Stateroom's own."""
        return {name: value for name, value in item.items() if name in self.attributes}
