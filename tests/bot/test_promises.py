"""What the bot promises beyond answering: what it keeps, what it never says, logs or waits for, and who may write.

A bot in this loop or as a child process, a real SQLite file that is looked at from outside, the local Slack. Each test
goes red in `make mutants` when the mechanism behind it is off.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stateroom.bot.lane import SORRY
from stateroom.bot.responder import Answer, Ask, exchange
from stateroom.engines import leases
from stateroom.engines.port import Update
from stateroom.layers.inbox import INBOX, retry, turns
from stateroom.model.content import Content
from stateroom.store import Store
from support.bot import MENTION, bot, envelope, mention, post_async
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
TEAM, CHANNEL = "T00000001", "C00000001"
WORD = "heron"
END = "I will still know it."
Look = Callable[[], Any]


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """Slack whose minute is a second."""
    with local_slack(time_scale=0.015) as running:
        yield running


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


class Scripted:
    """A model that says what the test wants: pieces of text, or things to do between them."""

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.asked: list[Ask] = []

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        self.asked.append(ask)
        text = ""
        for piece in self.script:
            if callable(piece):
                await piece()
                continue
            text += piece.format(len(self.asked))
            yield text
        result.text = text
        result.messages = exchange(ask.text, text, ask.now, "scripted")


@pytest.fixture
def says(answers: Callable[[Scripted], Scripted]) -> Callable[..., Scripted]:
    """`says(...)`: from now on bots answer with this script."""
    return lambda *script: answers(Scripted(*script))


def rows(path: Path, table: str = "items_sr_inbox") -> dict[tuple[str, str], dict[str, Any]]:
    """What the file holds, seen from outside: team and id to item."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        return {
            (team, key): json.loads(item) for team, key, item in file.execute(f"SELECT team, id, item FROM {table}")
        }


def states(path: Path) -> list[str]:
    return [str(item["state"]) for item in rows(path).values()]


def shown(slack: LocalSlack, thread_ts: str, count: int = 1) -> Sequence[dict[str, Any]]:
    """The bot's messages in a thread, once there are `count` and none streams."""
    found = slack.replies(thread_ts)
    return found if len(found) >= count and not any(m.get("streaming") for m in found) else []


def sent(slack: LocalSlack) -> list[dict[str, Any]]:
    """The calls that say something."""
    return [c for c in slack.calls() if c["method"].startswith("chat.")]


def now_ts(number: int = 1) -> str:
    return f"{int(time.time())}.{number:06d}"


# --- the acknowledgement


async def test_while_slack_hangs_the_bot_serves_and_acknowledges_what_is_on_disk(
    slack: LocalSlack, tmp_path: Path, url: str
) -> None:
    hangs = 6.0
    slack.fault("timeout", method="*", count=None, seconds=hangs)
    began = time.monotonic()
    async with asyncio.timeout(60), bot(slack, url) as address:
        assert time.monotonic() - began < hangs - 0.1, "serving began before Slack said anything"
        await eventually(lambda: slack.calls("auth.test"))
        began = time.monotonic()
        ts = now_ts()
        assert (await post_async(address, envelope(mention(WORD, ts))))[0] == 200
        assert time.monotonic() - began < hangs - 1.0
        assert rows(tmp_path / "state.db")[TEAM, f"{CHANNEL}:{ts}"]["text"].endswith(WORD)
        slack.clear_faults()
        said = slack.say(f"{MENTION} later")
        await eventually(lambda: shown(slack, said), 20)


async def test_what_the_store_refuses_is_not_acknowledged_and_answered_once_when_slack_redelivers(
    slack: LocalSlack, tmp_path: Path, url: str
) -> None:
    async with bot(slack, url):
        with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as file:
            file.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON items_sr_inbox BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
            ts = slack.say(f"{MENTION} {WORD}")
            await eventually(lambda: [d for d in slack.deliveries() if d.get("status")])
            assert {d["status"] for d in slack.deliveries() if d.get("status")} == {503}
            file.execute("DROP TRIGGER refuse")
        await eventually(lambda: shown(slack, ts), 20)
        await eventually(lambda: states(tmp_path / "state.db") == ["done"])
        assert len(slack.replies(ts)) == 1


# --- teams


async def test_the_same_message_of_two_teams_is_two_rows_and_only_ours_is_answered(
    slack: LocalSlack, tmp_path: Path, url: str
) -> None:
    file, ts = tmp_path / "state.db", now_ts()
    async with bot(slack, url, worker=False) as address:
        for team, word in ((TEAM, "ours"), ("T99999999", "theirs")):
            body = envelope(mention(word, ts), team=team, event_id=f"Ev{team}")
            assert (await post_async(address, body))[0] == 200
    both = rows(file)
    assert {team: item["text"].split()[-1] for (team, _), item in both.items()} == {TEAM: "ours", "T99999999": "theirs"}
    async with bot(slack, url):
        await eventually(lambda: sorted(states(file)) == ["done", "refused"])
        async with Store(url) as store:
            assert await store.team(TEAM).thread(CHANNEL, ts).count() == 1
            assert await store.team("T99999999").thread(CHANNEL, ts).count() == 0
        assert not [c for c in sent(slack) if "theirs" in str(c["args"])]
        assert "theirs" not in str(rows(file))


# --- one outcome


async def take_over(url: str) -> None:
    """Another worker gets the lane: what happens when ours was away for longer than its lease."""
    async with Store(url) as store:
        (row,) = await store.engine.get(INBOX.name, TEAM, [await only_turn(store)])
        assert row is not None
        name = f"lane:{row.item['lane']}"
        (lease,) = await store.engine.get(leases.TABLE.name, TEAM, [name])
        assert lease is not None
        other = {"token": int(lease.item["token"]) + 1, "holder": "another", "until": int(time.time()) + 60}
        await store.engine.commit([Update(leases.TABLE.name, TEAM, name, set=other)])


async def only_turn(store: Store) -> str:
    (turn,) = await turns(store.engine)
    return str(turn["id"])


async def test_a_message_that_comes_in_two_events_and_again_is_one_row_and_asked_once(
    slack: LocalSlack, tmp_path: Path, url: str, says: Callable[..., Scripted]
) -> None:
    file, model = tmp_path / "state.db", says("answer {}")
    async with bot(slack, url, lease_seconds=20.0) as address:
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: states(file) == ["done"])
        for event_id in ("Ev0000001", "Ev0000002"):
            assert (await post_async(address, envelope(mention(WORD, ts), event_id=event_id)))[0] == 200
        later = slack.say("next", thread_ts=ts)
        await eventually(lambda: states(file) == ["done", "done"])
        assert sorted(turn for _, turn in rows(file)) == [f"{CHANNEL}:{ts}", f"{CHANNEL}:{later}"]
    assert [m["text"] for m in slack.replies(ts)] == ["answer 1", "answer 2"]
    assert len(model.asked) == 2


@pytest.mark.parametrize("moment", ["before it says more", "before it writes more"])
async def test_a_worker_that_was_overtaken_says_and_writes_nothing_more(
    slack: LocalSlack, tmp_path: Path, url: str, says: Callable[..., Scripted], moment: str
) -> None:
    file = tmp_path / "state.db"
    seen: dict[str, Any] = {}

    async def overtaken() -> None:
        await take_over(url)
        seen.update(calls=len(sent(slack)), row=rows(file))

    # A long lease, so that no renewal notices first; with a long interval the next thing is a write.
    if moment == "before it says more":
        says("one ", "two ", overtaken, "three ", "four")
        more = {"lease_seconds": 9.0}
    else:
        says("one two three four", overtaken)
        more = {"lease_seconds": 9.0, "stream_interval": 60.0}
    log = logging.getLogger("stateroom.worker")
    lost: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lost.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        async with bot(slack, url, **more):
            slack.say(f"{MENTION} {WORD}")
            await eventually(lambda: "row" in seen)
            await eventually(lambda: [line for line in lost if "lane:" in line])
    finally:
        log.removeHandler(handler)
    assert len(sent(slack)) == seen["calls"]
    assert rows(file) == seen["row"]


async def test_an_answer_that_was_prepared_is_finished_and_not_asked_for_again(
    slack: LocalSlack, says: Callable[..., Scripted]
) -> None:
    model = says("answer ", "number {}")
    slack.fault("timeout", method="chat.stopStream", seconds=30, count=1)
    async with bot(slack):
        ts = slack.say(f"{MENTION} {WORD}")
        (answer,) = await eventually(lambda: shown(slack, ts), 20)
    assert answer["text"] == "answer number 1"
    assert len(model.asked) == 1


async def test_a_failed_turn_that_is_retried_is_answered_in_place_of_the_apology(
    slack: LocalSlack, tmp_path: Path, url: str
) -> None:
    file = tmp_path / "state.db"
    async with bot(slack, url, model="no-such-provider:model"):
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: states(file) == ["failed"], 20)
        assert [m["text"] for m in slack.replies(ts)] == [SORRY]
    turn = f"{CHANNEL}:{ts}"
    command = [sys.executable, "-m", "stateroom", "turns", "retry", turn, "--store", url]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    async with bot(slack, url):
        await eventually(lambda: states(file) == ["done"], 20)
        (answer,) = slack.replies(ts)
        assert answer["text"].endswith(END)
        assert WORD in answer["text"]


async def test_an_unreadable_history_is_told_to_the_person_and_never_taken_for_an_empty_one(
    slack: LocalSlack, tmp_path: Path, url: str
) -> None:
    file = tmp_path / "state.db"
    async with bot(slack, url):
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: states(file) == ["done"])
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as opened:
            opened.execute("UPDATE log_sr_entries SET item = json_set(item, '$.messages', 'no JSON')")
        slack.say("and now?", thread_ts=ts)
        await eventually(lambda: sorted(states(file)) == ["done", "failed"])
    assert slack.replies(ts)[1]["text"] == SORRY
    assert "CorruptData" in {item.get("reason") for item in rows(file).values()}


async def test_a_turn_that_kills_its_workers_is_given_up_and_the_person_told(
    slack: LocalSlack, tmp_path: Path, url: str
) -> None:
    file = tmp_path / "state.db"
    async with bot(slack, url, worker=False) as address:
        ts = now_ts()
        assert (await post_async(address, envelope(mention(WORD, ts))))[0] == 200
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as opened:
        opened.execute("UPDATE items_sr_inbox SET item = json_set(item, '$.claims', 25)")
    async with bot(slack, url):
        await eventually(lambda: states(file) == ["failed"])
    assert [m["text"] for m in slack.replies(ts)] == [SORRY]


async def test_the_status_line_is_comfort(slack: LocalSlack, tmp_path: Path, url: str) -> None:
    slack.fault("error", method="assistant.threads.setStatus", code="not_allowed_token_type", count=None)
    async with bot(slack, url):
        ts = slack.say(f"{MENTION} {WORD}")
        (answer,) = await eventually(lambda: shown(slack, ts))
        assert answer["text"].endswith(END)
        await eventually(lambda: states(tmp_path / "state.db") == ["done"])


# --- what the model sees


async def test_of_a_thread_of_sixty_messages_the_model_sees_the_newest(
    slack: LocalSlack, url: str, says: Callable[..., Scripted]
) -> None:
    model = says("seen")
    async with Store(url) as store:
        thread = store.team(TEAM).thread(CHANNEL, root := now_ts())
        for number in range(30):
            turn = exchange(f"question {number}", f"reply {number}", time.time(), "scripted")
            await thread.append(turn, turn_id=f"Ev{number}")
    async with bot(slack, url, window_limit=20) as address:
        body = envelope(mention("and now?", now_ts(2), thread_ts=root))
        assert (await post_async(address, body))[0] == 200
        await eventually(lambda: model.asked)
    contents = [part["content"] for message in model.asked[0].history for part in message["parts"]]
    assert contents == [f"{kind} {n}" for n in range(20, 30) for kind in ("question", "reply")]


# --- what is said


PINGS = ("<!channel>", "<!here>", "<!everyone>", "<!subteam^S0001|@all>", "<@U00000002>", "@channel")


def pings(slack: LocalSlack) -> list[str]:
    return [ping for call in sent(slack) for ping in PINGS if ping in str(call["args"].get("markdown_text", ""))]


@pytest.mark.parametrize("streaming", [True, False])
async def test_what_a_model_writes_pings_nobody_and_unfurls_nothing(
    slack: LocalSlack, says: Callable[..., Scripted], streaming: bool
) -> None:
    says(
        "Hello <!chan",
        "nel> and <!he",
        "re>, ",
        *(f"{ping} " for ping in PINGS),
        "see https://example.com, ",
        "<@U00000001>",
    )
    if not streaming:
        slack.fault("error", method="chat.startStream", code="feature_not_enabled", count=None)
    async with bot(slack):
        ts = slack.say(f"{MENTION} {WORD}")
        (answer,) = await eventually(lambda: shown(slack, ts))
    assert "<@U00000001>" in answer["text"], "who asked may be named"
    assert "https://example.com" in answer["text"]
    assert pings(slack) == []
    posts = slack.calls("chat.postMessage")
    assert bool(posts) is not streaming
    assert all(call["args"]["unfurl_links"] in (False, "false", "0") for call in posts)


async def test_four_thousand_japanese_characters_become_two_messages_cut_at_the_full_stop(
    slack: LocalSlack, says: Callable[..., Scripted]
) -> None:
    sentence = "これはとても長い答えの一文です。"  # 16 characters: no whole number of them fills a part by chance
    says(*(sentence * 50 for _ in range(5)))
    async with bot(slack):
        ts = slack.say(f"{MENTION} {WORD}")
        first, second = await eventually(lambda: shown(slack, ts, 2))
    assert first["text"] + second["text"] == sentence * 250
    assert len(first["text"]) > 3800
    assert first["text"].endswith("。")


# --- what is kept


CONTENTS = {"full": Content.parse("full"), "ttl:1h": Content.parse("ttl:1h"), "none": Content.parse("none")}


def texts_of(file: Path) -> str:
    """Every column of every table."""
    with contextlib.closing(sqlite3.connect(file)) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return str([row for name in tables for row in opened.execute(f'SELECT * FROM "{name}"')])


@pytest.mark.parametrize("setting", CONTENTS)
async def test_the_file_keeps_what_the_content_setting_says_and_no_longer(
    slack: LocalSlack, tmp_path: Path, url: str, setting: str
) -> None:
    file = tmp_path / "state.db"
    began = time.time()
    async with bot(slack, url, content=CONTENTS[setting], offline_pace=0.01):
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: slack.replies(ts))
        assert WORD in texts_of(file), "a running turn needs its words"
        await eventually(lambda: states(file) == ["done"])
        assert WORD not in str(rows(file))
        assert (WORD in texts_of(file)) is (setting != "none")
    assert any(WORD.encode() in part.read_bytes() for part in tmp_path.glob("state.db*")) is (setting != "none")
    with contextlib.closing(sqlite3.connect(file)) as opened:
        ends = [end for (end,) in opened.execute("SELECT expires FROM log_sr_entries")]
    if setting == "ttl:1h":
        assert [began + 3600 <= end <= time.time() + 3600 for end in ends] == [True]
    else:
        assert ends == ([None] if setting == "full" else [])


@pytest.mark.parametrize("setting", CONTENTS)
async def test_a_failed_turn_keeps_its_words_no_longer_than_the_content_setting_says(
    slack: LocalSlack, tmp_path: Path, url: str, setting: str
) -> None:
    file = tmp_path / "state.db"
    async with bot(slack, url, model="no-such-provider:model", content=CONTENTS[setting]):
        slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: states(file) == ["failed"], 20)
        ((_, turn),) = rows(file)
    assert (WORD in str(rows(file))) is (setting == "full"), "the row stays for a week, longer than an hour"
    async with Store(url) as store:
        again = await retry(store.engine, store.clock, TEAM, turn)
    assert (again is not None) is (setting == "full"), "without its words there is nothing to answer"


# --- what is logged


async def test_at_debug_level_no_library_and_nothing_of_ours_logs_a_token_or_a_word(
    slack: LocalSlack, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("stateroom", "slack_sdk", "aiohttp", "uvicorn", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    slack.fault("throttle", method="chat.appendStream", retry_after=1, count=1)
    slack.fault("error", method="chat.stopStream", code="internal_error", count=1)
    async with bot(slack, url, offline_pace=0.002) as address:
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: slack.replies(ts))
        slack.act("edit", ts, text=f"{MENTION} {WORD} changed")
        await eventually(lambda: shown(slack, ts, 2), 20)
        slack.act("delete", ts)
        assert (await post_async(address, envelope(mention(WORD, now_ts())), {}))[0] == 401
        assert (await post_async(address, envelope(mention(WORD, now_ts(), channel="../heron"))))[0] == 400
    async with bot(slack, url, model="no-such-provider:model"):
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: shown(slack, ts), 20)
    written = "\n".join(f"{r.getMessage()} {r.__dict__} {r.exc_info}" for r in caplog.records)
    assert "turn claimed" in written
    for secret in (WORD, "xoxb-local-1", "local-signing-secret", "offline, without"):
        assert secret not in written
