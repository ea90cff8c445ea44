"""The error table: what may be repeated, what may have been done; and the page that shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.errors import SlackError, Throttled
from stateroom.slack.codes import MEANINGS, READS, THROTTLED, error_of, error_of_answer
from support.tables import each

PAGE = Path(__file__).parents[2] / "docs" / "slack-wire.md"
POST = "chat.postMessage"


def word(flag: bool) -> str:
    return "yes" if flag else "no"


def test_the_page_shows_every_code_of_the_table_with_its_meaning() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for code, meaning in MEANINGS.items():
        row = f"| `{code}` | {word(meaning.retryable)} | {word(meaning.maybe_applied)} | {meaning.why} |"
        assert row in lines, f"docs/slack-wire.md lacks: {row}"
    shown = {line.split("`")[1] for line in lines if line.startswith("| `") and line.count("|") == 5}
    assert shown == set(MEANINGS)


@pytest.mark.parametrize("code", sorted(THROTTLED))
def test_the_page_names_what_throttles(code: str) -> None:
    assert f"`{code}`" in PAGE.read_text(encoding="utf-8")


@each("code", sorted(MEANINGS))
def test_nothing_was_applied_before_it_was_sent_or_by_reading(code: str) -> None:
    assert not error_of(POST, code, sent=False).maybe_applied
    for method in READS:
        assert not error_of(method, code).maybe_applied
    assert error_of(POST, code).maybe_applied is MEANINGS[code].maybe_applied


def test_a_code_that_is_not_in_the_table_is_final() -> None:
    error = error_of(POST, "restricted_action")
    assert (error.retryable, error.maybe_applied, error.code) == (False, False, "restricted_action")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"RETRY-AFTER": "2.5"}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({}, 1.0),
        ({"Retry-After": "soon"}, 1.0),
        ({"Retry-After": "-5"}, 1.0),
        ({"Retry-After": "nan"}, 1.0),
        ({"Retry-After": "inf"}, 1.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1.0),
    ],
)
@pytest.mark.parametrize(("status", "data"), [(429, {}), (429, "text"), (200, {"ok": False, "error": "ratelimited"})])
def test_throttling_says_how_long(headers: dict[str, str], seconds: float, status: int, data: Any) -> None:
    error = error_of_answer(POST, status, headers, data)
    assert isinstance(error, Throttled)
    assert (error.retry_after, error.retryable, error.maybe_applied) == (seconds, True, False)


@each(
    ("status", "data", "code"),
    [
        (200, {"ok": False, "error": "is_archived"}, "is_archived"),
        (200, {"ok": False, "error": "fatal_error"}, "fatal_error"),
        (200, {"ok": False}, "bad_response"),
        (200, {"ok": False, "error": {"text": "secret words"}}, "bad_response"),
        (200, {"ok": False, "error": "Some secret words"}, "bad_response"),
        (200, None, "bad_response"),
        (500, {"ok": False, "error": "internal_error"}, "internal_error"),
        (500, {"ok": False, "error": "is_strange"}, "server_error"),
        (503, "<html>", "server_error"),
        (408, None, "request_timeout"),
        (413, None, "http_error"),
        (302, None, "http_error"),
        (403, {"ok": False, "error": "invalid_auth"}, "invalid_auth"),
    ],
)
def test_an_answer_is_read_as_its_code(status: int, data: Any, code: str) -> None:
    error = error_of_answer(POST, status, {}, data)
    assert isinstance(error, SlackError)
    assert (error.method, error.code) == (POST, code)


@given(status=st.integers(100, 999), data=st.none() | st.text() | st.dictionaries(st.just("error"), st.text()))
def test_any_answer_gives_one_of_the_two_errors(status: int, data: Any) -> None:
    assert isinstance(error_of_answer(POST, status, {}, data), SlackError | Throttled)
