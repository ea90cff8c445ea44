"""The raw bytes of a database: at no time is a secret, or a sealed word, among them."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import stateroom as sr
from stateroom.layers.inbox import Inbox
from stateroom.model.errors import ConditionFailed
from stateroom.slack.events import Message
from stateroom.store import Store

KEYS = f"k1:{b64encode(bytes([1]) * 32).decode()}"
TEAM, CHANNEL, TS = "T00000001", "C00000001", "1700000000.000100"
HUSH = "HUSHHUSH"


class App(sr.Datastore, name="apps", changes=True, keep_deleted=3600):
    id: str = sr.key()
    name: str = ""
    token: SecretStr | None = sr.encrypted()
    more: dict[str, Any] = sr.encrypted(default_factory=dict)


class Scanned:
    """The files of one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scans = 0

    def scan(self) -> None:
        """Every file beside the store, as it is on the disk now."""
        data = b"".join(one.read_bytes() for one in sorted(self.folder.iterdir()) if one.is_file())
        assert b"apps" in data, "it looks where things are written"
        assert HUSH.encode() not in data
        self.scans += 1


def app(id: str) -> App:
    return App(id=id, token=SecretStr(f"xoxb-{HUSH}"), more={HUSH: [HUSH]})


@pytest.mark.service
async def test_no_secret_is_in_the_raw_files_at_any_time(tmp_path: Path) -> None:
    disk = Scanned(tmp_path)
    async with Store(f"sqlite:///{tmp_path}/raw.db", keys=KEYS) as store:
        apps = store.team(TEAM).datastore(App)
        await apps.put(app("a"))
        disk.scan()
        await apps.update("a", {"token": f"{HUSH}-2"})
        disk.scan()
        await apps.put(app("b"), idempotency_key="k")
        await apps.update("b", {"token": f"{HUSH}-3"}, idempotency_key="l")
        disk.scan()
        await apps.modify("a", lambda one: app("a"))
        await apps.bulk_put([app("c"), app("d")])
        disk.scan()
        async with store.transaction() as tx:
            inside = tx.team(TEAM).datastore(App)
            await inside.put(app("e"))
            await inside.update("c", {"token": HUSH})
            await inside.delete("d")
            disk.scan()
        disk.scan()
        await apps.delete("a")
        await apps.restore("a")
        await apps.bulk_delete(["b", "c"])
        disk.scan()
        with pytest.raises(ConditionFailed):
            await apps.put(app("e"), if_absent=True)
        assert [one.kind async for one in _changes(apps)].count("delete") == 4
    disk.scan()
    assert disk.scans == 8


async def _changes(apps: Any) -> Any:
    for one in (await apps.changes()).items:
        yield one


@pytest.mark.service
async def test_no_sealed_word_is_in_the_raw_files_at_any_time(tmp_path: Path) -> None:
    disk = Scanned(tmp_path)
    async with Store(f"sqlite:///{tmp_path}/raw.db", keys=KEYS, encrypt_content=True) as store:
        await store.team(TEAM).datastore(App).put(App(id="a"))
        box = Inbox(store.engine, store.clock)
        await box.accept(message())
        disk.scan()
        (row,) = await box.lane(TEAM, f"{CHANNEL}:{TS}")
        await store.engine.commit([box.move(row, "claimed", due_at=1.0, answer={"text": HUSH})])
        disk.scan()
        thread = store.team(TEAM).thread(CHANNEL, TS)
        said = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": HUSH}]}]
        assert await thread.append(said, turn_id="t1") == 1
        assert (await thread.messages()).messages == said
        disk.scan()
    disk.scan()


def message() -> Message:
    return Message(
        team=TEAM,
        channel=CHANNEL,
        ts=TS,
        thread_ts=None,
        user="U00000001",
        text=HUSH,
        source="mention",
        files=(),
        event_id="Ev1",
        event_time=1,
        own_user=None,
        channel_type="channel",
        mentions_own=True,
    )
