"""Logs: what leaves, in which form, and what never does."""

import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from stateroom.cli import logs
from stateroom.model.errors import StoreUnavailable

Logged = Callable[[], str]
TOKEN = "xoxb-123-456-abcDEF"


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """The process's own logging is afterwards as it was."""
    root, ours = logging.getLogger(), logging.getLogger("stateroom")
    handlers, level, our_level, hook = root.handlers[:], root.level, ours.level, sys.excepthook
    yield
    logging.captureWarnings(False)
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    ours.setLevel(our_level)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What went to stderr; nothing ever goes to stdout."""

    def read() -> str:
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return read


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_say_when_how_severe_who_and_what(logged: Logged) -> None:
    logs.set_up("info", "json")
    logging.getLogger("stateroom.bot").info("turn %s", "done", extra={"turn": "C1:1", "seconds": 0.5})
    (line,) = lines(logged())
    assert line.pop("timestamp")
    assert line == {"event": "turn done", "level": "info", "logger": "stateroom.bot", "turn": "C1:1", "seconds": 0.5}


def test_text_is_one_readable_line_without_colours_beyond_a_terminal(logged: Logged) -> None:
    logs.set_up("info", "text")
    logging.getLogger("stateroom.bot").info("turn done", extra={"turn": "C1:1"})
    shown = logged()
    assert shown.count("\n") == 1
    assert "turn done" in shown
    assert "\x1b" not in shown


def test_without_a_form_machines_get_json(logged: Logged) -> None:
    logs.set_up("info", "")
    logging.getLogger("stateroom").info("x")
    assert lines(logged())[0]["event"] == "x"


@pytest.mark.parametrize("form", ["json", "text"])
def test_words_and_tokens_are_dropped_however_they_are_handed_in(logged: Logged, form: str) -> None:
    logs.set_up("debug", form)
    log = logging.getLogger("stateroom.bot")
    log.debug("call with %s", TOKEN, extra={"text": "WORDS", "token": TOKEN, "Body": "WORDS", "blocks": ["WORDS"]})
    log.debug("nested", extra={"args_": {"bearer": TOKEN}, "url": f"https://x/?token={TOKEN}"})
    logging.getLogger("slack_sdk").warning("refused for %s", TOKEN)
    shown = logged()
    assert shown.count("\n") == 3
    assert "WORDS" not in shown
    assert "abcDEF" not in shown
    assert "[token]" in shown


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_shows_its_kind_and_place_but_not_its_message(logged: Logged, form: str) -> None:
    logs.set_up("debug", form)
    try:
        try:
            raise ValueError("WORDS")
        except ValueError as error:
            raise StoreUnavailable("state.db", "busy", "it is locked", retryable=True) from error
    except StoreUnavailable:
        logging.getLogger("stateroom.bot").exception("failed")
    shown = logged()
    assert "StoreUnavailable: state.db: it is locked < ValueError" in shown
    assert "test_logs.py" in shown
    assert "WORDS" not in shown


def test_libraries_are_heard_from_warning_on_even_at_debug(logged: Logged) -> None:
    logs.set_up("debug", "json")
    logging.getLogger("slack_sdk.web").debug("the whole request")
    logging.getLogger("httpx").info("the whole request")
    logging.getLogger("stateroom.x").debug("ours")
    assert [line["event"] for line in lines(logged())] == ["ours"]


def test_levels_are_as_named(logged: Logged) -> None:
    logs.set_up("error", "json")
    logging.getLogger("stateroom.x").warning("no")
    logging.getLogger("stateroom.x").error("yes")
    logging.getLogger("other").warning("no")
    assert [line["event"] for line in lines(logged())] == ["yes"]


def test_a_defect_that_ends_the_process_tells_no_words(logged: Logged) -> None:
    logs.set_up("info", "json")
    try:
        raise KeyError("WORDS")
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)
    shown = logged()
    (line,) = lines(shown)
    assert (line["level"], line["error"]) == ("critical", "KeyError")
    assert "WORDS" not in shown
