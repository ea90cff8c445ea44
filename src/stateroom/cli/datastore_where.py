"""`--where "status = 'open' AND votes > 3"`: a condition as people write it, made into Slack's expression.

Rules of this file: pure. Literals become bound values and names become placeholders, so nothing a person writes is ever
spliced into an expression, and reserved words are ordinary names. Slack's own `#name` and `:value` pass through.
An error points at the character of the text that was given, never of the text that was made of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from stateroom.expr.tree import Condition
from stateroom.model.codec import DIGITS, exact
from stateroom.model.errors import InvalidCondition, WrongUse

_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+)
      | (?P<text>'(?:[^']|'')*' | "(?:[^"]|"")*")
      | (?P<name>`[^`]+`)
      | (?P<index>\[\s*\d+\s*\])
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
      | (?P<word>[^\W\d]\w*)
      | (?P<bound>[\#:]\w+)
      | (?P<sign><>|!=|==|<=|>=|=|<|>|[().,])""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
_CONSTANTS: Final = {"true": True, "false": False}
_SIGNS: Final = {"!=": "<>", "==": "="}  # as other languages write them
_HINTS: Final = {
    "'": "this quote is not closed",
    '"': "this quote is not closed",
    "`": "this name is not closed",
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT, or <>",
    "%": "there is no LIKE; use begins_with(name, 'text') or contains(name, 'text')",
}
_SUFFIX: Final = re.compile(r" \(at character \d+\)$")


@dataclass
class Expression:
    """What `translate` makes. `places`: where each part begins in `text`, and where it came from in the person's."""

    text: str = ""
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    places: list[tuple[int, int]] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # placeholder of ours to what the person wrote

    def position(self, made: int) -> int:
        """The character of the person's text behind a character of `text`."""
        found = self.places[max(0, bisect_right(self.places, (made, len(self.text) + 1)) - 1)]
        return found[1]

    def words(self, detail: str) -> str:
        """An error's words with what the person wrote in place of our placeholders."""
        return re.sub(r"[#:]w\d+", lambda found: self.sources.get(found[0], found[0]), detail)


def condition_of(asked: Mapping[str, Any], where: str | None) -> Condition | None:
    """The condition that is meant, or None for all; InvalidCondition points into the text that was given."""
    text, names, values = (asked.get(f"expression{part}") for part in ("", "_attributes", "_values"))
    if where is not None:
        if text is not None:
            raise WrongUse("--where and --expression are the same in two syntaxes; give one of them")
        return condition(where, names, values)
    if text is None:
        if names is not None or values is not None:
            raise WrongUse("--names and --values belong to an --expression or a --where; give it, too")
        return None
    return slack_condition(text, names, values)


def condition(text: str, names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None) -> Condition:
    """The condition that `text` means; InvalidCondition with the position in `text`."""
    from stateroom.expr.parser import parse

    made = translate(text, names, values)
    try:
        return parse(made.text, made.names or None, made.values or None)
    except InvalidCondition as error:
        detail = made.words(_SUFFIX.sub("", str(error)))
        raise InvalidCondition(detail, None if error.position is None else made.position(error.position)) from None


def slack_condition(
    text: str, names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None
) -> Condition:
    """The condition of Slack's own syntax, taken as it is."""
    from stateroom.expr.parser import parse

    return parse(text, names, values)


def translate(text: str, names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None) -> Expression:
    """Slack's expression for `text`, with `names` and `values` where it uses `#name` and `:value` itself."""
    made = Expression(names=dict(names or {}), values=dict(values or {}))
    before = ""
    for start, read, token in _tokens(text):
        made.places.append((len(made.text), start))
        kind = read if read != "word" else _kind_of(token, before, text[start + len(token) :].lstrip()[:1], start)
        made.text += _MADE[kind](made, token)
        before = before if kind == "blank" else token
    made.places.append((len(made.text), len(text)))
    return made


def _tokens(text: str) -> Iterator[tuple[int, str, str]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            hint = _HINTS.get(text[position], "this character has no meaning here; text goes in 'quotes'")
            raise InvalidCondition(hint, position)
        assert found.lastgroup is not None
        yield position, found.lastgroup, found[0]
        position = found.end()


def _kind_of(word: str, before: str, after: str, position: int) -> str:
    """What a word is, from what stands around it; behind a dot it is always a name."""
    if before == ".":
        return "word"
    if word.upper() in _KEYWORDS:
        return "sign"
    if word.lower() in _CONSTANTS:
        return "constant"
    if word.lower() == "null":
        raise InvalidCondition("there is no null; write attribute_not_exists(name) or attribute_exists(name)", position)
    if word.upper() == "LIKE":
        raise InvalidCondition(_HINTS["%"], position)
    if word.upper() == "IS":
        raise InvalidCondition("there is no IS; write = or attribute_not_exists(name)", position)
    return "sign" if after == "(" else "word"


def _name(made: Expression, name: str, source: str) -> str:
    for placeholder, known in made.names.items():
        if known == name and placeholder in made.sources:
            return placeholder
    placeholder = _free("#", made.names)
    made.names[placeholder], made.sources[placeholder] = name, source
    return placeholder


def _value(made: Expression, value: Any, source: str) -> str:
    placeholder = _free(":", made.values)
    made.values[placeholder], made.sources[placeholder] = value, source
    return placeholder


def _free(sign: str, taken: Mapping[str, Any]) -> str:
    number = len(taken) + 1
    while f"{sign}w{number}" in taken:
        number += 1
    return f"{sign}w{number}"


def _number(text: str) -> int | Decimal:
    return int(text) if len(text) <= DIGITS and text.lstrip("-").isdigit() else exact(text)


_MADE: Final[Mapping[str, Callable[[Expression, str], str]]] = {
    "blank": lambda made, token: " ",
    "text": lambda made, token: _value(made, token[1:-1].replace(token[0] * 2, token[0]), token),
    "name": lambda made, token: _name(made, token[1:-1], token),
    "index": lambda made, token: re.sub(r"\s", "", token),
    "number": lambda made, token: _value(made, _number(token), token),
    "word": lambda made, token: _name(made, token, token),
    "constant": lambda made, token: _value(made, _CONSTANTS[token.lower()], token),
    "bound": lambda made, token: token,
    "sign": lambda made, token: _SIGNS.get(token, token),
}
