"""One exchange of a token for any number of callers, and what is left when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from stateroom.engines import leases
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Engine, Write, Written
from stateroom.layers.installations import Installations
from stateroom.layers.installations_rotation import Pair
from stateroom.model.errors import SlackError, StoreUnavailable
from stateroom.slack.codes import error_of
from stateroom.store import Store
from support.installations import CLIENT, KEYS, TEAM, installation
from support.retention import Clock

HERE = {"enterprise_id": None, "team_id": TEAM}
BOT = {"bot_token": "xoxe.xoxb-1", "bot_refresh_token": "xoxe-1-1"}
USER = {"user_token": "xoxe.xoxp-1", "user_refresh_token": "xoxe-1-u1"}


class Slack:
    """Exchanges refresh tokens, each once, as oauth.v2.access does."""

    def __init__(self, *, lives: int = 43200) -> None:
        self.calls: list[str] = []
        self.spent: set[str] = set()
        self.failing: Exception | None = None
        self.lives = lives

    async def __call__(self, refresh_token: str) -> Mapping[str, Any]:
        self.calls.append(refresh_token)
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        if refresh_token in self.spent:
            raise error_of("oauth.v2.access", "invalid_refresh_token")
        self.spent.add(refresh_token)
        kind, number = ("xoxp", "u") if "u" in refresh_token else ("xoxb", "")
        made = f"{number}{len(self.spent) + 1}"
        token = f"xoxe.{kind}-{made}"
        return {"access_token": token, "refresh_token": f"xoxe-1-{made}", "expires_in": self.lives}


class Unsteady:
    """An engine that refuses its next commits of one table, as one that is busy does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.refusing = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if self.refusing and any(write.table == self.refusing for write in writes):
            raise StoreUnavailable("test", "io", "gone", retryable=False)
        return await self._engine.commit(writes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> Unsteady:
    return Unsteady(MemoryEngine(clock))


@pytest.fixture
async def kept(engine: Unsteady, clock: Clock) -> AsyncIterator[Installations]:
    async with Store("memory://", clock=clock, keys=KEYS, engine=engine) as store:
        yield store.installations(client_id=CLIENT)


async def found_in(kept: Installations, **more: Any) -> dict[str, Any]:
    found = await kept.find_installation(**HERE, **more)
    assert found is not None
    return found


def soon(clock: Clock, seconds: int = 60) -> dict[str, Any]:
    return {**BOT, "bot_token_expires_at": int(clock.now) + seconds}


async def test_a_token_that_lasts_or_never_ends_is_left_alone(kept: Installations, clock: Clock) -> None:
    slack = Slack()
    await kept.save(installation())
    assert (await kept.fresh(await found_in(kept), slack))["bot_token"] == "xoxb-1"
    await kept.save(installation(**soon(clock, 131 * 60)))
    assert (await kept.fresh(await found_in(kept), slack))["bot_token"] == "xoxe.xoxb-1"
    assert slack.calls == []


async def test_many_callers_exchange_a_token_once(kept: Installations, clock: Clock) -> None:
    slack = Slack()
    await kept.save(installation(**soon(clock)))
    found = await found_in(kept)
    got = await asyncio.gather(*(kept.fresh(found, slack) for _ in range(64)))
    assert {one["bot_token"] for one in got} == {"xoxe.xoxb-2"}
    assert slack.calls == ["xoxe-1-1"]


async def test_many_processes_exchange_a_token_once(engine: Unsteady, kept: Installations, clock: Clock) -> None:
    """Each `Installations` stands for a process: nothing is shared but the store."""
    slack = Slack()
    await kept.save(installation(**soon(clock)))
    found = await found_in(kept)
    many = [Installations(engine, clock, client_id=CLIENT, keyring=KEYS) for _ in range(8)]
    got = await asyncio.gather(*(one.fresh(found, slack) for one in many for _ in range(4)))
    assert {one["bot_token"] for one in got} == {"xoxe.xoxb-2"}
    assert len(slack.calls) == 1


async def test_the_new_pair_is_stored_before_it_is_used(engine: Unsteady, kept: Installations, clock: Clock) -> None:
    slack = Slack()
    await kept.save(installation(**soon(clock)))
    engine.refusing = "sr_installations"
    with pytest.raises(StoreUnavailable):
        await kept.fresh(await found_in(kept), slack)
    engine.refusing = ""
    assert (await found_in(kept))["bot_token"] == "xoxe.xoxb-1"
    got = await kept.fresh(await found_in(kept), slack)
    assert got["bot_token"] == (await found_in(kept))["bot_token"] == "xoxe.xoxb-2"
    assert slack.calls == ["xoxe-1-1"]  # the pair that the store did not take was kept and stored, not asked for anew


async def test_a_refresh_that_fails_leaves_a_token_that_works(kept: Installations, clock: Clock) -> None:
    slack = Slack()
    slack.failing = error_of("oauth.v2.access", "connection")
    await kept.save(installation(**soon(clock)))
    for _ in range(5):
        assert (await kept.fresh(await found_in(kept), slack))["bot_token"] == "xoxe.xoxb-1"
    assert len(slack.calls) == 1  # not once for each request
    clock.now += 31
    slack.failing = None
    assert (await kept.fresh(await found_in(kept), slack))["bot_token"] == "xoxe.xoxb-2"


async def test_a_refresh_that_fails_after_the_end_is_an_error(kept: Installations, clock: Clock) -> None:
    slack = Slack()
    slack.failing = error_of("oauth.v2.access", "connection")
    await kept.save(installation(**soon(clock)))
    clock.now += 120
    with pytest.raises(SlackError, match="connection"):
        await kept.fresh(await found_in(kept), slack)
    assert await kept.state_of(**HERE) == "INSTALLED"


async def test_a_refresh_token_that_somebody_else_spent_is_looked_up_first(kept: Installations, clock: Clock) -> None:
    """A holder whose lease ran out while Slack answered: the other's pair appears, and is what everybody gets."""
    slack = Slack()
    await kept.save(installation(**soon(clock)))

    async def spent_by_another(refresh_token: str) -> Mapping[str, Any]:
        await kept.save(installation(bot_token="xoxe.xoxb-9", bot_refresh_token="xoxe-1-9", bot_token_expires_in=43200))
        return await slack(refresh_token)

    slack.spent.add("xoxe-1-1")
    assert (await kept.fresh(await found_in(kept), spent_by_another))["bot_token"] == "xoxe.xoxb-9"


async def test_an_install_during_an_exchange_wins(kept: Installations, clock: Clock) -> None:
    await kept.save(installation(**soon(clock)))

    async def meanwhile(_: str) -> Mapping[str, Any]:
        await kept.save(installation(100, bot_token="xoxb-100"))
        return {"access_token": "xoxe.xoxb-2", "refresh_token": "xoxe-1-2", "expires_in": 43200}

    await kept.fresh(await found_in(kept), meanwhile)
    assert (await found_in(kept))["bot_token"] == "xoxb-100"


async def test_a_token_that_slack_gave_up_is_revoked(kept: Installations, clock: Clock) -> None:
    slack = Slack()
    slack.spent.add("xoxe-1-1")
    await kept.save(installation(**soon(clock)))
    found = await found_in(kept)
    clock.now += 120
    clock_of_waits = asyncio.create_task(_turn(clock))
    with pytest.raises(SlackError, match="invalid_refresh_token"):
        await kept.fresh(found, slack)
    clock_of_waits.cancel()
    assert await kept.state_of(**HERE) == "REVOKED"
    assert await kept.find_bot(**HERE) is None


async def _turn(clock: Clock) -> None:
    """Let time pass ten thousand times as fast as it does."""
    while True:
        await asyncio.sleep(0.0001)
        clock.now += 1


async def test_bot_and_user_tokens_are_exchanged_each_by_its_own(kept: Installations, clock: Clock) -> None:
    slack = Slack()
    ends = int(clock.now) + 60
    await kept.save(installation(**soon(clock), **USER, user_token_expires_at=ends))
    got = await kept.fresh(await found_in(kept), slack)
    assert (got["bot_token"], got["user_token"]) == ("xoxe.xoxb-2", "xoxe.xoxp-u3")
    assert sorted(slack.calls) == ["xoxe-1-1", "xoxe-1-u1"]
    stored = await found_in(kept)
    assert (stored["bot_token"], stored["user_token"]) == (got["bot_token"], got["user_token"])


async def test_an_exchanged_bot_is_new_for_everybodys_installation(kept: Installations, clock: Clock) -> None:
    await kept.save(installation(1, **USER))
    await kept.save(installation(2, user_id="U00000002", **soon(clock)))
    await kept.fresh(await found_in(kept), Slack())
    assert (await found_in(kept, user_id="U00000001"))["bot_token"] == "xoxe.xoxb-2"
    bot = await kept.find_bot(**HERE)
    assert bot is not None
    assert bot["bot_refresh_token"] == "xoxe-1-2"


async def test_a_short_token_is_not_exchanged_by_every_call(kept: Installations, clock: Clock) -> None:
    slack = Slack(lives=60)
    await kept.save(installation(**soon(clock)))
    for _ in range(3):
        await kept.fresh(await found_in(kept), slack)
    assert len(slack.calls) == 1
    clock.now += 31
    await kept.fresh(await found_in(kept), slack)
    assert len(slack.calls) == 2


async def test_a_lease_that_a_dead_process_left_is_waited_out(
    engine: Unsteady, kept: Installations, clock: Clock
) -> None:
    slack = Slack()
    await kept.save(installation(**soon(clock, 3600)))
    name = Pair("bot", "sr_installations", TEAM, f"{CLIENT}/-").lease
    assert await leases.acquire(engine, clock, TEAM, name, holder="dead", seconds=30)
    turning = asyncio.create_task(_turn(clock))
    assert (await kept.fresh(await found_in(kept), slack))["bot_token"] == "xoxe.xoxb-2"
    turning.cancel()
    assert len(slack.calls) == 1
