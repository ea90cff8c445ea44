"""Items at the handle's door: from what the user gives to what is stored, and back.

Rules of this file: pure. Whatever a user gives is checked here before an engine sees it; attributes that begin with `$`
are Stateroom's, are never shown, and `$v` is the definition's version under which the row was written (absent: 1).
Stored attributes that this definition does not know were written by newer code: they are not shown and not dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar, cast

from stateroom.engines.port import Put, Row, Update
from stateroom.model.codec import normalise_item
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue
from stateroom.model.profiles import check_size, limits_of
from stateroom.model.upgrades import OWN, VERSION

T = TypeVar("T")
Item = Mapping[str, Any]

_NUMBERS: Final = frozenset({"integer", "number", "slack#/types/timestamp"})
_SMALL: Final = 10**18


class Form(Generic[T]):
    """One definition's way in and out. `T` is the pydantic class, or `dict[str, Any]`."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.name = definition.name
        self.key = definition.key
        self.version = definition.version
        self.mark = definition.mark
        limits = limits_of(definition)
        self.bulk_limit = limits.bulk
        self.sized = limits.item_bytes is not None  # the profile limits items, whatever the engine takes
        model = definition.model
        self._constrained: frozenset[str] = frozenset() if model is None else model.constrained
        self._fresh_defaults = model is not None and model.makes_defaults
        self._required = tuple(n for n, a in definition.attributes.items() if a.required and n != definition.key)
        self.encrypted = definition.encrypted
        self._declared = definition.attributes.keys()
        self._plain = model is None and definition.version == 1  # items are shown as they are stored
        self._defaults = self._made_defaults()
        numbers = [name for name, a in definition.attributes.items() if a.type in _NUMBERS] if model is None else []
        self._counts = frozenset(numbers) - definition.encrypted - {definition.key}

    # In.

    def beginning(self, id: str) -> dict[str, Any]:
        """What an item that an update makes has before the update: its key, and the defaults of its class."""
        defaults = self._made_defaults() if self._fresh_defaults else self._defaults
        return {**defaults, self.key: id}

    def changes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `update` is to set."""
        _check_mapping("set", given)
        found = self.definition.changed(given)
        self._refuse_key(found)
        return found

    def amounts(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `update` is to add to numbers."""
        _check_mapping("add", given)
        for name, amount in given.items():
            if type(amount) is not int or not -_SMALL < amount < _SMALL or name not in self._counts:
                break
        else:
            return dict(given)  # nearly always: sound and canonical as it is
        found = normalise_item(self._stored_names(given))
        self._refuse_encrypted(found)
        for name, amount in found.items():
            kind = self.definition.attributes[name].type
            if kind not in _NUMBERS:
                raise InvalidValue(f"{self.name}.{name}", f"is of type {kind}; only numbers can be added to")
            if isinstance(amount, bool) or not isinstance(amount, (int, Decimal) if kind == "number" else int):
                raise InvalidValue(f"{self.name}.{name}", f"takes a number of type {kind} to add")
        return found

    def entries(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `update` is to append to arrays."""
        _check_mapping("append", given)
        named = self._stored_names(given)
        self._refuse_encrypted(named)
        for name in named:
            kind = self.definition.attributes[name].type
            if kind != "array":
                raise InvalidValue(f"{self.name}.{name}", f"is of type {kind}; only arrays can be appended to")
        return self.definition.clean(named, whole=False)

    def removals(self, given: Sequence[str]) -> tuple[str, ...]:
        """What `update` is to remove."""
        if isinstance(given, str):
            raise InvalidValue("remove", "takes a list of attribute names")
        found = tuple(self._stored_names(dict.fromkeys(given)))
        for name in found:
            if self.definition.attributes[name].required:
                raise InvalidValue(f"{self.name}.{name}", "is required and cannot be removed")
        return found

    def is_delicate(self, write: Update) -> bool:
        """Whether the class must judge what the store's own arithmetic makes of an item, or the profile its size."""
        if self.sized:
            return True
        asked = self._constrained
        return bool(asked) and not (asked.isdisjoint(write.add) and asked.isdisjoint(write.append))

    def check_result(self, item: Mapping[str, Any]) -> None:
        """InvalidValue or ItemTooLarge when an item as it would be stored is none that may be."""
        shown = self.shown(item)
        check_size(self.definition, shown)
        if self.definition.model is not None:
            self.definition.model.check(shown)

    def lacking(self, base: Item, changes: Item, amounts: Item, entries: Item) -> str | None:
        """A required attribute that an item of just these (and the key) would lack."""
        for name in self._required:
            if name not in base and name not in changes and name not in amounts and name not in entries:
                return name
        return None

    def expiry(self, item: Mapping[str, Any]) -> float | None:
        """When the item ends, in seconds since 1970."""
        ttl = self.definition.ttl
        return None if ttl is None or ttl not in item else float(item[ttl])

    def new_expiry(self, changes: Mapping[str, Any], remove: Sequence[str]) -> Any:
        """The same for an update: `"same"` when it does not touch the ttl attribute."""
        if self.definition.ttl in changes:
            return self.expiry(changes)
        return None if self.definition.ttl in remove else "same"

    # Out.

    def load(self, item: dict[str, Any]) -> T:
        """A stored item as the user knows it; FormatTooNew when newer code wrote it."""
        if item.get(VERSION, 1) != self.version:
            item, _ = self.definition.upgrade(item)
        model = self.definition.model
        if model is not None:
            return model.load(item)  # type: ignore[no-any-return]
        return dict(item) if item.keys() <= self._declared else self.shown(item)  # type: ignore[return-value]

    def load_written(self, write: Put | Update, row: Row | None) -> T:
        """The item of a row as `write` has left it; made and checked a moment ago, it needs no look."""
        assert row is not None
        if self._plain and type(write) is Put and row.item is write.item:
            return cast("T", row.item)
        return self.load(row.item)

    def load_put(self, items: list[dict[str, Any]]) -> list[T]:
        """The items of puts; made and checked a moment ago, they need no look."""
        return cast("list[T]", items) if self._plain else self.definition.load_all(items)

    def shown(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """An item of this version as a dict, without what is not the user's."""
        if item.keys() <= self._declared:
            return dict(item)
        return {name: value for name, value in item.items() if name in self._declared}

    def hidden(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What newer code has added to the item and a rewrite must keep."""
        declared = self.definition.attributes
        return {name: value for name, value in item.items() if name not in declared and not name.startswith(OWN)}

    def upgraded(self, row: Row) -> Row:
        """The row in this version's shape; FormatTooNew."""
        if row.item.get(VERSION, 1) == self.version:
            return row
        item, _ = self.definition.upgrade(row.item)
        return row._replace(item=item, expires_at=self.expiry(item) if self.definition.ttl else row.expires_at)

    def is_old(self, item: Mapping[str, Any]) -> bool:
        """Whether the stored item must be upgraded before a condition means something on it."""
        return bool(item.get(VERSION, 1) < self.version)

    def refuse_newer(self, item: Mapping[str, Any]) -> None:
        """FormatTooNew when newer code wrote the item."""
        if item.get(VERSION, 1) > self.version:
            self.definition.upgrade(item)

    def _made_defaults(self) -> dict[str, Any]:
        """The defaults of the class that may be stored; one that may not is left for `put` to refuse."""
        found: dict[str, Any] = {}
        given = {} if self.definition.model is None else self.definition.model.defaults()
        for name, value in given.items():
            try:
                found |= self.definition.clean({name: value}, whole=False)
            except InvalidValue:
                continue
        return found

    def _stored_names(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """`given` as plain values by the names under which they are stored; InvalidValue for one that cannot change."""
        model = self.definition.model
        found = given if model is None else model.plain(given)
        self._refuse_key(found)
        for name in found:
            if name not in self.definition.attributes:
                raise InvalidValue(f"{self.name}.{name}", "is not declared")
        return cast("Mapping[str, Any]", found)

    def _refuse_key(self, names: Mapping[str, Any]) -> None:
        if self.key in names:
            raise InvalidValue(f"{self.name}.{self.key}", "is the key and cannot be changed")

    def _refuse_encrypted(self, names: Mapping[str, Any]) -> None:
        """The store adds and appends to what it can read; what is sealed it cannot."""
        if encrypted := self.encrypted & names.keys():
            words = "is encrypted, so the store can neither add nor append to it: set it, or use modify"
            raise InvalidValue(f"{self.name}.{min(encrypted)}", words)


def _check_mapping(field: str, given: object) -> None:
    if type(given) is not dict and not isinstance(given, Mapping):
        raise InvalidValue(field, "takes a dict of attribute names and values")
