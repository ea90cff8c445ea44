"""Installations: slack_sdk's verbs, what Slack's events do, and OAuth's state.

Rules of this file: the plain rules, on memory. What slack_sdk's own stores do beside it is in
test_installations_upstream.py, the exchange of tokens in test_installations_rotation.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Write, Written
from stateroom.layers.installations import Installations
from stateroom.layers.installations_states import EVENTS, MEANING, TRANSITIONS, event_of_save
from stateroom.model.errors import InvalidId, InvalidValue, KeyMissing, StoreUnavailable
from stateroom.store import Store
from support.installations import CLIENT, KEYS, ORG, TEAM, bot, installation
from support.retention import Clock, rows_of

HERE = {"enterprise_id": None, "team_id": TEAM}


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


async def test_what_is_saved_is_found_as_bot_and_as_installation(kept: Installations) -> None:
    await kept.save(installation(bot_scopes=["chat:write", "im:history"], custom_values={"plan": "gold", "seats": 1.5}))
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["bot_token"], found["user_id"], found["bot_scopes"]) == (
        "xoxb-1",
        "U00000001",
        "chat:write,im:history",
    )
    assert found["custom_values"] == {"plan": "gold", "seats": 1.5}
    held = await kept.find_bot(**HERE)
    assert held is not None
    assert (held["bot_token"], held["bot_user_id"], held["custom_values"]) == (
        "xoxb-1",
        "U0000B0T1",
        found["custom_values"],
    )


async def test_values_beside_the_fields_are_custom_values(kept: Installations) -> None:
    await kept.save({**installation(), "plan": "gold"})
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert found["custom_values"] == {"plan": "gold"}


async def test_nothing_secret_is_stored_without_keys(clock: Clock) -> None:
    async with Store("memory://", clock=clock) as store:
        kept = store.installations(client_id=CLIENT)
        with pytest.raises(KeyMissing):
            await kept.save(installation())
        assert await kept.state_of(**HERE) == "UNINSTALLED"


class Watched(MemoryEngine):
    """Keeps all that it was ever given."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.given: list[str] = []

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        self.given.append(repr(writes))
        return await super().commit(writes)


async def test_no_token_reaches_the_engine_in_plain(clock: Clock) -> None:
    """Nor a webhook's address, nor custom values: on the way in, when they are exchanged, and when they go."""
    engine = Watched(clock)
    async with Store("memory://", clock=clock, engine=engine, keys=KEYS) as store:
        kept = store.installations(client_id=CLIENT)
        pairs = {f"{kind}_refresh_token": "xoxe-1" for kind in ("bot", "user")}
        ends = {f"{kind}_token_expires_in": 60 for kind in ("bot", "user")}
        webhook = {"incoming_webhook_url": "https://hooks.example/secret", "custom_values": {"plan": "secret"}}
        await kept.save(installation(user_token="xoxp-1", **pairs, **ends, **webhook))
        await kept.save_bot(bot(2))

        async def refresh(_: str) -> dict[str, Any]:
            return {"access_token": "xoxe.xoxp-2", "refresh_token": "xoxe-2", "expires_in": 43200}

        found = await kept.find_installation(**HERE)
        assert found is not None
        assert (await kept.fresh(found, refresh))["user_token"] == "xoxe.xoxp-2"
        await kept.delete_bot(**HERE)
        await kept.delete_installation(**HERE)
    given = "".join(engine.given)
    assert "sr-sealed:" in given
    assert not [mark for mark in ("xoxb", "xoxp", "xoxe", "secret") if mark in given.replace("secret=", "")]


async def test_an_apps_installations_are_not_another_apps(store: Store, kept: Installations) -> None:
    await kept.save(installation())
    other = store.installations(client_id="2.2")
    assert await other.find_bot(**HERE) is None
    assert [row["client_id"] async for row in kept.listed()] == [CLIENT]
    assert [row async for row in other.listed()] == []
    assert len([row async for row in other.listed(every_client=True)]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("team_id", "T123"),
        ("team_id", "t01234567"),
        ("team_id", "../T01234567"),
        ("enterprise_id", "T01234567"),
        ("user_id", "someone"),
        ("user_id", None),
        ("bot_token", "xoxp-secret"),
        ("bot_token", "xoxe.xoxp-secret"),
        ("bot_token", "secret xoxb-1"),
        ("user_token", "xoxb-secret"),
        ("bot_refresh_token", "secret"),
        ("bot_user_id", "X secret"),
        ("installed_at", -1),
        ("installed_at", float("nan")),
        ("bot_token_expires_at", "soon secret"),
        ("custom_values", {"secret": object()}),
        ("bot_scopes", 7),
        ("is_enterprise_install", "secret"),
    ],
)
async def test_what_is_no_installation_is_refused_at_the_door(kept: Installations, field: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        await kept.save({**installation(), field: value})
    assert field in str(refused.value)
    assert "secret" not in str(refused.value)
    assert await kept.find_bot(**HERE) is None


async def test_an_install_is_of_a_team_or_of_an_organisation(kept: Installations) -> None:
    with pytest.raises(InvalidValue, match="team_id"):
        await kept.save(installation(team_id=None))
    with pytest.raises(InvalidId):
        await kept.find_bot(enterprise_id=None, team_id="no team")
    assert await kept.find_bot(enterprise_id=None, team_id=None) is None


async def test_an_org_wide_install_ignores_the_team(kept: Installations) -> None:
    await kept.save(installation(enterprise_id=ORG, team_id=None, is_enterprise_install=True))
    for team in (None, TEAM, "T99999999"):
        assert await kept.find_bot(enterprise_id=ORG, team_id=team, is_enterprise_install=True) is not None
        assert await kept.find_installation(enterprise_id=ORG, team_id=team, is_enterprise_install=True) is not None
    assert await kept.find_bot(enterprise_id=ORG, team_id=None) is not None
    assert await kept.find_bot(enterprise_id=ORG, team_id=TEAM) is None


@pytest.mark.parametrize(
    "value",
    [
        1_800_000_000,
        1_800_000_000.0,
        "1800000000",
        datetime.fromtimestamp(1_800_000_000, UTC),
        datetime.fromtimestamp(1_800_000_000, UTC).replace(tzinfo=None),
        datetime.fromtimestamp(1_800_000_000, timezone(timedelta(hours=9))),
        datetime.fromtimestamp(1_800_000_000, UTC).isoformat(),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_times_are_the_same_however_they_are_written(kept: Installations, value: Any) -> None:
    await kept.save(installation(bot_token_expires_at=value, user_token_expires_at=value, installed_at=value))
    found = await kept.find_installation(**HERE)
    assert found is not None
    names = ("bot_token_expires_at", "user_token_expires_at", "installed_at")
    assert [found[name] for name in names] == [1_800_000_000] * 3


async def test_what_expires_in_seconds_counts_from_now(kept: Installations, clock: Clock) -> None:
    await kept.save(installation(bot_token_expires_in=43200))
    found = await kept.find_bot(**HERE)
    assert found is not None
    assert found["bot_token_expires_at"] == int(clock.now) + 43200


async def test_what_was_found_and_is_saved_again_replaces_itself(kept: Installations, clock: Clock) -> None:
    clock.now = 1_700_000_000.1234567  # more digits than are kept
    await kept.save(installation(installed_at=None))
    found = await kept.find_bot(**HERE)
    assert found is not None
    await kept.save_bot({**found, "bot_token": "xoxb-2"})
    again = await kept.find_bot(**HERE)
    assert again is not None
    assert again["bot_token"] == "xoxb-2"


async def test_a_persons_own_row_comes_with_the_newest_bot(kept: Installations) -> None:
    await kept.save(installation(1, user_token="xoxp-1"))
    await kept.save(installation(2, user_id="U00000002", user_token="xoxp-2"))
    mine = await kept.find_installation(**HERE, user_id="U00000001")
    assert mine is not None
    assert (mine["user_token"], mine["bot_token"], mine["user_id"]) == ("xoxp-1", "xoxb-2", "U00000001")


async def test_a_newest_install_without_a_bot_comes_with_the_bot_that_is_there(kept: Installations) -> None:
    await kept.save(installation(1))
    await kept.save(installation(2, user_id="U00000002", bot_token=None, bot_scopes=[], user_token="xoxp-2"))
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["user_id"], found["user_token"], found["bot_token"]) == ("U00000002", "xoxp-2", "xoxb-1")


async def test_what_is_saved_late_does_not_replace_what_is_newer(kept: Installations) -> None:
    await kept.save(installation(2))
    await kept.save(installation(1))
    await kept.save_bot(bot(1))
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["bot_token"], found["installed_at"]) == ("xoxb-2", 1_700_000_002.0)


async def test_history_is_bounded_and_has_no_token(store: Store, kept: Installations) -> None:
    for number in range(1, 31):
        await kept.save(installation(number, bot_scopes=[f"scope:{number}"]))
    (person,) = await kept.people(**HERE)
    assert [grant["installed_at"] for grant in person["history"]] == list(range(1_700_000_020, 1_700_000_030))
    assert "xoxb" not in str(person)
    assert "xoxb" not in str([row async for row in kept.listed()])


async def test_deleting_a_person_leaves_the_bot_and_the_next_newest(store: Store, kept: Installations) -> None:
    for number, user in ((1, "U00000001"), (2, "U00000002"), (3, "U00000003")):
        await kept.save(installation(number, user_id=user))
    await kept.delete_installation(**HERE, user_id="U00000003")
    assert "U00000003" not in str([await rows_of(store.raw, name) for name in ("sr_installations", "sr_installers")])
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["user_id"], found["bot_token"]) == ("U00000002", "xoxb-3")
    await kept.delete_installation(**HERE)
    assert await kept.find_installation(**HERE) is None
    assert await kept.find_bot(**HERE) is not None
    await kept.delete_bot(**HERE)
    assert await kept.state_of(**HERE) == "UNINSTALLED"
    assert [row async for row in kept.listed()] == []


async def test_a_deleted_bots_token_comes_back_with_nobody(kept: Installations) -> None:
    await kept.save(installation(user_token="xoxp-1"))
    await kept.delete_bot(**HERE)
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["bot_token"], found["user_token"]) == (None, "xoxp-1")


async def test_the_states_and_their_way_back(kept: Installations, clock: Clock) -> None:
    await kept.save(installation(1))
    assert await kept.state_of(**HERE) == "INSTALLED"
    assert await kept.revoked(**HERE, bot=True, at=1_700_000_005, event_id="Ev1")
    assert await kept.state_of(**HERE) == "REVOKED"
    assert await kept.find_bot(**HERE) is None
    await kept.save(installation(10))
    assert await kept.state_of(**HERE) == "INSTALLED"
    assert await kept.uninstalled(**HERE, at=1_700_000_020, event_id="Ev2")
    assert await kept.state_of(**HERE) == "UNINSTALLED"
    assert await kept.find_installation(**HERE) is None
    await kept.save(installation(30))
    assert await kept.state_of(**HERE) == "INSTALLED"
    assert [row["erase_at"] async for row in kept.listed()] == [None]


@pytest.mark.parametrize("order", ["revoked first", "uninstalled first"])
async def test_revocation_and_uninstall_may_come_in_either_order(kept: Installations, order: str) -> None:
    await kept.save(installation(1, user_token="xoxp-1"))

    async def revoke() -> None:
        await kept.revoked(**HERE, bot=True, users=["U00000001"], at=1_700_000_005, event_id="Ev1")

    async def uninstall() -> None:
        await kept.uninstalled(**HERE, at=1_700_000_005, event_id="Ev2")

    for event in (revoke, uninstall) if order == "revoked first" else (uninstall, revoke):
        await event()
    assert await kept.state_of(**HERE) == "UNINSTALLED"
    (place,) = [row async for row in kept.listed()]
    assert place["erase_at"] is not None
    assert await kept.people(**HERE) == []


async def test_what_is_heard_late_or_again_does_not_touch_a_new_install(kept: Installations) -> None:
    await kept.save(installation(1))
    assert await kept.uninstalled(**HERE, at=1_700_000_001.2, event_id="Ev1")
    await kept.save(installation(1.5))
    assert not await kept.uninstalled(
        **HERE, at=1_700_000_001, event_id="Ev1"
    )  # Slack's redelivery, in the same second
    await kept.save(installation(100))
    assert not await kept.uninstalled(**HERE, at=1_700_000_050, event_id="Ev2")
    assert not await kept.revoked(**HERE, bot=True, users=["U00000001"], at=1_700_000_050, event_id="Ev3")
    assert await kept.find_bot(**HERE) is not None


async def test_an_uninstall_that_was_killed_in_between_forgets_the_people_when_it_is_heard_again(clock: Clock) -> None:
    engine = Dying(clock)
    async with Store("memory://", clock=clock, engine=engine, keys=KEYS) as store:
        kept = store.installations(client_id=CLIENT)
        await kept.save(installation(1, user_token="xoxp-1"))
        await kept.save(installation(2, user_id="U00000002", user_token="xoxp-2"))
        engine.left = 1
        with pytest.raises(StoreUnavailable):
            await kept.uninstalled(**HERE, at=1_700_000_005, event_id="Ev1")
        assert await kept.state_of(**HERE) == "UNINSTALLED"
        assert len(await rows_of(engine, "sr_installers")) == 2
        engine.left = 100
        assert not await kept.uninstalled(**HERE, at=1_700_000_005, event_id="Ev1")
        assert await rows_of(engine, "sr_installers") == []


class Dying(MemoryEngine):
    """Is gone after so many commits more."""

    left = 100

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if self.left == 0:
            raise StoreUnavailable("test", "closed", "gone", retryable=True)
        self.left -= 1
        return await super().commit(writes)


async def test_a_persons_revoked_token_goes_and_the_bot_stays(kept: Installations) -> None:
    await kept.save(installation(1, user_token="xoxp-1"))
    await kept.save(installation(2, user_id="U00000002", user_token="xoxp-2"))
    assert await kept.revoked(**HERE, bot=False, users=["U00000002"], at=1_700_000_005, event_id="Ev1")
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["user_id"], found["bot_token"]) == ("U00000001", "xoxb-2")
    assert await kept.state_of(**HERE) == "INSTALLED"


def test_every_state_knows_what_slack_may_say_at_any_time() -> None:
    assert {state for state, _ in TRANSITIONS} == set(MEANING)
    assert {event for _, event in TRANSITIONS} == set(EVENTS)
    for state in MEANING:
        assert (state, "revoke") in TRANSITIONS
        assert (state, "uninstall") in TRANSITIONS
        for same in (True, False):
            assert (state, event_of_save(state, "a", "a,b", same=same)) in TRANSITIONS
    assert event_of_save("INSTALLED", "a", "a,b", same=False) == "upgrade"
    assert event_of_save("INSTALLED", "a,b", "a", same=False) == "reinstall"


async def test_an_oauth_state_is_used_once(kept: Installations) -> None:
    state = await kept.issue_state("browser")
    assert await kept.consume_state(state, "browser")
    assert not await kept.consume_state(state, "browser")


async def test_an_oauth_state_is_of_one_browser(kept: Installations) -> None:
    state = await kept.issue_state("browser")
    assert not await kept.consume_state(state, "another")
    assert await kept.consume_state(state, "browser")


async def test_an_oauth_state_ends_by_itself(kept: Installations, clock: Clock) -> None:
    state = await kept.issue_state("browser", seconds=10)
    clock.now += 10
    assert not await kept.consume_state(state, "browser")


async def test_an_oauth_state_that_was_not_issued_is_refused(store: Store, kept: Installations) -> None:
    assert not await kept.consume_state("made up", "browser")
    assert not await kept.consume_state("", "browser")
    assert not await kept.consume_state("x" * 100_000, "browser")
    state = await store.installations(client_id="2.2").issue_state("browser")
    assert not await kept.consume_state(state, "browser")


async def test_an_oauth_state_is_not_in_the_store(clock: Clock) -> None:
    engine = MemoryEngine(clock)
    async with Store("memory://", clock=clock, engine=engine, keys=KEYS) as store:
        state = await store.installations(client_id=CLIENT).issue_state("browser")
        (row,) = await rows_of(engine, "sr_oauth_states")
        assert state not in str(row)
        assert "browser" not in str(row)


class Refusing(MemoryEngine):
    """Takes no row of those who install."""

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if any(write.table == "sr_installers" for write in writes):
            raise StoreUnavailable("test", "full", "no space", retryable=False)
        return await super().commit(writes)


async def test_an_installation_is_kept_whole_or_not_at_all(clock: Clock) -> None:
    async with Store("memory://", clock=clock, engine=Refusing(clock), keys=KEYS) as store:
        kept = store.installations(client_id=CLIENT)
        with pytest.raises(StoreUnavailable):
            await kept.save(installation())
        assert await kept.find_bot(**HERE) is None
        assert await kept.state_of(**HERE) == "UNINSTALLED"


async def test_two_installs_at_once_do_not_mix(store: Store) -> None:
    kept = store.installations(client_id=CLIENT)
    await asyncio.gather(*(kept.save(installation(n, user_id=f"U0000000{n}")) for n in range(1, 9)))
    found = await kept.find_installation(**HERE)
    assert found is not None
    assert (found["user_id"], found["bot_token"]) == ("U00000008", "xoxb-8")
    assert len(await kept.people(**HERE)) == 8


async def test_a_workspace_of_an_organisation_leads_to_it(kept: Installations) -> None:
    await kept.note_member(enterprise_id=ORG, team_id=TEAM)
    assert await kept.organisation_of(TEAM) == ORG
    assert await kept.organisation_of("T99999999") is None
