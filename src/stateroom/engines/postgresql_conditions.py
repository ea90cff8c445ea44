"""Conditions as PostgreSQL's SQL over the `jsonb` column `item`.

Rules of this file: values are bound, never spliced; names and places of a path are bound or quoted, too. jsonb keeps
numbers exact and parts every kind, so the SQL means what `evaluate` means, and says so (`exact`); what it cannot say it
answers with all rows, and `evaluate` decides. No cast can fail: each stands behind a CASE on the kind, since PostgreSQL
is free in the order in which it tests. A clause is true or not true (NULL is not true), under NOT as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from stateroom.expr.evaluate import evaluate
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
from stateroom.expr.values import kind
from stateroom.model.codec import encode

FLIPPED: Final[Mapping[str, str]] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TYPES: Final = {"S": "string", "N": "number", "BOOL": "boolean", "NULL": "null", "L": "array", "M": "object"}


class Clause(NamedTuple):
    """SQL with `%s` placeholders and what is bound to them."""

    sql: str
    values: list[Any]
    when_missing: bool  # whether it holds of a row that is not there


KNOWN: Final = 256  # most callers give one tree again and again, and guards are the same always
_known: Final[dict[tuple[int, str], tuple[Condition, Clause]]] = {}  # the tree is held, so that its id stays its own


def clause_of(condition: Condition, item: str = "item") -> Clause:
    """The condition over the jsonb expression `item`; its values are not to be changed."""
    known = _known.get((id(condition), item))
    if known is not None:
        return known[1]
    writer = _Writer(item)
    clause = Clause(writer.condition(condition), writer.values, evaluate(condition, {}))
    if len(_known) >= KNOWN:
        _known.clear()
    _known[id(condition), item] = (condition, clause)
    return clause


def quoted(text: str) -> str:
    """A literal text, safe in a statement that has placeholders, however the server reads backslashes."""
    escape = "E" if "\\" in text else ""
    return f"{escape}'" + text.replace("\\", "\\\\").replace("'", "''").replace("%", "%%") + "'"


def json_of(value: Any) -> str:
    """What is bound to a `%s::jsonb`."""
    return encode(value).decode()


class _Writer:
    """Writes left to right, so that `values` are in the order of their placeholders."""

    def __init__(self, item: str) -> None:
        self.item = item
        self.values: list[Any] = []

    def condition(self, node: Condition) -> str:
        if isinstance(node, Not):
            return f"({self.condition(node.part)}) IS NOT TRUE"
        if isinstance(node, (And, Or)):
            joint = " AND " if isinstance(node, And) else " OR "
            return joint.join([f"({self.condition(part)})" for part in node.parts])
        written: str = _WRITTEN[type(node)](self, node)
        return written

    # Operands. Each use of an operand is written anew: its placeholders count each time.

    def path(self, path: Path) -> str:
        """The jsonb at a path, NULL where it leads nowhere; a name leads into maps only, a number into lists only."""
        steps = [quoted(part) if isinstance(part, str) else str(part) for part in path.parts]
        return "->".join([self.item, *steps])

    def bind(self, value: Any, cast: str = "jsonb") -> str:
        self.values.append(json_of(value) if cast == "jsonb" else value)
        return f"%s::{cast}"

    def jsonb(self, operand: Operand) -> str:
        """The operand as jsonb."""
        if isinstance(operand, Literal):
            return self.bind(operand.value)
        if isinstance(operand, Path):
            return self.path(operand)
        return f"to_jsonb({self.size(operand)})"

    def size(self, operand: Size) -> str:
        place = self.path(operand.path)
        text = f"WHEN 'string' THEN octet_length(convert_to({place} #>> '{{}}', 'UTF8'))"
        members = f"WHEN 'object' THEN (SELECT count(*) FROM jsonb_object_keys({place}))"
        return f"(CASE jsonb_typeof({place}) {text} WHEN 'array' THEN jsonb_array_length({place}) {members} END)"

    def number(self, operand: Operand) -> str:
        """The operand as numeric, NULL for what is no number."""
        if isinstance(operand, Literal):
            return self.bind(json_of(operand.value), "numeric") if kind(operand.value) == "N" else "NULL::numeric"
        if isinstance(operand, Size):
            return self.size(operand)
        place = self.path(operand)
        return f"(CASE jsonb_typeof({place}) WHEN 'number' THEN ({place})::numeric END)"

    def text(self, operand: Operand) -> str:
        """The operand as text, NULL for what is no text."""
        if isinstance(operand, Literal):
            return self.bind(operand.value, "text") if kind(operand.value) == "S" else "NULL::text"
        if isinstance(operand, Size):
            return "NULL::text"
        place = self.path(operand)
        return f"(CASE jsonb_typeof({place}) WHEN 'string' THEN {place} #>> '{{}}' END)"

    # Comparisons.

    def compare(self, node: Compare) -> str:
        left, op, right = node.left, node.op, node.right
        if op == "<>":
            return self.condition(Not(Compare(left, "=", right)))
        if isinstance(left, Literal) and isinstance(right, Literal):
            return "true" if evaluate(node, {}) else "false"
        if isinstance(left, Literal):
            left, op, right = right, FLIPPED[op], left  # type: ignore[assignment]
        if op == "=":
            return f"{self.jsonb(left)} = {self.jsonb(right)}"
        return self.ordered(left, op, right)

    def ordered(self, left: Operand, op: str, right: Operand) -> str:
        codes = {_code(left), _code(right)} - {None}
        if len(codes) > 1 or codes - {"S", "N"}:
            return "false"
        tests = []
        if "S" not in codes:
            tests.append(f"{self.number(left)} {op} {self.number(right)}")
        if "N" not in codes:
            tests.append(f'{self.text(left)} COLLATE "C" {op} {self.text(right)} COLLATE "C"')
        return " OR ".join([f"({test})" for test in tests])

    def between(self, node: Between) -> str:
        low = Compare(node.operand, ">=", node.low)
        return self.condition(And((low, Compare(node.operand, "<=", node.high))))

    def is_in(self, node: In) -> str:
        return " OR ".join([f"({self.compare(Compare(node.operand, '=', option))})" for option in node.options])

    # Functions.

    def exists(self, node: Exists) -> str:
        return f"{self.path(node.path)} IS {'' if node.absent else 'NOT '}NULL"

    def type_is(self, node: TypeIs) -> str:
        name = _TYPES.get(node.type)
        return "false" if name is None else f"jsonb_typeof({self.path(node.path)}) = '{name}'"

    def begins_with(self, node: BeginsWith) -> str:
        return f"starts_with({self.text(node.operand)}, {self.text(node.prefix)})"

    def contains(self, node: Contains) -> str:
        found = f"strpos({self.text(node.container)}, {self.text(node.operand)}) > 0"
        if _code(node.container) not in (None, "L"):
            return found
        place = self.jsonb(node.container)
        # Written twice, so bound twice: `jsonb` appends to `values` at each call.
        again = self.jsonb(node.container)
        wanted = self.jsonb(node.operand)
        elements = f"jsonb_array_elements(CASE jsonb_typeof({place}) WHEN 'array' THEN {again} ELSE '[]'::jsonb END)"
        return f"({found}) OR EXISTS (SELECT 1 FROM {elements} AS e WHERE e = {wanted})"


def _code(operand: Operand) -> str | None:
    """The kind that an operand surely has; None: the row decides."""
    if isinstance(operand, Literal):
        return kind(operand.value)
    return "N" if isinstance(operand, Size) else None


_WRITTEN: Final[Mapping[type, Callable[[_Writer, Any], str]]] = {
    Compare: _Writer.compare,
    Between: _Writer.between,
    In: _Writer.is_in,
    Exists: _Writer.exists,
    TypeIs: _Writer.type_is,
    BeginsWith: _Writer.begins_with,
    Contains: _Writer.contains,
}
