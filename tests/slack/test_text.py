"""Text in and out: our mention goes, others' stay; nothing that a model writes pings anybody."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stateroom.slack.text import MAX_TOKEN, Neutraliser, neutralise, neutralised, stable_prefix, strip_mention
from support.tables import each

OWN, FRIEND, STRANGER = "UB0000001", "U00000001", "U00000002"
ALLOWED = frozenset({FRIEND})

# Slack's own reading, written apart from ours: what would ping.
SPECIAL = re.compile(r"<!(?!date\^)[^<>]*>", re.IGNORECASE)
PERSON = re.compile(r"<@([^<>|]*)(?:\|[^<>]*)?>")
BARE = re.compile(r"(?<![A-Za-z0-9_])@(?:channel|here|everyone)\b", re.IGNORECASE | re.ASCII)


def pings(text: str) -> list[str]:
    people = [found[0] for found in PERSON.finditer(text) if found[1] not in ALLOWED]
    return [*(found[0] for found in SPECIAL.finditer(text)), *people, *(found[0] for found in BARE.finditer(text))]


pieces = st.sampled_from(
    [
        "<",
        ">",
        "<!",
        "<@",
        "!",
        "@",
        "|",
        "^",
        "\n",
        " ",
        "<!channel>",
        "<!here|here>",
        "<!everyone>",
        "@here",
        "@HERE",
        "<!subteam^S1|@ops>",
        "<!date^1^{date}|then>",
        "<!date^1^{date}|@here>",
        f"<@{FRIEND}>",
        f"<@{STRANGER}>",
        "a",
        f"<@{FRIEND}|@channel>",
        f"<@{STRANGER}|Ann>",
        "channel",
        "here",
        "everyone",
        "@channel",
        "@every",
        "one",
        "`",
        "<https://x.example|x>",
        "<#C1|general>",
        "a@here",
        "é",
        "あ",
        "\u200b",
        "&lt;!here&gt;",
        "subteam^S1",
        "x" * 301,
        "!channel>",
        "<!CHANNEL",
        f"{STRANGER}>",
        "U0",
        "date^",
        "0>",
        "<@|>",
        "<!|>",
        "<@@here>",
        "<!x|a @>",
    ]
)
texts = st.lists(pieces, max_size=12).map("".join) | st.text(max_size=60)


# --- our own mention


@each(
    ("text", "left"),
    [
        (f"<@{OWN}> hello", "hello"),
        (f"hello <@{OWN}>", "hello"),
        (f"hello <@{OWN}> there", "hello there"),
        (f"hello  <@{OWN}|room bot>\tthere", "hello there"),
        (f"<@{OWN}><@{OWN}>  hi", "hi"),
        (f"<@{OWN}>\nline", "\nline"),
        (f"one\n<@{OWN}> two", "one\ntwo"),
        (f"<@{STRANGER}> and <@{OWN}>", f"<@{STRANGER}> and"),
        (f"<@{OWN}X> stays", f"<@{OWN}X> stays"),
        (f"  no mention of @{OWN}  ", f"  no mention of @{OWN}  "),
        (f"<@{OWN}>", ""),
        (f"こんにちは<@{OWN}>さん", "こんにちは さん"),
    ],
)
def test_our_own_mention_goes_with_its_blanks_and_others_stay(text: str, left: str) -> None:
    assert strip_mention(text, OWN) == left


def test_without_knowing_ourselves_nothing_is_stripped() -> None:
    assert strip_mention(f"<@{OWN}> hello", None) == f"<@{OWN}> hello"


@given(texts)
def test_no_mention_of_us_is_left_and_no_word_is_lost(text: str) -> None:
    mixed = f"{text}<@{OWN}> word <@{OWN}|b>{text}"
    left = strip_mention(mixed, OWN)
    assert f"<@{OWN}>" not in left
    assert re.sub(r"\s", "", left) == re.sub(r"\s", "", mixed.replace(f"<@{OWN}>", "").replace(f"<@{OWN}|b>", ""))


# --- pings


@each(
    ("text", "shown"),
    [
        ("<!channel>", "@\u200bchannel"),
        ("<!HERE|here>", "@\u200bhere"),
        ("<!everyone|@everyone>", "@\u200beveryone"),
        ("<!subteam^S123|@ops>", "@\u200bops"),
        ("<!subteam^S123>", "@\u200bS123"),
        (f"<@{STRANGER}>", f"@\u200b{STRANGER}"),
        (f"<@{STRANGER}|Ann>", "@\u200bAnn"),
        (f"<@{FRIEND}>, <@{FRIEND}|Bo>", f"<@{FRIEND}>, <@{FRIEND}|Bo>"),
        ("@channel and @Here.", "@\u200bchannel and @\u200bHere."),
        ("<!DOCTYPE html>", "<\u200b!DOCTYPE html>"),
        ("<!-- note -->", "<\u200b!-- note -->"),
        ("<!channel", "<\u200b!channel"),
        ("<<!here>!here>", "<<\u200b!here>!here>"),
    ],
)
def test_a_ping_becomes_readable_text(text: str, shown: str) -> None:
    assert neutralise(text, ALLOWED) == shown
    assert not pings(shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a < b && c > d; x <- y; List<String>; a != b",
        "```\nif (a<b) { return &x; }\n```",
        "ann@channel.example",
        "<https://example.org/a?b=1|link> <#C00000001|general> <mailto:a@b.example|a>",
        "@hereafter @channels @everyones",
        "<!date^1392734382^{date_short}|Feb 18>",
        "こんにちは、世界。 שלום 😀 &amp; &lt;!channel&gt;",
        "@property\ndef f(): ...",
    ],
)
def test_everything_else_is_unchanged(text: str) -> None:
    assert neutralise(text, ALLOWED) == text


@given(texts)
@example("<!x|a @>here")
@example("<!here|a @>here")
@example(f"<@{STRANGER}|Ann @h>ere")
@example("<<!here>!channel>")
@example("<!date^1|" + "@here" * 59 + ">")
def test_nothing_that_a_model_writes_pings(text: str) -> None:
    once = neutralise(text, ALLOWED)
    assert pings(once) == []
    assert neutralise(once, ALLOWED) == once


@given(st.text(st.characters(exclude_characters="@"), max_size=80))
def test_text_without_mentions_is_unchanged(text: str) -> None:
    assert neutralise(text.replace("<!", "<"), ALLOWED) == text.replace("<!", "<")


@given(texts, st.data())
def test_a_stream_cut_anywhere_says_what_the_whole_says_and_never_pings(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    sent = ""
    for piece in neutralised(chunks, ALLOWED):
        sent += piece
        assert pings(sent) == []
    assert sent == neutralise(text, ALLOWED)


@given(texts, texts)
def test_what_is_stable_stays_whatever_follows(text: str, more: str) -> None:
    settled = neutralise(text[: stable_prefix(text)], ALLOWED)
    assert neutralise(text + more, ALLOWED).startswith(settled)


@given(texts)
def test_a_stream_waits_for_no_more_than_one_token(text: str) -> None:
    assert len(text) - stable_prefix(text) <= MAX_TOKEN + 2


def test_plain_text_is_sent_at_once() -> None:
    assert Neutraliser(ALLOWED).feed("Hello, 世界! a < b ") == "Hello, 世界! a < b "


def test_time_grows_with_the_text_and_no_faster() -> None:
    """A bound that only a search of quadratic cost breaks: 200 kB of it would take minutes."""
    started = time.process_time()
    for unit in ("<", "<!", "<@", "@", "@here", "<!a", "|", " ", f"<@{OWN}", f"<@{OWN}|", "@channe", "\u200b"):
        text = unit * (200_000 // len(unit))
        neutralise(text, ALLOWED)
        strip_mention(text + f"<@{OWN}>", OWN)
        stable_prefix(text)
        stream = Neutraliser(ALLOWED)
        for at in range(0, len(text), 20):
            stream.feed(text[at : at + 20])
        stream.finish()
    assert time.process_time() - started < 20
