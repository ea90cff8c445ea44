"""A quick way to what the cleaners of attributes.py say, for items that are sound and canonical as they are.

Rules of this file: it says yes or nothing. Whatever is not quickly found sound is the cleaners' to judge, so that one
place refuses and words it, and one place makes things canonical: an attribute whose values may need that is cleaned
here, too. A table says of which exact type a value is and what else is asked of it. Texts are looked at in the JSON
that is made of them anyway: the encoder refuses lone surrogates, and U+0000 is there as an escape. Items of the same
attributes are looked at column by column, which the interpreter does in C.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from stateroom.model.attributes import PERSON, SLACK, Attribute, Clean
from stateroom.model.codec import encode
from stateroom.model.errors import InvalidValue
from stateroom.model.ids import shape_of

_LARGE: Final = 10**18
_BACKSLASH: Final = ord("\\")
_ZERO: Final = b"\\u0000"

Test = Callable[[Any], Any]


class Quick(NamedTuple):
    """The type of sound values (None: only the cleaner knows), and what must be true of them, too: of one, of many."""

    kind: type | None = None
    test: Test | None = None
    tests: Test | None = None


def _matches(pattern: re.Pattern[str]) -> Quick:
    return Quick(str, pattern.fullmatch, _each(pattern.fullmatch))


def _each(test: Test) -> Test:
    return lambda values: all(map(test, values))


_QUICK: Final[Mapping[str, Quick]] = {
    "string": Quick(str),
    "boolean": Quick(bool),
    "integer": Quick(
        int,
        lambda number: -_LARGE < number < _LARGE,
        lambda numbers: not numbers or (min(numbers) > -_LARGE and max(numbers) < _LARGE),
    ),
    f"{SLACK}timestamp": Quick(
        int,
        lambda seconds: 0 <= seconds < _LARGE,
        lambda seconds: not seconds or (min(seconds) >= 0 and max(seconds) < _LARGE),
    ),
    f"{SLACK}user_id": _matches(PERSON),
    f"{SLACK}channel_id": _matches(shape_of("channel")),
    f"{SLACK}usergroup_id": _matches(shape_of("usergroup")),
    f"{SLACK}team_id": _matches(shape_of("team")),
    f"{SLACK}message_ts": _matches(shape_of("ts")),
}


class Shape:
    """The shape of one definition's items."""

    def __init__(self, attributes: Mapping[str, Attribute], cleaners: Mapping[str, Clean]) -> None:
        plan = {name: _quick(attribute) for name, attribute in attributes.items()}
        self._kinds = {name: kind for name, (kind, _, _) in plan.items()}
        self._tests = tuple((name, test) for name, (_, test, _) in plan.items() if test is not None)
        self._column_tests = {name: tests for name, (_, _, tests) in plan.items()}
        self._required = {name for name, attribute in attributes.items() if attribute.required}
        self._cleaned = tuple((name, cleaners[name]) for name, kind in self._kinds.items() if kind is None)
        self._copied = tuple(name for name, kind in self._kinds.items() if kind is list)

    def canonical(self, item: Any, mark: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
        """The item in canonical form with `mark` behind it, and its JSON. None: it is not known to be sound."""
        if type(item) is not dict:
            return None
        kinds = self._kinds
        try:
            for name, value in item.items():
                if type(value) is not kinds[name] and kinds[name] is not None:
                    return None
            for name, test in self._tests:
                if name in item and not test(item[name]):
                    return None
            if len(item) < len(kinds) and not self._required <= item.keys():
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

    def canonical_all(
        self, items: Sequence[Any], mark: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], list[str]] | None:
        """`canonical` of items that all have the same attributes. None: they have not, or one is not known sound."""
        if not items or not {dict}.issuperset(map(type, items)):
            return None
        names = items[0].keys()
        if not {len(names)}.issuperset(map(len, items)) or not self._required <= names:
            return None
        try:
            for name in names:
                column = [item[name] for item in items]
                kind, tests = self._kinds[name], self._column_tests[name]
                if kind is not None and not ({kind}.issuperset(map(type, column)) and (tests is None or tests(column))):
                    return None
            found: list[dict[str, Any]] = [{**item, **mark} for item in items] if mark else list(map(dict.copy, items))
            for name in self._copied:
                for one in found if name in names else ():
                    one[name] = one[name][:]
            for name, clean in self._cleaned:
                for one in found if name in names else ():
                    one[name] = clean(one[name])
            data = list(map(encode, found))
        except (KeyError, InvalidValue, UnicodeEncodeError):
            return None
        whole = b"".join(data)
        return None if _BACKSLASH in whole and _ZERO in whole else (found, list(map(bytes.decode, data)))


def _quick(attribute: Attribute) -> Quick:
    quick = _QUICK.get(attribute.type, Quick())
    if attribute.items is not None:
        inner = _quick(attribute.items)
        return Quick() if inner.kind is None or inner.kind is list else _array(inner.kind, inner)
    if quick.kind is None or not attribute.values:
        return quick
    values = frozenset(attribute.values)
    return Quick(quick.kind, values.__contains__, values.issuperset)


def _array(kind: type, inner: Quick) -> Quick:
    def tests(arrays: list[list[Any]]) -> bool:
        if inner.tests is None:
            return {kind}.issuperset(map(type, chain.from_iterable(arrays)))
        values = list(chain.from_iterable(arrays))
        return {kind}.issuperset(map(type, values)) and bool(inner.tests(values))

    return Quick(list, _all(kind, inner.test), tests)


def _all(kind: type, test: Test | None) -> Test:
    def sound(values: list[Any]) -> bool:
        for value in values:  # noqa: SIM110  as a generator it takes twice as long
            if type(value) is not kind or (test is not None and not test(value)):
                return False
        return True

    return sound
