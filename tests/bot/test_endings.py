"""Why a model stopped, what a prompt may be, and where a model may answer: the tables, row by row."""

import pytest

from stateroom.bot.endings import ENDINGS, REFUSED, TOO_LONG, WORDS, outcome, reason_of
from stateroom.bot.limits import is_control, legible, plain, refusal_of
from stateroom.bot.model_failures import STATUS, of_status
from stateroom.bot.model_names import check_region, leaves, parse
from stateroom.model.errors import ModelError, WrongUse

ARN = "arn:aws:bedrock:eu-central-1:123456789012:"


def test_every_stop_reason_of_bedrock_has_a_row() -> None:
    named = {"end_turn", "tool_use", "max_tokens", "stop_sequence", "guardrail_intervened", "content_filtered"}
    named |= {"malformed_model_output", "malformed_tool_use", "model_context_window_exceeded"}
    assert set(ENDINGS) == named | {"cut", "other"}
    assert set(WORDS.values()) <= named


@pytest.mark.parametrize("said", ["end_turn", "stop_sequence", "stop", "invented_next_year"])
def test_an_answer_that_ended_is_the_answer(said: str) -> None:
    ended = outcome(said, "hello")
    assert (ended.text, ended.more, ended.kept) == ("hello", False, True)


@pytest.mark.parametrize("said", ["max_tokens", "length"])
def test_an_answer_cut_at_its_limit_says_so_and_offers_more(said: str) -> None:
    ended = outcome(said, "hello")
    assert ended.text.startswith("hello\n\n_")
    assert (ended.reason, ended.more, ended.kept) == ("max_tokens", True, True)
    assert outcome(said, " ").more is False


@pytest.mark.parametrize("said", ["guardrail_intervened", "content_filtered", "content_filter", "refusal"])
@pytest.mark.parametrize("text", ["", "forbidden"])
def test_what_a_filter_took_is_neither_shown_nor_kept(said: str, text: str) -> None:
    ended = outcome(said, text)
    assert (ended.text, ended.kept) == (REFUSED, False)


@pytest.mark.parametrize("said", [None, "tool_use", "malformed_model_output", "malformed_tool_use", "error"])
@pytest.mark.parametrize("text", ["", "half"])
def test_what_is_no_answer_is_tried_again(said: str | None, text: str) -> None:
    with pytest.raises(ModelError) as failed:
        outcome(said, text)
    assert (failed.value.reason, failed.value.retryable) == (reason_of(said), True)


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_no_answer(text: str) -> None:
    with pytest.raises(ModelError, match="empty"):
        outcome("end_turn", text)


def test_a_full_window_ends_an_answer_with_advice() -> None:
    assert outcome("model_context_window_exceeded", "so far").text == f"so far\n\n_{TOO_LONG}_"
    assert outcome("model_context_window_exceeded", "").text == TOO_LONG


@pytest.mark.parametrize(("status", "again"), [(400, False), (403, False), (429, True), (500, True), (599, True)])
def test_a_status_says_whether_to_try_again(status: int, again: bool) -> None:
    assert of_status(status).retryable is again
    assert status not in STATUS or of_status(status) is STATUS[status]


@pytest.mark.parametrize("text", ["x" * 4000, "語" * 4000, "a\nb\tc\r\n", "👩‍👩‍👧"])
def test_what_people_write_is_taken(text: str) -> None:
    assert refusal_of(text, 4000) is None


@pytest.mark.parametrize("text", ["x" * 4001, "é" * 4001, "a\x00b", "\x1b[0m", "\x7f", "\x85"])
def test_too_much_and_what_is_no_text_is_refused(text: str) -> None:
    refused = refusal_of(text, 4000)
    assert refused is not None
    assert refused.reason == ("prompt_too_long" if len(text) > 4000 else "prompt_control")
    assert text not in refused.says


def test_what_a_model_writes_loses_what_is_no_text() -> None:
    assert legible("a\x00b\x1b[31m\x85 \n\t語👩\u200d👧") == "ab[31m \n\t語👩\u200d👧"
    assert [legible("a\ud83d"), legible("a\ud83d\ude00"), legible("\ude00a")] == ["a", "a😀", "a"]
    assert [one for one in map(chr, range(0x3000)) if is_control(one)] == [
        one for one in map(chr, range(0x3000)) if legible(one) != one
    ]


def test_a_files_name_loses_what_is_no_text() -> None:
    assert plain(["a\x00b.txt", "ok.txt"]) == ["ab.txt", "ok.txt"]


@pytest.mark.parametrize(
    ("model", "region", "stays"),
    [
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "eu-central-1", True),
        ("anthropic.claude-3-haiku-20240307-v1:0", "eu-central-1", True),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "eu-central-1", False),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "eu-central-1", False),
        ("xx.anthropic.claude-haiku-9-v1:0", "eu-central-1", False),
        ("zai.glm-4.7", "eu-central-1", True),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "us-gov-west-1", False),
        ("us-gov.anthropic.claude-haiku-4-5-20251001-v1:0", "us-gov-west-1", True),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "ca-central-1", False),
        ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "ap-northeast-1", True),
        ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "ap-southeast-2", False),
        ("apac.amazon.nova-lite-v1:0", "ap-southeast-2", True),
        (f"{ARN}application-inference-profile/a1b2", "eu-central-1", True),
        (f"{ARN}application-inference-profile/a1b2", "eu-west-1", False),
        (f"{ARN}inference-profile/global.anthropic.claude-haiku-4-5-20251001-v1:0", "eu-central-1", False),
    ],
)
def test_a_pinned_region_is_kept(model: str, region: str, stays: bool) -> None:
    assert (leaves(model, region) is None) is stays
    name = parse(f"bedrock:{model}")
    check_region(name, "")
    if stays:
        check_region(name, region)
    else:
        with pytest.raises(WrongUse, match="does not stay in STATEROOM_MODEL_REGION"):
            check_region(name, region)


@pytest.mark.parametrize("name", ["nonsense", "bedrock:", ":x", "a: b", "bedrock:claude", "bedrock:arn:aws:s3:::x"])
def test_what_names_no_model_is_refused(name: str) -> None:
    with pytest.raises(WrongUse):
        parse(name)
