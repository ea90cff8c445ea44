"""What a datastore is: its key, attributes, indexes, ttl and obligations, as one frozen value.

Rules of this file: a definition is checked when it is made, and the error names the attribute. Engines and layers see
only this value; the pydantic face (model/datastore.py) compiles to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from stateroom.model.attributes import Attribute
from stateroom.model.errors import InvalidDefinition, InvalidValue

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
RESERVED_PREFIX: Final = "sr_"  # Stateroom's own layers


@dataclass(frozen=True, slots=True)
class Index:
    """An order kept over attributes. A row that lacks one of them is not in the index (indexes are sparse).

    `across_teams` is for Stateroom's own work queues: only such an index may be read without naming a team.
    """

    attributes: tuple[str, ...]
    unique: bool = False
    across_teams: bool = False

    @property
    def name(self) -> str:
        """The index's name in stores: its attributes joined."""
        return "_".join(self.attributes)


@dataclass(frozen=True)
class Definition:
    """One datastore. `log=True` makes it a set of append-only streams instead of items by key.

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
    model: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidDefinition(self.name, None, "a name is letters, digits and _, at most 63, a letter first")
        if self.key not in self.attributes:
            raise InvalidDefinition(self.name, self.key, "the key is not a declared attribute")
        if self.attributes[self.key].type != "string":
            raise InvalidDefinition(self.name, self.key, "the key must be a string")
        if self.version < 1:
            raise InvalidDefinition(self.name, None, "a version is 1 or more")
        if self.ttl is not None and self.attributes.get(self.ttl, Attribute("string")).type != "slack#/types/timestamp":
            raise InvalidDefinition(self.name, self.ttl, "a ttl attribute is declared and of type timestamp")
        for index in self.indexes:
            for name in index.attributes:
                if name not in self.attributes:
                    raise InvalidDefinition(self.name, name, "is indexed but not declared")
        if self.on_erase == "clear":
            for name in sorted(self.personal):
                if name == self.key or self.attributes[name].required:
                    detail = "is personal and required, so it cannot be cleared; give it a default"
                    raise InvalidDefinition(self.name, name, detail)

    @cached_property
    def encrypted(self) -> frozenset[str]:
        """Attributes that must be sealed before they reach an engine."""
        return frozenset(n for n, a in self.attributes.items() if a.encrypted)

    @cached_property
    def personal(self) -> frozenset[str]:
        """Attributes that hold a person's id or words: what `erase` looks at."""
        return frozenset(n for n, a in self.attributes.items() if a.personal)

    def check(self, item: Mapping[str, Any], *, whole: bool = True) -> None:
        """InvalidValue naming the attribute that does not fit; `whole=False`: required ones may be absent."""
        for name, value in item.items():
            attribute = self.attributes.get(name)
            if attribute is None:
                raise InvalidValue(f"{self.name}.{name}", "is not declared")
            if value is None:
                raise InvalidValue(f"{self.name}.{name}", "is null; leave it out instead")
            fault = attribute.fault(value)
            if fault:
                raise InvalidValue(f"{self.name}.{name}", fault)
        if whole:
            for name, attribute in self.attributes.items():
                if attribute.required and name not in item:
                    raise InvalidValue(f"{self.name}.{name}", "is required")
