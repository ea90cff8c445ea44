"""Objects of a `sr.Datastore` class to what is stored, and back: what `Definition.model` holds.

Rules of this file: what is written must pass the class's own constraints, also when an object was changed after it was
made; what is read must fit the class or is CorruptData, never a half-filled object. Attributes that newer code added,
and those of Stateroom, are left out on reading, at every depth. No error tells a value: pydantic's words are passed on
where they are known to hold none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import Enum
from functools import cached_property, partial
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from stateroom.model.codec import DEPTH
from stateroom.model.constraints import constrained
from stateroom.model.errors import CorruptData, InvalidValue

Fault = Mapping[str, Any]  # one of pydantic's errors: `type`, `loc`, `msg`

_SCALARS: Final = frozenset({str, int, bool, float})
# Errors of constraints and types, whose words name the rule and not the value.
_SAFE: Final = frozenset(
    (
        *("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of", "finite_number"),
        *("string_too_short", "string_too_long", "string_pattern_mismatch", "too_short", "too_long"),
        *("decimal_max_digits", "decimal_max_places", "decimal_whole_digits", "literal_error", "enum"),
    )
)
_OWN_WORDS: Final = {
    "extra_forbidden": "is not declared",
    "missing": "is required",
    **dict.fromkeys(("int_parsing", "int_from_float", "int_parsing_size"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "decimal_parsing"), "must be a number"),
    **dict.fromkeys(("date_parsing", "date_from_datetime_parsing"), "must be a date such as 2026-11-21"),
    "bool_parsing": "must be true or false",
}


class Records:
    """Turns objects of one class to dicts and back. `names`: the stored name of each field."""

    def __init__(self, cls: type[BaseModel], datastore: str, names: Mapping[str, str]) -> None:
        self.cls = cls
        self._datastore = datastore
        self._names, self._plan = dict(names), tuple(names.items())
        validate = cls.__pydantic_validator__.validate_python
        # What is stored has JSON's types: a date is text there, also for a class that is strict with its users.
        self._validate = partial(validate, strict=False) if cls.model_config.get("strict") else validate

    def dump(self, item: Any) -> dict[str, Any]:
        """The attributes that are set, as plain values; None means absent. InvalidValue for what the class refuses."""
        if not isinstance(item, self.cls):
            item = self._made(item)
        found: dict[str, Any] = {}
        values = item.__dict__
        for field, name in self._plan:
            value = values.get(field)
            if value is not None:
                found[name] = value if type(value) in _SCALARS else plain(value)
        for error in self._faults(found):
            raise self._refused(error)
        return found

    def load(self, item: Mapping[str, Any]) -> Any:
        """The stored item as an object. CorruptData naming the attributes that do not fit."""
        try:
            return self._validate(item, extra="ignore")
        except ValidationError as error:
            return self._mended(item, error)

    def load_all(self, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """`load` of many, which costs less each."""
        validate = self._validate
        try:
            return [validate(item, extra="ignore") for item in items]
        except ValidationError:
            return [self.load(item) for item in items]

    def _mended(self, item: Mapping[str, Any], error: ValidationError) -> Any:
        """The object of an item that lacks nullable attributes."""
        try:
            return self._validate(_with_nulls(item, error), extra="ignore")
        except ValidationError as still:
            paths = sorted({path_of(e).removeprefix(".") for e in _details(still)})
            raise CorruptData(self._datastore, f"a stored item does not fit ({', '.join(paths)})") from None

    def changes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Some attributes, by stored or field name, as plain values that the class takes. InvalidValue."""
        found = self.plain(given)
        for error in self._faults(found):
            if error["loc"] and found.get(error["loc"][0]) is not None:
                raise self._refused(error)
        return found

    @cached_property
    def constrained(self) -> frozenset[str]:
        """Attributes that the class asks more of than their type (model/constraints.py)."""
        return frozenset(self._names[field] for field in constrained(self.cls))

    @cached_property
    def makes_defaults(self) -> bool:
        """Whether a default may be another one each time."""
        return any(info.default_factory not in (None, list, dict) for info in self.cls.model_fields.values())

    def defaults(self) -> dict[str, Any]:
        """What a new object has without being told, as plain values; without what is None or made from other values."""
        found = {name: self._default(self.cls.model_fields[field]) for field, name in self._plan}
        return {name: plain(value) for name, value in found.items() if value is not None}

    @staticmethod
    def _default(info: FieldInfo) -> Any:
        if info.is_required() or (info.default_factory is not None and info.default_factory_takes_validated_data):
            return None
        return info.get_default(call_default_factory=True, validated_data={})

    def check(self, item: Mapping[str, Any]) -> None:
        """InvalidValue when the class refuses a whole item as it would be stored."""
        for error in self._faults(item):
            raise self._refused(error)

    def plain(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Some attributes by stored name, as plain values; not checked."""
        return {self._names.get(name, name): plain(value) for name, value in given.items()}

    def _made(self, item: Any) -> Any:
        try:
            return self.cls.model_validate(item)
        except ValidationError as error:
            raise self._refused(_details(error)[0]) from None

    def _faults(self, found: Mapping[str, Any]) -> list[Fault]:
        """What the class refuses of stored attributes. An absent one may stand for None."""
        try:
            self._validate(found)
        except ValidationError as error:
            lacking = {e["loc"]: e for e in _details(error) if e["type"] == "missing"}
            try:
                self._validate(_with_nulls(found, error))
            except ValidationError as still:
                return [lacking.get(e["loc"], e) for e in _details(still)]
        return []

    def _refused(self, error: Fault) -> InvalidValue:
        return InvalidValue(f"{self._datastore}{path_of(error)}", words_of(error))


def path_of(error: Fault) -> str:
    """Where pydantic found a fault: `.tags[2].label`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])


def words_of(error: Fault) -> str:
    """What pydantic says of it, unless its words could tell the value."""
    kind, said = str(error["type"]), str(error["msg"]).removeprefix("Input ")
    if kind in _OWN_WORDS:
        return _OWN_WORDS[kind]
    if kind in _SAFE or kind.endswith("_type"):
        return said[:1].lower() + said[1:]
    return "is refused by a validator of its class"


def plain(value: Any, depth: int = 0) -> Any:
    """A Python value as what JSON has; codec.normalise does the rest, and refuses what is nested too deeply."""
    if depth > DEPTH:
        return value
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {
            info.alias or field: plain(inner, depth + 1)
            for field, info in type(value).model_fields.items()
            if (inner := getattr(value, field, None)) is not None
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {key: plain(one, depth + 1) for key, one in value.items()}
    return value


def _details(error: ValidationError) -> list[Fault]:
    return [{**one} for one in error.errors(include_url=False, include_input=False, include_context=False)]


def _with_nulls(item: Any, error: ValidationError) -> Any:
    """A copy where what is missing is None, as it was when a nullable value was left out."""
    for detail in _details(error):
        if detail["type"] == "missing":
            item = _with_null(item, detail["loc"])
    return item


def _with_null(value: Any, loc: tuple[int | str, ...]) -> Any:
    head, rest = loc[0], loc[1:]
    if isinstance(value, list) and isinstance(head, int):
        return [*value[:head], _with_null(value[head], rest), *value[head + 1 :]]
    if isinstance(value, Mapping):
        return {**value, str(head): _with_null(value[str(head)], rest) if rest else None}
    return value
