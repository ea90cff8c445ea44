"""From text to tree: DynamoDB's condition language, which is Slack's filter language (docs/expressions.md).

Rules of this file: one method a rule of the grammar, one token ahead, no going back; `at` is a token's number. NOT
binds more tightly than AND, AND more tightly than OR. What a node means is judged by check.py, at the operand that is
at fault. Every error is InvalidCondition, says what to do, and points at the offending character.

    expr    := and ( OR and )*          and := not ( AND not )*          not := [NOT] prim
    prim    := "(" expr ")" | operand cmp operand | operand BETWEEN operand AND operand
             | operand IN "(" operand ( "," operand )* ")" | func "(" operand ( "," operand )* ")"
    operand := path | ":"name | size "(" path ")" | "(" operand ")"
    path    := seg ( "." seg | "[" digits "]" )*
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.expr.check import MAX_DEPTH, MAX_OPERATORS, MAX_PLACE, check_name, flaw, walk
from stateroom.expr.reserved import RESERVED
from stateroom.expr.tokens import END, KEYWORDS, is_number, is_text, is_word, position, sign_of, tokens
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
_OPERANDS: Final = frozenset((Path, Literal, Size))
_PLACEHOLDER: Final = re.compile(r"[#:][0-9A-Za-z_]+\Z")


def parse(
    text: str,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Condition:
    """The condition that `text` says. `names` maps `#name` to an attribute's name, `values` maps `:name` to a value.

    InvalidCondition points at the offending character; its position is None when `names` or `values` are at fault.
    """
    return _Parser(text, names, values).whole()


class _Parser:
    """One parse. `next`: the token to come. `group`: the node that the last parentheses held, and where they began."""

    def __init__(self, text: str, names: Mapping[str, str] | None, values: Mapping[str, Any] | None) -> None:
        if not isinstance(text, str):
            raise InvalidCondition("an expression is a text")
        if len(text) > MAX_TEXT:
            raise InvalidCondition(f"the expression is longer than {MAX_TEXT} characters; split it", MAX_TEXT)
        self.text = text
        self.tokens = tokens(text)
        self.names = _NOTHING if names is None else _given(names, "names")
        self.values = _NOTHING if values is None else _given(values, "values")
        self.next = 0
        self.depth = 0
        self.deepest = 0
        self.deepest_at = 0
        self.operators = 0
        self.used: set[str] = set()
        self.group: tuple[Any, int] = (None, 0)

    def whole(self) -> Condition:
        if self.tokens[0] == END:
            raise InvalidCondition("the expression is empty; leave it out to match every item", 0)
        found = self.condition(self.either())
        if self.tokens[self.next] != END:
            raise self.unexpected("AND, OR or the end")
        if len(self.used) != len(self.names) + len(self.values):
            raise _unused(self.used, self.names, self.values)
        # Each pair of parentheses can hold an OR, an AND and a NOT: three levels of the tree.
        if 3 * (self.deepest + 1) > MAX_DEPTH and any(level > MAX_DEPTH for _, level in walk(found)):
            raise self.error(f"the condition is nested deeper than {MAX_DEPTH} levels; split it", self.deepest_at)
        return found

    # Conditions. A method named `..either` gives back a bare operand, too: what stands in parentheses may be one.

    def either(self) -> Any:
        first = self.and_either()
        if self.tokens[self.next] != "OR":
            return first
        parts = [self.condition(first)]
        while self.tokens[self.next] == "OR":
            self.operator()
            parts.append(self.condition(self.and_either()))
        return Or(tuple(parts))

    def and_either(self) -> Any:
        first = self.not_either()
        if self.tokens[self.next] != "AND":
            return first
        parts = [self.condition(first)]
        while self.tokens[self.next] == "AND":
            self.operator()
            parts.append(self.condition(self.not_either()))
        return And(tuple(parts))

    def not_either(self) -> Any:
        if self.tokens[self.next] != "NOT":
            return self.prim_either()
        self.operator()
        if self.tokens[self.next] == "NOT":
            raise self.error("NOT NOT needs parentheses: NOT (NOT ...)", self.next)
        return Not(self.condition(self.prim_either()))

    def prim_either(self) -> Any:
        token, at = self.tokens[self.next], self.next
        if token == "(":
            found = self.grouped(self.either)
            return self.compared(found, at) if type(found) in _OPERANDS else found
        if token in _FUNCTIONS and self.tokens[self.next + 1] == "(":
            return self.function()
        return self.compared(self.operand(), at)

    def compared(self, left: Operand, at: int) -> Any:
        """What follows an operand: a comparison, or nothing."""
        token, operator_at = self.tokens[self.next], self.next
        if token in _COMPARATORS:
            self.operator()
            right_at = self.next
            return self.sound(Compare(left, token, self.operand()), operator_at, at, right_at)  # type: ignore[arg-type]
        if token == "BETWEEN":
            self.operator()
            low_at = self.next
            low = self.operand()
            self.expect("AND", "AND and the upper bound of BETWEEN")
            high_at = self.next
            return self.sound(Between(left, low, self.operand()), operator_at, at, low_at, high_at)
        if token == "IN":
            self.operator()
            options, places = self.operands()
            return self.sound(In(left, tuple(options)), operator_at, at, *places)
        return left

    def function(self) -> Condition:
        name, at = self.tokens[self.next], self.next
        wanted, make = _FUNCTIONS[name]
        self.operator()
        operands, places = self.operands()
        if len(operands) != wanted:
            wrong = places[wanted] if len(operands) > wanted else self.next - 1
            raise self.error(f"{name} takes {wanted} operand{'s' * (wanted > 1)}, not {len(operands)}", wrong)
        if make is not None:
            return self.sound(make(*operands), at, *places)
        path = operands[0]
        if not isinstance(path, Path):
            raise self.error(f"{name} needs an attribute's path, not a value", places[0])
        if name != "attribute_type":
            return Exists(path, absent=name == "attribute_not_exists")
        code = operands[1]
        if not isinstance(code, Literal) or not isinstance(code.value, str):
            raise self.error("attribute_type takes the type's code as a text value, such as S or N", places[1])
        return self.sound(TypeIs(path, code.value), at, *places)

    # Operands.

    def operands(self) -> tuple[list[Operand], list[int]]:
        """A list in parentheses, and where its members begin."""
        self.expect("(")
        found, places = [], []
        while True:
            places.append(self.next)
            found.append(self.operand())
            if self.tokens[self.next] != ",":
                self.expect(")", "a comma or a closing parenthesis")
                return found, places
            self.next += 1

    def operand(self) -> Operand:
        token = self.tokens[self.next]
        sign = sign_of(token)
        if sign == ":":
            return self.value(token)
        if sign == "#":
            return self.path()
        if is_word(token) and token not in _KEYWORDS:
            if self.tokens[self.next + 1] == "(":
                return self.call(token)
            return self.path()
        if token == "(":
            found: Operand = self.grouped(self.operand)
            return found
        raise self.unexpected("a #name, an attribute or a :value")

    def path(self) -> Path:
        first = self.segment()
        token = self.tokens[self.next]
        if token not in _INTO:
            return Path((first,))
        parts: list[str | int] = [first]
        while token in _INTO:
            if len(parts) > DEPTH:
                raise self.error(f"a path leads deeper than the {DEPTH} levels an item may have; shorten it", self.next)
            self.next += 1
            parts.append(self.segment() if token == "." else self.place())
            token = self.tokens[self.next]
        return Path(tuple(parts))

    def segment(self) -> str:
        token = self.tokens[self.next]
        if sign_of(token) == "#":
            return self.name(token)
        if token in _KEYWORDS:
            raise self.error(f"{token} cannot stand here; an attribute of that name is written #name", self.next)
        if not is_word(token):
            raise self.unexpected("an attribute or a #name")
        if token.upper() in RESERVED:
            raise self.error(f"{token} is a reserved word; write #{token} and give it in names", self.next)
        self.next += 1
        return token

    def name(self, token: str) -> str:
        if token not in self.names:
            raise self.error(f"{token} is not in names; add it there", self.next)
        self.used.add(token)
        name: str = self.names[token]
        try:
            check_name(name)
        except InvalidCondition as error:
            raise self.error(f"{token}: {error}", self.next) from None
        self.next += 1
        return name

    def place(self) -> int:
        token = self.tokens[self.next]
        if not token.isdecimal() or not token.isascii() or len(token) > 9:
            raise self.error(f"a place in a list is a whole number from 0 to {MAX_PLACE}", self.next)
        self.next += 1
        self.expect("]")
        return int(token)

    def call(self, name: str) -> Operand:
        """size(path), the one function that has a value."""
        if name != "size":
            raise self.error(_no_such_function(name), self.next)
        self.operator()
        self.expect("(")
        at = self.next
        path = self.operand()
        if not isinstance(path, Path):
            raise self.error("size needs an attribute's path, not a value", at)
        self.expect(")")
        return Size(path)

    def value(self, token: str) -> Literal:
        if token not in self.values:
            raise self.error(f"{token} is not in values; add it there", self.next)
        self.used.add(token)
        try:
            found = Literal(normalise(self.values[token]))
        except InvalidValue as error:
            raise self.error(f"{token} {error.detail}", self.next) from None
        self.next += 1
        return found

    # What all of them share.

    def grouped(self, inner: Callable[[], Any]) -> Any:
        """What `inner` finds in parentheses. Doubled ones are refused, as DynamoDB does."""
        at = self.next
        self.depth += 1
        if self.depth > self.deepest:
            self.deepest, self.deepest_at = self.depth, at
            if self.depth > MAX_DEPTH:
                raise self.error(f"parentheses are nested deeper than {MAX_DEPTH} levels; split it", at)
        self.next += 1
        found = inner()
        self.expect(")")
        if self.group[0] is found:
            raise self.error("the parentheses are doubled; remove one pair", self.group[1])
        self.group = (found, at)
        self.depth -= 1
        return found

    def sound(self, node: Any, *places: int) -> Condition:
        """`node`, or InvalidCondition at the operator (the first place) or the operand that is at fault."""
        found = flaw(node)
        if found is None:
            return node  # type: ignore[no-any-return]
        raise self.error(found.detail, places[0] if found.operand is None else places[found.operand + 1])

    def condition(self, found: Any) -> Condition:
        """`found`, unless it is a bare operand."""
        if type(found) in _OPERANDS:
            raise self.unexpected("a comparison (= <> < <= > >= BETWEEN IN) after the operand")
        return found  # type: ignore[no-any-return]

    def operator(self) -> None:
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            raise self.error(f"the condition has more than {MAX_OPERATORS} operators; split it", self.next)
        self.next += 1

    def expect(self, token: str, instead: str = "") -> None:
        if self.tokens[self.next] != token:
            raise self.unexpected(instead or repr(token))
        self.next += 1

    def unexpected(self, wanted: str) -> InvalidCondition:
        return self.error(_unexpected(self.tokens[self.next], wanted), self.next)

    def error(self, detail: str, at: int) -> InvalidCondition:
        return InvalidCondition(detail, position(self.text, at))


_NOTHING: Final[Mapping[str, Any]] = {}
_KEYWORDS: Final = frozenset(KEYWORDS.values())
_INTO: Final = frozenset((".", "["))
_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., Any] | None]]] = {
    "attribute_exists": (1, None),
    "attribute_not_exists": (1, None),
    "attribute_type": (2, None),
    "begins_with": (2, BeginsWith),
    "contains": (2, Contains),
}


def _given(mapping: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(mapping, Mapping):
        raise InvalidCondition(f"{what} is an object that maps placeholders")
    if not mapping:
        raise InvalidCondition(f"{what} is empty; leave it out")
    return mapping


def _unused(used: set[str], names: Mapping[str, Any], values: Mapping[str, Any]) -> InvalidCondition:
    """What to say when not all of `names` and `values` are used; a key of a wrong form cannot be."""
    what, key = next(
        (what, key) for what, given in (("names", names), ("values", values)) for key in given if key not in used
    )
    sign = "#" if what == "names" else ":"
    rule = "is not used in the expression; leave it out"
    if not isinstance(key, str) or not _PLACEHOLDER.match(key) or key[0] != sign:
        rule = f"is no placeholder; write {sign} and letters, digits or _"
    return InvalidCondition(f"{str(key)[:40]!r} in {what} {rule}")


def _no_such_function(word: str) -> str:
    known = [*_FUNCTIONS, "size"]
    if word in _FUNCTIONS:
        return f"{word} is a condition and has no value; only size(path) can be compared"
    if word.lower() in known:
        return f"functions are written in lower case: {word.lower()}"
    return f"there is no function {word[:40]}; the functions are {', '.join(known)}"


def _unexpected(token: str, wanted: str) -> str:
    if token == END:
        return f"the expression ends too early: expected {wanted}"
    if is_text(token) or is_number(token):
        return f"a value cannot stand in the text: write :name and give it in values (expected {wanted})"
    if token in ("#", ":"):
        return f"{token} must be followed by letters, digits or _"
    if token in ("'", '"'):
        return f"a value cannot stand in quotes: write :name and give it in values (expected {wanted})"
    return f"{token[:40]!r} cannot stand here: expected {wanted}"
