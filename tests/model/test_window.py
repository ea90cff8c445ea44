"""Windows: the newest that fit, never an orphan, never over a budget."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.errors import InvalidValue
from stateroom.model.window import Chooser, Window, message_tokens, text_tokens

Messages = list[dict[str, Any]]


def request(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "request", "parts": list(parts)}


def response(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "response", "parts": list(parts)}


def ask(words: str = "x") -> dict[str, Any]:
    return request({"part_kind": "user-prompt", "content": words})


def answer(words: str = "x") -> dict[str, Any]:
    return response({"part_kind": "text", "content": words})


def called(call_id: str) -> dict[str, Any]:
    return {"part_kind": "tool-call", "tool_name": "f", "args": "{}", "tool_call_id": call_id}


def returned(call_id: str, kind: str = "tool-return") -> dict[str, Any]:
    return {"part_kind": kind, "tool_name": "f", "content": "r", "tool_call_id": call_id}


def choose(entries: list[Messages], **budgets: int | None) -> Window:
    """As the layer does: newest first, until there is no more room."""
    chooser = Chooser(**budgets)
    for position, messages in enumerate(reversed(entries), start=1):
        if not chooser.add(messages):
            return chooser.window(more=position < len(entries))
    return chooser.window()


@st.composite
def turns(draw: st.DrawFn) -> Messages:
    """One turn: a question, exchanges with tools (parallel, retried, in the response itself), an answer."""
    words = st.text("ab 日本é", max_size=30)
    messages = [ask(draw(words))]
    for step in range(draw(st.integers(0, 4))):
        # Some providers count their ids anew in each turn, so that ids repeat within a thread.
        ids = [f"{step}-{n}" for n in range(draw(st.integers(1, 3)))]
        messages.append(response(*map(called, ids)))
        if draw(st.booleans()):
            kinds = [draw(st.sampled_from(["tool-return", "retry-prompt"])) for _ in ids]
            messages.append(request(*(returned(i, kind) for i, kind in zip(reversed(ids), kinds, strict=True))))
        else:
            messages += [request(returned(i)) for i in ids]
        if draw(st.booleans()):
            messages.append(response(called("own"), returned("own", "builtin-tool-return")))
            messages.append(request({"part_kind": "retry-feedback", "content": "again"}))
    messages.append(answer(draw(words)))
    return messages


@st.composite
def threads(draw: st.DrawFn) -> list[Messages]:
    """Entries of a thread; a turn may be spread over several (approvals come later)."""
    entries: list[Messages] = []
    for messages in draw(st.lists(turns(), max_size=8)):
        cut = draw(st.integers(0, len(messages)))
        entries += [piece for piece in (messages[:cut], messages[cut:]) if piece]
    return entries


BUDGETS = st.fixed_dictionaries(
    {"limit": st.none() | st.integers(1, 40), "max_tokens": st.none() | st.integers(1, 600)}
)


def orphans(messages: Messages) -> list[str]:
    """Returns without their call in the same window."""
    known: set[str] = set()
    found = []
    for part in (part for message in messages for part in message["parts"]):
        if part["part_kind"].endswith("tool-call"):
            known.add(part["tool_call_id"])
        elif "tool_call_id" in part and part["tool_call_id"] not in known:
            found.append(part["tool_call_id"])
    return found


@given(threads(), BUDGETS)
def test_a_window_is_the_newest_end_of_the_thread_within_its_budgets(
    entries: list[Messages], budgets: dict[str, int | None]
) -> None:
    window = choose(entries, **budgets)
    everything = [message for messages in entries for message in messages]
    size = len(window.messages)
    assert window.messages == everything[len(everything) - size :]
    assert window.truncated == (size < len(everything))
    if budgets["limit"] is not None:
        assert size <= budgets["limit"]
    if budgets["max_tokens"] is not None:
        assert sum(map(message_tokens, window.messages)) <= budgets["max_tokens"]


@given(threads(), BUDGETS)
def test_a_window_has_no_orphan_and_begins_where_somebody_speaks(
    entries: list[Messages], budgets: dict[str, int | None]
) -> None:
    messages = choose(entries, **budgets).messages
    assert orphans(messages) == []
    if messages and messages[0]["kind"] == "request":
        assert messages[0]["parts"][0]["part_kind"] == "user-prompt"
    if messages and messages[0]["kind"] == "response":  # only where no question fits
        assert not any(p["part_kind"] == "user-prompt" for m in messages for p in m["parts"])


@given(threads(), BUDGETS)
def test_a_window_is_the_largest_that_keeps_the_rules(entries: list[Messages], budgets: dict[str, int | None]) -> None:
    """Compared with the plainest search: all ends of the thread, the longest that is allowed."""
    everything = [message for messages in entries for message in messages]
    limit = len(everything) if budgets["limit"] is None else budgets["limit"]

    def allowed(start: int, kind: str) -> bool:
        end = everything[start:]
        fits = len(end) <= limit and (
            budgets["max_tokens"] is None or sum(map(message_tokens, end)) <= budgets["max_tokens"]
        )
        opening = end[0]["parts"][0]["part_kind"] == "user-prompt" if kind == "request" else True
        return fits and end[0]["kind"] == kind and opening and not orphans(end)

    starts = range(len(everything))
    best = next((s for kind in ("request", "response") for s in starts if allowed(s, kind)), len(everything))
    assert choose(entries, **budgets).messages == everything[best:]


def test_entries_that_gave_a_message_are_counted() -> None:
    entries = [[ask(), answer()], [ask(), answer()], [ask(), answer()]]
    assert choose(entries, limit=4).entries == 2
    assert choose(entries, limit=3).entries == 1
    assert choose(entries).entries == 3
    assert choose([]) == ([], 0, False)


def test_a_turn_that_is_larger_than_the_budget_leaves_its_end() -> None:
    entry = [
        ask(),
        response(called("a")),
        request(returned("a")),
        response(called("b")),
        request(returned("b")),
        answer(),
    ]
    assert choose([entry], limit=5).messages == entry[1:]
    assert choose([entry], limit=4).messages == entry[3:]
    assert choose([entry], limit=1).messages == entry[5:]
    assert choose([[ask("long " * 1000)]], max_tokens=100) == ([], 0, True)


def test_a_return_whose_call_is_lost_ends_the_window() -> None:
    entries = [[ask(), answer()], [request(returned("gone")), answer()], [ask(), answer()]]
    assert choose(entries).messages == entries[2]
    assert choose(entries).truncated


@pytest.mark.parametrize("name", ["limit", "max_tokens"])
def test_a_budget_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        Chooser(**{name: 0})


@pytest.mark.parametrize(
    ("found", "where"),
    [
        ({}, r"messages"),
        ([{"kind": "other", "parts": []}], r"messages\[0\]\.kind"),
        ([{"kind": None, "parts": []}], r"messages\[0\]\.kind"),
        ([request(), {"kind": "request", "parts": {}}], r"messages\[1\]\.parts"),
        ([request({"part_kind": 7})], r"messages\[0\]\.parts\[0\]"),
        ([7], r"messages\[0\]"),
    ],
)
def test_what_is_no_message_is_refused_where_it_stands(found: Any, where: str) -> None:
    with pytest.raises(InvalidValue, match=where):
        Chooser().add(found)


def test_foreign_parts_do_no_harm() -> None:
    odd = [request({"tool_call_id": {}}), response({}), request({"part_kind": "new", "content": 7})]
    assert choose([odd], limit=10, max_tokens=1000).messages == odd


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("abcd", 1),
        ("abcde", 2),
        ("日本語" * 10, 30),
        ("한국어", 3),
        ("éé", 2),
        ("Привет", 5),
        ("😀", 2),
        ("\ud800", 1),
    ],
)
def test_scripts_without_spaces_weigh_by_their_characters(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


def test_four_thousand_japanese_characters_weigh_four_thousand() -> None:
    assert text_tokens("これは長い文です。" * 400 + "漢" * 400) == 4000


@given(st.text(max_size=50), st.text(max_size=50))
def test_more_text_never_weighs_less(a: str, b: str) -> None:
    assert max(text_tokens(a), text_tokens(b)) <= text_tokens(a + b) <= text_tokens(a) + text_tokens(b)


def test_arguments_returns_and_instructions_weigh_too() -> None:
    long = "word " * 400
    for message in (
        response({"part_kind": "tool-call", "tool_name": "f", "args": long}),
        response({"part_kind": "tool-call", "tool_name": "f", "args": {"a": [long]}}),
        request({"part_kind": "tool-return", "tool_name": "f", "content": {"a": long}}),
        request({"part_kind": "user-prompt", "content": ["look", long]}),
        {**request(), "instructions": long},
    ):
        assert message_tokens(message) >= 500
    picture = request({"part_kind": "user-prompt", "content": [{"kind": "image-url", "url": "https://x.test/y"}]})
    assert message_tokens(picture) >= 1000
