"""Long answers: every part fits, and a cut is where a reader would cut."""

from __future__ import annotations

import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stateroom.model.errors import WrongUse
from stateroom.slack.text import LOOKAHEAD, split

words = st.sampled_from(
    [
        "word",
        "a",
        "longer-word",
        "文字",
        "終わり。",
        "Done. ",
        "Is it? ",
        "\n",
        "\n\n",
        " ",
        "\t",
        "  ",
        "😀",
        "👨‍👩‍👧‍👦",
        "🇯🇵",
        "e\u0301",
        "한국어",
        "각",
        "<https://example.org/some/path|a label of words>",
        "<@U00000001>",
        "a < b",
        "```",
        "~~~",
        "- item\n",
        "```python\nprint(1)\nprint(2)\n```\n",
        "\n```\ncode\n\n  more code here\n```\n",
        "x" * 70,
        "（括弧）",
        "`code`",
        ".",
        ")",
    ]
)
texts = st.lists(words, max_size=60).map("".join)
limits = st.integers(40, 120)


def bare(text: str) -> str:
    """What must survive: everything but whitespace and fence lines."""
    kept = [line for line in text.split("\n") if not re.match(r"[ \t]*(?:`{3,}|~{3,})", line)]
    return re.sub(r"\s", "", "".join(kept))


def clusters_torn(text: str, parts: list[str]) -> list[str]:
    """Say which parts begin with something that belongs to the character before, read apart from our own tables."""
    torn = []
    for before, part in pairwise(parts):
        joined = unicodedata.category(part[0]) in {"Mn", "Mc", "Me"} or part[0] == "\u200d" or before[-1] == "\u200d"
        if joined and before + part in text:
            torn.append(part)
    return torn


@given(texts, st.integers(1, 200))
@example("é" * 50, 1)
def test_every_part_fits_and_none_is_blank(text: str, limit: int) -> None:
    for part in split(text, limit):
        assert 0 < len(part) <= limit
        assert part.strip()


@given(texts, limits)
def test_nothing_but_whitespace_and_fences_comes_or_goes(text: str, limit: int) -> None:
    # Each fence on a line of its own: an info string longer than a part would be cut like any other text.
    text = re.sub(r"(```|~~~)(?!python\n)", r"\n\1\n", text).replace("```python", "\n```python")
    assert bare("\n".join(split(text, limit))) == bare(text)


@given(st.text(max_size=400).filter(lambda text: "```" not in text and "~~~" not in text), st.integers(1, 60))
def test_prose_is_whole_but_for_whitespace(text: str, limit: int) -> None:
    assert re.sub(r"\s", "", "".join(split(text, limit))) == re.sub(r"\s", "", text)


@given(texts, st.integers(40, 3900))
def test_a_short_text_is_itself(text: str, limit: int) -> None:
    if len(text) <= limit:
        assert split(text, limit) == ([text] if text.strip() else [])


@settings(max_examples=80)
@given(st.lists(words, min_size=100, max_size=250).map("".join), limits, st.integers(0, 300))
def test_the_first_part_depends_on_its_own_text_and_the_lookahead_alone(text: str, limit: int, more: int) -> None:
    text = text.lstrip()
    known = text[: limit + LOOKAHEAD + more]
    if len(known) >= limit + LOOKAHEAD:
        assert split(known, limit)[0] == split(text, limit)[0]


# --- where it cuts


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("para one is here.\n\nline a.\nline b. And more words", "para one is here."),
        ("some words are here\nline b. And more words", "some words are here"),
        ("A sentence of ours. And more words without", "A sentence of ours."),
        ('He said "so it is." And more words to come', 'He said "so it is."'),
        ("several plain words that never come to an end", "several plain words that never"),
        ("これは文です。「これもそうです。」そしてまだまだ続く長い文です", "これは文です。「これもそうです。」"),
        ("あ" * 40, "あ" * 30),
        ("see a" + "b" * 40, "see"),
        ("v3.11 costs 1.5 and 2.5 or 3.5x", "v3.11 costs 1.5 and 2.5 or"),
    ],
)
def test_a_cut_is_at_a_paragraph_then_a_line_then_a_sentence_then_a_word(text: str, first: str) -> None:
    assert split(text, 30)[0] == first


def test_four_thousand_japanese_characters_count_as_four_thousand_and_split_at_the_full_stop() -> None:
    sentence = "これはとても長い答えの一文です。"  # 16 characters: no whole number of them fills a part by chance
    text = (sentence * 400)[: 4000 // len(sentence) * len(sentence)]
    parts = split(text)
    assert len(parts) == 2
    assert parts[0].endswith("。")
    assert 3800 < len(parts[0]) <= 3900
    assert "".join(parts) == text


@pytest.mark.parametrize(
    "token", ["<https://example.org/a b|a label of words>", "<@U00000001>", "<!date^1^{date} x|y z>"]
)
def test_a_token_is_never_cut(token: str) -> None:
    for before in range(60):
        parts = split("w " * before + token + " w" * 60, 60)
        assert sum(token in part for part in parts) == 1


@pytest.mark.parametrize(
    "one", ["👨‍👩‍👧‍👦", "🇯🇵", "e\u0301\u0323", "각", "👍🏽", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "❤️", "நி", "กำ", "1️⃣", "\u1100\u1161\u11a8"]
)
def test_a_character_is_never_torn(one: str) -> None:
    for limit in range(12, 30):
        for shift in range(3):
            for part in split("x" * shift + one * 40, limit):
                assert part.lstrip("x").replace(one, "") == ""


@given(texts, st.integers(10, 120))
def test_no_part_begins_in_the_middle_of_a_character(text: str, limit: int) -> None:
    assert clusters_torn(text, split(text, limit)) == []


# --- fenced code


BLOCK = "```python\nfirst = 1\n\n\n    second = 2.  Not a sentence\n```"


def test_a_block_that_fits_in_a_part_is_never_cut() -> None:
    for before in range(0, 200, 7):
        parts = split("word " * (before // 5) + "\n\n" + BLOCK + "\nafter it " + "more " * 30, 80)
        assert sum(BLOCK in part for part in parts) == 1


@pytest.mark.parametrize("fence", ["```", "````", "~~~", "  ```"])
def test_a_block_longer_than_a_part_is_cut_at_lines_its_fence_closed_and_opened_again(fence: str) -> None:
    lines = [f"    line_{number} = {number}." for number in range(40)]
    parts = split("Here it is:\n" + "\n".join([f"{fence}python", *lines, fence]) + "\nThat was it.", 100)
    kept = []
    for part in parts:
        assert len(part) <= 100
        opened = [line for line in part.split("\n") if line.strip().startswith(fence.strip())]
        assert opened in ([f"{fence}python", fence], [])
        kept += [line for line in part.split("\n") if line.startswith("    line_")]
    assert kept == lines
    assert parts[0].startswith("Here it is:")
    assert f"{fence}python" in parts[0]
    assert parts[-1].endswith("That was it.")


def test_a_block_that_ends_where_a_part_ends_leaves_no_empty_block_behind() -> None:
    for size in range(60, 140):
        text = "```\n" + "x = 1\n" * (size // 6) + "y" * (size % 6 + 1) + "\n```"
        for part in split(text, 100):
            assert re.fullmatch(r"```\n(?:[^`]*\S[^`]*)\n```", part)


def test_a_closing_fence_longer_than_the_opening_one_is_no_line_of_code() -> None:
    for size in range(60, 140):
        text = "```\n" + "x = 1\n" * (size // 6) + "y" * (size % 6 + 1) + "\n" + "`" * 20 + "\nafter it"
        parts = split(text, 100)
        assert parts[-1].endswith("after it")
        for part in parts:
            assert re.fullmatch(r"(?:```\n[^`]*\S[^`]*\n```+)?\s*(?:after it)?", part)


def test_a_line_of_code_that_fits_in_a_part_is_never_cut() -> None:
    for before in range(100):
        text = "w" * before + "\n```\n" + ("z" * 60 + "\n") * 5 + "```\nend"
        assert sum(part.count("z" * 60) for part in split(text, 80)) == 5


def test_backticks_inside_a_line_are_no_fence() -> None:
    text = "```one``` is code. " + "Words go on here. " * 20
    assert not any(part.endswith("\n```") for part in split(text, 80))


def test_blank_lines_and_indentation_inside_code_survive_a_cut() -> None:
    code = "\n".join(f"  a{number}\n" for number in range(60))
    parts = split(f"```\n{code}\n```", 100)
    inner = "\n".join(part.removeprefix("```\n").removesuffix("\n```") for part in parts)
    assert inner == code.rstrip("\n") or inner == code


# --- hostile text


def test_a_limit_below_one_is_wrong_use() -> None:
    with pytest.raises(WrongUse):
        split("x", 0)


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\t\u3000"])
def test_nothing_to_see_is_no_part(text: str) -> None:
    assert split(text) == []


def test_time_grows_with_the_text_and_no_faster() -> None:
    """A bound that only a quadratic search breaks."""
    started = time.process_time()
    units = [
        "<",
        "`",
        "```",
        "```\n",
        "~~~\n",
        "<a",
        "<a ",
        ".",
        ".)",
        "(",
        "\u0301",
        "🇯",
        "\u200d",
        " ",
        "\n",
        "\n ",
        "。",
        "あ",
    ]
    for unit in [*units, "a\u0301", "> ", "``` ", "`" * 16 + "\n", "\u1100", "```" + "i" * 5000 + "\n"]:
        text = unit * (100_000 // len(unit))
        for part in split(text):
            assert len(part) <= 3900
    assert time.process_time() - started < 20
