"""Python annotations as Slack's attribute types: one table, and nested models, arrays, values and custom types.

Rules of this file: whatever has no such type is refused when the class is made, naming the path. Loads pydantic, so
only model/datastore.py and what is beside it import this file.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag
from typing import Annotated, Any, ForwardRef, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from stateroom.model.attributes import CUSTOM, SLACK, Attribute
from stateroom.model.errors import InvalidDefinition


class _Slack(str):
    """A Slack type name riding in an Annotated."""

    __slots__ = ()


class _Custom(str):
    """The name of a custom type riding in an Annotated."""

    __slots__ = ()


UserId = Annotated[str, _Slack(f"{SLACK}user_id")]
ChannelId = Annotated[str, _Slack(f"{SLACK}channel_id")]
UsergroupId = Annotated[str, _Slack(f"{SLACK}usergroup_id")]
TeamId = Annotated[str, _Slack(f"{SLACK}team_id")]
MessageTs = Annotated[str, _Slack(f"{SLACK}message_ts")]
Timestamp = Annotated[int, _Slack(f"{SLACK}timestamp")]
RichText = Annotated[dict[str, Any], _Slack(f"{SLACK}rich_text")]
ExpandedRichText = Annotated[dict[str, Any], _Slack(f"{SLACK}expanded_rich_text")]
CanvasId = Annotated[str, _Slack(f"{SLACK}canvas_id")]
CanvasTemplateId = Annotated[str, _Slack(f"{SLACK}canvas_template_id")]
ChannelCanvasId = Annotated[str, _Slack(f"{SLACK}channel_canvas_id")]
FileId = Annotated[str, _Slack(f"{SLACK}file_id")]
ListId = Annotated[str, _Slack(f"{SLACK}list_id")]
SalesforceRecordId = Annotated[str, _Slack(f"{SLACK}salesforce_record_id")]


def custom(name: str) -> Any:
    """Names a custom type of the manifest: `Annotated[Label, sr.custom("Label")]` is `#/types/Label` there."""
    return _Custom(name.removeprefix(CUSTOM))


_PLAIN: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "number",
    date: f"{SLACK}date",
    SecretStr: "string",
}


class Reader:
    """Reads the annotations of one datastore's class."""

    def __init__(self, datastore: str, cls: type[BaseModel]) -> None:
        self._datastore = datastore
        self._open: list[type] = [cls]  # the models that are being read, outermost first

    def field(self, path: str, info: FieldInfo) -> Attribute:
        """One field of a model."""
        found = self._marked(path, info.annotation, info.metadata)
        return replace(
            found,
            required=info.is_required() and not is_nullable(info.annotation),
            personal=found.personal or is_marked(info, "sr_personal"),
            encrypted=is_marked(info, "sr_encrypted"),
            description=info.description or found.description,
        )

    def _marked(self, path: str, annotation: Any, metadata: Iterable[Any]) -> Attribute:
        """An annotation with what rides beside it."""
        marks = list(metadata)
        infos = [m for m in marks if isinstance(m, FieldInfo)]
        slack = next((m for m in marks if isinstance(m, _Slack)), None)
        name = next((str(m) for m in marks if isinstance(m, _Custom)), None)
        found = self._read(path, annotation) if slack is None else Attribute(str(slack))
        said = next((i.description for i in infos if i.description), found.description)
        personal = found.personal or any(is_marked(i, "sr_personal") for i in infos)
        return replace(found, custom=name or found.custom, description=said, personal=personal)

    def _read(self, path: str, annotation: Any) -> Attribute:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._marked(path, args[0], args[1:])
        if isinstance(annotation, NewType):
            return self._read(path, annotation.__supertype__)
        if hasattr(annotation, "__value__"):  # `type Name = ...` of Python 3.12
            return self._read(path, annotation.__value__)
        if origin in (Union, types.UnionType):
            return self._union(path, [a for a in args if a is not type(None)])
        if origin is Literal:
            return self._values(path, [a for a in args if a is not None])
        if annotation in (list, tuple) or origin in (list, tuple):
            return self._array(path, [a for a in args if a is not Ellipsis])
        if annotation is dict or origin is dict:
            if args and args[0] is not str:
                raise self._refused(path, "is a dict whose keys are no strings")
            return Attribute("object")
        if isinstance(annotation, type):
            return self._class(path, annotation)
        if isinstance(annotation, (str, ForwardRef)):
            raise self._refused(path, "its annotation is not known yet: define that class before this one")
        raise self._refused(path, "its annotation has no Slack attribute type")

    def _union(self, path: str, members: list[Any]) -> Attribute:
        if len(members) != 1:
            raise self._refused(path, "is of several types; Slack's attributes have one")
        return self._read(path, members[0])

    def _values(self, path: str, values: list[Any]) -> Attribute:
        """The attribute of a Literal or an enum."""
        kinds = {type(v) for v in values}
        if kinds in ({str}, {int}):
            return Attribute("string" if kinds == {str} else "integer", values=tuple(values))
        if kinds == {bool}:
            return Attribute("boolean")
        raise self._refused(path, "its values are neither all strings nor all whole numbers")

    def _array(self, path: str, args: list[Any]) -> Attribute:
        if not args or args[0] is Any:
            return Attribute("array")
        if len(args) > 1:
            raise self._refused(path, "is a tuple of several types; Slack's arrays have one")
        if is_nullable(args[0]):
            raise self._refused(f"{path}[]", "may be None, which an array cannot hold")
        return Attribute("array", items=self._read(f"{path}[]", args[0]))

    def _class(self, path: str, annotation: type) -> Attribute:
        if issubclass(annotation, BaseModel):
            return self._model(path, annotation)
        if issubclass(annotation, Enum) and not issubclass(annotation, Flag):
            return self._values(path, [member.value for member in annotation])
        if issubclass(annotation, datetime):
            raise self._refused(path, "is a datetime; take sr.Timestamp (whole seconds since 1970) or a string")
        for kind in annotation.__mro__:
            if kind in _PLAIN:
                return Attribute(_PLAIN[kind])
        raise self._refused(path, "its annotation has no Slack attribute type")

    def _model(self, path: str, model: type[BaseModel]) -> Attribute:
        if model in self._open:
            raise self._refused(path, f"{model.__name__} contains itself, which Slack's objects cannot")
        self._open.append(model)
        properties = {}
        for field, info in model.model_fields.items():
            name = self.name_of(path, model, field, info)
            for mark in ("sr_key", "sr_ttl", "sr_encrypted"):
                if is_marked(info, mark):
                    raise self._refused(f"{path}.{name}", f"sr.{mark[3:]}() marks attributes of the datastore alone")
            properties[name] = self.field(f"{path}.{name}", info)
        self._open.pop()
        return Attribute("object", properties=properties)

    def name_of(self, path: str, model: type[BaseModel], field: str, info: FieldInfo) -> str:
        """The name under which a field is stored: its own or its one alias."""
        where = f"{path}.{field}" if path else field
        name = info.alias or field
        if {info.validation_alias or name, info.serialization_alias or name} != {name}:
            raise self._refused(where, "has several aliases; one alias is the name in the store: Field(alias=...)")
        if model.model_config.get("extra") == "allow":
            raise self._refused(where, f"{model.__name__} allows undeclared attributes, which are not kept")
        return name

    def _refused(self, path: str, words: str) -> InvalidDefinition:
        return InvalidDefinition(self._datastore, path, words)


def is_marked(info: FieldInfo, mark: str) -> bool:
    """Whether sr.key(), sr.ttl(), … made the field."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(mark))


def is_nullable(annotation: Any) -> bool:
    """Whether None is among the values."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return is_nullable(args[0])
    if origin in (Union, types.UnionType):
        return any(a is type(None) or is_nullable(a) for a in args)
    return origin is Literal and None in args
