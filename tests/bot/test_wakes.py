"""Workers in other processes are woken by the store: an idle one answers at once, and polling covers for a lost wake.

Real processes on one PostgreSQL server. `POLL` is longer than any answer may take: who answers sooner was woken.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from stateroom.engines.postgresql_url import read_url
from stateroom.layers.inbox import INBOX
from support.bot import MENTION, Child, children, environment
from support.local_slack import LocalSlack, eventually
from support.postgres import migrated

pytestmark = pytest.mark.service
POLL = "120"
SOON = 30.0  # seconds, on a machine under load


class Site:
    """A store, and processes on it."""

    def __init__(self, slack: LocalSlack, url: str, folder: Path, begin: Callable[..., Child]) -> None:
        self.slack, self.folder, self._begin = slack, folder, begin
        self.url = url
        self.address = read_url(url)
        self.database = psycopg.connect(self.address.conninfo, autocommit=True)

    def start(self, *arguments: str, poll: str) -> Child:
        log = self.folder / f"{arguments[0]}.log"
        return self._begin(list(arguments), environment(self.slack, self.url, STATEROOM_POLL_SECONDS=poll), log)

    def listeners(self) -> list[int]:
        """The server's processes that listen for this store's wakes."""
        asked = "SELECT pid FROM pg_stat_activity WHERE query = %s"
        return [pid for (pid,) in self.database.execute(asked, (f'LISTEN "stateroom.{self.address.schema}"',))]

    def cut(self, pid: int) -> None:
        self.database.execute("SELECT pg_terminate_backend(%s)", (pid,))

    async def asked(self, words: str) -> float:
        """Say it; the seconds until the answer is whole."""
        began = time.monotonic()
        ts = self.slack.say(f"{MENTION} {words}")
        await eventually(lambda: [m for m in self.slack.replies(ts) if not m.get("streaming")], SOON)
        return time.monotonic() - began


@pytest.fixture
def site(slack: LocalSlack, tmp_path: Path) -> Iterator[Site]:
    with migrated() as url, children() as begin:
        found = Site(slack, url, tmp_path, begin)
        slack.register(f"{found.start('serve', '--no-worker', '--port', '0', poll=POLL).url}/slack/events")
        yield found
        found.database.close()


async def test_an_idle_worker_in_another_process_answers_long_before_it_would_poll(site: Site) -> None:
    site.start("worker", poll=POLL)
    await eventually(site.listeners, SOON)
    for number in range(3):
        await site.asked(f"question {number}")


async def test_a_worker_whose_listening_connection_is_cut_answers_by_polling_and_then_listens_again(site: Site) -> None:
    site.start("worker", poll="0.2")
    (first,) = await eventually(site.listeners, SOON)
    cut, over = set[int](), asyncio.Event()

    async def keep_cut() -> None:
        while not over.is_set():
            for pid in site.listeners():
                site.cut(pid)
                cut.add(pid)
            await asyncio.sleep(0.01)

    cutting = asyncio.ensure_future(keep_cut())
    await eventually(lambda: first in cut and not site.listeners(), SOON)
    await site.asked("while nobody listens")
    over.set()
    await cutting
    await eventually(site.listeners, SOON)
    await site.asked("when somebody listens again")


async def test_what_was_told_while_nobody_listened_is_found_when_the_connection_is_back(site: Site) -> None:
    site.start("worker", poll=POLL)
    (first,) = await eventually(site.listeners, SOON)
    ts = site.slack.say(f"{MENTION} just before")
    site.cut(first)
    await eventually(lambda: [m for m in site.slack.replies(ts) if not m.get("streaming")], SOON)


async def test_a_wake_is_sent_with_its_row_and_names_the_table_alone(site: Site) -> None:
    heard = psycopg.connect(site.address.conninfo, autocommit=True)
    heard.execute(f'LISTEN "stateroom.{site.address.schema}"')
    await asyncio.to_thread(site.slack.say, f"{MENTION} a secret heron")
    (told,) = heard.notifies(timeout=SOON, stop_after=1)
    assert told.payload == INBOX.name
    (count,) = heard.execute(f'SELECT count(*) FROM "{site.address.schema}".items_sr_inbox').fetchone() or (0,)
    assert count == 1
    heard.close()
