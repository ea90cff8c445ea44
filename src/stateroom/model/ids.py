"""Slack's ids and our keys, checked before they become keys, paths or object names (invariant 5).

Rules of this file: pure; a refused id is never echoed in the error, because it is foreign text. Slack asks apps to
treat ids as opaque, so only the leading letter, the alphabet and a sane length are held, not an exact length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from stateroom.model.errors import InvalidId

_SHAPES: Final = {
    "team": (re.compile(r"[TE][A-Z0-9]{2,30}"), "a team id such as T01234567"),
    "channel": (re.compile(r"[CDG][A-Z0-9]{2,30}"), "a channel id such as C01234567, D… or G…"),
    "user": (re.compile(r"[UWB][A-Z0-9]{2,30}"), "a user id such as U01234567"),
    "usergroup": (re.compile(r"S[A-Z0-9]{2,30}"), "a user group id such as S01234567"),
    "ts": (re.compile(r"[0-9]{10}\.[0-9]{6}"), "a message timestamp such as 1700000000.000100"),
}
KEY_LIMIT: Final = 1024  # bytes; DynamoDB's cap for a sort key, the lowest among our engines
TURN_ID_LIMIT: Final = 255


def shape_of(kind: str) -> re.Pattern[str]:
    """What an id of `kind` matches as a whole."""
    return _SHAPES[kind][0]


def is_id(kind: str, value: object) -> bool:
    """Whether `value` is a string of Slack's shape for `kind` (team, channel, user, usergroup, ts)."""
    return isinstance(value, str) and _SHAPES[kind][0].fullmatch(value) is not None


def check_id(kind: str, value: object, field: str | None = None) -> str:
    """`value` itself, or InvalidId naming `field`."""
    if isinstance(value, str) and _SHAPES[kind][0].fullmatch(value) is not None:
        return value
    raise InvalidId(field or kind, f"is not {_SHAPES[kind][1]}")


def check_key(value: object, field: str = "id") -> str:
    """A datastore key: a non-empty string of at most 1,024 UTF-8 bytes without U+0000 and lone surrogates."""
    if isinstance(value, str) and value.isascii() and 0 < len(value) <= KEY_LIMIT and "\0" not in value:
        return value  # nearly all of them: every write of every engine comes by here
    if not isinstance(value, str) or not value:
        raise InvalidId(field, "must be a non-empty string")
    if "\0" in value:
        raise InvalidId(field, "must not contain U+0000")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidId(field, "must not contain a lone surrogate") from None
    if size > KEY_LIMIT:
        raise InvalidId(field, f"has {size} bytes, the limit is {KEY_LIMIT}")
    return value


def are_keys(values: Sequence[Any]) -> TypeGuard[Sequence[str]]:
    """Whether each is a key for certain; `check_key` knows the others."""
    if not {str}.issuperset(map(type, values)):
        return False
    text = "".join(values)
    short = len(text) <= KEY_LIMIT or max(map(len, values)) <= KEY_LIMIT
    return short and all(values) and text.isascii() and "\0" not in text


def check_turn_id(value: object) -> str:
    """A turn id: a key of at most 255 bytes."""
    if isinstance(value, str) and value.isascii() and 0 < len(value) <= TURN_ID_LIMIT and "\0" not in value:
        return value
    turn = check_key(value, "turn_id")
    if len(turn) > TURN_ID_LIMIT or (not turn.isascii() and len(turn.encode()) > TURN_ID_LIMIT):
        raise InvalidId("turn_id", f"is longer than {TURN_ID_LIMIT} bytes")
    return turn
