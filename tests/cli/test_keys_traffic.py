"""Keys rotate while several processes write, and although the rotation is killed: nothing is lost, nothing is left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from stateroom.store import Store
from support import sealed_worker
from support.sealed_worker import App, row, secret

pytestmark = pytest.mark.service
OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
TEAM, ROWS, WRITERS = "T00000001", 300, 3


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


async def where_it_stands(url: str) -> bool:
    """Whether the rotation is between two pages of the items."""
    async with Store(url) as store:
        (found,) = await store.engine.get("sr_progress", "-", ["keys:apps"])
        return found is not None and not found.item["finished"]


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
        first = rotation(url, tmp_path, both, "--rate", "100")
        children.append(first)
        ends = time.monotonic() + 30
        while not asyncio.run(where_it_stands(url)):
            assert time.monotonic() < ends
            assert first.poll() is None, first.communicate()
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        second = rotation(url, tmp_path, both)
        children.append(second)
        out, errors = second.communicate(timeout=60)
        assert second.returncode == 0, errors
        stop.touch()
        acknowledged = sum(int(one.communicate(timeout=60)[0]) for one in writers)
    finally:
        for one in children:
            one.kill()
    told: dict[str, Any] = json.loads(out)
    assert (told["left"], told["failed"]) == ({}, {})
    assert acknowledged > 50 * WRITERS, "they wrote all the time"
    assert asyncio.run(kept(url, NEW)) == (acknowledged, True)
    listed = start("-m", "stateroom", "keys", "list", "--json", "--store", url, keys=NEW, folder=tmp_path)
    assert json.loads(listed.communicate(timeout=60)[0])["values"].keys() == {"k2"}
