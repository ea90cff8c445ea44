"""What a bot asks of DynamoDB, where each request is paid for."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from stateroom.engines import leases
from stateroom.store import Store
from support.bot import MENTION, bot
from support.dynamodb import drop_table, listening, migrated, server
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
TEAM, CHANNEL = "T00000001", "C00000001"
LEASE = 8.0


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        yield running


@pytest.fixture
def url() -> Iterator[str]:
    with migrated(server()) as found:
        yield found
        drop_table(found)


async def test_a_conversation_that_another_worker_holds_is_left_alone_for_a_part_of_its_lease(
    slack: LocalSlack, url: str
) -> None:
    """Each look at it is three reads. Whoever lets it go early is found out about by the next look, not before."""
    async with Store(url) as store, bot(slack, url, poll_seconds=0.02, lease_seconds=LEASE):
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in slack.replies(ts) if not m.get("streaming")], 20)
        held = None
        while held is None:  # the bot lets it go when it has ended the turn
            held = await leases.acquire(store.engine, time.time, TEAM, f"lane:{CHANNEL}:{ts}", holder="o", seconds=60)
        with listening() as asked:

            def looks() -> int:
                keys = [body["Key"]["pk"]["S"] for name, body in asked if name == "GetItem"]
                return sum(key.startswith("sr_leases/") for key in keys)

            slack.say("and again", thread_ts=ts)
            began = time.monotonic()
            await eventually(looks, 20)
            await asyncio.sleep(LEASE / 8)
            # One, and on a machine that stood still in between one more for each quarter of a lease that it did.
            assert looks() <= 1 + (time.monotonic() - began) // (LEASE / 4)
        await held.release()
        await eventually(lambda: len(slack.replies(ts)) == 2, 20)
