"""From text to tree: the grammar, what is refused, and where the error points."""

from decimal import Decimal
from typing import Any

import pytest

from stateroom import InvalidCondition
from stateroom.expr.check import MAX_DEPTH, MAX_OPERATORS, MAX_OPTIONS, check
from stateroom.expr.parser import MAX_TEXT, parse
from stateroom.expr.reserved import RESERVED
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
from support.tables import each

A, B = Path(("a",)), Path(("b",))
ONE, TWO, TEXT, YES = Literal(1), Literal(2), Literal("x"), Literal(True)
A1 = Compare(A, "=", ONE)
B2 = Compare(B, "=", TWO)
GIVEN: dict[str, Any] = {":one": 1, ":two": 2, ":x": "x", ":yes": True, ":null": None, ":list": [1], ":code": "BOOL"}


def read(text: str, **more: Any) -> Condition:
    """`parse` with those of the values that the text names, `#a` and `#b` likewise."""
    values = {k: v for k, v in GIVEN.items() if k in text}
    names = {k: k[1:] for k in ("#a", "#b") if k in text}
    return parse(text, more.get("names", names or None), more.get("values", values or None))


@each(
    ("text", "tree"),
    [
        ("a = :one", A1),
        ("#a=:one", A1),
        (":one = #a", Compare(ONE, "=", A)),
        ("a <> b", Compare(A, "<>", B)),
        ("a < :one", Compare(A, "<", ONE)),
        ("a<=:one", Compare(A, "<=", ONE)),
        ("a > :one", Compare(A, ">", ONE)),
        ("a>= :one", Compare(A, ">=", ONE)),
        ("(a) = (:one)", A1),
        ("(a = :one)", A1),
        ("a BETWEEN :one AND :two", Between(A, ONE, TWO)),
        ("a between :one and :two and b = :two", And((Between(A, ONE, TWO), B2))),
        ("a IN (:one)", In(A, (ONE,))),
        ("a in(:one,b , :x)", In(A, (ONE, B, TEXT))),
        ("attribute_exists(a)", Exists(A)),
        ("attribute_not_exists ( #a )", Exists(A, absent=True)),
        ("attribute_type(a, :code)", TypeIs(A, "BOOL")),
        ("begins_with(a, :x)", BeginsWith(A, TEXT)),
        ("contains (a, :x)", Contains(A, TEXT)),
        ("contains(:list, a)", Contains(Literal([1]), A)),
        ("size(a) > :one", Compare(Size(A), ">", ONE)),
        ("size(a) = size(b)", Compare(Size(A), "=", Size(B))),
        ("a = size (b)", Compare(A, "=", Size(B))),
        ("#a.#b[3].c[0][1] = :one", Compare(Path(("a", "b", 3, "c", 0, 1)), "=", ONE)),
        ("a = :one OR b = :two AND a = :one", Or((A1, And((B2, A1))))),
        ("a = :one AND b = :two OR a = :one", Or((And((A1, B2)), A1))),
        ("(a = :one OR b = :two) AND a = :one", And((Or((A1, B2)), A1))),
        ("a = :one AND b = :two AND a = :one", And((A1, B2, A1))),
        ("a = :one AND (b = :two AND a = :one)", And((A1, And((B2, A1))))),
        ("NOT a = :one AND b = :two", And((Not(A1), B2))),
        ("NOT (a = :one AND b = :two)", Not(And((A1, B2)))),
        ("not (not (a = :one))", Not(Not(A1))),
        ("a = :null", Compare(A, "=", Literal(None))),
        ("\t a\n=\r:one ", A1),
        ("between_ = :one", Compare(Path(("between_",)), "=", ONE)),
        ("contains = :one", Compare(Path(("contains",)), "=", ONE)),
        ("_ = :one", Compare(Path(("_",)), "=", ONE)),
    ],
)
def test_the_grammar(text: str, tree: Condition) -> None:
    assert read(text) == tree
    check(tree)


@each(
    ("text", "position", "says"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ("a", 1, "comparison"),
        ("a =", 3, "too early"),
        ("a = ", 4, "too early"),
        ("a == :one", 3, "'='"),
        ("a != :one", 2, "comparison"),
        ("a => :one", 3, "'>'"),
        ("a = :one b = :two", 9, "AND, OR or the end"),
        ("a = :one AND", 12, "too early"),
        ("a = :one OR OR b = :two", 12, "'OR'"),
        ("AND a = :one", 0, "'AND'"),
        ("a = :one)", 8, "AND, OR or the end"),
        ("(a = :one", 9, "')'"),
        ("((a = :one))", 1, "doubled"),
        ("((a)) = :one", 1, "doubled"),
        ("a = ((:one))", 5, "doubled"),
        ("NOT ((a = :one))", 5, "doubled"),
        ("a = :missing", 4, "not in values"),
        ("#missing = :one", 0, "not in names"),
        ("a.#missing = :one", 2, "not in names"),
        ("# = :one", 0, "followed by"),
        ("a = :", 4, "followed by"),
        ("a = 'open'", 4, "give it in values"),
        ('a = "open"', 4, "quotes"),
        ("a = 5", 4, "give it in values"),
        ("a = -5", 4, "give it in values"),
        ("a = 'open", 4, "quotes"),
        ("status = :one", 0, "reserved word; write #status"),
        ("a.Status = :one", 2, "reserved"),
        ("a.and = :one", 2, "AND"),
        ("a. = :one", 3, "an attribute or a #name"),
        ("a.:one = :one", 2, "an attribute or a #name"),
        ("a[x] = :one", 2, "whole number"),
        ("a[-1] = :one", 2, "whole number"),
        ("a[1.5] = :one", 2, "whole number"),
        ("a[1234567890] = :one", 2, "whole number"),
        ("a[0 = :one", 4, "']'"),
        ("a = :one ; b", 9, "';'"),
        ("a = :one -- b", 9, "'-'"),
        ("é = :one", 0, "cannot stand here"),
        ("foo(a)", 0, "no function foo"),
        ("a = foo(b)", 4, "no function foo"),
        ("Contains(a, :x)", 0, "lower case: contains"),
        ("SIZE(a) = :one", 0, "lower case: size"),
        ("a = contains(b, :x)", 4, "only size"),
        ("contains(a)", 10, "takes 2 operands, not 1"),
        ("contains(a, :x, :one)", 16, "takes 2 operands, not 3"),
        ("contains()", 9, "a :value"),
        ("attribute_exists(a, b)", 20, "takes 1 operand, not 2"),
        ("attribute_exists(:one)", 17, "path"),
        ("attribute_exists(size(a))", 17, "path"),
        ("attribute_type(a, :x)", 18, "one of S, N, BOOL"),
        ("attribute_type(a, :one)", 18, "code as a text"),
        ("attribute_type(a, b)", 18, "code as a text"),
        ("size(:x) = :one", 5, "path"),
        ("size(a, b) = :one", 6, "')'"),
        ("begins_with(a, :one)", 15, "compares texts, not a number"),
        ("begins_with(:yes, a)", 12, "compares texts, not a boolean"),
        ("begins_with(size(a), :x)", 12, "compares texts"),
        ("contains(:one, a)", 9, "a text or a list"),
        ("a < :yes", 4, "a boolean has no order; use = or <>"),
        ("a <= :yes", 5, "no order"),
        (":yes > a", 0, "no order"),
        ("a >= :null", 5, "a null has no order"),
        ("a > :list", 4, "a list has no order"),
        ("a BETWEEN :yes AND :two", 10, "no order"),
        ("a BETWEEN :one AND :yes", 19, "no order"),
        ("a BETWEEN :one AND :x", 19, "different types"),
        ("a BETWEEN :two AND :one", 19, "lower bound"),
        ("a BETWEEN :one OR :two", 15, "AND and the upper bound"),
        ("a BETWEEN :one", 14, "AND and the upper bound"),
        ("a = a", 4, "same path"),
        ("a.b[0] <> a.b[0]", 10, "same path"),
        ("a IN (:one, a)", 12, "same path"),
        ("contains(a, a)", 12, "same path"),
        ("begins_with(a, a)", 15, "same path"),
        ("a IN ()", 6, ":value"),
        ("a IN :one", 5, "'('"),
        ("a IN (:one :two)", 11, "comma"),
        ("NOT a", 5, "comparison"),
        ("NOT NOT a = :one", 4, "parentheses"),
        ("(a AND b = :two)", 3, "comparison"),
        ("(a)", 3, "comparison"),
        ("attribute_exists(a) = :yes", 20, "AND, OR or the end"),
    ],
)
def test_an_error_points_at_the_character_and_says_the_next_step(text: str, position: int, says: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        read(text)
    assert caught.value.position == position
    assert says in str(caught.value)
    assert str(caught.value).endswith(f"(at character {position})")


@each(
    ("names", "values", "says"),
    [
        ({"#a": "a", "#z": "z"}, {":one": 1}, "'#z' in names is not used"),
        ({"#a": "a"}, {":one": 1, ":z": 1}, "':z' in values is not used"),
        ({"#a": "a", "z": "z"}, {":one": 1}, "'z' in names is no placeholder; write #"),
        ({"#a": "a", "#a-b": "z"}, {":one": 1}, "no placeholder"),
        ({"#a": "a"}, {":one": 1, "#z": 1}, "'#z' in values is no placeholder; write :"),
        ({"#a": "a"}, {":one": 1, ":": 1}, "no placeholder"),
        ({"#a": "a"}, {":one": 1, 5: 1}, "no placeholder"),
        ({}, {":one": 1}, "names is empty"),
        ({"#a": "a"}, {}, "values is empty"),
        ([], {":one": 1}, "names is an object"),
        ({"#a": ""}, {":one": 1}, "#a: an attribute's name"),
        ({"#a": 5}, {":one": 1}, "#a: an attribute's name"),
        ({"#a": "a\0"}, {":one": 1}, "U+0000"),
        ({"#a": "a"}, {":one": float("nan")}, ":one is NaN"),
        ({"#a": "a"}, {":one": "\ud800"}, ":one contains a lone surrogate"),
        ({"#a": "a"}, {":one": {1}}, "no JSON form"),
    ],
)
def test_names_and_values_are_checked(names: Any, values: Any, says: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        parse("#a = :one", names, values)
    assert says in str(caught.value)


def test_values_are_taken_in_canonical_form() -> None:
    found = parse("a = :v", None, {":v": 1.50})
    assert isinstance(found, Compare)
    assert isinstance(found.right, Literal)
    assert found.right.value == Decimal("1.5")
    assert type(found.right.value) is Decimal


def test_a_name_may_be_any_text() -> None:
    assert parse("#x = :v", {"#x": 'a."b"[0]; DROP'}, {":v": 1}) == Compare(Path(('a."b"[0]; DROP',)), "=", ONE)


@each("word", [*sorted(RESERVED)[::40], "STATUS", "NAME", "SIZE", "ITEMS", "URL", "ZONE"])
def test_reserved_words_need_a_placeholder_in_any_case(word: str) -> None:
    for text in (word, word.lower(), word.title()):
        with pytest.raises(InvalidCondition) as caught:
            parse(f"{text} = :v", None, {":v": 1})
        assert caught.value.position == 0
    assert parse("#x = :v", {"#x": word}, {":v": 1}) == Compare(Path((word,)), "=", ONE)


def test_the_table_of_reserved_words_is_whole() -> None:
    assert len(RESERVED) == 573
    assert all(word.isascii() and word.isupper() and word.isalpha() for word in RESERVED)


@pytest.mark.parametrize("text", ["(" * 60_000, "a" + "[0]" * 2_000, "NOT (" * 10_000, "size(" * 10_000])
def test_endless_nesting_is_an_error_that_points_somewhere(text: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        parse(text)
    assert caught.value.position is not None


def test_the_limits() -> None:
    many = " AND ".join(["a = :v"] * (MAX_OPERATORS // 2))
    check(parse(many, None, {":v": 1}))
    with pytest.raises(InvalidCondition, match="300 operators"):
        parse(many + " AND a = :v AND a = :v", None, {":v": 1})
    options = ", ".join([":v"] * MAX_OPTIONS)
    check(parse(f"a IN ({options})", None, {":v": 1}))
    with pytest.raises(InvalidCondition, match="at most 100 operands") as caught:
        parse(f"a IN ({options}, :v)", None, {":v": 1})
    assert caught.value.position == len(f"a IN ({options}, ")
    deep = "NOT (" * (MAX_DEPTH - 1) + "a = :v" + ")" * (MAX_DEPTH - 1)
    check(parse(deep, None, {":v": 1}))
    with pytest.raises(InvalidCondition, match="deeper than 64"):
        parse(f"NOT ({deep})", None, {":v": 1})
    with pytest.raises(InvalidCondition, match="65536 characters"):
        parse("a" * (MAX_TEXT + 1))
