"""Keys rotate while several processes write, and although the rotation is killed: nothing is lost, nothing is left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.port import Query
from stateroom.layers.keys_text import count_text
from stateroom.layers.walking import Pace
from stateroom.store import Store, own_words
from support import sealed_worker, words_worker
from support.sealed_worker import App, row, secret
from support.threads import CHANNEL

pytestmark = pytest.mark.service
OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
SR_KEYS = Query("sr_keys", None, 100, whole=True)
TEAM, ROWS, SAID, WRITERS = "T00000001", 300, 150, 3
SLOWLY = ("--rate", "10")  # a page each second, so that nobody who watches comes too late


def environ(keys: str) -> dict[str, str]:
    return {**os.environ, "STATEROOM_KEYS": keys, "STATEROOM_DEFINITIONS": "support.sealed_worker"}


def start(*args: str, keys: str, folder: Path) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    with_path = environ(keys) | {"PYTHONPATH": paths}
    return subprocess.Popen(
        [sys.executable, *args], cwd=folder, env=with_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rotation(url: str, folder: Path, keys: str, *more: str) -> subprocess.Popen[str]:
    return start("-m", "stateroom", "keys", "rotate", "--json", "--store", url, *more, keys=keys, folder=folder)


async def filled(url: str) -> None:
    async with Store(url, keys=OLD) as store:
        await store.team(TEAM).datastore(App).bulk_put([App(id=row(n), token=secret(n)) for n in range(ROWS)])


async def where_it_stands(url: str, name: str = "keys:apps") -> bool:
    """Whether the rotation is between two pages of the items."""
    async with Store(url) as store:
        (found,) = await store.engine.get("sr_progress", "-", [name])
        return found is not None and not found.item["finished"]


def until(holds: Callable[[], bool], *running: subprocess.Popen[str]) -> None:
    """Wait for it, while these processes run."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        for one in running:
            assert one.poll() is None, one.communicate()
        time.sleep(0.02)


def until_it_stands(url: str, name: str, one: subprocess.Popen[str]) -> None:
    until(lambda: asyncio.run(where_it_stands(url, name)), one)


async def kept(url: str, keys: str) -> tuple[int, bool]:
    """How many changes there are in all items, and whether each has its own secret."""
    async with Store(url, keys=keys) as store:
        items = [one async for one in store.team(TEAM).datastore(App).scan()]
    return sum(one.tries for one in items), [one.token for one in items] == [secret(n) for n in range(ROWS)]


def test_keys_rotate_under_traffic_and_after_a_kill_and_nothing_is_lost(tmp_path: Path) -> None:
    url, both = f"sqlite:///{tmp_path}/traffic.db", f"{NEW},{OLD}"
    asyncio.run(filled(url))
    stop = tmp_path / "stop"
    worker = sealed_worker.__file__ or ""
    writers = [start(worker, url, str(ROWS), str(stop), keys=both, folder=tmp_path) for _ in range(WRITERS)]
    children = list(writers)
    try:
        for one in writers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        first = rotation(url, tmp_path, both, *SLOWLY)
        children.append(first)
        until_it_stands(url, "keys:apps", first)
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        until(lambda: asyncio.run(kept(url, both))[0] > 50 * WRITERS, *writers)  # halfway they write, too
        second = rotation(url, tmp_path, both)
        children.append(second)
        out, errors = second.communicate(timeout=120)
        assert second.returncode == 0, errors
        before = asyncio.run(kept(url, both))[0]
        until(lambda: asyncio.run(kept(url, both))[0] > before, *writers)  # and behind the end
        stop.touch()
        acknowledged = sum(int(one.communicate(timeout=120)[0]) for one in writers)
    finally:
        for one in children:
            one.kill()
    told: dict[str, Any] = json.loads(out)
    assert (told["left"], told["failed"]) == ({}, {})
    assert asyncio.run(kept(url, NEW)) == (acknowledged, True)
    listed = start("-m", "stateroom", "keys", "list", "--json", "--store", url, keys=NEW, folder=tmp_path)
    assert json.loads(listed.communicate(timeout=120)[0])["values"].keys() == {"k2"}


async def said_before(url: str) -> None:
    async with Store(url, keys=OLD, encrypt_content=True) as store:
        thread = store.team(TEAM).thread(CHANNEL, words_worker.ts_of(99))
        for number in range(SAID):
            await thread.append([words_worker.words("99", number)], turn_id=f"t{number}")


async def heard(url: str, name: int) -> list[Any]:
    async with Store(url, keys=OLD) as store:
        return (await store.team(TEAM).thread(CHANNEL, words_worker.ts_of(name)).messages()).messages


async def data_keys(url: str) -> tuple[list[str], set[str]]:
    """The data keys that there are, and those that words are under."""
    async with Store(url) as store:
        rows = (await store.raw.query(SR_KEYS)).rows
        return [one.id for one in rows], {one.id for one in await count_text(store.raw, own_words(), Pace(store.clock))}


def test_words_get_a_new_data_key_under_traffic_and_after_a_kill_and_nothing_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/words.db"
    asyncio.run(said_before(url))
    stop, worker = tmp_path / "stop", words_worker.__file__ or ""
    writers = [start(worker, url, str(n), str(stop), keys=OLD, folder=tmp_path) for n in range(WRITERS)]
    children = list(writers)
    try:
        for one in writers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        first = rotation(url, tmp_path, OLD, "--text", *SLOWLY)
        children.append(first)
        until_it_stands(url, "keys:text:sr_entries", first)
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        assert len(asyncio.run(data_keys(url))[1]) == 2, "it was killed in the midst of it"
        until(lambda: all(len(asyncio.run(heard(url, name))) > 50 for name in range(WRITERS)), *writers)
        second = rotation(url, tmp_path, OLD, "--text")
        children.append(second)
        out, errors = second.communicate(timeout=120)
        assert second.returncode == 0, errors
        stop.touch()
        acknowledged = [int(one.communicate(timeout=120)[0]) for one in writers]
    finally:
        for one in children:
            one.kill()
    told = json.loads(out)["text"]
    assert (told["left"], told["failed"], told["keys_removed"], told["resumed"]) == ({}, {}, 1, True)
    assert asyncio.run(data_keys(url)) == (["00000002"], {"00000002"})
    for name, number in [*enumerate(acknowledged), (99, SAID)]:
        assert asyncio.run(heard(url, name)) == [words_worker.words(str(name), n) for n in range(number)]
