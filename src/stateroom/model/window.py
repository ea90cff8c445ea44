"""Which messages of a thread the model sees: the newest that fit, and how much they weigh.

Rules of this file: pure. A window never exceeds its budgets and never begins with a tool's return or in the middle of
an exchange with a tool: providers refuse a return without its call. Weights are estimates without any tokenizer, by the
width of characters in UTF-8, so that scripts without spaces count, too.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from typing import Any, Final, NamedTuple

import msgspec

from stateroom.model.errors import InvalidValue
from stateroom.model.messages import not_messages

# Which parts tie a message to an earlier one; a retry that names no tool follows up on a text.
ROLES: Final = {
    "user-prompt": "",
    "system-prompt": "",
    "text": "",
    "thinking": "",
    "tool-call": "call",
    "builtin-tool-call": "call",
    "tool-return": "return",
    "builtin-tool-return": "return",
    "retry-prompt": "return",
    "retry-feedback": "follow-up",
}
WEIGHED: Final = ("content", "args", "transcript", "tool_name", "signature")
OVERHEAD: Final = 4  # tokens a message and a part, for what providers put around them
FILE_URL: Final = 1000  # tokens of a picture or document behind a URL, which the provider fetches

_HIGH: Final = bytes(range(0x80, 0x100))
_LEADS: Final = (bytes(range(0xC2, 0xE0)), bytes(range(0xE0, 0xF0)), bytes(range(0xF0, 0xF5)))


class Window(NamedTuple):
    """Messages oldest first, how many entries they come from, and whether older ones were left out."""

    messages: list[dict[str, Any]]
    entries: int
    truncated: bool


class Chooser:
    """Chooses a window while entries are handed in, newest first.

    A window begins with a request in which somebody speaks. Only when not one such request fits does it begin with a
    response that is clear of open tool calls; when that does not fit either, it is empty and `truncated`.
    """

    def __init__(self, *, limit: int | None = None, max_tokens: int | None = None) -> None:
        for name, value in (("limit", limit), ("max_tokens", max_tokens)):
            if value is not None and value < 1:
                raise InvalidValue(name, "must be 1 or more")
        self._limit = sys.maxsize if limit is None else limit
        self._tokens_left = max_tokens
        self._newest_first: list[dict[str, Any]] = []
        self._ends: list[int] = []  # how many messages there were before each entry
        self._unanswered: set[str] = set()  # returns whose call is further back
        self._spoken = 0  # how many of the newest messages make a window that begins with a person
        self._answered = 0  # the same, beginning with a response
        self._left_out = False

    def add(self, messages: Any) -> bool:
        """Takes the messages of the next older entry, oldest first; whether there is room for more.

        They may be whatever JSON was stored, and are checked on the way: InvalidValue for what is no message.
        """
        if type(messages) is not list:
            raise not_messages(messages)
        kept, limit, unanswered, roles = self._newest_first, self._limit, self._unanswered, ROLES
        budgeted, size = self._tokens_left is not None, len(kept)
        self._ends.append(size)
        try:
            for message in reversed(messages):
                kind, parts, follows_up = message["kind"], message["parts"], False
                asks = kind == "request"
                if not (asks or kind == "response") or type(parts) is not list:
                    raise TypeError
                if size >= limit or (budgeted and not self._affordable(message)):
                    self._left_out = True
                    return False
                kept.append(message)
                size += 1
                for part in reversed(parts):
                    role = roles.get(part.get("part_kind"))
                    if role:
                        follows_up |= self._link(role, part)
                    elif role is None and type(part.get("part_kind", "")) is not str:
                        raise TypeError
                if unanswered:
                    continue
                if not asks:
                    self._answered = size
                elif parts and not follows_up:
                    self._spoken = size
        except (KeyError, TypeError, AttributeError):
            raise not_messages(messages) from None
        return size < limit

    def window(self, *, more: bool = False) -> Window:
        """The window so far; `more`: there are entries that were not handed in."""
        size = self._spoken or self._answered
        kept = self._newest_first[:size]
        kept.reverse()
        left_out = more or self._left_out or size < len(self._newest_first)
        return Window(kept, bisect_left(self._ends, size), left_out)

    def _affordable(self, message: dict[str, Any]) -> bool:
        assert self._tokens_left is not None
        self._tokens_left -= message_tokens(message)
        return self._tokens_left >= 0

    def _link(self, role: str, part: dict[str, Any]) -> bool:
        """Notes a call or a return; whether the part answers what came before its message."""
        call_id = str(part.get("tool_call_id"))
        if role == "call":
            self._unanswered.discard(call_id)
            return False
        if role == "return" and (part["part_kind"] != "retry-prompt" or part.get("tool_name")):
            self._unanswered.add(call_id)
        return True


def text_tokens(text: str) -> int:
    """An estimate that is rather too high: ASCII 4 characters a token, Latin with marks, Greek, Cyrillic, Hebrew and
    Arabic 4 for 3 tokens, Chinese, Japanese, Korean and other scripts 1 each, emoji and rare characters 2 tokens each.
    """
    if text.isascii():
        return -(-len(text) // 4)
    data = text.encode("utf-8", "replace")
    ascii_only = len(data.translate(None, _HIGH))
    two, three, four = (len(data) - len(data.translate(None, leads)) for leads in _LEADS)
    return -(-(ascii_only + 3 * two + 4 * three + 8 * four) // 4)


def message_tokens(message: dict[str, Any]) -> int:
    """An estimate of what a message costs: texts, tool names, arguments and returns, and instructions."""
    total = OVERHEAD + _weight(message.get("instructions"))
    for part in message["parts"]:
        total += OVERHEAD
        for name in WEIGHED:
            total += _weight(part.get(name))
    return total


def _weight(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return text_tokens(value)
    pieces = value if isinstance(value, list) else [value]
    files = sum(isinstance(p, dict) and str(p.get("kind")).endswith("-url") for p in pieces)
    return files * FILE_URL + text_tokens(msgspec.json.encode(value).decode())
