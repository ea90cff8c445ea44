"""Promises of the handle, raced by real processes over one SQLite store."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import stateroom as sr
from support import handle_worker
from support.handle_worker import TEAM, NewPerson, OldPerson, Ticket, WiderPerson

DEADLINE = 240.0  # seconds; a hung child fails the test instead of the run
WORKER = Path(handle_worker.__file__)

pytestmark = pytest.mark.service


async def race(folder: Path, jobs: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    """What each job reports; all begin together."""
    children = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER), url(folder), job, json.dumps(options)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for job, options in jobs
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert await asyncio.wait_for(child.stdout.readline(), DEADLINE) == b"ready\n"
        outputs = await asyncio.wait_for(asyncio.gather(*(c.communicate(b"go\n") for c in children)), DEADLINE)
        assert [child.returncode for child in children] == [0] * len(children)
        return [json.loads(out) for out, _ in outputs]
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                await child.wait()


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/store.db"


async def test_of_sixteen_processes_racing_one_transition_one_wins_and_all_are_told_who(tmp_path: Path) -> None:
    async with sr.open(url(tmp_path)) as store:
        await store.team(TEAM).datastore(Ticket).put(Ticket(id="T-1"))
    said = await race(tmp_path, [("transition", {"name": f"p{n}"}) for n in range(16)])
    won = [one["won"] for one in said if "won" in one]
    lost = [one for one in said if "error" in one]
    assert len(won) == 1
    assert len(lost) == 15
    expected = {"id": "T-1", "status": "approved", "by": won[0], "votes": 0}
    assert lost == [{"error": "IllegalTransition", "current": expected}] * 15


async def test_keys_repeated_by_many_processes_are_applied_once_and_answered_alike(tmp_path: Path) -> None:
    async with sr.open(url(tmp_path)) as store:
        tickets = store.team(TEAM).datastore(Ticket)
        await tickets.put(Ticket(id="T-1"))
        keys = [f"Ev{n}" for n in range(20)]
        said = await race(tmp_path, [("vote", {"keys": keys})] * 5 + [("add", {"count": 30})])
        assert len({json.dumps(one) for one in said[:5]}) == 1
        found = await tickets.get("T-1")
        assert found is not None
        assert found.votes == 20 + 30


async def test_ten_thousand_additions_of_eight_processes_sum_exactly(tmp_path: Path) -> None:
    async with sr.open(url(tmp_path)) as store:
        tickets = store.team(TEAM).datastore(Ticket)
        await tickets.put(Ticket(id="T-1"))
        await race(tmp_path, [("add", {"count": 1250})] * 8)
        found = await tickets.get("T-1")
        assert found is not None
        assert found.votes == 10_000


async def test_functions_and_transactions_of_many_processes_lose_nothing(tmp_path: Path) -> None:
    async with sr.open(url(tmp_path)) as store:
        tickets = store.team(TEAM).datastore(Ticket)
        await tickets.bulk_put([Ticket(id="T-1"), *(Ticket(id=f"A-{n}", votes=100) for n in range(4))])
        jobs: list[tuple[str, dict[str, Any]]] = [("modify", {"count": 40})] * 4
        await race(tmp_path, [*jobs, *(("transfer", {"count": 30, "seed": n}) for n in range(4))])
        found = await tickets.get("T-1")
        assert found is not None
        assert found.votes == 160
        assert sum([t.votes async for t in tickets.scan(prefix="A-")]) == 400


async def test_old_and_new_code_share_a_store_when_attributes_are_added(tmp_path: Path) -> None:
    ids = [f"P{n}" for n in range(4)]
    async with sr.open(url(tmp_path)) as store:
        await store.team(TEAM).datastore(OldPerson).bulk_put([OldPerson(id=id, name=f"Ann {id}") for id in ids])
        jobs = [
            (job, {"name": f"{job}{n}", "count": 60, "ids": ids}) for job in ("old_code", "wider_code") for n in "ab"
        ]
        said = await race(tmp_path, jobs)
        assert [one["errors"] for one in said] == [{}] * 4
        people = store.team(TEAM).datastore(WiderPerson)
        for id in ids:
            found = await people.get(id)
            assert found is not None
            assert found.visits == sum(one["done"][id] for one in said)
            assert sorted(found.mails) == ["wider_codea", "wider_codeb"]
            assert (found.name, found.stage) == (f"Ann {id}", "seen")
        made = {p.id async for p in people.scan() if "code" in p.id}
        assert made == {id for one in said for id in one["made"]}
        assert [p.id for p in (await people.query(equals={"stage": "seen"})).items] == ids


async def test_old_code_is_told_of_a_newer_shape_and_nothing_is_lost(tmp_path: Path) -> None:
    ids = [f"P{n}" for n in range(4)]
    async with sr.open(url(tmp_path)) as store:
        await store.team(TEAM).datastore(OldPerson).bulk_put([OldPerson(id=id, name=f"Ann {id}") for id in ids])
        jobs = [(job, {"name": f"{job}{n}", "count": 60, "ids": ids}) for job in ("old_code", "new_code") for n in "ab"]
        said = await race(tmp_path, jobs)
        assert [one["errors"] for one in said[2:]] == [{}, {}]
        assert {kind for one in said[:2] for kind in one["errors"]} <= {"FormatTooNew"}
        with pytest.raises(sr.FormatTooNew):
            await store.team(TEAM).datastore(OldPerson).update("P0", add={"visits": 1})
        people = store.team(TEAM).datastore(NewPerson)
        for id in ids:
            found = await people.get(id)
            assert found == NewPerson(id=id, names=["Ann", id], visits=1000 + sum(one["done"][id] for one in said))
        made = {p.id async for p in people.scan() if "code" in p.id}
        assert made == {id for one in said for id in one["made"]}
