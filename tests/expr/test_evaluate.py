"""What a condition means."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom import InvalidCondition, attr
from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import Compare, Literal, Path
from support.tables import each

ROW: dict[str, Any] = {"s": "b", "n": 5, "d": Decimal("1.5"), "t": True, "o": {"x": {"y": 1}}, "l": [1, True]}


@each(
    ("condition", "holds"),
    [
        (attr("s") == "b", True),
        (attr("n") == "5", False),  # no coercion
        (attr("n") == 5.0, True),
        (attr("t") == 1, False),  # a boolean is no number
        (attr("n") == True, False),  # noqa: E712
        (attr("missing") == 1, False),
        (attr("missing") != 1, True),
        (attr("n") != "5", True),
        (attr("s") > "a", True),
        (attr("s") > 1, False),
        (attr("d") <= Decimal("1.5"), True),
        (attr("t") < 5, False),
        (attr("o", "x", "y") == 1, True),
        (attr("o", "z", "y").not_exists(), True),
        (attr("l") == [1, True], True),
        (attr("l") == [True, 1], False),
        (attr("o").exists(), True),
        ((attr("s") == "b") & (attr("n") > 4), True),
        ((attr("s") == "b") & (attr("n") > 5) & attr("t").exists(), False),
    ],
)
def test_comparisons_as_dynamodb_has_them(condition: Any, holds: bool) -> None:
    assert evaluate(condition, ROW) is holds


scalars = st.integers(-3, 3) | st.sampled_from(["", "a", "b"]) | st.booleans()


def compared(op: Any, right: Any) -> Compare:
    return Compare(Path(("a",)), op, Literal(right))


@given(scalars, scalars)
def test_equal_and_unequal_are_opposites_and_order_is_total_within_a_kind(left: Any, right: Any) -> None:
    row = {"a": left}
    assert evaluate(compared("=", right), row) is not evaluate(compared("<>", right), row)
    same_kind = type(left) is type(right) and not isinstance(left, bool)
    assert (
        same_kind
        is (
            evaluate(compared("<", right), row)
            + evaluate(compared("=", right), row)
            + evaluate(compared(">", right), row)
            == 1
            and not (isinstance(left, bool))
        )
        or left == right
    )


def test_a_condition_refuses_truth_value() -> None:
    with pytest.raises(TypeError):
        bool(attr("a") == 1)
    with pytest.raises(TypeError):
        bool(attr("a"))
    with pytest.raises(InvalidCondition):
        _ = attr("a") < True
    with pytest.raises(TypeError):
        (attr("a") == 1) & 5  # type: ignore[operator]
