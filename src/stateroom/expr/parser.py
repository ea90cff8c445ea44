"""From text to tree: DynamoDB's condition language, which is Slack's filter language (docs/expressions.md).

Rules of this file: one method a rule of the grammar, one token ahead, no going back. NOT binds more tightly than AND,
AND more tightly than OR. What a node means is judged by check.py, at the operand that is at fault. Every error is
InvalidCondition, says what to do, and points at the offending character.

    expr    := and ( OR and )*          and := not ( AND not )*          not := [NOT] prim
    prim    := "(" expr ")" | operand cmp operand | operand BETWEEN operand AND operand
             | operand IN "(" operand ( "," operand )* ")" | func "(" operand ( "," operand )* ")"
    operand := path | ":"name | size "(" path ")" | "(" operand ")"
    path    := seg ( "." seg | "[" digits "]" )*
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from stateroom.expr.check import MAX_DEPTH, MAX_OPERATORS, MAX_PLACE, check_name, flaw, walk
from stateroom.expr.reserved import RESERVED
from stateroom.expr.tokens import Token, tokens
from stateroom.expr.tree import (
    And,
    BeginsWith,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    In,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    Size,
    TypeIs,
)
from stateroom.model.codec import DEPTH, normalise
from stateroom.model.errors import InvalidCondition, InvalidValue

MAX_TEXT: Final = 65_536
"""Characters of a text: room for 300 operators as the renderer writes them. DynamoDB's own limit is 4 KB."""

_COMPARATORS: Final = frozenset(("=", "<>", "<", "<=", ">", ">="))
_OPERANDS: Final = (Path, Literal, Size)
_WORDS: Final[Mapping[str, Any]] = {"TRUE": True, "FALSE": False, "NULL": None}
_PLACEHOLDER: Final = re.compile(r"[#:][0-9A-Za-z_]+\Z")


def parse(
    text: str,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
    *,
    literals: bool = False,
) -> Condition:
    """The condition that `text` says. `names` maps `#name` to an attribute's name, `values` maps `:name` to a value.

    With `literals`, which Slack does not have, a value may also stand in the text itself: 'it''s', 5, true, null.
    InvalidCondition points at the offending character; its position is None when `names` or `values` are at fault.
    """
    return _Parser(text, names, values, literals).whole()


class _Parser:
    """One parse. `left`: operators that may still come. `group`: the node that the last parentheses held."""

    def __init__(
        self, text: str, names: Mapping[str, str] | None, values: Mapping[str, Any] | None, literals: bool
    ) -> None:
        if not isinstance(text, str):
            raise InvalidCondition("an expression is a text")
        if len(text) > MAX_TEXT:
            raise InvalidCondition(f"the expression is longer than {MAX_TEXT} characters; split it", MAX_TEXT)
        self.tokens = tokens(text)
        self.names, self.values = _given(names, "names"), _given(values, "values")
        self.literals = literals
        self.next = 0
        self.depth = 0
        self.deepest = (0, 0)
        self.operators = 0
        self.used: set[str] = set()
        self.group: tuple[Any, int] | None = None

    def whole(self) -> Condition:
        if self.tokens[0][0] == "end":
            raise InvalidCondition("the expression is empty; leave it out to match every item", 0)
        found = self.condition(self.either())
        kind, _, at = self.tokens[self.next]
        if kind != "end":
            raise self.unexpected("AND, OR or the end", at)
        if len(self.used) != len(self.names) + len(self.values):
            self._unused()
        self._shallow(found)
        return found

    # Conditions. A method named `..either` gives back a bare operand, too: what stands in parentheses may be one.

    def either(self) -> Any:
        first = self.and_either()
        if self.tokens[self.next][0] != "OR":
            return first
        parts = [self.condition(first)]
        while self.tokens[self.next][0] == "OR":
            self.operator()
            parts.append(self.condition(self.and_either()))
        return Or(tuple(parts))

    def and_either(self) -> Any:
        first = self.not_either()
        if self.tokens[self.next][0] != "AND":
            return first
        parts = [self.condition(first)]
        while self.tokens[self.next][0] == "AND":
            self.operator()
            parts.append(self.condition(self.not_either()))
        return And(tuple(parts))

    def not_either(self) -> Any:
        if self.tokens[self.next][0] != "NOT":
            return self.prim_either()
        self.operator()
        if self.tokens[self.next][0] == "NOT":
            raise InvalidCondition("NOT NOT needs parentheses: NOT (NOT ...)", self.tokens[self.next][2])
        return Not(self.condition(self.prim_either()))

    def prim_either(self) -> Any:
        kind, word, at = self.tokens[self.next]
        if word == "(" and kind == "sign":
            found = self.grouped(self.either)
            return found if not isinstance(found, _OPERANDS) else self.compared(found, at)
        if kind == "word" and word in _FUNCTIONS and self.tokens[self.next + 1][1] == "(":
            return self.function()
        return self.compared(self.operand(), at)

    def compared(self, left: Operand, at: int) -> Any:
        """What follows an operand: a comparison, or nothing."""
        kind, word, operator_at = self.tokens[self.next]
        if kind == "sign" and word in _COMPARATORS:
            self.operator()
            right_at = self.tokens[self.next][2]
            return self.sound(Compare(left, word, self.operand()), operator_at, at, right_at)  # type: ignore[arg-type]
        if kind == "BETWEEN":
            self.operator()
            low_at = self.tokens[self.next][2]
            low = self.operand()
            if self.tokens[self.next][0] != "AND":
                raise self.unexpected("AND and the upper bound of BETWEEN", self.tokens[self.next][2])
            self.next += 1
            high_at = self.tokens[self.next][2]
            return self.sound(Between(left, low, self.operand()), operator_at, at, low_at, high_at)
        if kind == "IN":
            self.operator()
            options, places = self.operands()
            return self.sound(In(left, tuple(options)), operator_at, at, *places)
        return left

    def function(self) -> Condition:
        _, name, at = self.tokens[self.next]
        count, make = _FUNCTIONS[name]
        self.operator()
        operands, places = self.operands()
        if len(operands) != count:
            wrong = places[count] if len(operands) > count else self.tokens[self.next - 1][2]
            raise InvalidCondition(f"{name} takes {count} operand{'s' * (count > 1)}, not {len(operands)}", wrong)
        if make is not None:
            return self.sound(make(*operands), at, *places)
        path = operands[0]
        if not isinstance(path, Path):
            raise InvalidCondition(f"{name} needs an attribute's path, not a value", places[0])
        if name != "attribute_type":
            return Exists(path, absent=name == "attribute_not_exists")
        code = operands[1]
        if not isinstance(code, Literal) or not isinstance(code.value, str):
            raise InvalidCondition("attribute_type takes the type's code as a text value, such as S or N", places[1])
        return self.sound(TypeIs(path, code.value), at, *places)

    # Operands.

    def operands(self) -> tuple[list[Operand], list[int]]:
        """A list in parentheses, and where its members begin."""
        self.sign("(")
        found, places = [], []
        while True:
            places.append(self.tokens[self.next][2])
            found.append(self.operand())
            if self.tokens[self.next][1] != "," or self.tokens[self.next][0] != "sign":
                self.sign(")", "a comma or a closing parenthesis")
                return found, places
            self.next += 1

    def operand(self) -> Operand:
        kind, word, at = self.tokens[self.next]
        if kind == "value":
            self.next += 1
            return self.value(word, at)
        if kind == "name":
            return self.path()
        if kind == "word":
            if self.tokens[self.next + 1][1] == "(":
                return self.call(word, at)
            if self.literals and word.upper() in _WORDS:
                self.next += 1
                return Literal(_WORDS[word.upper()])
            return self.path()
        if kind == "sign" and word == "(":
            found: Operand = self.grouped(self.operand)
            return found
        if kind in ("text", "number") and self.literals:
            self.next += 1
            return self.literal(kind, word, at)
        raise self.unexpected("a #name, an attribute or a :value", at)

    def path(self) -> Path:
        parts: list[str | int] = [self.segment()]
        while True:
            kind, sign, at = self.tokens[self.next]
            if kind != "sign" or sign not in ".[":
                break
            self.next += 1
            parts.append(self.segment() if sign == "." else self.place())
            if len(parts) > DEPTH + 1:
                raise InvalidCondition(f"a path leads deeper than the {DEPTH} levels an item may have; shorten it", at)
        return Path(tuple(parts))

    def segment(self) -> str:
        kind, word, at = self.tokens[self.next]
        self.next += 1
        if kind == "name":
            if word not in self.names:
                raise InvalidCondition(f"{word} is not in names; add it there", at)
            self.used.add(word)
            name: str = self.names[word]
            try:
                check_name(name)
            except InvalidCondition as error:
                raise InvalidCondition(f"{word}: {error}", at) from None
            return name
        if kind == "word":
            if word.upper() in RESERVED:
                raise InvalidCondition(f"{word} is a reserved word; write #{word} and give it in names", at)
            return word
        if kind in _RESERVED_KINDS:
            raise InvalidCondition(f"{word} cannot stand here; an attribute of that name is written #name", at)
        raise self.unexpected("an attribute or a #name", at)

    def place(self) -> int:
        kind, word, at = self.tokens[self.next]
        if kind != "number" or not word.isdecimal() or len(word) > 9:
            raise InvalidCondition(f"a place in a list is a whole number from 0 to {MAX_PLACE}", at)
        self.next += 1
        self.sign("]")
        return int(word)

    def call(self, word: str, at: int) -> Operand:
        """size(path), the one function that has a value."""
        if word != "size":
            raise InvalidCondition(_no_such_function(word), at)
        self.operator()
        self.sign("(")
        at = self.tokens[self.next][2]
        path = self.operand()
        if not isinstance(path, Path):
            raise InvalidCondition("size needs an attribute's path, not a value", at)
        self.sign(")")
        return Size(path)

    def value(self, word: str, at: int) -> Literal:
        if word not in self.values:
            raise InvalidCondition(f"{word} is not in values; add it there", at)
        self.used.add(word)
        return _literal(self.values[word], word, at)

    def literal(self, kind: str, word: str, at: int) -> Literal:
        return _literal(word[1:-1].replace("''", "'") if kind == "text" else Decimal(word), "the value", at)

    # What all of them share.

    def grouped(self, inner: Callable[[], Any]) -> Any:
        """What `inner` finds in parentheses. Doubled ones are refused, as DynamoDB does."""
        at = self.tokens[self.next][2]
        self.deeper(at)
        self.next += 1
        found = inner()
        self.sign(")")
        if self.group is not None and self.group[0] is found:
            raise InvalidCondition("the parentheses are doubled; remove one pair", self.group[1])
        self.group = (found, at)
        self.depth -= 1
        return found

    def sound(self, node: Any, *places: int) -> Condition:
        """`node`, or InvalidCondition at the operator (the first place) or the operand that is at fault."""
        found = flaw(node)
        if found is None:
            return node  # type: ignore[no-any-return]
        at = places[0] if found.operand is None else places[found.operand + 1]
        raise InvalidCondition(found.detail, at)

    def condition(self, found: Any) -> Condition:
        """`found`, unless it is a bare operand."""
        if isinstance(found, _OPERANDS):
            wanted = "a comparison (= <> < <= > >= BETWEEN IN) after the operand"
            raise self.unexpected(wanted, self.tokens[self.next][2])
        return found  # type: ignore[no-any-return]

    def operator(self) -> None:
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            detail = f"the condition has more than {MAX_OPERATORS} operators; split it"
            raise InvalidCondition(detail, self.tokens[self.next][2])
        self.next += 1

    def deeper(self, at: int) -> None:
        self.depth += 1
        if self.depth > self.deepest[0]:
            self.deepest = (self.depth, at)
            if self.depth > MAX_DEPTH:
                raise InvalidCondition(f"parentheses are nested deeper than {MAX_DEPTH} levels; split it", at)

    def _shallow(self, found: Condition) -> None:
        """Each pair of parentheses can hold an OR, an AND and a NOT: three levels of the tree."""
        depth, at = self.deepest
        if 3 * (depth + 1) > MAX_DEPTH and any(level > MAX_DEPTH for _, level in walk(found)):
            raise InvalidCondition(f"the condition is nested deeper than {MAX_DEPTH} levels; split it", at)

    def sign(self, wanted: str, instead: str = "") -> None:
        kind, word, at = self.tokens[self.next]
        if word != wanted or kind != "sign":
            raise self.unexpected(instead or f"{wanted!r}", at)
        self.next += 1

    def unexpected(self, wanted: str, at: int) -> InvalidCondition:
        return InvalidCondition(_unexpected(self.tokens[self.next], wanted, self.literals), at)

    def _unused(self) -> NoReturn:
        for kind, given in (("names", self.names), ("values", self.values)):
            for key in given:
                if key not in self.used:
                    first = "#" if kind == "names" else ":"
                    fits = isinstance(key, str) and key[:1] == first and _PLACEHOLDER.match(key)
                    rule = "is not used in the expression; leave it out"
                    rule = rule if fits else f"is no placeholder; write {first} and letters, digits or _"
                    raise InvalidCondition(f"{str(key)[:40]!r} in {kind} {rule}")
        raise AssertionError("every given placeholder was used")


_RESERVED_KINDS: Final = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN"))
_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., Any] | None]]] = {
    "attribute_exists": (1, None),
    "attribute_not_exists": (1, None),
    "attribute_type": (2, None),
    "begins_with": (2, BeginsWith),
    "contains": (2, Contains),
}


def _given(mapping: Any, what: str) -> Mapping[str, Any]:
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping):
        raise InvalidCondition(f"{what} is an object that maps placeholders")
    if not mapping:
        raise InvalidCondition(f"{what} is empty; leave it out")
    return mapping


def _literal(value: Any, field: str, at: int) -> Literal:
    try:
        return Literal(normalise(value))
    except InvalidValue as error:
        raise InvalidCondition(f"{field} {error.detail}", at) from None


def _no_such_function(word: str) -> str:
    known = [*_FUNCTIONS, "size"]
    if word in _FUNCTIONS:
        return f"{word} is a condition and has no value; only size(path) can be compared"
    if word.lower() in known:
        return f"functions are written in lower case: {word.lower()}"
    return f"there is no function {word[:40]}; the functions are {', '.join(known)}"


def _unexpected(token: Token, wanted: str, literals: bool) -> str:
    kind, word, _ = token
    if kind == "end":
        return f"the expression ends too early: expected {wanted}"
    if kind in ("text", "number") and not literals:
        return f"a value cannot stand in the text: write :name and give it in values (expected {wanted})"
    if kind == "bad" and word in "#:":
        return f"{word} must be followed by letters, digits or _"
    if kind == "bad" and word in "'\"":
        return f"a value cannot stand in quotes: write :name and give it in values (expected {wanted})"
    shown = "a text" if kind == "text" else repr(word[:40])
    return f"{shown} cannot stand here: expected {wanted}"
