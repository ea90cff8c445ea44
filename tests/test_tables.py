"""support/tables.py: a table of cases proves what each of them would."""

import pytest

from support.tables import each


def test_every_case_is_tried_and_the_one_that_fails_is_named() -> None:
    tried: list[int] = []

    @each("a, b", [(1, 1), (2, 2), (3, 4)])
    def same(a: int, b: int, tmp: str) -> None:
        tried.append(a)
        assert a == b, tmp

    with pytest.raises(AssertionError) as failed:
        same(tmp="x")
    assert tried == [1, 2, 3]
    assert failed.value.__notes__ == ["in the case (3, 4)"]


def test_a_case_that_does_not_raise_fails() -> None:
    @each("a", [1])
    def raises(a: int) -> None:
        with pytest.raises(ValueError):
            assert a

    with pytest.raises(pytest.fail.Exception):
        raises()


def test_no_case_is_no_proof() -> None:
    with pytest.raises(AssertionError, match="proves nothing"):
        each("a", [])
