"""`stateroom turns` and the emulator's view of turns: where messages stand, without a word of them."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.cli.emulator_watch import watch_turns
from stateroom.engines import leases
from stateroom.layers.inbox import Inbox
from stateroom.slack.events import Message
from stateroom.store import Store

pytestmark = pytest.mark.service  # each command opens a file anew

URL = "sqlite:///stateroom.db"


def message(team: str, ts: str) -> Message:
    return Message(
        team=team,
        channel="C01",
        ts=ts,
        thread_ts=None,
        user="U01",
        text="WORDS",
        source="mention",
        files=(),
        event_id="Ev1",
        event_time=1700000000,
        own_user="U99",
        channel_type="channel",
        mentions_own=True,
    )


@pytest.fixture(autouse=True)
async def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two messages wait, in two workspaces; a third one failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATEROOM_STORE", raising=False)
    async with Store(URL) as store:
        inbox = Inbox(store.engine, store.clock)
        for team, ts in (("T01", "1700000000.000100"), ("T02", "1700000000.000100"), ("T01", "1700000001.000100")):
            await inbox.accept(message(team, ts))
        failed = await inbox.get("T01", "C01:1700000001.000100")
        assert failed is not None
        await store.engine.commit([inbox.close(failed, "failed", "model", keep_words=True)])


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["turns", *args])


def lines(result: Result) -> list[dict[str, object]]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def states() -> dict[tuple[object, object], object]:
    return {(t["team"], t["id"]): t["state"] for t in lines(run("list", "--json"))}


def test_list_shows_open_turns_and_then_closed_ones_without_their_words() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert result.stdout.count("received") == 2
    assert "failed" in result.stdout.splitlines()[-2]
    assert "WORDS" not in result.stdout


def test_list_for_machines_may_be_narrowed_by_state() -> None:
    (failed,) = lines(run("list", "--json", "--state", "failed"))
    assert (failed["team"], failed["id"], failed["reason"]) == ("T01", "C01:1700000001.000100", "model")
    assert len(lines(run("list", "--json", "--limit", "2"))) == 2
    assert lines(run("list", "--json", "--state", "done")) == []


def test_show_tells_where_a_turn_stands() -> None:
    result = run("show", "C01:1700000001.000100")
    assert result.exit_code == 0
    assert "failed" in result.stdout
    assert "WORDS" not in result.stdout
    (turn,) = lines(run("show", "C01:1700000000.000100", "--team", "T02", "--json"))
    assert (turn["team"], turn["state"], turn["user"]) == ("T02", "received", "U01")


@pytest.mark.parametrize("verb", ["show", "retry"])
@pytest.mark.parametrize(
    ("args", "status", "expected"),
    [
        (("C01:1700000000.000100",), 2, "give --team T01"),
        (("C01:1700000005.000100",), 1, "no such turn"),
        (("C01:1700000001.000100", "--team", "T02"), 1, "no such turn"),
        (("C01:1700000001.000100", "--team", "nobody"), 2, "team id"),
    ],
)
def test_a_turn_that_is_not_clear_is_one_line(verb: str, args: tuple[str, ...], status: int, expected: str) -> None:
    result = run(verb, *args)
    assert (result.exit_code, result.stdout) == (status, "")
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_failed_turn_is_received_again_and_a_done_one_is_not() -> None:
    (turn,) = lines(run("retry", "C01:1700000001.000100", "--json"))
    assert turn["state"] == "received"
    assert states()["T01", "C01:1700000001.000100"] == "received"
    asyncio.run(finish("C01:1700000001.000100"))
    result = run("retry", "C01:1700000001.000100", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "no_such_turn"


async def found_by_workers() -> set[str]:
    async with Store(URL) as store:
        return {f"{row.team} {row.id}" for row in (await Inbox(store.engine, store.clock).due(limit=10))[0]}


def test_what_is_held_is_found_by_no_worker_until_it_is_retried_or_released() -> None:
    before = asyncio.run(found_by_workers())
    assert len(before) == 2
    assert lines(run("hold", "--json")) == [{"held": 2}]
    assert asyncio.run(found_by_workers()) == set()
    assert lines(run("hold", "--json")) == [{"held": 0}]
    assert {(t["team"], t["id"], t["state"]) for t in lines(run("list", "--held", "--json"))} == {
        ("T01", "C01:1700000000.000100", "received"),
        ("T02", "C01:1700000000.000100", "received"),
    }
    assert len(lines(run("list", "--held", "--limit", "1", "--json"))) == 1
    assert lines(run("list", "--held", "--state", "answering", "--json")) == []
    assert "give --team T01" in run("retry", "C01:1700000000.000100").stderr
    assert run("retry", "C01:1700000000.000100", "--team", "T02").exit_code == 0
    assert asyncio.run(found_by_workers()) == {"T02 C01:1700000000.000100"}
    assert "released: 1 turns and jobs" in run("release").stdout
    assert asyncio.run(found_by_workers()) == before
    assert lines(run("list", "--held", "--json")) == []


async def test_nothing_is_put_aside_under_a_worker_that_is_answering() -> None:
    async with Store(URL) as store:
        await store.prepare([leases.TABLE])
        lease = await leases.acquire(store.raw, store.clock, "T01", "lane:C01:1", holder="w", seconds=60)
        assert lease is not None
    result = await asyncio.to_thread(run, "hold")
    assert (result.exit_code, "stop it" in result.stderr) == (2, True)
    assert len(await found_by_workers()) == 2


async def finish(turn_id: str) -> None:
    async with Store(URL) as store:
        inbox = Inbox(store.engine, store.clock)
        row = await inbox.get("T01", turn_id)
        assert row is not None
        await store.engine.commit([inbox.close(row, "done", "answer")])


def test_reading_never_makes_a_store(tmp_path: Path) -> None:
    result = run("list", "--store", "sqlite:///typo.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert not (tmp_path / "typo.db").exists()


async def test_the_page_is_told_of_new_and_changed_turns_while_no_bot_runs() -> None:
    again = asyncio.Event()

    async def poll(_: float) -> None:
        await again.wait()
        again.clear()

    watched = watch_turns(URL, poll=poll, clock=lambda: 17.0)
    first = [await anext(watched) for _ in range(3)]
    assert {turn["state"] for turn in first} == {"received", "failed"}
    assert first[0].keys() == {"id", "team", "channel", "thread_ts", "ts", "state", "attempts", "reason", "at"}
    assert "WORDS" not in str(first)
    await finish("C01:1700000000.000100")
    again.set()
    changed = await anext(watched)
    assert (changed["id"], changed["state"], changed["at"]) == ("C01:1700000000.000100", "done", 17.0)
    await watched.aclose()
