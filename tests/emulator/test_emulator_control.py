"""The control plane, its feed, its doors, and what survives a kill -9."""

import asyncio
import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stateroom.emulator.config import EmulatorConfig
from stateroom.emulator.journal import Batch, NoJournal, Scribe
from stateroom.emulator.server import listen
from stateroom.model.errors import StateroomError, StoreUnavailable, WrongUse
from support.local_slack import (
    PATIENCE,
    EventApp,
    LocalSlack,
    SimError,
    eventually,
    local_slack,
    local_slack_process,
)

pytestmark = pytest.mark.service

CHANNEL, DM, ADA = "C00000001", "D00000001", "U00000001"
NOBODY = "http://127.0.0.1:9/slack/events"  # nothing listens there


def denied(slack: LocalSlack, path: str, body: object) -> tuple[int, str]:
    with pytest.raises(SimError) as caught:
        slack.sim("POST", path, body)
    return caught.value.status, str(caught.value.code)


class Stream:
    """A reader of `/_sim/stream`."""

    def __init__(self, slack: LocalSlack, after: int) -> None:
        parts = urlsplit(slack.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        self._connection.request("GET", f"/_sim/stream?after={after}")
        self._response = self._connection.getresponse()
        assert self._response.headers["content-type"].startswith("text/event-stream")

    def events(self) -> Iterator[dict[str, object]]:
        for line in iter(self._response.readline, b""):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def until(self, kind: str) -> dict[str, object]:
        return next(event for event in self.events() if event["type"] == kind)

    def rest(self) -> list[dict[str, object]]:
        """All until the server is gone."""
        found = []
        with contextlib.suppress(ConnectionError):
            for event in self.events():
                found.append(event)
        return found

    def close(self) -> None:
        self._connection.close()


def test_the_state_is_what_the_page_needs(slack: LocalSlack) -> None:
    slack.say("hello")
    state = slack.state()
    assert state["me"] == ADA
    assert {channel["id"]: channel["is_im"] for channel in state["channels"]} == {CHANNEL: False, DM: True}
    seeded = {"app_id": "A00000001", "name": "stateroom", "bot_user_id": "UB0000001", "online": None}
    assert [{name: app[name] for name in seeded} for app in state["apps"]] == [seeded]
    assert state["messages"][CHANNEL][0]["text"] == "hello"
    assert state["hints"] == {"channel": CHANNEL, "prompt": "@stateroom hello", "text": "<@UB0000001> hello"}
    assert state["caps"] == {"crash": False, "turns": False, "reset": True}


def test_the_stream_tells_what_happens_after_the_state(slack: LocalSlack) -> None:
    stream = Stream(slack, slack.state()["cursor"])
    ts = slack.say("hello")
    assert stream.until("message")["message"]["ts"] == ts  # type: ignore[index]
    slack.call("assistant.threads.setStatus", channel_id=CHANNEL, thread_ts=ts, status="thinks")
    assert stream.until("status")["status"] == "thinks"
    assert stream.until("call")["call"]["method"] == "assistant.threads.setStatus"  # type: ignore[index]
    slack.call("chat.postMessage", channel=CHANNEL, thread_ts=ts, text="answer")
    shown = [stream.until("message")["message"] for _ in range(2)]
    assert [(one["text"], one["reply_count"]) for one in shown] == [("answer", 0), ("hello", 1)]  # type: ignore[index]
    slack.fault("error", method="chat.update")
    assert stream.until("fault")["faults"][0]["kind"] == "error"  # type: ignore[index]
    slack.act("react", ts, name="eyes")
    assert stream.until("message")["message"]["reactions"][0]["count"] == 1  # type: ignore[index]
    reply = slack.replies(ts)[0]["ts"]
    slack.call("chat.delete", channel=CHANNEL, ts=reply)
    assert stream.until("message_deleted") == {
        "type": "message_deleted",
        "team": "T00000001",
        "channel": CHANNEL,
        "ts": reply,
    }
    slack.reset()
    stream.until("reset")
    assert slack.messages() == []
    stream.close()


def test_a_message_that_is_sent_again_is_posted_once(slack: LocalSlack) -> None:
    stamps = {slack.say("hello", client_msg_id="one") for _ in range(3)}
    assert len(stamps) == len(slack.messages()) == 1


def test_what_cannot_be_said_is_refused_with_a_reason(slack: LocalSlack) -> None:
    say = {"channel": CHANNEL, "text": "x"}
    assert denied(slack, "messages", {**say, "channel": "C0NONE"}) == (404, "channel_not_found")
    assert denied(slack, "messages", {**say, "team": "T0NONE"}) == (404, "team_not_found")
    assert denied(slack, "messages", {**say, "user": "U0NONE"}) == (404, "user_not_found")
    assert denied(slack, "messages", {**say, "text": " "}) == (400, "no_text")
    assert denied(slack, "messages", {**say, "thread_ts": "../etc"}) == (400, "invalid_ts")
    assert denied(slack, "messages", {**say, "text": 7}) == (400, "invalid_arguments")
    assert denied(slack, "messages", b'{"text":') == (400, "invalid_json")
    assert denied(slack, "messages", {**say, "channel": DM, "user": "U00000002"}) == (403, "not_in_channel")
    ts = slack.say("mine")
    assert denied(slack, "messages", {**say, "ts": ts}) == (409, "ts_taken")
    act = {"channel": CHANNEL, "ts": ts}
    assert denied(slack, "actions", {**act, "kind": "stop", "thread_ts": ts}) == (409, "not_processing")
    assert denied(slack, "actions", {**act, "kind": "dance"}) == (400, "unknown_kind")
    assert denied(slack, "actions", {**act, "kind": "edit", "user": "U00000002", "text": "y"})[1] == "not_your_message"
    assert denied(slack, "actions", {**act, "ts": "1.2", "kind": "delete"}) == (404, "message_not_found")
    assert denied(slack, "crash", {}) == (409, "no_bot_process")
    status, answer, _ = slack.request("POST", "/_sim/messages", b"x" * (1 << 20) + b"x")
    assert (status, answer["error"]) == (413, "too_large")


def test_a_deleted_thread_start_leaves_a_tombstone(slack: LocalSlack) -> None:
    ts = slack.say("root")
    reply = slack.say("reply", thread_ts=ts)
    slack.act("delete", ts)
    shown = slack.messages()
    assert [(one["ts"], one.get("deleted", False)) for one in shown] == [(ts, True), (reply, False)]
    assert shown[0]["text"] == "This message was deleted."


def test_registering_an_app_mints_a_bot_or_takes_over_the_one_that_owns_the_token(slack: LocalSlack) -> None:
    minted = slack.register("http://127.0.0.1:9/", app_id="A00000002", name="Helper")
    assert minted["bot_token"] == "xoxb-local-2"
    assert slack.call("auth.test", token="xoxb-local-2")["user_id"] == minted["bot_user_id"] != "UB0000001"
    assert slack.register("http://127.0.0.1:9/", app_id="A00000002")["bot_token"] == "xoxb-local-2"
    taken = slack.register("http://127.0.0.1:9/", app_id="A00000003", bot_token="xoxb-local-1")
    assert taken["bot_user_id"] == "UB0000001"
    assert slack.call("auth.test")["app_id"] == "A00000003"
    assert {app["app_id"] for app in slack.state()["apps"]} == {"A00000002", "A00000003"}


def test_foreign_pages_and_foreign_names_are_turned_away(slack: LocalSlack) -> None:
    body = {"channel": CHANNEL, "text": "x"}
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        assert slack.request("POST", "/_sim/messages", body, headers)[0] == 403
        assert slack.request("GET", "/_sim/stream", None, headers)[0] == 403
        assert slack.request("POST", "/api/chat.postMessage", body, headers)[0] == 403
    assert slack.request("POST", "/_sim/messages", body, {"Origin": slack.url})[0] == 200
    assert len(slack.messages()) == 1


def test_the_page_comes_with_a_strict_policy_and_no_way_out_of_its_folder(slack: LocalSlack) -> None:
    status, _, headers = slack.request("GET", "/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    for path in ("/page/..%2Fserver.py", "/page/%2e%2e/server.py", "/page/none.js", "/page/..%5Cserver.py"):
        assert slack.request("GET", path)[0] == 404


def test_only_loopback_is_listened_on() -> None:
    for host in ("0.0.0.0", "192.168.0.1", "::", "example.org"):
        with pytest.raises(WrongUse, match="loopback"):
            listen(EmulatorConfig(host=host))


async def test_the_page_sees_the_bots_turns() -> None:
    async def watch() -> AsyncIterator[Mapping[str, str]]:
        yield {"id": "t1", "state": "answering"}
        await asyncio.Event().wait()

    with local_slack(watch=watch) as slack:
        await eventually(lambda: slack.state()["turns"])
        assert slack.state()["turns"] == [{"id": "t1", "state": "answering"}]
        assert slack.state()["caps"]["turns"] is True


def test_crash_kills_the_process_in_the_pid_file(tmp_path: Path) -> None:
    pid_file = tmp_path / "bot.pid"
    with local_slack(bot_pid_file=pid_file) as slack:
        assert denied(slack, "crash", {}) == (409, "no_bot_process")
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pid_file.write_text(str(child.pid))
        assert slack.sim("POST", "crash", {})["pid"] == child.pid
        assert child.wait(PATIENCE) == -9
        pid_file.write_text(str(os.getpid()))
        assert denied(slack, "crash", {}) == (409, "no_bot_process")


async def test_a_kill_9_loses_no_message_and_undelivered_events_come_after_the_restart(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path / 'slack.db'}"
    with local_slack_process(state=state, event_url=NOBODY, time_scale=0.0001) as first:
        said = [first.slack.say(f"@stateroom {number}") for number in range(20)]
        answer = first.slack.call("chat.postMessage", channel=CHANNEL, thread_ts=said[0], text="answer")["ts"]
        # Retries have run out for the first message, and are still to come for others: both are kept.
        await eventually(lambda: len(first.slack.deliveries()) >= 8)
        first.kill()
    async with EventApp() as app:
        with local_slack_process(state=state, event_url=app.url) as second:
            await eventually(lambda: len(app.received) == 41)
            assert [one["ts"] for one in second.slack.messages()] == sorted([*said, answer])
            assert {event["ts"] for event in app.events("app_mention")} == set(said)
            # Every answer is noted; the look at the counts waits until the notes are in the journal.
            await eventually(lambda: second.slack.sim("GET", "pending")["pending"] == [])
            await eventually(lambda: second.slack.stats()["acknowledged"] == 20)
            assert second.slack.stats()["answered"] == 1
            assert second.slack.say("next") > answer
            await eventually(lambda: len(app.received) == 42)
            second.kill()
        with local_slack_process(state=state, event_url=app.url) as third:
            third.slack.say("last")
            await eventually(lambda: len(app.received) >= 43)
            assert third.slack.stats()["acknowledged"] == 20
    ids = [one.envelope["event_id"] for one in app.received]
    assert len(ids) - len(set(ids)) <= 1  # the kill may have come between an answer and its note


@contextlib.contextmanager
def no_commits(path: Path) -> Iterator[None]:
    """Nobody else writes into a SQLite file meanwhile; who wants to, waits."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


LOOKS: dict[str, Callable[[LocalSlack], list[str]]] = {
    "messages": lambda slack: [one["text"] for one in slack.messages()],
    "state": lambda slack: [one["text"] for one in slack.state()["messages"][CHANNEL]],
    "strip": lambda slack: [SAID] * slack.stats()["answered"],
    "history": lambda slack: [
        one["text"] for one in slack.call("conversations.replies", channel=CHANNEL, ts=ASKED)["messages"]
    ],
}
SAID, ASKED = "the answer", "1700000000.000100"


def waits_without(words: str, look: Callable[[], list[str]]) -> None:
    """A look is repeated until it has to wait, and none before shows the words."""
    deadline = time.monotonic() + 10
    with contextlib.suppress(TimeoutError):
        while time.monotonic() < deadline:
            assert words not in look()
        pytest.fail("no look had to wait")


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_sees_what_a_kill_9_could_still_take_back(look: str, tmp_path: Path) -> None:
    path, seen = tmp_path / "slack.db", LOOKS[look]
    with local_slack_process(state=f"sqlite:///{path}") as first, ThreadPoolExecutor(1) as other:
        first.slack.say("<@UB0000001> hello", ts=ASKED)
        stream = Stream(first.slack, first.slack.state()["cursor"])
        with no_commits(path):
            hasty = LocalSlack(first.slack.url, patience=0.5)
            answer = other.submit(first.slack.call, "chat.postMessage", channel=CHANNEL, thread_ts=ASKED, text=SAID)
            waits_without(SAID, lambda: seen(hasty))
            assert not answer.done()
            first.kill()
        with pytest.raises(ConnectionError):
            answer.result()
        assert SAID not in json.dumps(stream.rest())
    with local_slack_process(state=f"sqlite:///{path}") as second:
        assert SAID not in seen(second.slack)


async def test_what_could_not_be_kept_is_kept_with_the_next_commit() -> None:
    """A full disk for a moment: the local Slack says so, and what it shows afterwards is what it has kept."""
    state = {f"message/T1/C1/{number}": b"{}" for number in range(3)}
    journal = FailingJournal()
    scribe = Scribe(journal)
    journal.fails = True
    for key, value in state.items():
        with pytest.raises(StoreUnavailable):
            await scribe.write({key: value})
    with pytest.raises(StoreUnavailable):
        await scribe.write({})
    journal.fails = False
    await scribe.write({})
    assert journal.kept == state


async def test_starting_over_forgets_what_was_still_on_its_way_into_the_journal() -> None:
    journal = FailingJournal()
    scribe = Scribe(journal)
    journal.fails = True
    with pytest.raises(StoreUnavailable):
        await scribe.write({"message/T1/C1/1": b"{}"})
    journal.fails = False
    await scribe.wipe()
    assert await journal.load() == []


class FailingJournal(NoJournal):
    """Keeps in memory what it is given, when its disk has room."""

    keeps = True

    def __init__(self) -> None:
        self.kept: dict[str, bytes | None] = {}
        self.fails = False

    async def load(self) -> list[tuple[str, bytes]]:
        return [(key, value) for key, value in self.kept.items() if value is not None]

    async def append(self, batch: Batch) -> None:
        if self.fails:
            raise StoreUnavailable("slack.db", "full", "the disk is full", retryable=True)
        self.kept.update(batch)


async def test_an_event_that_ran_out_of_retries_comes_once_its_app_answers_again(tmp_path: Path) -> None:
    with local_slack(state=f"sqlite:///{tmp_path / 'slack.db'}", event_url=NOBODY, time_scale=0.0001) as slack:
        ts = slack.say("early")
        await eventually(lambda: len(slack.deliveries()) == 4)
        async with EventApp() as app:
            slack.register(app.url)
            await eventually(lambda: app.received)
            assert app.events()[0]["ts"] == ts


def test_sigterm_ends_it_with_0_while_a_page_listens_and_an_answer_is_held(tmp_path: Path) -> None:
    with local_slack_process(state=f"sqlite:///{tmp_path / 'slack.db'}") as running:
        stream = Stream(running.slack, running.slack.state()["cursor"])
        ts = running.slack.say("kept")
        started = time.monotonic()
        assert running.terminate() == 0
        assert time.monotonic() - started < 10
        stream.close()
    with local_slack_process(state=f"sqlite:///{tmp_path / 'slack.db'}") as again:
        assert [one["ts"] for one in again.slack.messages()] == [ts]


def test_two_thousand_messages_are_quick_and_fit_in_sixty_megabytes() -> None:
    with local_slack_process() as running:
        slack = running.slack
        for number in range(2_000):
            slack.say(f"message number {number} with a few more words in it")
        assert len(slack.state()["messages"][CHANNEL]) == 2_000
        status = Path(f"/proc/{running.process.pid}/status")
        if status.exists():
            resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
            assert int(resident.split()[1]) < 60 * 1024


def test_the_strip_counts_a_lost_message(tmp_path: Path) -> None:
    async def one() -> None:
        with local_slack(time_scale=0.005) as slack:
            async with EventApp() as app:
                slack.register(app.url)
                slack.say("@stateroom hello")
                await eventually(lambda: slack.stats()["lost"] == 1)
                assert slack.stats()["acknowledged"] == 1

    asyncio.run(one())


def test_a_state_that_cannot_be_kept_or_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="sqlite"), local_slack(state="mongodb://x/y"):
        pytest.fail("it started")
    (tmp_path / "not.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StateroomError), local_slack(state=f"sqlite:///{tmp_path / 'not.db'}"):
        pytest.fail("it started")


async def test_starting_over_leaves_only_the_seeds(tmp_path: Path) -> None:
    with local_slack(state=f"sqlite:///{tmp_path / 'slack.db'}", time_scale=0.01) as slack:
        async with EventApp() as app:
            slack.register(app.url, app_id="A0OTHER", bot_token="xoxb-other")
            slack.add_team("T0OTHER01")
            slack.fault("error", method="chat.*")
            slack.say("hello")
            await eventually(lambda: app.received)
        slack.sim("POST", "reset", {"everything": True})
        state = slack.state()
        assert [team["id"] for team in state["teams"]] == ["T00000001"]
        assert [one["app_id"] for one in state["apps"]] == ["A00000001"]
        assert (state["messages"], state["faults"]) == ({CHANNEL: [], DM: []}, [])
        assert (slack.calls(), slack.deliveries()) == ([], [])
        assert slack.call("auth.test", token="xoxb-other")["error"] == "invalid_auth"
        slack.say("again")
    with local_slack(state=f"sqlite:///{tmp_path / 'slack.db'}") as slack:
        assert [one["text"] for one in slack.messages()] == ["again"]
        assert len(slack.state()["apps"]) == 1


async def test_what_no_app_has_taken_is_on_its_way(slack: LocalSlack) -> None:
    async with EventApp() as app:
        slack.register(app.url)
        released = asyncio.Event()
        app.answers = [500, 500, released]
        ts = slack.say("hello")
        (one,) = await eventually(lambda: [one for one in slack.sim("GET", "pending")["pending"] if one["sent"] == 2])
        assert (one["ts"], one["type"], one["reason"], one["parked"]) == (ts, "message", "http_error", False)
        assert "body" not in one
        released.set()
        await eventually(lambda: slack.sim("GET", "pending")["pending"] == [])
        assert slack.deliveries()[-1]["status"] == 200
