"""Values as they are kept: one canonical form in memory, one JSON text in stores (docs/format.md, "Items").

Rules of this file: pure. Numbers are int or Decimal with at most 38 significant digits (DynamoDB's precision, the
lowest among our engines), never float: 1.0 and 1 are one value and kept as 1. NaN, infinity, U+0000 and lone
surrogates are refused on every engine, so that a row can move between engines unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from stateroom.model.errors import CorruptData, InvalidValue

DIGITS: Final = 38
_MOST: Final = 10**DIGITS
EXPONENT: Final = 125  # DynamoDB: magnitudes from 1E-130 to 9.9…E+125
DEPTH: Final = 32  # DynamoDB's nesting limit

_MICRO: Final = Context(prec=DIGITS)  # whatever precision the running task has set
_MICROSECOND: Final = Decimal("0.000001")

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_decode: Final = _decoder.decode
# InvalidOperation: an exponent of more digits than any decimal has.
_NO_JSON: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, InvalidOperation)


def normalise(value: Any, field: str = "value", depth: int = 0) -> Any:
    """`value` in canonical form, or InvalidValue naming `field`. Containers are copied; input is never changed."""
    kind = type(value)
    if kind is str:
        return _text(value, field)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_MOST < value < _MOST else _number(Decimal(value), field)
    if kind is float:
        return _float(value, field)
    if kind is Decimal:
        return _number(value, field)
    if depth >= DEPTH:
        raise InvalidValue(field, f"is nested deeper than {DEPTH} levels")
    if isinstance(value, Mapping):
        return {_text(_name(k, field), field): normalise(v, field, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [normalise(v, field, depth + 1) for v in value]
    if isinstance(value, str):  # str subclasses such as enums
        return _text(str.__str__(value), field)
    raise InvalidValue(field, f"has the type {kind.__name__}, which has no JSON form")


def moment(seconds: float) -> int | Decimal:
    """A time of the clock, seconds since 1970, in canonical form: whole microseconds, never later than it is.

    The shortest digits of a float, which `normalise` keeps, take five times as long; each of Slack's events has a time.
    """
    whole = int(seconds * 1e6)
    return _MICRO.multiply(_MICROSECOND, whole) if whole % 10 else normalise(whole / 1e6)


def normalise_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Every attribute of `item` in canonical form; the error names the attribute."""
    return {_text(_name(k, "item"), "item"): normalise(v, str(k)) for k, v in item.items()}


def exact(text: str) -> Decimal:
    """The number that JSON or a person writes as `text`; infinite, which is then refused, when it is beyond all."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def encode(value: Any) -> bytes:
    """Canonical value to JSON (UTF-8, no blanks, keys in the order given)."""
    return _encoder.encode(value)


def decode(data: bytes | str, place: str = "item") -> Any:
    """JSON to value, decimals exact. Bytes that are not JSON are CorruptData naming `place`."""
    try:
        return _decode(data)
    except _NO_JSON:
        raise CorruptData(place, "the stored text is not JSON") from None


def decode_all(data: Iterable[bytes | str], place: str = "item") -> list[Any]:
    """`decode` of many at once, which costs a third less each."""
    try:
        return [_decode(one) for one in data]
    except _NO_JSON:
        raise CorruptData(place, "the stored text is not JSON") from None


def _name(key: object, field: str) -> str:
    if not isinstance(key, str):
        raise InvalidValue(field, "has a key that is not a string")
    return key


def _text(value: str, field: str) -> str:
    if value.isascii():
        if "\0" not in value:
            return value
    elif "\0" not in value:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(field, "contains a lone surrogate, which is no character") from None
        return value
    raise InvalidValue(field, "contains U+0000, which PostgreSQL cannot store")


def _float(value: float, field: str) -> int | Decimal:
    """A float has at most 17 digits and its repr no trailing zeros, so ordinary ones need no further look."""
    if value.is_integer() and -1e17 < value < 1e17:
        return int(value)
    if 1e-100 < abs(value) < 1e17:
        return Decimal(repr(value))
    return _number(Decimal(repr(value)), field)


def _number(value: Decimal, field: str) -> int | Decimal:
    if not value.is_finite():
        raise InvalidValue(field, "is NaN or infinite")
    if value == 0:
        return 0
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    trailing = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    significant = len(digits) - trailing
    if significant > DIGITS:
        raise InvalidValue(field, f"has {significant} significant digits, the limit is {DIGITS}")
    if not -130 <= value.adjusted() <= EXPONENT:
        raise InvalidValue(field, f"is outside of 1E-130 to 9.9E+{EXPONENT}")
    exponent += trailing
    sign = -1 if value < 0 else 1
    whole = int("".join(map(str, digits[:significant])))
    if exponent >= 0 and significant + exponent <= DIGITS:
        return int(sign * whole * 10**exponent)
    return Decimal((0 if sign > 0 else 1, tuple(map(int, str(whole))), exponent))
