"""From a request body to arguments: forms and JSON, each value as its method wants it.

Rules of this file: pure. Slack takes `application/x-www-form-urlencoded` and `application/json` (and a query string);
in a form everything is text, so lists and objects arrive as JSON text. An empty value counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from stateroom.emulator.nesting import shallow
from stateroom.emulator.records import Json
from stateroom.emulator.webapi.method import Arg, Refused, invalid_arguments

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
_UTF_8 = frozenset({"utf-8", "utf8"})
_CHARSETS = _UTF_8 | {"iso-8859-1"}
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")
_exactly = msgspec.json.Decoder(float_hook=Decimal).decode
# InvalidOperation: an exponent of more digits than any decimal has.
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)
_WHOLE = re.compile(r"-?[0-9]{1,18}(\.0+)?", re.ASCII)


def read_body(content_type: str, body: bytes, query: str, *, exact: bool = False) -> tuple[Json, list[str]]:
    """The raw arguments and Slack's warnings about how they came; `exact`: decimals stay decimals. Raises Refused."""
    given: Json = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    kind, _, parameters = content_type.partition(";")
    charset = _CHARSET.search(parameters) if parameters else None
    reader = _READERS.get(kind.strip().lower())
    if reader is None:
        raise Refused("invalid_post_type")
    if not kind and body:
        raise Refused("missing_post_type")
    if charset is not None and charset[1].lower() not in _CHARSETS:
        raise Refused("invalid_charset")
    given |= reader(body, charset[1] if charset else "utf-8", exact)
    for name in given:
        if _NAME.fullmatch(name) is None:
            raise Refused("invalid_array_arg" if name.endswith("]") else "invalid_arg_name")
    return given, ["missing_charset"] if reader is _json_body and charset is None else []


def _form_body(body: bytes, charset: str, exact: bool) -> Json:
    try:
        text = body.decode(charset)
        return dict(parse_qsl(text, keep_blank_values=True, encoding=charset, errors="strict", max_num_fields=100))
    except ValueError:
        raise Refused("invalid_form_data") from None


def _json_body(body: bytes, charset: str, exact: bool) -> Json:
    if not body or body.isspace():
        return {}
    try:
        text = shallow(body if charset.lower() in _UTF_8 else body.decode(charset).encode())
        parsed = _exactly(text) if exact else msgspec.json.decode(text)
    except _DAMAGED:
        raise Refused("invalid_json") from None
    if not isinstance(parsed, dict):
        raise Refused("json_not_object")
    return parsed


def _multipart_body(body: bytes, charset: str, exact: bool) -> Json:
    raise Refused("invalid_form_data", detail="the local Slack reads urlencoded forms and JSON")


_READERS: Mapping[str, Callable[[bytes, str, bool], Json]] = {
    "": _form_body,
    "application/x-www-form-urlencoded": _form_body,
    "text/plain": _form_body,
    "application/json": _json_body,
    "multipart/form-data": _multipart_body,
}


def coerce(specs: tuple[Arg, ...], raw: Mapping[str, Any]) -> Json:
    """The arguments that a method knows, each of its kind. Raises Refused("invalid_arguments")."""
    args = {}
    for spec in specs:
        value = raw.get(spec.name)
        if value is None or value == "" or (spec.null and value == "null"):
            if spec.required:
                raise invalid_arguments(f"missing required field: {spec.name}")
            continue
        args[spec.name] = _CASTS[spec.kind](spec.name, value)
    return args


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
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
    """A whole number. By its text: as an int, 1e99999999 would hold the server for minutes."""
    text = "" if isinstance(value, bool) else str(value)
    if _WHOLE.fullmatch(text) is None:
        raise invalid_arguments(f"must be an integer: {name}")
    return int(text.partition(".")[0])


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(shallow(value.encode()))
    except _DAMAGED:
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


def _read_exactly(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _exactly(shallow(value.encode()))
    except _DAMAGED:
        return None


def _item(name: str, value: Any) -> Json:
    parsed = _read_exactly(value)
    if not isinstance(parsed, dict):
        raise invalid_arguments(f"must be an object: {name}")
    return parsed


def _items(name: str, value: Any) -> list[Json]:
    parsed = _read_exactly(value)
    if not isinstance(parsed, list) or not all(isinstance(one, dict) for one in parsed):
        raise invalid_arguments(f"must be an array of objects: {name}")
    return parsed


def _keys(name: str, value: Any) -> list[str]:
    """A list of ids, or ids parted by commas, as other methods take them."""
    parsed = _read_exactly(value)
    if isinstance(parsed, list) and parsed:
        return [_text(name, one) for one in parsed]
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [one.strip() for one in value.split(",")]
    raise invalid_arguments(f"must be an array of strings: {name}")


_CASTS: Mapping[str, Callable[[str, Any], Any]] = {
    "text": _text,
    "flag": _flag,
    "number": _number,
    "list": _list,
    "object": _object,
    "ids": _ids,
    "item": _item,
    "items": _items,
    "keys": _keys,
}
