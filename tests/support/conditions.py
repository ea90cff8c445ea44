"""Random conditions and random rows for Hypothesis, from a small world in which they often meet.

The values are those at which storages differ: true and 1, 0 and nothing, numbers over 2^53 and 2^63, 38 digits, texts
that look like JSON, names with quotes.
"""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from stateroom.expr.check import flaw
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
    Or,
    Path,
    Size,
    TypeIs,
)
from stateroom.expr.values import TYPE_CODES

NAMES = ("a", "b", "status", 'q"\\', "ü.x")
TEXTS = ("", "a", "ab", "b", "5", "[1]", '{"a":1}', '"', "\\", "é", "\U0001f600", "a'; DROP TABLE t; --", "%", "_")
WHOLE = (0, 1, -1, 2, 5, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**37, 10**37 + 1)
PARTS = ("1.5", "-0.1", "0.1", "0.10000000000000000000000000000000000001", "5.0000000000000000000000000000000000001")
PARTS += ("4.9999999999999999999999999999999999999", "9007199254740992.5", "1E+50", "1E-130", "-9E+125")
NUMBERS = (*WHOLE, *map(Decimal, PARTS))

VALUES: list[Any] = [*TEXTS, *NUMBERS, True, False, None, [], [1], ["a", True], {}, {"a": 1}, {"b": 2, "a": [0]}]
"""Each of them is to be compared with each."""

texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
scalars = texts | numbers | st.sampled_from((True, False, None))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)
rows: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)

paths = st.builds(
    lambda first, more: Path((first, *more)),
    st.sampled_from(NAMES),
    st.just(()) | st.lists(st.sampled_from(NAMES) | st.integers(0, 2), max_size=5).map(tuple),
)
literals = st.builds(Literal, values)
operands = paths | paths | literals | st.builds(Size, paths)
sorted_pairs = st.tuples(texts, texts).map(sorted) | st.tuples(numbers, numbers).map(sorted)


def sound(node: Condition) -> bool:
    return flaw(node) is None


leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, paths, st.sampled_from(("=", "<>", "<", "<=", ">", ">=")), st.builds(Literal, texts | numbers)),
    st.builds(Compare, st.builds(Size, paths), st.sampled_from(("=", "<>", "<", "<=", ">", ">=")), literals),
    st.builds(Compare, operands, st.sampled_from(("=", "<>", "<", "<=", ">", ">=")), operands),
    st.builds(lambda path, pair: Between(path, *map(Literal, pair)), operands, sorted_pairs),
    st.builds(Between, operands, operands, operands),
    st.builds(In, operands, st.lists(literals | operands, min_size=1, max_size=4).map(tuple)),
    st.builds(Exists, paths, st.booleans()),
    st.builds(TypeIs, paths, st.sampled_from(TYPE_CODES)),
    st.builds(BeginsWith, paths, st.builds(Literal, texts)),
    st.builds(BeginsWith, operands, operands),
    st.builds(Contains, paths, st.builds(Literal, values)),
    st.builds(Contains, operands, operands),
).filter(sound)


def _joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, min_size=2, max_size=9).map(tuple)
    return st.builds(And, parts) | st.builds(Or, parts) | st.builds(Not, inner)


conditions = st.recursive(leaves, _joined, max_leaves=8)
