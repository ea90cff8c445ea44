"""Ours beside slack_sdk's own stores: the same random calls, the same answers, where its regression tests promise them.

Where we differ on purpose (docs/installations.md, "Beside slack_sdk's stores"), the calls here leave that out, and a
test of its own says what is so here:
- deleting a bot takes its token out of every installation (slack_sdk leaves it in the rows of those who installed);
- an installation always comes with the newest bot (slack_sdk: only with a user id, or where its own row has none);
- two people who install in the same moment are two rows (slack_sdk's SQLAlchemy store lets one replace the other).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore
from slack_sdk.oauth.installation_store.sqlite3 import SQLite3InstallationStore
from sqlalchemy.pool import StaticPool

from stateroom.layers.installations import Installations
from stateroom.store import Store
from support.installations import CLIENT, KEYS

pytestmark = pytest.mark.service
TEAMS, ORGS, USERS = ("T00000001", "T00000002"), (None, "E00000001"), ("U00000001", "U00000002", "U00000003")
SAME = ("app_id", "enterprise_id", "team_id", "bot_token", "bot_id", "bot_user_id", "user_id", "user_token")
TIMES = ("bot_token_expires_at", "user_token_expires_at")
Call = tuple[str, dict[str, Any]]


class Upstream(Protocol):
    def save(self, installation: Installation) -> None: ...
    def save_bot(self, bot: Bot) -> None: ...
    def find_bot(self, **which: Any) -> Bot | None: ...
    def find_installation(self, **which: Any) -> Installation | None: ...
    def delete_bot(self, **which: Any) -> None: ...
    def delete_installation(self, **which: Any) -> None: ...
    def delete_all(self, **which: Any) -> None: ...


class Timed(SQLite3InstallationStore):
    """slack_sdk's SQLite store keeps the moment of the write, in whole seconds: here each write is a second later."""

    ticks = 0

    def delete_installation(self, **which: Any) -> None:
        """It asks for a null where it wrote an empty text, so that of an organisation it deletes nothing."""
        super().delete_installation(**(which | {"team_id": which["team_id"] or ""}))

    def save_bot(self, bot: Bot) -> None:
        super().save_bot(bot)
        Timed.ticks += 1
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for table in ("slack_bots", "slack_installations"):
                moment = f"datetime(1700000000 + {Timed.ticks}, 'unixepoch')"
                newest = f"(select max(id) from {table})"
                connection.execute(f"update {table} set installed_at = {moment} where id = {newest}")


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """A history of one app: saves that get later, and deletes of all of a place."""
    found: list[Call] = []
    for number in range(1, draw(st.integers(2, 12))):
        org, team, user = draw(st.sampled_from(ORGS)), draw(st.sampled_from(TEAMS)), draw(st.sampled_from(USERS))
        org_wide = org is not None and draw(st.integers(0, 3)) == 0
        place = {"enterprise_id": org, "team_id": None if org_wide else team}
        kind = draw(st.sampled_from(("save", "save", "save", "save_bot", "delete_installation", "delete_all")))
        if kind.startswith("save"):
            bot = kind == "save_bot" or draw(st.integers(0, 3)) > 0
            values: dict[str, Any] = {
                "app_id": "A00000001",
                **place,
                "is_enterprise_install": org_wide,
                "installed_at": 1_700_000_000.0 + number,
                "bot_token": f"xoxb-{number}" if bot else None,
                "bot_id": "B00000001" if bot else None,
                "bot_user_id": "U0000B0T1" if bot else None,
                "bot_scopes": ["chat:write"] if bot else [],
                "bot_token_expires_at": 1_800_000_000 + number if bot else None,
            }
            if kind == "save":
                own = not bot or draw(st.booleans())
                values |= {"user_id": user, "user_token": f"xoxp-{number}" if own else None}
            found.append((kind, values))
        elif kind == "delete_installation" and draw(st.booleans()):
            found.append((kind, {**place, "user_id": user}))
        else:
            found.append((kind, place))
    return found


def questions() -> Iterator[dict[str, Any]]:
    for org in ORGS:
        for team in (*TEAMS, None):
            for org_wide in (False, True):
                yield {"enterprise_id": org, "team_id": team, "is_enterprise_install": org_wide}


def plain(found: Any) -> dict[str, Any] | None:
    """What of an answer is the same everywhere: SQLite's store has empty texts for what is not there."""
    if found is None:
        return None
    value = found if isinstance(found, dict) else vars(found)
    kept = {name: value.get(name) or None for name in SAME}
    return kept | {name: None if value.get(name) is None else int(value[name]) for name in TIMES}


def tell(store: Upstream, history: list[Call]) -> None:
    for kind, values in history:
        if kind == "save":
            store.save(Installation(**values))
        elif kind == "save_bot":
            store.save_bot(Bot(**values))
        else:
            getattr(store, kind)(**values)


async def ours(history: list[Call]) -> dict[str, Any]:
    async with Store("memory://", keys=KEYS) as store:
        kept = store.installations(client_id=CLIENT)
        for kind, values in history:
            await (getattr(kept, kind)(values) if kind.startswith("save") else getattr(kept, kind)(**values))
        return await answers(kept)


async def answers(kept: Installations) -> dict[str, Any]:
    found = {}
    for which in questions():
        found[f"bot {which}"] = plain(await kept.find_bot(**which))
        for user in (None, *USERS):
            found[f"{user} {which}"] = plain(await kept.find_installation(**which, user_id=user))
    return found


def theirs(store: Upstream, history: list[Call]) -> dict[str, Any]:
    tell(store, history)
    found = {}
    for which in questions():
        found[f"bot {which}"] = plain(store.find_bot(**which))
        for user in (None, *USERS):
            found[f"{user} {which}"] = plain(store.find_installation(**which, user_id=user))
    return found


def newest_bot_everywhere(store: Upstream, found: dict[str, Any]) -> dict[str, Any]:
    """slack_sdk's answers with the one thing that is so with us: each installation has the place's newest bot."""
    for which in questions():
        bot = found[f"bot {which}"]
        for user in (None, *USERS):
            installation = found[f"{user} {which}"]
            if installation is not None:
                names = ("bot_token", "bot_id", "bot_user_id", "bot_token_expires_at")
                installation |= {name: None if bot is None else bot[name] for name in names}
    return found


@given(calls())
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_random_histories_are_answered_as_by_slack_sdks_sqlalchemy_store(history: list[Call]) -> None:
    pool = {"connect_args": {"check_same_thread": False}, "poolclass": StaticPool}
    engine = sqlalchemy.create_engine("sqlite://", **pool)
    store = SQLAlchemyInstallationStore(client_id=CLIENT, engine=engine)
    store.create_tables()
    try:
        expected = newest_bot_everywhere(store, theirs(store, history))
    finally:
        engine.dispose()
    assert asyncio.run(ours(history)) == expected


@given(history=calls())
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_random_histories_are_answered_as_by_slack_sdks_sqlite_store(tmp_path: Path, history: list[Call]) -> None:
    file = tmp_path / "upstream.db"
    file.unlink(missing_ok=True)
    store = Timed(database=str(file), client_id=CLIENT)
    store.init()
    expected = newest_bot_everywhere(store, theirs(store, history))
    assert asyncio.run(ours(history)) == expected


async def test_the_mixed_installs_of_its_regression_tests() -> None:
    """bolt-python 584 and 664, python-slack-sdk 1441: with both of slack_sdk's stores and ours, word for word."""
    place = {"app_id": "A00000001", "team_id": TEAMS[0], "bot_id": "B00000001", "bot_user_id": "U0000B0T1"}
    person = {"app_id": "A00000001", "team_id": TEAMS[0], "user_id": USERS[2]}
    history: list[Call] = [
        ("save", {**place, "user_id": USERS[0], "bot_token": "xoxb-1", "user_token": "xoxp-1", "installed_at": 1.7e9}),
        ("save", {**place, "user_id": USERS[1], "bot_token": "xoxb-2", "installed_at": 1.7e9 + 10}),
        ("save", {**person, "user_token": "xoxp-3", "installed_at": 1.7e9 + 20}),
    ]
    engine = sqlalchemy.create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    upstream = SQLAlchemyInstallationStore(client_id=CLIENT, engine=engine)
    upstream.create_tables()
    found, expected = await ours(history), theirs(upstream, history)
    engine.dispose()
    assert found == expected
    newest = found[f"None {next(questions())}"]
    assert (newest["user_id"], newest["user_token"], newest["bot_token"]) == (USERS[2], "xoxp-3", "xoxb-2")
    first = found[f"{USERS[0]} {next(questions())}"]
    assert (first["user_token"], first["bot_token"]) == ("xoxp-1", "xoxb-2")
