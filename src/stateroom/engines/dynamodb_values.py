"""Values as DynamoDB has them, and their order as text.

Rules of this file: pure. Values are canonical (model/codec.py): 38 digits and 32 levels are DynamoDB's own limits.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from stateroom.engines.decide import rank
from stateroom.model.codec import normalise
from stateroom.model.errors import CorruptData

Attributes = Mapping[str, Any]  # DynamoDB's JSON: a name to {"S": …}, {"N": …}
KEY: Final = 1024  # bytes of a sort key, also of an index
LEVELS: Final = 31  # containers within each other below `item`, which is one itself
_EXPONENT: Final = 200  # added to exponents, -130 to 125, so that three digits hold them
_MIRRORED: Final = str.maketrans("0123456789", "9876543210")


def wire(value: Any) -> dict[str, Any]:
    """A value as DynamoDB's JSON."""
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is bool:
        return {"BOOL": value}
    if kind is int or kind is Decimal:
        return {"N": str(value)}
    if kind is dict or isinstance(value, Mapping):
        return {"M": {name: wire(inner) for name, inner in value.items()}}
    if kind is list or isinstance(value, (list, tuple)):
        return {"L": [wire(inner) for inner in value]}
    return {"NULL": True} if value is None else wire(normalise(value))


def value_of(found: Attributes) -> Any:
    """The value of DynamoDB's JSON, in canonical form. CorruptData for a kind that JSON has not."""
    ((kind, value),) = found.items()
    if kind in ("S", "BOOL"):
        return value
    if kind == "N":
        return number_of(value)
    if kind == "M":
        return item_of(value)
    if kind == "L":
        return [value_of(inner) for inner in value]
    if kind == "NULL":
        return None
    raise CorruptData("dynamodb", f"an attribute has the type {kind}, which Stateroom never writes")


def item_of(found: Attributes) -> dict[str, Any]:
    """An item, from the map that holds it."""
    return {name: value_of(inner) for name, inner in found.items()}


def number_of(text: str) -> int | Decimal:
    """A number; DynamoDB gives large ones back with all their zeros."""
    if len(text) < 38 and "." not in text and "E" not in text and "e" not in text:
        return int(text)
    found: int | Decimal = normalise(Decimal(text))
    return found


def depth(value: Any) -> int:
    """How many containers are within each other."""
    if isinstance(value, Mapping):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, (list, tuple)):
        return 1 + max(map(depth, value), default=0)
    return 0


def place(value: Any) -> str:
    """A text that sorts as the value does in an index: numbers, true as 1, before texts. None is a prefix of another.

    A number: 4 (below zero), 5 (zero) or 6, the exponent plus 200, its digits, an end; below zero they are mirrored.
    """
    if isinstance(value, str):
        return f"t{value}\0"
    number = Decimal(rank(value)[1])
    if number == 0:
        return "5"
    sign, digits, _ = number.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    exponent = f"{number.adjusted() + _EXPONENT:03}"
    return f"4{exponent.translate(_MIRRORED)}{text.translate(_MIRRORED)}~" if sign else f"6{exponent}{text}\0"


def places(values: Sequence[Any]) -> str:
    """The values of an index, one behind the other."""
    return "".join(map(place, values))


def fit(text: str, most: int = KEY) -> str:
    """The beginning of a text, as much of it as a sort key holds, or `most` bytes."""
    return text if len(text) * 4 <= most or len(text.encode()) <= most else text.encode()[:most].decode(errors="ignore")
