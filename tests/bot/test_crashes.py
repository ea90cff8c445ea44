"""Workers that die, hang and wake up: every message is answered once, whole, in order, and in history.

Real processes on one SQLite file or one PostgreSQL server, also with conversations in S3, and a real local Slack;
processes are killed with SIGKILL and paused with SIGSTOP. The logs of all of them, at debug level, are searched for
tokens and for what was said.
"""

import asyncio
import itertools
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from stateroom.store import Store
from support import objects, pgbouncer
from support.bot import MENTION, Child, children, environment
from support.dynamodb import migrated as dynamodb_migrated
from support.dynamodb import own_process
from support.dynamodb_lag import Lagging
from support.local_slack import LocalSlack, eventually, local_slack
from support.postgres import migrated
from support.postgres_faults import WAYS, Breaking, breaking

pytestmark = pytest.mark.service
TEAM, CHANNEL = "T00000001", "C00000001"
WORD = "heron"  # in every message; never in a log
END = "I will still know it."
# moto takes as long for one request as DynamoDB for a hundred.
FEW_REQUESTS = {
    "STATEROOM_POLL_SECONDS": "0.5",
    "STATEROOM_LEASE_SECONDS": "5",
    "STATEROOM_STREAM_INTERVAL": "0.3",
}


class Site:
    """A store, an ingress and workers."""

    def __init__(
        self, slack: LocalSlack, folder: Path, begin: Callable[..., Child], url: str = "", threads: str = ""
    ) -> None:
        self.slack = slack
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/state.db"
        self.threads = threads
        self.network: Breaking | None = None  # between the workers and the store
        self._begin = begin
        self._more = FEW_REQUESTS if self.url.startswith("dynamodb:") else {}
        self._patience, self._rest = (240, 0.5) if self._more else (120, 0.05)
        self._names = itertools.count()

    def ingress(self) -> Child:
        child = self._start(["serve", "--no-worker", "--port", "0"])
        self.slack.register(f"{child.url}/slack/events")
        return child

    def worker(self, **more: str) -> Child:
        url = f"{self.network.url}&timeout=2" if self.network else self.url
        return self._start(["worker"], url=url, **more)

    def _start(self, arguments: list[str], *, url: str = "", **more: str) -> Child:
        log = self.folder / f"{next(self._names)}-{arguments[0]}.log"
        env = environment(self.slack, url or self.url, **self._more, **more, STATEROOM_THREADS=self.threads)
        return self._begin(arguments, env, log)

    async def history(self, thread_ts: str) -> list[str]:
        """The turns of a thread's history, in order."""
        async with Store(self.url, threads=self.threads or None) as store:
            found = await store.team(TEAM).thread(CHANNEL, thread_ts).entries(limit=1000)
            return [entry.turn_id for entry in found.items]

    async def pause_between_two_calls(self, worker: Child) -> None:
        """SIGSTOP right behind a call that adds to an answer: between its check and its call nothing holds it back."""
        while True:
            before = len(self.slack.calls("chat.appendStream"))
            await eventually(lambda: len(self.slack.calls("chat.appendStream")) > before)  # noqa: B023 - it is awaited
            worker.pause(self.folder / "state.db")
            if time.time() - self.slack.calls("chat.appendStream")[-1]["at"] < 0.3:  # the next one comes after 0.4
                return
            worker.resume()

    async def kept(self, thread_ts: str, turns: list[str]) -> None:
        """Wait until the history is exactly these turns."""
        ends = time.monotonic() + self._patience
        while (found := await self.history(thread_ts)) != turns:
            assert time.monotonic() < ends, (found, turns)
            await asyncio.sleep(self._rest)

    def whole(self, thread_ts: str, count: int = 1) -> list[dict[str, Any]]:
        """The answers, once there are `count` and none streams."""
        found = self.slack.replies(thread_ts)
        return found if len(found) >= count and not any(m.get("streaming") for m in found) else []


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """Slack whose minute of waiting for the next delivery is three seconds."""
    with local_slack(time_scale=0.05) as running:
        yield running


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A migrated store on PostgreSQL."""
    with migrated() as url:
        yield url


@pytest.fixture
def pooled(cannot_start: Callable[[str], NoReturn]) -> Iterator[str]:
    """The same behind PgBouncer in transaction mode."""
    with migrated() as url:
        try:
            by_the_pooler = pgbouncer.pooled(url)
        except pgbouncer.CannotStart as error:
            cannot_start(str(error))
        yield by_the_pooler


@pytest.fixture
def dynamodb() -> Iterator[str]:
    """A migrated store on DynamoDB."""
    with own_process() as endpoint, dynamodb_migrated(endpoint) as url:
        yield url


@pytest.fixture
def lagging() -> Iterator[str]:
    """One whose global secondary indexes lag by up to half a second."""
    chance = random.Random(7)
    with dynamodb_migrated(Lagging(lambda: chance.uniform(0.1, 0.5)).endpoint) as url:
        yield url


@pytest.fixture
def site(request: pytest.FixtureRequest, slack: LocalSlack, tmp_path: Path) -> Iterator[Site]:
    kind = getattr(request, "param", "")
    url = request.getfixturevalue(kind) if kind and kind != "mixed" else ""
    with children() as begin:
        yield Site(slack, tmp_path, begin, url, objects.fresh("seaweedfs") if kind == "mixed" else "")
    logs = list(tmp_path.glob("*.log"))
    assert logs
    for log in logs:
        written = log.read_text()
        assert "turn" in written or "ready" in written or "serve" in log.name or "worker" in log.name
        for secret in (WORD, "xoxb-local-1", "local-signing-secret", "offline, without"):
            assert secret not in written, f"{log.name} holds {secret!r}"


def hang_status(slack: LocalSlack) -> None:
    slack.fault("timeout", method="assistant.threads.setStatus", seconds=30, count=1)


def hang_start(slack: LocalSlack) -> None:
    slack.fault("timeout", method="chat.startStream", apply=True, seconds=30, count=1)


def hang_stop(slack: LocalSlack) -> None:
    slack.fault("timeout", method="chat.stopStream", apply=True, seconds=30, count=1)


STEPS: dict[str, tuple[Callable[[LocalSlack], None], Callable[[LocalSlack, str], Any]]] = {
    "before the model": (hang_status, lambda slack, ts: slack.calls("assistant.threads.setStatus")),
    "after startStream": (hang_start, lambda slack, ts: slack.replies(ts)),
    "during the stream": (lambda slack: None, lambda slack, ts: len(slack.calls("chat.appendStream")) >= 3),
    "after the post": (hang_stop, lambda slack, ts: [m for m in slack.replies(ts) if not m.get("streaming")]),
}


@pytest.mark.parametrize("moment", STEPS)
async def test_a_worker_killed_at_any_step_leaves_one_whole_answer(site: Site, moment: str) -> None:
    hang, reached = STEPS[moment]
    hang(site.slack)
    site.ingress()
    first = site.worker(STATEROOM_OFFLINE_PACE="0.05")
    ts = site.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: reached(site.slack, ts), 20)
    first.kill()
    killed = time.monotonic()
    site.worker()
    turn = f"{CHANNEL}:{ts}"
    await site.kept(ts, [turn])
    assert time.monotonic() - killed < 30
    (answer,) = site.whole(ts)
    assert answer["text"].endswith(END)
    assert answer["metadata"]["event_payload"]["turn"] == turn
    assert not [s for s in site.slack.state()["statuses"] if s["status"]]
    later = site.slack.say(f"{WORD} again", thread_ts=ts)
    await site.kept(ts, [turn, f"{CHANNEL}:{later}"])
    assert len(site.whole(ts, 2)) == 2


async def test_a_worker_paused_past_its_lease_and_woken_posts_nothing(site: Site) -> None:
    site.ingress()
    paused = site.worker(STATEROOM_OFFLINE_PACE="0.1", STATEROOM_STREAM_INTERVAL="0.4")
    ts = site.slack.say(f"{MENTION} {WORD}")
    await site.pause_between_two_calls(paused)
    other = site.worker()
    await site.kept(ts, [f"{CHANNEL}:{ts}"])
    (answer,) = site.whole(ts)
    calls = len(site.slack.calls())
    paused.resume()
    again = site.slack.say(f"{WORD} more", thread_ts=ts)
    await site.kept(ts, [f"{CHANNEL}:{ts}", f"{CHANNEL}:{again}"])
    first, second = site.whole(ts, 2)
    assert first["text"] == answer["text"]
    assert first["ts"] == answer["ts"]
    assert second["metadata"]["event_payload"]["turn"] == f"{CHANNEL}:{again}"
    about_first = [c for c in site.slack.calls()[calls:] if c["args"].get("ts") == answer["ts"]]
    assert not [c for c in about_first if c["method"].startswith("chat.")]
    assert other.process.poll() is None


async def test_what_the_store_could_not_take_is_redelivered_and_answered_once(site: Site) -> None:
    site.ingress()
    site.worker()
    # A foreign transaction holds the file longer than Slack waits: the delivery fails, Slack sends it again.
    blocker = sqlite3.connect(f"{site.folder}/state.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    ts = site.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: [d for d in site.slack.deliveries() if d.get("reason")], 20)
    blocker.execute("ROLLBACK")
    blocker.close()
    await site.kept(ts, [f"{CHANNEL}:{ts}"])
    assert len(site.whole(ts)) == 1


async def test_serve_ends_on_sigterm_and_hands_back_what_it_held(site: Site) -> None:
    site.ingress()
    worker = site.worker(STATEROOM_OFFLINE_PACE="0.5")
    ts = site.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: site.slack.replies(ts), 20)
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    site.worker()
    await site.kept(ts, [f"{CHANNEL}:{ts}"])
    assert len(site.whole(ts)) == 1


async def storm(site: Site, *, threads: int, messages: int, workers: int, kills: int, pause: float = 0.02) -> None:
    """Messages in threads, duplicates, redeliveries, and workers that are killed at random, or cut off."""
    chance = random.Random(20261121)
    site.ingress()
    running = list(await asyncio.gather(*(asyncio.to_thread(site.worker) for _ in range(workers))))
    if site.network:
        site.network.begin()
    for event in ("app_mention", "message"):
        site.slack.fault("duplicate", event=event, count=messages // 10)
        site.slack.fault("drop_ack", event=event, count=messages // 10)
    said: dict[str, list[str]] = {}
    roots = [site.slack.say(f"{MENTION} {WORD} 0") for _ in range(threads)]
    said = {root: [root] for root in roots}
    moments = sorted(chance.sample(range(messages - threads), kills))
    for number in range(messages - threads):
        root = chance.choice(roots)
        said[root].append(site.slack.say(f"{WORD} {len(said[root])}", thread_ts=root))
        if number in moments:
            victim = chance.randrange(workers)
            running[victim].kill()
            running[victim] = site.worker()
        await asyncio.sleep(chance.random() * pause)
    for root, order in said.items():
        await site.kept(root, [f"{CHANNEL}:{ts}" for ts in order])
    for root, order in said.items():
        answers = site.whole(root, len(order))
        turns = [m["metadata"]["event_payload"]["turn"] for m in answers]
        assert turns == [f"{CHANNEL}:{ts}" for ts in order]
        assert all(m["text"].rstrip().endswith((END, "”.")) for m in answers)
    # Deliveries whose 200 was dropped are acknowledged when Slack sends them again.
    want = {"acknowledged": messages, "answered": messages, "lost": 0, "doubled": 0}
    await eventually(lambda: site.slack.stats() == want, 60)


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
async def test_four_workers_on_postgresql_under_random_kills_answer_200_messages_once_and_in_order(site: Site) -> None:
    await storm(site, threads=20, messages=200, workers=4, kills=6)


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
async def test_workers_over_a_network_that_breaks_in_every_way_answer_each_message_once_and_in_order(
    site: Site,
) -> None:
    with breaking(site.url) as site.network:
        await storm(site, threads=8, messages=60, workers=3, kills=0, pause=0.25)
        assert set(site.network.done) == set(WAYS)
        assert site.network.connections > 3 * len(WAYS), "the workers have hardly noticed"


@pytest.mark.parametrize("site", ["pooled"], indirect=True)
async def test_workers_behind_a_transaction_mode_pooler_answer_each_message_once_and_in_order(site: Site) -> None:
    await storm(site, threads=6, messages=40, workers=2, kills=2)


@pytest.mark.parametrize("site", ["dynamodb"], indirect=True)
async def test_four_workers_on_dynamodb_under_random_kills_answer_200_messages_once_and_in_order(site: Site) -> None:
    await storm(site, threads=20, messages=200, workers=4, kills=6)


@pytest.mark.parametrize("site", ["lagging"], indirect=True)
async def test_workers_on_a_dynamodb_whose_indexes_lag_answer_once_and_in_order(site: Site) -> None:
    await storm(site, threads=3, messages=24, workers=2, kills=1)


async def test_four_workers_under_random_kills_answer_200_messages_once_and_in_order(site: Site) -> None:
    await storm(site, threads=20, messages=200, workers=4, kills=6)


@pytest.mark.parametrize("site", ["mixed"], indirect=True)
async def test_four_workers_with_conversations_in_a_bucket_answer_200_messages_once_and_in_order(site: Site) -> None:
    await storm(site, threads=20, messages=200, workers=4, kills=6)


@pytest.mark.soak
async def test_a_long_storm(site: Site) -> None:
    await storm(site, threads=50, messages=2000, workers=4, kills=100)
