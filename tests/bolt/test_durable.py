"""What `durable` promises a Bolt app: claimed before the ack, run to the end once, said once, retried within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from slack_bolt import App, BoltRequest, BoltResponse
from slack_sdk import WebClient

from stateroom import sync
from stateroom.bolt import durable, spine
from stateroom.emulator.config import SEED_BOT_USER, SEED_CHANNEL, SEED_SECRET, SEED_TEAM, SEED_TOKEN
from stateroom.engines.port import Query, Row, Update
from stateroom.layers import jobs
from stateroom.model.errors import StoreUnavailable, WrongUse
from stateroom.store import Store
from support.local_slack import LocalSlack, eventually_now

pytestmark = pytest.mark.service
Json = dict[str, Any]


@dataclass
class Clock:
    """The time, or so many seconds later: a lease runs out when a test says so, however slow the machine is."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Office:
    """A store, a local Slack, and any number of replicas of one app on them."""

    slack: LocalSlack
    store: sync.Store
    clock: Clock = field(default_factory=Clock)
    begun: list[Any] = field(default_factory=list)

    def app(self, **more: Any) -> App:
        """A replica; its listeners are the test's."""
        app = App(
            client=WebClient(SEED_TOKEN, base_url=self.slack.api_url),
            signing_secret=SEED_SECRET,
            token_verification_enabled=False,
            process_before_response=more.pop("process_before_response", False),
        )
        short = {"lease_seconds": 5.0, "poll_seconds": 0.02, "call_seconds": 2.5, **more}
        self.begun.append(durable(app, self.store, **short))
        return app

    def rows(self, table: str = "sr_jobs") -> list[Row]:
        async def look(store: Any) -> list[Row]:
            return list((await store.engine.query(Query(table, SEED_TEAM, 100))).rows)

        return self.store.ask(look)

    def settled(self, *states: str) -> list[Row]:
        """The jobs, once each is in one of `states`."""
        return eventually_now(lambda: all(r.item["state"] in states for r in self.rows()) and self.rows()) or []

    def texts(self) -> list[str]:
        return [str(one["text"]) for one in self.slack.messages() if "bot_id" in one]


@pytest.fixture
def office(slack: LocalSlack) -> Iterator[Office]:
    clock = Clock()
    with sync.Store(Store("memory://", clock=clock)) as store:
        office = Office(slack, store, clock)
        yield office
        for one in office.begun:
            one.stop()


def mention(event_id: str = "Ev00000001") -> Json:
    event = {
        "type": "app_mention",
        "user": "U00000001",
        "text": "hi",
        "ts": "1700000000.000100",
        "channel": SEED_CHANNEL,
    }
    auth = [{"team_id": SEED_TEAM, "user_id": SEED_BOT_USER, "is_bot": True}]
    about = {"type": "event_callback", "team_id": SEED_TEAM, "api_app_id": "A00000001", "token": "verification"}
    return {**about, "event": event, "event_id": event_id, "event_time": 1700000000, "authorizations": auth}


def command(text: str = "", trigger: str = "1.2.abc") -> Json:
    about = {"team_id": SEED_TEAM, "channel_id": SEED_CHANNEL, "user_id": "U00000001", "token": "verification"}
    return {**about, "command": "/ticket", "text": text, "trigger_id": trigger, "response_url": "http://127.0.0.1:9/x"}


def submission() -> Json:
    view = {
        "id": "V1",
        "type": "modal",
        "callback_id": "form",
        "hash": "1.a",
        "state": {"values": {}},
        "team_id": SEED_TEAM,
    }
    person = {"id": "U00000001", "team_id": SEED_TEAM}
    return {"type": "view_submission", "team": {"id": SEED_TEAM}, "user": person, "trigger_id": "3.4.d", "view": view}


def deliver(app: App, body: Json) -> BoltResponse:
    return app.dispatch(BoltRequest(body=body, mode="socket_mode"))


def refusing(*_: object, **__: object) -> Any:
    raise StoreUnavailable("memory", "full", "the disk is full", retryable=False)


# --- claimed before the ack, once


def test_an_event_is_on_record_before_slack_is_told(office: Office) -> None:
    app = office.app()
    release, states = threading.Event(), list[str]()

    @app.event("app_mention")
    def listener() -> None:
        release.wait(60)

    told = deliver(app, mention())
    states = [row.item["state"] for row in office.rows()]
    release.set()
    assert (told.status, states) == (200, ["running"])
    (row,) = office.settled("done")
    assert row.item["acked"]
    assert "body" not in row.item


def test_what_cannot_be_recorded_is_not_acknowledged(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    app = office.app()
    ran = list[str]()

    @app.event("app_mention")
    def listener() -> None:
        ran.append("ran")

    monkeypatch.setattr(jobs.Jobs, "claim", refusing)
    assert deliver(app, mention()).status == 503
    assert ran == []


def test_no_token_of_slack_is_kept(office: Office) -> None:
    app = office.app()
    release = threading.Event()

    @app.event("app_mention")
    def listener() -> None:
        release.wait(60)

    deliver(app, mention())
    (row,) = office.rows()
    release.set()
    assert "verification" not in row.item["body"]


def test_redeliveries_run_once_on_any_replica(office: Office) -> None:
    apps, ran = [office.app(), office.app()], list[str]()

    def listener(say: Callable[..., Any]) -> None:
        ran.append("ran")
        time.sleep(0.05)  # so that the deliveries overlap
        say("once")

    for app in apps:
        app.event("app_mention")(listener)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: deliver(apps[n % 2], mention()), range(16)))
    assert {one.status for one in told} == {200}
    office.settled("done")
    assert deliver(apps[0], mention()).status == 200
    assert ran == ["ran"]
    assert office.texts() == ["once"]


def test_two_requests_are_two_jobs(office: Office) -> None:
    app, ran = office.app(), list[str]()

    @app.event("app_mention")
    def listener(body: Json) -> None:
        ran.append(body["event_id"])

    for number in range(3):
        deliver(app, mention(f"Ev0000000{number}"))
    office.settled("done")
    assert sorted(ran) == ["Ev00000000", "Ev00000001", "Ev00000002"]


# --- acks that carry something


@pytest.mark.parametrize("process_before_response", [False, True])
def test_an_ack_with_text_reaches_slack_and_its_redelivery(office: Office, process_before_response: bool) -> None:
    app, ran = office.app(process_before_response=process_before_response), list[str]()

    @app.command("/ticket")
    def listener(ack: Callable[..., Any], command: Json) -> None:
        ran.append("ran")
        ack(f"noted {command['text']}")

    assert deliver(app, command("a")).body == "noted a"
    office.settled("done")
    assert deliver(app, command("a")).body == "noted a"
    assert ran == ["ran"]


def test_a_submission_is_answered_with_its_errors(office: Office) -> None:
    app = office.app()

    @app.view("form")
    def listener(ack: Callable[..., Any]) -> None:
        ack(response_action="errors", errors={"name": "too short"})

    assert '"errors"' in deliver(app, submission()).body
    (row,) = office.settled("done")
    assert row.item["what"] == "view_submission:form"


def test_suggestions_are_looked_up_and_nothing_is_kept(office: Office) -> None:
    app = office.app()

    @app.options("owner")
    def listener(ack: Callable[..., Any]) -> None:
        ack(options=[{"text": {"type": "plain_text", "text": "A"}, "value": "a"}])

    person = {"id": "U00000001", "team_id": SEED_TEAM}
    body = {"type": "block_suggestion", "team": {"id": SEED_TEAM}, "user": person, "action_id": "owner", "value": ""}
    assert '"options"' in deliver(app, body).body
    assert office.rows() == []


def test_an_ack_is_on_record_before_slack_is_told(office: Office) -> None:
    app, release = office.app(), threading.Event()

    @app.command("/ticket")
    def listener(ack: Callable[..., Any]) -> None:
        ack("yes")
        release.wait(60)

    told = deliver(app, command())
    (row,) = office.rows()
    release.set()
    assert (told.body, row.item["acked"], row.item["ack"], row.item["state"]) == ("yes", True, "yes", "running")
    office.settled("done")


def test_a_failure_before_the_ack_is_shown_and_not_tried_again(office: Office) -> None:
    app, ran = office.app(), list[str]()

    @app.command("/ticket")
    def listener() -> None:
        ran.append("ran")
        raise ValueError("no")

    assert deliver(app, command()).status != 200
    (row,) = office.settled("failed")
    assert (row.item["reason"], row.item["acked"]) == ("ValueError", False)
    deliver(app, command())  # Slack or the person asks again: that is a new chance
    eventually_now(lambda: len(ran) == 2)


# --- run again


def test_a_listener_that_fails_is_tried_again_and_says_each_thing_once(office: Office) -> None:
    app, ran = office.app(), list[str]()

    @app.event("app_mention")
    def listener(say: Callable[..., Any]) -> None:
        ran.append("ran")
        say(f"working, try {len(ran)}")
        if len(ran) == 1:
            raise ValueError("not yet")
        say("worked")

    @app.error
    def sorry(say: Callable[..., Any]) -> None:
        say("sorry")

    deliver(app, mention())
    (row,) = office.settled("done")
    assert office.texts() == ["working, try 2", "sorry", "worked"]
    assert row.item["attempts"] == 1


def test_tries_are_bounded_and_the_end_is_seen(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    app, ran = office.app(attempts=2), list[str]()

    @app.event("app_mention")
    def listener() -> None:
        ran.append("ran")
        raise ValueError("secret words")

    deliver(app, mention())
    (row,) = office.settled("failed")
    assert ran == ["ran", "ran"]
    assert jobs.describe(row)["reason"] == "ValueError"
    ours = [one.getMessage() for one in caplog.records if one.name == "stateroom.bolt"]
    assert any("job failed" in one for one in ours)
    assert not any("secret" in one for one in ours)


def test_what_slack_refuses_for_good_is_not_tried_again(office: Office) -> None:
    app, ran = office.app(), list[str]()

    @app.event("app_mention")
    def listener(client: WebClient) -> None:
        ran.append("ran")
        client.chat_postMessage(channel="C0NOWHERE1", text="hello")

    deliver(app, mention())
    (row,) = office.settled("failed")
    assert (ran, row.item["reason"]) == (["ran"], "channel_not_found")


def test_a_throttled_post_is_tried_again_and_appears_once(office: Office) -> None:
    app = office.app()
    office.slack.fault("throttle", method="chat.postMessage", retry_after=1, count=1)

    @app.event("app_mention")
    def listener(say: Callable[..., Any]) -> None:
        say("once")

    deliver(app, mention())
    office.settled("done")
    assert office.texts() == ["once"]


def test_a_post_without_an_answer_is_looked_for_before_it_is_repeated(office: Office) -> None:
    """Slack applied it, and the answer was lost: to the listener that is a time-out."""
    app, ran = office.app(call_seconds=0.5), list[str]()
    office.slack.fault("timeout", method="chat.postMessage", count=1, apply=True)

    @app.event("app_mention")
    def listener(say: Callable[..., Any]) -> None:
        ran.append("ran")
        say("once")

    deliver(app, mention())
    office.settled("done")
    assert len(ran) == 2
    assert office.texts() == ["once"]


def test_the_apps_own_metadata_stays(office: Office) -> None:
    app = office.app()

    @app.event("app_mention")
    def listener(say: Callable[..., Any]) -> None:
        say("x", metadata={"event_type": "mine", "event_payload": {"id": 7}})

    deliver(app, mention())
    office.settled("done")
    (said,) = (one for one in office.slack.messages() if "bot_id" in one)
    assert said["metadata"]["event_type"] == "mine"
    assert said["metadata"]["event_payload"]["id"] == 7


def test_lazy_listeners_are_part_of_the_job(office: Office) -> None:
    app, ran = office.app(), list[str]()

    def acknowledge(ack: Callable[..., Any]) -> None:
        ran.append("ack")
        ack("at once")

    def work(say: Callable[..., Any]) -> None:
        ran.append("lazy")
        if len(ran) == 2:
            raise ValueError("not yet")
        say("worked")

    app.command("/ticket")(ack=acknowledge, lazy=[work])
    assert deliver(app, command()).body == "at once"
    office.settled("done")
    assert ran == ["ack", "lazy", "ack", "lazy"]
    assert office.texts() == ["worked"]


def test_where_bolt_answers_last_lazy_listeners_are_left_to_bolt(office: Office) -> None:
    app, ran = office.app(process_before_response=True), list[str]()

    def work(say: Callable[..., Any]) -> None:
        say("worked")
        ran.append("lazy")

    app.command("/ticket")(ack=lambda ack: ack("at once"), lazy=[work])
    assert deliver(app, command()).body == "at once"
    (row,) = office.rows()
    assert row.item["state"] == "done"
    eventually_now(lambda: ran == ["lazy"])
    assert office.texts() == ["worked"]


def test_a_failed_job_is_listed_and_can_be_run_again(office: Office) -> None:
    app, ran = office.app(attempts=1), list[str]()

    @app.event("app_mention")
    def listener() -> None:
        ran.append("ran")
        if len(ran) == 1:
            raise ValueError("not yet")

    deliver(app, mention())
    office.settled("failed")
    (told,) = office.store.ask(lambda store: jobs.listed(store.engine, state="failed"))
    assert (told["what"], told["reason"], told["team"]) == ("event:app_mention", "ValueError", SEED_TEAM)
    assert office.store.ask(lambda store: jobs.retry(store.engine, store.clock, SEED_TEAM, told["id"]))
    office.settled("done")
    assert ran == ["ran", "ran"]
    assert office.store.ask(lambda store: jobs.retry(store.engine, store.clock, SEED_TEAM, told["id"])) is None


# --- whose job it is


def test_a_long_listener_keeps_its_job(office: Office) -> None:
    lease, ran, release = 20.0, list[str](), threading.Event()
    apps = [office.app(lease_seconds=lease), office.app(lease_seconds=lease)]

    def listener() -> None:
        ran.append("ran")
        release.wait(60)

    def held_until() -> float:
        (row,) = office.rows()
        return float(row.item["due_at"])

    for app in apps:
        app.event("app_mention")(listener)
    deliver(apps[0], mention())
    for _ in range(4):  # twice as long as the lease
        before = held_until()
        office.clock.ahead += lease / 2
        eventually_now(lambda before=before: held_until() > before)  # type: ignore[misc]
    release.set()
    (row,) = office.settled("done")
    assert (ran, row.item["claims"]) == (["ran"], 1)


def test_a_listener_that_ends_its_thread_runs_again_in_the_same_process(office: Office) -> None:
    app, ran = office.app(lease_seconds=0.3), list[str]()

    @app.event("app_mention")
    def listener(say: Callable[..., Any]) -> None:
        ran.append("ran")
        say("once")
        if len(ran) == 1:
            raise SystemExit

    deliver(app, mention())
    office.settled("done")
    assert (ran, office.texts()) == (["ran", "ran"], ["once"])


def test_a_job_that_cannot_be_opened_holds_up_no_other(office: Office, slack: LocalSlack) -> None:
    with sync.open("memory://", keys=f"k1:{'A' * 43}=", encrypt_content=True) as store:
        sealed = Office(slack, store)
        app = sealed.app(lease_seconds=0.2)

        @app.event("app_mention")
        def listener() -> None:
            if not broken:
                raise ValueError

        broken = list[bool]()
        for number in range(2):
            deliver(app, mention(f"Ev{number}"))
        sealed.settled("waiting")
        first = {"$body": "sr-words:1:00000001:" + "A" * 60}
        broken.append(True)
        store.ask(lambda it: it.raw.commit([Update("sr_jobs", SEED_TEAM, "app:Ev0", set=first)]))

        async def states(it: Any) -> list[str]:
            rows = (await it.raw.query(Query("sr_jobs", SEED_TEAM, 100))).rows
            return [row.item["state"] for row in rows]

        assert eventually_now(lambda: store.ask(states) == ["running", "done"])
        sealed.begun[0].stop()


def test_a_job_that_no_process_can_open_ends_and_is_kept_for_who_has_the_key(
    office: Office, slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spine, "CRASHES", 3)
    with sync.open("memory://", keys=f"k1:{'A' * 43}=", encrypt_content=True) as store:
        sealed, said, broken = Office(slack, store), list[str](), list[bool]()
        app = sealed.app(lease_seconds=0.2)

        @app.event("app_mention")
        def listener(event: Json) -> None:
            if not broken:
                raise ValueError
            said.append(str(event["text"]))

        deliver(app, mention("Ev0"))
        (row,) = sealed.settled("waiting")
        (stored,) = store.ask(lambda it: it.raw.get("sr_jobs", SEED_TEAM, [row.id]))
        broken.append(True)
        lost = {"$body": "sr-words:1:00000001:" + "A" * 60}
        store.ask(lambda it: it.raw.commit([Update("sr_jobs", SEED_TEAM, row.id, set=lost)]))

        def listed() -> Json:
            (found,) = store.ask(lambda it: jobs.listed(it.engine))
            return found

        assert eventually_now(lambda: listed()["state"] == "failed")
        assert (listed()["reason"], "due_at" in listed()) == ("SealBroken", False)
        assert listed()["claims"] <= 5
        whole = {"$body": stored.item["$body"]}
        store.ask(lambda it: it.raw.commit([Update("sr_jobs", SEED_TEAM, row.id, set=whole)]))
        assert store.ask(lambda it: jobs.retry(it.engine, it.clock, SEED_TEAM, row.id)) is not None
        assert eventually_now(lambda: listed()["state"] == "done")
        assert len(said) == 1
        sealed.begun[0].stop()


def test_a_run_that_was_overtaken_says_nothing_more(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stood still for longer than its lease: the other one's run counts."""
    app = office.app(lease_seconds=20.0)
    ran, overtaken = list[str](), threading.Event()

    @app.event("app_mention")
    def listener(say: Callable[..., Any]) -> None:
        ran.append("ran")
        number = len(ran)
        if number == 1:
            assert overtaken.wait(60)
        say(f"by run {number}")
        overtaken.set()

    monkeypatch.setattr("stateroom.layers.jobs.Job.renew", _nothing)
    deliver(app, mention())
    eventually_now(lambda: len(ran) == 1)
    office.clock.ahead += 21.0
    eventually_now(lambda: len(ran) == 2)
    office.settled("done")
    eventually_now(office.texts)
    assert office.texts() == ["by run 2"]


async def _nothing(_: object) -> None:
    return


def test_two_apps_share_a_store(office: Office) -> None:
    one, other, ran = office.app(name="one"), office.app(name="other"), list[str]()
    one.event("app_mention")(lambda: ran.append("one"))
    other.event("app_mention")(lambda: ran.append("other"))
    deliver(one, mention())
    deliver(other, mention())
    office.settled("done")
    assert sorted(ran) == ["one", "other"]


def test_a_job_whose_listener_is_gone_ends(office: Office) -> None:
    app, ran = office.app(attempts=2), list[str]()

    @app.event("app_mention", matchers=[lambda: not ran])
    def listener() -> None:
        ran.append("ran")
        raise ValueError("not yet")

    deliver(app, mention())
    (row,) = office.settled("failed")
    assert (ran, row.item["reason"]) == (["ran"], "NotRun")


def test_durable_is_said_once_and_with_a_store_of_its_own_face(office: Office) -> None:
    app = office.app()
    with pytest.raises(WrongUse, match="already"):
        durable(app, office.store)
