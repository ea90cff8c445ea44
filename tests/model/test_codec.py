"""Canonical values: what is kept, what is refused, and that nothing is lost on the way."""

import math
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.codec import decode, encode, moment, normalise
from stateroom.model.errors import CorruptData, InvalidValue

texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"))
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**38) + 1, 10**38 - 1) | decimals | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_kept_comes_back_equal_and_of_the_same_kind(value: Any) -> None:
    kept = normalise(value)
    back = decode(encode(kept))
    assert back == kept
    assert repr(back) == repr(kept)


@given(values)
def test_the_canonical_form_is_its_own_canonical_form(value: Any) -> None:
    assert repr(normalise(normalise(value))) == repr(normalise(value))


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [(1.0, 1), (Decimal("1.10"), Decimal("1.1")), (0.1, Decimal("0.1")), (Decimal("-0.0"), 0), (Decimal("1E+3"), 1000)],
)
def test_one_number_has_one_form(given_value: Any, kept: Any) -> None:
    assert repr(normalise(given_value)) == repr(kept)


@pytest.mark.parametrize(
    "bad",
    [
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        "a\0b",
        "\ud800",
        {"\0": 1},
        {1: 2},
        b"x",
        10**38 + 1,
        Decimal("1E+126"),
    ],
)
def test_what_some_engine_could_not_keep_is_refused_by_all(bad: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        normalise({"attribute": bad}, "item")
    assert "a\0b" not in str(caught.value)


@given(st.floats(0, 4e9))
def test_a_time_is_kept_in_whole_microseconds_and_is_never_later_than_it_is(seconds: float) -> None:
    with localcontext() as context:
        context.prec = 3  # somebody else's business
        kept = moment(seconds)
    assert kept == Decimal(int(seconds * 1e6)) / 10**6
    assert (encode(kept), type(kept)) == (encode(normalise(kept)), type(normalise(kept)))
    assert float(kept) <= seconds or math.isclose(float(kept), seconds, rel_tol=1e-15)


def test_38_digits_are_kept_and_39_are_refused() -> None:
    digits = "1234567890123456789.0123456789012345678"
    assert str(decode(encode(normalise(Decimal(digits))))) == digits
    assert normalise(10**38 - 1) == 10**38 - 1
    with pytest.raises(InvalidValue):
        normalise(Decimal(digits + "1"))


def test_nesting_has_a_limit() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(InvalidValue):
        normalise(deep)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b"1e99999999999999999999"])
def test_bytes_that_are_no_json_are_corrupt_data(data: bytes) -> None:
    with pytest.raises(CorruptData):
        decode(data, "here")
