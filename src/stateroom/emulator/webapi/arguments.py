"""From a request body to arguments: forms and JSON, each value as its method wants it.

Rules of this file: pure. Slack takes `application/x-www-form-urlencoded` and `application/json` (and a query string);
in a form everything is text, so lists and objects arrive as JSON text. An empty value counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from stateroom.emulator.records import Json
from stateroom.emulator.webapi.method import Arg, Refused, invalid_arguments

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def read_body(content_type: str, body: bytes, query: str) -> tuple[Json, list[str]]:
    """The raw arguments and Slack's warnings about how they came. Raises Refused."""
    given: Json = dict(parse_qsl(query, keep_blank_values=True))
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() == "application/json":
        warnings = [] if "charset" in parameters.lower() else ["missing_charset"]
        return given | _json_body(body), warnings
    if kind.strip().lower() == "multipart/form-data":
        raise Refused("invalid_form_data", detail="the local Slack reads urlencoded forms and JSON")
    try:
        return given | dict(parse_qsl(body.decode(), keep_blank_values=True)), []
    except UnicodeDecodeError:
        raise Refused("invalid_form_data") from None


def _json_body(body: bytes) -> Json:
    if not body.strip():
        return {}
    try:
        parsed = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Refused("invalid_json") from None
    if not isinstance(parsed, dict):
        raise Refused("json_not_object")
    return parsed


def coerce(specs: tuple[Arg, ...], raw: Mapping[str, Any]) -> Json:
    """The arguments that a method knows, each of its kind. Raises Refused("invalid_arguments")."""
    args = {}
    for spec in specs:
        value = raw.get(spec.name)
        if value is None or value == "":
            if spec.required:
                raise invalid_arguments(f"missing required field: {spec.name}")
            continue
        args[spec.name] = _CASTS[spec.kind](spec.name, value)
    return args


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise invalid_arguments(f"must be a string: {name}")


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    flag = _FLAGS.get(str(value).lower())
    if flag is None:
        raise invalid_arguments(f"must be a boolean: {name}")
    return flag


def _number(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid_arguments(f"must be an integer: {name}") from None


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return None


def _list(name: str, value: Any) -> list[Any]:
    parsed = _parsed(value)
    if not isinstance(parsed, list):
        raise Refused(f"invalid_{name}_format" if name == "blocks" else "invalid_arguments")
    return parsed


def _object(name: str, value: Any) -> Json:
    parsed = _parsed(value)
    if not isinstance(parsed, dict):
        raise Refused("invalid_metadata_format" if name == "metadata" else "invalid_arguments")
    return parsed


def _ids(name: str, value: Any) -> list[str]:
    parsed = _parsed(value)
    listed = parsed if isinstance(parsed, list) else str(value).split(",")
    return [str(one).strip() for one in listed]


_CASTS = {"text": _text, "flag": _flag, "number": _number, "list": _list, "object": _object, "ids": _ids}
