"""Which messages answer which, and how a person's words become Slack's ids: pure, so every case is cheap."""

from typing import Any

import pytest

from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin import forms
from stateroom.pytest_plugin.answers import answers_to, elsewhere
from stateroom.pytest_plugin.values import Message

PERSON, BOT = None, "B1"


def message(ts: str, bot: str | None, thread: str | None = None, **raw: Any) -> Message:
    return Message("T1", "C1", ts, "U1", ts, thread, bot, raw)


QUESTION = message("1", PERSON)


@pytest.mark.parametrize(
    ("later", "in_thread", "expected"),
    [
        ([], None, []),
        ([message("2", BOT, "1")], None, ["2"]),
        ([message("2", BOT)], None, ["2"]),
        ([message("2", BOT), message("3", BOT, "1")], None, ["2", "3"]),
        ([message("2", BOT), message("3", BOT, "1")], True, ["3"]),
        ([message("2", BOT), message("3", BOT, "1")], False, ["2"]),
        ([message("2", BOT, "0")], None, []),
        ([message("2", PERSON), message("3", BOT)], None, []),
        ([message("2", PERSON), message("3", BOT, "1")], None, ["3"]),
        ([message("2", BOT, "1", streaming=True)], None, []),
        ([message("2", BOT, "1", deleted=True)], None, []),
    ],
)
def test_an_answer_is_where_and_when_it_belongs(
    later: list[Message], in_thread: bool | None, expected: list[str]
) -> None:
    assert [one.ts for one in answers_to(QUESTION, [QUESTION, *later], in_thread)] == expected


def test_in_a_thread_each_question_has_the_answers_up_to_the_next() -> None:
    first, second = message("3", PERSON, "1"), message("5", PERSON, "1")
    thread = [QUESTION, message("2", BOT, "1"), first, message("4", BOT, "1"), second, message("6", BOT, "1")]
    assert [one.ts for one in answers_to(QUESTION, thread)] == ["2"]
    assert [one.ts for one in answers_to(first, thread)] == ["4"]
    assert [one.ts for one in answers_to(second, thread)] == ["6"]
    assert answers_to(second, [*thread, message("7", BOT)])[-1].ts == "6", "beside the thread is not in it"


def test_elsewhere_is_where_nobody_asked() -> None:
    shown = [QUESTION, message("2", BOT, "0"), message("3", PERSON), message("4", BOT, "3")]
    assert [one.ts for one in elsewhere(QUESTION, shown, ())] == ["2"]


OPTIONS = [{"text": {"type": "plain_text", "text": "Small"}, "value": "s"}]


@pytest.mark.parametrize(
    ("element", "value", "state"),
    [
        ({"type": "plain_text_input"}, "tea", {"value": "tea"}),
        ({"type": "static_select", "options": OPTIONS}, "s", {"selected_option": OPTIONS[0]}),
        ({"type": "radio_buttons", "options": OPTIONS}, "Small", {"selected_option": OPTIONS[0]}),
        ({"type": "checkboxes", "options": OPTIONS}, ["s"], {"selected_options": OPTIONS}),
        ({"type": "multi_static_select", "options": OPTIONS}, "Small", {"selected_options": OPTIONS}),
        ({"type": "users_select"}, "U1", {"selected_user": "U1"}),
        ({"type": "multi_users_select"}, "U1", {"selected_users": ["U1"]}),
        ({"type": "multi_users_select"}, ["U1", "U2"], {"selected_users": ["U1", "U2"]}),
        ({"type": "datepicker"}, "2026-01-31", {"selected_date": "2026-01-31"}),
        ({"type": "overflow", "options": OPTIONS}, "Small", {"selected_option": OPTIONS[0]}),
        ({"type": "overflow", "options": OPTIONS}, "nothing", None),
    ],
)
def test_a_choice_becomes_the_state_of_its_element(element: Any, value: Any, state: Any) -> None:
    if state is None:
        with pytest.raises(WrongUse, match="has no option 'nothing'; there is: 's'"):
            forms.state_of(element, value)
    else:
        assert forms.state_of(element, value) == state


def test_an_input_is_found_by_each_of_its_names() -> None:
    element = {"type": "plain_text_input", "action_id": "a"}
    block = {"type": "input", "block_id": "b", "label": {"type": "plain_text", "text": "What"}, "element": element}
    for name in ("a", "b", "What"):
        assert forms.filled([block], {name: "tea"}) == {"b": {"a": {"value": "tea"}}}
    assert forms.filled([block], {"a": {"value": "raw"}}) == {"b": {"a": {"value": "raw"}}}
