"""Shapes of several values at once are the shapes of each."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from stateroom.slack.fields import CHANNEL, EVENT_ID, PERSON, TIMESTAMP, all_shaped, together

SHAPES = (CHANNEL, TIMESTAMP, PERSON, EVENT_ID)
VALUES = [st.from_regex(shape, fullmatch=True) for shape in SHAPES]
ODD = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.sampled_from(["C1\n1700000000.000100", "U1\n", ""]))


@given(st.tuples(*(st.one_of(value, value, value, ODD) for value in VALUES)))
@example(("C1\n1700000000.000100", "U1", "E", ""))
@example(("C1", "1700000000.000100", "U1", "None"))
@example(("C1", "1700000000.000100", "U1", "E\n"))
@example(("C1", "1700000000.000100", "U1", None))
def test_values_together_have_their_shapes_when_each_has_its_own(values: tuple[Any, ...]) -> None:
    each = [type(v) is str and shape.fullmatch(v) is not None for shape, v in zip(SHAPES, values, strict=True)]
    assert all_shaped(together(*SHAPES), *values) is all(each)
