"""What an uninstall leaves is erased, whoever dies meanwhile, and never with what a new install brought."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stateroom.bot.removal import Removal
from stateroom.engines import leases
from stateroom.engines.port import Query, Write, Written
from stateroom.layers.installations import Installations
from stateroom.layers.installations_leaving import HELD, Hold, due
from stateroom.model.errors import LeaseLost, StoreUnavailable
from stateroom.store import Store
from support.installations import CLIENT, KEYS, ORG, TEAM, installation
from support.retention import Clock

HERE: dict[str, Any] = {"enterprise_id": None, "team_id": TEAM}
OTHER = "T09999999"
WORDS = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "hello"}]}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[Store]:
    async with Store("memory://", clock=clock, keys=KEYS) as opened:
        yield opened


@pytest.fixture
def kept(store: Store) -> Installations:
    return store.installations(client_id=CLIENT)


def removal(store: Store, *, used: bool | None = False) -> Removal:
    async def in_use(_: str) -> bool | None:
        return used

    return Removal(store.engine, store.clock, store.everything, in_use=in_use)


async def talk(store: Store, team: str = TEAM) -> None:
    await store.team(team).thread("C00000001", "1700000000.000100").append(WORDS, turn_id="Ev1")


async def rows(store: Store, team: str = TEAM) -> int:
    tables = [one.name for one in await store.everything()] + [leases.TABLE.name]
    return sum([len((await store.engine.query(Query(t, team, 100, whole=True))).rows) for t in tables])


async def leave(kept: Installations, clock: Clock, **place: Any) -> None:
    clock.now += 10
    await kept.uninstalled(**(HERE | place), at=clock.now, event_id=f"Ev{clock.now}")


async def test_everything_of_the_workspace_goes_and_nothing_of_another(
    store: Store, kept: Installations, clock: Clock
) -> None:
    for team in (TEAM, OTHER):
        await kept.save(installation(team_id=team))
        await talk(store, team)
    await leases.acquire(store.engine, clock, TEAM, "lane:x", holder="worker", seconds=60)
    await leave(kept, clock)
    before = await rows(store, OTHER)
    assert await removal(store).round() == 1
    assert await rows(store) == 0
    assert await rows(store, OTHER) == before > 2
    assert await kept.state_of(**HERE) == "UNINSTALLED"


async def test_it_waits_for_its_time_and_an_install_before_keeps_everything(store: Store, clock: Clock) -> None:
    kept = store.installations(client_id=CLIENT, erase_after=3600)
    await kept.save(installation())
    await talk(store)
    await leave(kept, clock)
    assert await removal(store).round() == 0
    await kept.save(installation(installed_at=clock.now + 1))
    clock.now += 7200
    assert await removal(store).round() == 0
    assert await store.team(TEAM).thread("C00000001", "1700000000.000100").count() == 1


async def test_what_another_app_still_serves_stays(store: Store, kept: Installations, clock: Clock) -> None:
    other = store.installations(client_id="2.2")
    for one in (kept, other):
        await one.save(installation())
    await talk(store)
    await leave(kept, clock)
    assert await removal(store).round() == 1
    assert await store.team(TEAM).thread("C00000001", "1700000000.000100").count() == 1
    assert await other.find_bot(**HERE) is not None
    assert [row["client_id"] async for row in kept.listed(every_client=True)] == ["2.2"]


@pytest.mark.parametrize(("used", "left"), [(True, 1), (None, 1), (False, 0)])
async def test_a_workspace_that_the_environments_token_serves_again_stays(
    store: Store, kept: Installations, clock: Clock, used: bool | None, left: int
) -> None:
    await talk(store)
    await leave(kept, clock)  # there is no install: SLACK_BOT_TOKEN served it
    await removal(store, used=used).round()
    assert await store.team(TEAM).thread("C00000001", "1700000000.000100").count() == left


async def test_an_organisation_takes_every_workspace_that_it_served(
    store: Store, kept: Installations, clock: Clock
) -> None:
    await kept.save(installation(enterprise_id=ORG, team_id=None, is_enterprise_install=True))
    await kept.note_member(enterprise_id=ORG, team_id=TEAM)
    await kept.note_member(enterprise_id=ORG, team_id=OTHER)
    await kept.save(installation(team_id=OTHER))  # it has an install of its own, too
    for team in (TEAM, OTHER):
        await talk(store, team)
    await leave(kept, clock, enterprise_id=ORG, team_id=None)
    assert await removal(store).round() == 1
    assert await rows(store) == 0
    assert await store.team(OTHER).thread("C00000001", "1700000000.000100").count() == 1
    assert await kept.organisation_of(TEAM) is None
    assert await rows(store, ORG) == 0


class Dying:
    """An engine that dies after some commits."""

    def __init__(self, engine: Any, commits: int) -> None:
        self._engine = engine
        self._left = commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if self._left == 0:
            raise StoreUnavailable("test", "closed", "killed", retryable=False)
        self._left -= 1
        return list(await self._engine.commit(writes))


async def test_an_erase_that_is_killed_anywhere_is_taken_up_again(
    store: Store, kept: Installations, clock: Clock
) -> None:
    for commits in range(4):
        clock.now += 100
        await kept.save(installation(installed_at=clock.now))
        await talk(store)
        await leave(kept, clock)
        await dies(store, commits)
        assert await removal(store).round() == 0 or commits == 0  # who died may only be slow
        clock.now += HELD + 1
        await removal(store).round()
        assert await rows(store) == 0, commits


async def dies(store: Store, commits: int) -> None:
    dying: Any = Dying(store.engine, commits)

    async def unused(_: str) -> bool:
        return False

    with pytest.raises(StoreUnavailable):
        await Removal(dying, store.clock, store.everything, in_use=unused).round()


async def test_an_install_waits_for_the_erase_and_is_not_erased_with_it(
    store: Store, kept: Installations, clock: Clock
) -> None:
    await kept.save(installation())
    await talk(store)
    await leave(kept, clock)
    (row,) = await due(store.engine, clock.now)
    slow = Hold(store.engine, clock, row)
    assert await slow.take()
    assert not await Hold(store.engine, clock, row).take()  # one at a time
    clock.now += HELD + 1  # it is silent for so long that an install goes on without it
    await kept.save(installation(installed_at=clock.now))
    await talk(store)
    with pytest.raises(LeaseLost):
        await slow.commit([])
    with pytest.raises(LeaseLost):
        await slow.finish()
    assert await kept.find_bot(**HERE) is not None
