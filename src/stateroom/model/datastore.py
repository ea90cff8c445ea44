"""The pydantic face of a definition: `class Ticket(sr.Datastore, name="tickets")`.

Rules of this file: annotations become Slack's attribute types through one table; whatever has no such type is refused
when the class is made, naming the attribute. Nothing else of Stateroom imports this file, so pydantic loads only for
those who use it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.fields import Field, FieldInfo

from stateroom.model.attributes import Attribute
from stateroom.model.definition import RESERVED_PREFIX, Definition, Index, Profile
from stateroom.model.errors import CorruptData, InvalidDefinition
from stateroom.model.lifecycle import Lifecycle


class _Slack(str):
    """A Slack type name riding in an Annotated."""


UserId = Annotated[str, _Slack("slack#/types/user_id")]
ChannelId = Annotated[str, _Slack("slack#/types/channel_id")]
UsergroupId = Annotated[str, _Slack("slack#/types/usergroup_id")]
TeamId = Annotated[str, _Slack("slack#/types/team_id")]
MessageTs = Annotated[str, _Slack("slack#/types/message_ts")]
Timestamp = Annotated[int, _Slack("slack#/types/timestamp")]
RichText = Annotated[dict[str, Any], _Slack("slack#/types/rich_text")]

_PLAIN: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "number",
    date: "slack#/types/date",
    dict: "object",
    SecretStr: "string",
}


def key(**field: Any) -> Any:
    """Marks the primary key."""
    return Field(json_schema_extra={"sr_key": True}, **field)


def ttl(default: Any = None) -> Any:
    """Marks the attribute whose time ends the item; from then on it is absent."""
    return Field(default, json_schema_extra={"sr_ttl": True})


def encrypted(default: Any = None) -> Any:
    """Marks an attribute that is sealed before it reaches an engine."""
    return Field(default, json_schema_extra={"sr_encrypted": True})


def personal(default: Any = ...) -> Any:
    """Marks an attribute that holds a person's id or words, for `erase`."""
    return Field(default, json_schema_extra={"sr_personal": True})


class Datastore(BaseModel):
    """Base of your datastores: `class Ticket(sr.Datastore, name="tickets")`.

    Class arguments: `name`, `version=1`, `changes=False`, `keep_deleted=None` (seconds), `profile="open"` or "slack".
    `__indexes__` lists `sr.Index(...)`, `__lifecycle__` is an `sr.Lifecycle(...)`.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    __definition__: ClassVar[Definition]
    __indexes__: ClassVar[list[Index]] = []
    __lifecycle__: ClassVar[Lifecycle | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Takes the class arguments; they are read once pydantic knows the fields."""
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        name: str = "",
        version: int = 1,
        changes: bool = False,
        keep_deleted: int | None = None,
        profile: Profile = "open",
        **kwargs: Any,
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not name:
            raise InvalidDefinition(cls.__name__, None, 'give the datastore a name: class X(sr.Datastore, name="x")')
        if name.startswith(RESERVED_PREFIX):
            raise InvalidDefinition(name, None, f"names that begin with {RESERVED_PREFIX} are Stateroom's own")
        cls.__definition__ = _define(
            cls, name, version=version, changes=changes, keep_deleted=keep_deleted, profile=profile
        )


class _Model:
    """Turns items of one class to dicts and back; what `Definition.model` holds."""

    def __init__(self, cls: type[Datastore]) -> None:
        self.cls = cls

    def dump(self, item: Any) -> Mapping[str, Any]:
        """Attributes that are set; None means absent, as in Slack's datastores."""
        if not isinstance(item, self.cls):
            item = self.cls.model_validate(item)
        found = {name: _plain(getattr(item, name)) for name in self.cls.model_fields}
        return {name: value for name, value in found.items() if value is not None}

    def load(self, item: Mapping[str, Any]) -> Datastore:
        """The stored item as the class; an item that does not fit is CorruptData, never a half-filled object."""
        try:
            return self.cls.model_validate(item)
        except ValidationError as error:
            fields = ", ".join(sorted({str(e["loc"][0]) for e in error.errors() if e["loc"]}))
            raise CorruptData(self.cls.__definition__.name, f"a stored item does not fit ({fields})") from None


def definition_of(cls: type[Datastore] | Definition) -> Definition:
    """The definition of a class, or the definition itself."""
    return cls if isinstance(cls, Definition) else cls.__definition__


def _define(cls: type[Datastore], name: str, **options: Any) -> Definition:
    attributes = {n: _attribute(name, n, f) for n, f in cls.model_fields.items()}
    keys = [n for n, f in cls.model_fields.items() if _mark(f, "sr_key")]
    if len(keys) != 1:
        raise InvalidDefinition(name, None, f"mark exactly one attribute with sr.key(), not {len(keys)}")
    ttls = [n for n, f in cls.model_fields.items() if _mark(f, "sr_ttl")]
    if len(ttls) > 1:
        raise InvalidDefinition(name, ttls[1], "a datastore has one ttl attribute")
    return Definition(
        name=name,
        key=keys[0],
        attributes=attributes,
        ttl=ttls[0] if ttls else None,
        indexes=tuple(cls.__indexes__),
        lifecycle=cls.__lifecycle__,
        model=_Model(cls),
        **options,
    )


def _attribute(datastore: str, name: str, info: FieldInfo) -> Attribute:
    slack = next((str(m) for m in info.metadata if isinstance(m, _Slack)), None)
    base = _typed(datastore, name, info.annotation, slack)
    return Attribute(
        base.type,
        base.items,
        base.properties,
        required=info.is_required(),
        personal=_mark(info, "sr_personal"),
        encrypted=_mark(info, "sr_encrypted"),
    )


def _typed(datastore: str, name: str, annotation: Any, slack: str | None = None) -> Attribute:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        slack = next((str(m) for m in args[1:] if isinstance(m, _Slack)), slack)
        return _typed(datastore, name, args[0], slack)
    if slack:
        return Attribute(slack)
    if origin in (Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        if len(inner) == 1:
            return _typed(datastore, name, inner[0])
    if origin is Literal and len({type(a) for a in args}) == 1:
        return _typed(datastore, name, type(args[0]))
    if annotation is list or origin is list:
        return Attribute("array", items=_typed(datastore, name, args[0]) if args else None)
    if origin is dict:
        return Attribute("object")
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            inner_fields = {n: _attribute(datastore, f"{name}.{n}", f) for n, f in annotation.model_fields.items()}
            return Attribute("object", properties=inner_fields)
        for kind in annotation.__mro__:
            if kind in _PLAIN:
                return Attribute(_PLAIN[kind])
    raise InvalidDefinition(datastore, name, "its annotation has no Slack attribute type")


def _mark(info: FieldInfo, mark: str) -> bool:
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(mark))


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {n: p for n in type(value).model_fields if (p := _plain(getattr(value, n))) is not None}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
