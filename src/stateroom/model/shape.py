"""A quick way to what the cleaners of attributes.py say, for items that are sound and canonical as they are.

Rules of this file: it says yes or nothing. Whatever is not quickly found sound is the cleaners' to judge, so that one
place refuses and words it, and one place makes things canonical: an attribute whose values may need that is cleaned
here, too. A table says of which exact type a value is and what else is asked of it. Texts are looked at in the JSON
that is made of them anyway: the encoder refuses lone surrogates, and U+0000 is there as an escape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.model.attributes import PERSON, SLACK, Attribute, Clean
from stateroom.model.codec import encode
from stateroom.model.errors import InvalidValue
from stateroom.model.ids import shape_of

_LARGE: Final = 10**18
_BACKSLASH: Final = ord("\\")
_ZERO: Final = b"\\u0000"

Test = Callable[[Any], Any]
Quick = tuple[type | None, Test | None]
"""The type of sound values (None: only the cleaner knows), and what must be true of them, too."""

_QUICK: Final[Mapping[str, Quick]] = {
    "string": (str, None),
    "boolean": (bool, None),
    "integer": (int, lambda number: -_LARGE < number < _LARGE),
    f"{SLACK}timestamp": (int, lambda seconds: 0 <= seconds < _LARGE),
    f"{SLACK}user_id": (str, PERSON.fullmatch),
    f"{SLACK}channel_id": (str, shape_of("channel").fullmatch),
    f"{SLACK}usergroup_id": (str, shape_of("usergroup").fullmatch),
    f"{SLACK}team_id": (str, shape_of("team").fullmatch),
    f"{SLACK}message_ts": (str, shape_of("ts").fullmatch),
}


class Shape:
    """The shape of one definition's items."""

    def __init__(self, attributes: Mapping[str, Attribute], cleaners: Mapping[str, Clean]) -> None:
        self._plan = {name: _quick(attribute) for name, attribute in attributes.items()}
        self._required = {name for name, attribute in attributes.items() if attribute.required}
        self._cleaned = tuple((name, cleaners[name]) for name, (kind, _) in self._plan.items() if kind is None)
        self._copied = tuple(name for name, (kind, _) in self._plan.items() if kind is list)

    def canonical(self, item: Any, mark: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
        """The item in canonical form with `mark` behind it, and its JSON. None: it is not known to be sound."""
        if type(item) is not dict:
            return None
        plan = self._plan
        try:
            for name, value in item.items():
                kind, test = plan[name]
                if type(value) is not kind:
                    if kind is not None:
                        return None
                elif test is not None and not test(value):
                    return None
            if len(item) < len(plan) and not self._required <= item.keys():
                return None
            found = {**item, **mark}
            for name in self._copied:
                if name in item:
                    found[name] = found[name][:]
            for name, clean in self._cleaned:
                if name in item:
                    found[name] = clean(found[name])
            data = encode(found)
        except (KeyError, InvalidValue, UnicodeEncodeError):
            return None
        return None if _BACKSLASH in data and _ZERO in data else (found, data.decode())


def _quick(attribute: Attribute) -> Quick:
    kind, test = _QUICK.get(attribute.type, (None, None))
    if attribute.items is not None:
        kind, test = _quick(attribute.items)
        return (None, None) if kind is None or kind is list else (list, _all(kind, test))
    return (kind, frozenset(attribute.values).__contains__) if kind and attribute.values else (kind, test)


def _all(kind: type, test: Test | None) -> Test:
    def sound(values: list[Any]) -> bool:
        for value in values:  # noqa: SIM110  as a generator it takes twice as long
            if type(value) is not kind or (test is not None and not test(value)):
                return False
        return True

    return sound
