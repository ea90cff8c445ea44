"""Messages at the door: what is kept as it came, what is mended, what is refused. With pydantic-ai's own adapter."""

import base64
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SpeechPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from stateroom.model.errors import CorruptData, FormatTooNew, InvalidValue
from stateroom.model.messages import check_format, from_text, to_text, turns_of
from support.tables import each

pytestmark = pytest.mark.service  # for pydantic-ai, whose import takes longer than these tests
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
PACKED = base64.b64encode(PICTURE).decode()
FACTS = {"media_type": "image/png", "size": len(PICTURE), "sha256": hashlib.sha256(PICTURE).hexdigest()}

CONVERSATION: list[ModelMessage] = [
    ModelRequest(parts=[SystemPromptPart("be brief"), UserPromptPart("wie heißt das? 日本 😀")], instructions="do"),
    ModelResponse(parts=[ThinkingPart("hm"), TextPart("one"), ToolCallPart("look", {"a": 1.5}, tool_call_id="c1")]),
    ModelRequest(parts=[ToolReturnPart("look", {"n": 2**70, "f": 0.1}, tool_call_id="c1")]),
    ModelResponse(parts=[TextPart("two")], model_name="m"),
]


def spoken(content: Any) -> dict[str, Any]:
    return {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": content}]}


def test_pydantic_ais_json_is_kept_to_the_letter() -> None:
    text = ModelMessagesTypeAdapter.dump_json(CONVERSATION)
    assert to_text(text) == text.decode()
    assert to_text(text.decode()) == text.decode()
    assert to_text(CONVERSATION) == text.decode()


def test_a_list_of_dicts_is_kept_with_every_value() -> None:
    plain = ModelMessagesTypeAdapter.dump_python(CONVERSATION, mode="json")
    assert from_text(to_text(plain)) == plain
    assert ModelMessagesTypeAdapter.validate_python(from_text(to_text(plain))) == CONVERSATION


def test_line_ends_between_tokens_go_so_that_a_text_is_one_line() -> None:
    plain = ModelMessagesTypeAdapter.dump_python(CONVERSATION, mode="json")
    kept = to_text(json.dumps(plain, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode())
    assert "\n" not in kept
    assert "\r" not in kept
    assert from_text(kept) == plain


@each(
    ("messages", "field"),
    [
        (b"", "messages"),
        (b"not json", "messages"),
        (b"[", "messages"),
        (b"\xff\xfe", "messages"),
        ("{}", "messages"),
        ("null", "messages"),
        ([], "messages"),
        ([spoken("x"), 3], "messages[1]"),
        (["hello"], "messages[0]"),
        ([spoken("x"), {"parts": []}], "messages[1].kind"),
        ([{"kind": "question", "parts": []}], "messages[0].kind"),
        ([{"kind": [], "parts": []}], "messages[0].kind"),
        ([{"kind": "request"}], "messages[0].parts"),
        ([{"kind": "request", "parts": {}}], "messages[0].parts"),
        ([{"kind": "request", "parts": [{}, "x"]}], "messages[0].parts[1]"),
        ([{"kind": "request", "parts": [{"content": object()}]}], "messages"),
        ([{"kind": "request", "parts": [{"part_kind": []}]}], "messages[0].parts[0].part_kind"),
        ('[{"kind":"request","parts":[],"x":1e999}]', "messages"),
        ("[" * 100_000, "messages"),
    ],
)
def test_what_is_no_message_is_refused_with_its_position(messages: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        to_text(messages)
    assert refused.value.field == field


def test_objects_need_no_pydantic_ai_to_be_refused() -> None:
    code = (
        "import sys\nfrom stateroom.model.messages import to_text\nfrom stateroom.model.errors import InvalidValue\n"
        "try: to_text([object()])\nexcept InvalidValue: print('pydantic_ai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("given_text", "kept_text"),
    [
        (r"a\u0000b", "a\ufffdb"),
        (r"a\ud83db", "a\ufffdb"),
        (r"a\uDE00b", "a\ufffdb"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\\u0000", r"\u0000"),
        (r"\\\u0000", "\\\ufffd"),
        (r"\\ud83d", r"\ud83d"),
    ],
)
def test_what_no_store_can_hold_becomes_a_replacement_character(given_text: str, kept_text: str) -> None:
    text = json.dumps([spoken("HERE")]).replace("HERE", given_text)
    assert from_text(to_text(text)) == [spoken(kept_text)]


@given(st.text(st.characters(codec=None, categories=None), max_size=20))
def test_any_text_is_kept_but_for_broken_characters(words: str) -> None:
    mended = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in words)
    assert from_text(to_text([spoken(words)])) == [spoken(mended)]
    (kept,) = from_text(to_text([ModelRequest(parts=[UserPromptPart(words)])]))
    assert kept["parts"][0]["content"] == mended
    to_text([spoken(words)]).encode()


def test_files_in_a_prompt_become_references_and_the_history_still_loads() -> None:
    picture = BinaryContent(PICTURE, media_type="image/png", identifier="cat")
    given_messages = [ModelRequest(parts=[UserPromptPart(["what is this?", picture])])]
    kept = to_text(given_messages)
    assert PACKED[:20] not in kept
    (part,) = from_text(kept)[0]["parts"]
    assert part["content"][0] == "what is this?"
    assert part["content"][1]["metadata"]["stateroom_file"] == {**FACTS, "identifier": "cat"}
    (loaded,) = ModelMessagesTypeAdapter.validate_json(kept)
    assert loaded.parts[0].content[1].content == f"[file cat: image/png, {len(PICTURE)} bytes, not kept]"


def test_files_anywhere_in_a_conversation_are_replaced_and_it_still_loads() -> None:
    picture, sound = BinaryContent(PICTURE, media_type="image/png"), BinaryContent(PICTURE, media_type="audio/wav")
    messages: list[ModelMessage] = [
        ModelRequest(
            parts=[UserPromptPart([ImageUrl(f"data:image/png;base64,{PACKED}"), ImageUrl("https://x.test/y")])]
        ),
        ModelResponse(parts=[FilePart(picture), ToolCallPart("draw", {"n": 1}, tool_call_id="c1")]),
        ModelRequest(parts=[ToolReturnPart("draw", picture, tool_call_id="c1")]),
        ModelRequest(parts=[ToolReturnPart("draw", {"all": [picture, 1.5]}, tool_call_id="c1")]),
        ModelRequest(parts=[ToolReturnPart("draw", f"see data:image/png;base64,{PACKED} there", tool_call_id="c1")]),
        ModelResponse(parts=[SpeechPart(speaker="assistant", transcript="hi", audio=sound)]),
    ]
    kept = to_text(messages)
    assert PACKED[:20] not in kept
    assert len(kept) < 6000
    assert kept.count(FACTS["sha256"]) == 5
    assert '"https://x.test/y"' in kept
    loaded = ModelMessagesTypeAdapter.validate_json(kept)
    assert [part.part_kind for part in loaded[1].parts] == ["text", "tool-call"]
    assert loaded[5].parts[0].transcript == "hi"
    again = ModelMessagesTypeAdapter.dump_json(loaded)
    assert to_text(again) == again.decode()
    assert to_text(kept) == kept


def test_numbers_beside_a_replaced_file_keep_their_digits() -> None:
    binary = {"kind": "binary", "data": PACKED, "media_type": "image/png"}
    text = json.dumps([{**spoken([binary]), "metadata": "HERE"}]).replace('"HERE"', '{"a":1.50,"b":' + "9" * 40 + "}")
    kept = to_text(text)
    assert '"a":1.50' in kept
    assert '"b":' + "9" * 40 in kept


@pytest.mark.parametrize("data", ["", "====", "not base64 at all!", "AAA"])
def test_a_file_whose_data_cannot_be_read_is_replaced_all_the_same(data: str) -> None:
    kept = to_text([spoken([{"kind": "binary", "data": data, "media_type": "image/png"}])])
    assert '"data"' not in kept
    assert "stateroom_file" in kept


def test_words_about_binaries_are_kept() -> None:
    messages = [spoken('a "binary" search; data: yes;base64, no'), spoken('{"kind": "binary", "data": "x"}')]
    assert from_text(to_text(messages)) == messages


def test_only_known_formats_are_read() -> None:
    check_format("pydantic-ai", 1, "place")
    with pytest.raises(FormatTooNew):
        check_format("pydantic-ai", 2, "place")
    for name, version in [("pydantic-ai", None), ("pydantic-ai", 0), ("pydantic-ai", True), ("x", 1), (None, 1)]:
        with pytest.raises(CorruptData):
            check_format(name, version, "place")


def test_a_conversation_falls_apart_into_the_turns_of_its_people() -> None:
    reply = {"kind": "response", "parts": []}
    back = {"kind": "request", "parts": [{"part_kind": "tool-return"}]}
    messages = [reply, spoken("a"), reply, back, reply, spoken("b"), reply]
    turns = [json.loads(turn) for turn in turns_of(to_text(messages))]
    assert turns == [[reply], [spoken("a"), reply, back, reply], [spoken("b"), reply]]
