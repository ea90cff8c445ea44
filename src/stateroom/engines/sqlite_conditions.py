"""Conditions as SQL: a WHERE clause that finds every row which `evaluate` would find, and few others.

Rules of this file: pure. Every name and every literal is bound, none is ever part of the SQL. The clause may find
rows too many and never too few, because `evaluate` then decides on the rows it finds. So each node can be written in
two ways: as what *may* hold (no row too few) and as what *surely* holds (no row too many). NOT of a node is the
opposite of what surely holds, so it, too, has no row too few; a node that cannot be written may always hold, and
surely never.

What json_extract gives (https://www.sqlite.org/json1.html): texts exactly, in the order of their UTF-8 bytes; true and
false as 1 and 0, null as NULL as if there was nothing; whole numbers up to 64 bits exactly, all others as a REAL that
may be off by its last bits; lists and maps as a text beginning with [ or {. json_type tells all of these apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import (
    And,
    BeginsWith,
    Between,
    Comparator,
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
from stateroom.expr.values import kind
from stateroom.model.codec import encode

MAX_VALUES: Final = 30_000  # SQLite binds 32,766 at most; the rest of a query needs some, too
_EXACT: Final = 2**62  # whole numbers up to here are exact, and so is their comparison with any REAL
_NEAR: Final = 1e-12  # of a number: how far SQLite's REAL of it may be off, many times over
FLIPPED: Final[Mapping[str, Comparator]] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TYPES: Final = {
    "S": "= 'text'",
    "N": "IN ('integer', 'real')",
    "BOOL": "IN ('true', 'false')",
    "NULL": "= 'null'",
    "L": "= 'array'",
    "M": "= 'object'",
}
_ESCAPED: Final = frozenset('"\\') | {chr(code) for code in range(32)}  # what stands in JSON as an escape
_INTEGER: Final = "= 'integer'"
_NESTED: Final = "IN ('array', 'object')"
_MAYBE: Final = "1"
_NEVER: Final = "0"


class Filter(NamedTuple):
    """A WHERE clause over a column `item`, and what is bound to it. `exact`: it finds no row too many either."""

    sql: str
    values: list[Any]
    exact: bool


def where(condition: Condition) -> Filter:
    """The clause of a condition."""
    writer = _Writer()
    sql = writer.condition(condition, surely=False)
    return Filter(sql, writer.values, writer.exact) if len(writer.values) <= MAX_VALUES else Filter(_MAYBE, [], False)


def json_path(parts: tuple[str | int, ...]) -> str | None:
    """SQLite's form of a path; None when a name in it has none: SQLite compares with the escaped text."""
    if any(isinstance(part, str) and not _ESCAPED.isdisjoint(part) for part in parts):
        return None
    return "$" + "".join(f'."{part}"' if isinstance(part, str) else f"[{part}]" for part in parts)


def bound(value: Any) -> tuple[str, Any]:
    """The placeholder and the binding of a value, such that SQLite sees what json_extract gives for it."""
    if isinstance(value, bool):
        return "?", int(value)
    if isinstance(value, Decimal) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return "json_extract(?, '$')", encode(value).decode()
    return "?", value


def near(value: Any, direction: int) -> float:
    """A number a little above (1) or below (-1) `value`, by more than any rounding; numbers begin at 1E-130."""
    number = float(value)
    return number + direction * (abs(number) * _NEAR + 1e-200)


class _Writer:
    """Writes left to right, so that `values` are in the order of their placeholders."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.exact = True

    def condition(self, node: Condition, surely: bool) -> str:
        if isinstance(node, Not):
            return f"({self.condition(node.part, not surely)}) IS NOT TRUE"
        if isinstance(node, (And, Or)):
            joint = " AND " if isinstance(node, And) else " OR "
            return joint.join(f"({self.condition(part, surely)})" for part in node.parts)
        written: str = _WRITTEN[type(node)](self, node, surely)
        return written

    # Parts of clauses.

    def bind(self, *values: Any) -> None:
        self.values += values

    def rough(self, sql: str = _MAYBE) -> str:
        """`sql`, which finds rows too many."""
        self.exact = False
        return sql

    def unknown(self, surely: bool) -> str:
        self.exact = False
        return _NEVER if surely else _MAYBE

    def typed(self, path: str, types: str) -> str:
        self.bind(path)
        return f"json_type(item, ?) {types}"

    def value(self, path: str) -> str:
        self.bind(path)
        return "json_extract(item, ?)"

    def number(self, value: Any) -> str:
        mark, given = bound(value)
        self.bind(given)
        return mark

    # Comparisons.

    def compare(self, node: Compare, surely: bool) -> str:
        left, op, right = node.left, node.op, node.right
        if op == "<>":
            return self.condition(Not(Compare(left, "=", right)), surely)
        if isinstance(left, Literal):
            if isinstance(right, Literal):
                return "1" if evaluate(node, {}) else "0"
            return self.compare(Compare(right, FLIPPED[op], left), surely)
        if isinstance(left, Size):
            return self.size(left, op, right, surely)
        path = json_path(left.parts)
        if path is None or isinstance(right, Size):
            return self.unknown(surely)
        if isinstance(right, Path):
            other = json_path(right.parts)
            return self.unknown(surely) if other is None else self.two_paths(path, op, other, surely)
        return self.equal(path, right.value, surely) if op == "=" else self.ordered(path, op, right.value, surely)

    def equal(self, path: str, value: Any, surely: bool) -> str:
        code = kind(value)
        if code in ("BOOL", "NULL"):
            return self.typed(path, f"= '{'null' if value is None else str(value).lower()}'")
        if code in ("L", "M"):
            return self.unknown(surely) if surely else self.rough(self.typed(path, _TYPES[code]))
        if code == "S":
            return self.text(path, lambda: self.value(path) + " = " + self.number(value), surely, _like_json(value))
        if not _whole(value):
            return self.unknown(surely) if surely else self.rough(f"{self.value(path)} = {self.number(value)}")
        return self.whole(path, lambda: f"{self.value(path)} = {self.number(value)}", surely)

    def text(self, path: str, test: Callable[[], str], surely: bool, rough: bool = True) -> str:
        """A test that means something for texts; `rough`: it may hold for other things, too."""
        if not rough:
            return test()
        if surely:
            return f"{self.typed(path, _TYPES['S'])} AND {test()}"
        return self.rough(test())

    def whole(self, path: str, test: Callable[[], str], surely: bool) -> str:
        """A test of equality that means something for whole numbers; true and a REAL nearby pass it, too."""
        return f"{self.typed(path, _INTEGER)} AND {test()}" if surely else self.rough(test())

    def ordered(self, path: str, op: str, value: Any, surely: bool) -> str:
        if kind(value) == "S":
            return self.text(path, lambda: f"{self.value(path)} {op} {self.number(value)}", surely)
        if kind(value) != "N":
            return _NEVER
        up = op in (">", ">=")
        self.exact = False
        if surely:
            return self.surely_ordered(path, op, value, near(value, 1 if up else -1))
        loose = f"{self.value(path)} {op[0]}= {self.number(near(value, -1 if up else 1))}"
        if not _whole(value):
            return loose
        # A row that passes is looked at again: whole numbers are exact, and a REAL may be any that is near.
        whole = f"{self.value(path)} {op} {self.number(value)}"
        return f"{loose} AND ({whole} OR typeof({self.value(path)}) = 'real')"

    def surely_ordered(self, path: str, op: str, value: Any, beyond: float) -> str:
        if not _whole(value):
            return f"{self.typed(path, _TYPES['N'])} AND {self.value(path)} {op} {self.number(beyond)}"
        self.bind(path)
        whole = f"WHEN 'integer' THEN {self.value(path)} {op} {self.number(value)}"
        real = f"WHEN 'real' THEN {self.value(path)} {op} {self.number(beyond)}"
        return f"CASE json_type(item, ?) {whole} {real} ELSE 0 END"

    def two_paths(self, path: str, op: str, other: str, surely: bool) -> str:
        """Lists and maps of the same text are the same, others may be; numbers are too rough to be sure of."""
        self.exact = False
        if surely:
            both = f"{self.typed(path, _TYPES['S'])} AND {self.typed(other, _TYPES['S'])}"
            return f"{both} AND {self.value(path)} {op} {self.value(other)}"
        test = f"{self.value(path)} {op} {self.value(other)}"
        if op == "=":
            return f"{test} OR {self.typed(path, _NESTED)}"
        return f"{test} OR typeof({self.value(path)}) = 'real' OR typeof({self.value(other)}) = 'real'"

    def between(self, node: Between, surely: bool) -> str:
        low, high, operand = node.low, node.high, node.operand
        path = json_path(operand.parts) if isinstance(operand, Path) else None
        if path is None or not isinstance(low, Literal) or not isinstance(high, Literal):
            return self.condition(And((Compare(operand, ">=", low), Compare(operand, "<=", high))), surely)
        if kind(low.value) != kind(high.value) or kind(low.value) not in ("S", "N"):
            return _NEVER
        if kind(low.value) == "S":
            return self.text(path, lambda: self.range(path, low.value, high.value), surely)
        if surely:
            return self.condition(And((Compare(operand, ">=", low), Compare(operand, "<=", high))), surely)
        return self.rough(self.range(path, near(low.value, -1), near(high.value, 1)))

    def range(self, path: str, low: Any, high: Any) -> str:
        return f"{self.value(path)} BETWEEN {self.number(low)} AND {self.number(high)}"

    def is_in(self, node: In, surely: bool) -> str:
        """Texts are asked for together, and whole numbers; anything else one by one."""
        operand = node.operand
        path = json_path(operand.parts) if isinstance(operand, Path) else None
        texts: list[Any] = []
        wholes: list[Any] = []
        others: list[Operand] = []
        for option in node.options:
            value = option.value if isinstance(option, Literal) else None
            if path is not None and isinstance(value, str) and not _like_json(value):
                texts.append(value)
            elif path is not None and kind(value) == "N" and _whole(value):
                wholes.append(value)
            else:
                others.append(option)
        tests = []
        if path is not None and texts:
            tests.append(self.one_of(path, texts))
        if path is not None and wholes:
            tests.append(self.whole(path, lambda: self.one_of(path, wholes), surely))
        tests += [self.compare(Compare(operand, "=", option), surely) for option in others]
        return " OR ".join(f"({test})" for test in tests)

    def one_of(self, path: str, values: list[Any]) -> str:
        return f"{self.value(path)} IN ({', '.join([self.number(v) for v in values])})"

    # Functions.

    def exists(self, node: Exists, surely: bool) -> str:
        path = json_path(node.path.parts)
        return self.unknown(surely) if path is None else self.typed(path, "IS NULL" if node.absent else "IS NOT NULL")

    def type_is(self, node: TypeIs, surely: bool) -> str:
        path = json_path(node.path.parts)
        if node.type not in _TYPES:
            return _NEVER
        return self.unknown(surely) if path is None else self.typed(path, _TYPES[node.type])

    def begins_with(self, node: BeginsWith, surely: bool) -> str:
        operand, prefix = node.operand, node.prefix
        path = json_path(operand.parts) if isinstance(operand, Path) else None
        if path is None or not isinstance(prefix, Literal):
            return self.unknown(surely)

        def test() -> str:
            found = f"substr({self.value(path)}, 1, ?) = ?"
            self.bind(len(prefix.value), prefix.value)
            return found

        return self.text(path, test, surely)

    def contains(self, node: Contains, surely: bool) -> str:
        container, wanted = node.container, node.operand
        path = json_path(container.parts) if isinstance(container, Path) else None
        if path is None or not isinstance(wanted, Literal):
            return self.unknown(surely)
        value, code = wanted.value, kind(wanted.value)
        if surely:
            return self.surely_contains(path, value)
        if code in ("L", "M"):
            return self.rough(self.typed(path, _TYPES["L"]))
        # The text of a list has the text of each element in it; a text that stands there as escapes is not found.
        found = f"instr({self.value(path)}, ?) > 0"
        self.bind(value if code == "S" else encode(value).decode())
        plain = code != "S" or _ESCAPED.isdisjoint(value)
        return self.rough(found if plain else f"{found} OR {self.typed(path, _TYPES['L'])}")

    def surely_contains(self, path: str, value: Any) -> str:
        code = kind(value)
        self.exact = False
        if code == "S":
            self.bind(path)
            text = f"WHEN 'text' THEN instr({self.value(path)}, ?) > 0"
            self.bind(value, path, value)
            within = "SELECT 1 FROM json_each(item, ?) WHERE type = 'text' AND value = ?"
            return f"CASE json_type(item, ?) {text} WHEN 'array' THEN EXISTS ({within}) ELSE 0 END"
        if code == "N" and _whole(value):
            typed = self.typed(path, _TYPES["L"])
            self.bind(path, value)
            return f"{typed} AND EXISTS (SELECT 1 FROM json_each(item, ?) WHERE type = 'integer' AND value = ?)"
        return _NEVER

    def size(self, left: Size, op: str, right: Operand, surely: bool) -> str:
        path = json_path(left.path.parts)
        if path is None or not isinstance(right, Literal):
            return self.unknown(surely)
        value = right.value
        if kind(value) != "N":
            return _NEVER
        if value != int(value):
            if op == "=":
                return _NEVER
            value = math.floor(value) if op in (">", "<=") else math.ceil(value)
        self.bind(path, path, path, path, max(-_EXACT, min(_EXACT, int(value))))
        text = "WHEN 'text' THEN length(CAST(json_extract(item, ?) AS BLOB))"
        entries = "WHEN 'object' THEN (SELECT count(*) FROM json_each(item, ?))"
        return f"CASE json_type(item, ?) {text} WHEN 'array' THEN json_array_length(item, ?) {entries} END {op} ?"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and -_EXACT <= value <= _EXACT


def _like_json(text: str) -> bool:
    """Whether a list or a map could stand as this text."""
    return text[:1] in ("[", "{")


_WRITTEN: Final[Mapping[type, Callable[[_Writer, Any, bool], str]]] = {
    Compare: _Writer.compare,
    Between: _Writer.between,
    In: _Writer.is_in,
    Exists: _Writer.exists,
    TypeIs: _Writer.type_is,
    BeginsWith: _Writer.begins_with,
    Contains: _Writer.contains,
}
