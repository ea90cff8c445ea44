"""Turns with sealed words: begun by a worker that is killed, ended by another, and never plain on the disk."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stateroom.store import Store
from support.bot import MENTION, Child, children, environment
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
TEAM, CHANNEL, WORD = "T00000001", "C00000001", "heronword"
KEYS = f"k1:{b64encode(bytes([1]) * 32).decode()}"
SEALED = {"STATEROOM_KEYS": KEYS, "STATEROOM_ENCRYPT_CONTENT": "true"}


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.05) as running:
        yield running


def on_disk(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in folder.glob("state.db*"))


async def test_a_sealed_turn_survives_a_kill_and_is_never_plain_on_the_disk(slack: LocalSlack, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    with children() as begin:
        worker = starter(begin, slack, url, tmp_path)
        ingress = begin(["serve", "--no-worker", "--port", "0"], environment(slack, url, **SEALED), tmp_path / "i.log")
        slack.register(f"{ingress.url}/slack/events")
        first = worker("0.05")
        ts = slack.say(f"{MENTION} {WORD}")
        await eventually(lambda: len(slack.calls("chat.appendStream")) >= 3, 20)
        assert WORD.encode() not in on_disk(tmp_path)
        first.kill()
        worker("0.002")
        await eventually(lambda: whole(slack, ts), 30)
        later = slack.say(f"{WORD} again", thread_ts=ts)
        ends = time.monotonic() + 30
        while len(turns := await kept(url, ts)) < 2:
            assert time.monotonic() < ends
        await eventually(lambda: len(whole(slack, ts)) == 2, 30)
        assert turns == [f"{CHANNEL}:{ts}", f"{CHANNEL}:{later}"]
        assert WORD.encode() not in on_disk(tmp_path)


def whole(slack: LocalSlack, ts: str) -> list[object]:
    """The answers that are whole."""
    return [one for one in slack.replies(ts) if not one.get("streaming")]


def starter(begin: Callable[..., Child], slack: LocalSlack, url: str, folder: Path) -> Callable[[str], Child]:
    def start(pace: str) -> Child:
        return begin(["worker"], environment(slack, url, **SEALED, STATEROOM_OFFLINE_PACE=pace), folder / f"{pace}.log")

    return start


async def kept(url: str, ts: str) -> list[str]:
    """The turns of the thread, whose words the keys open."""
    async with Store(url, keys=KEYS) as store:
        found = (await store.team(TEAM).thread(CHANNEL, ts).entries()).items
    assert all(WORD in str(one.messages) for one in found)
    return [one.turn_id for one in found]
