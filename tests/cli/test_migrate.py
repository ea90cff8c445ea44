"""`stateroom migrate`: exit codes and words, a kill in the middle, and old and new code beside each other."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.engines.port import Put
from stateroom.store import Store
from support.dying import dying
from support.retention import TEAM, rows_of

pytestmark = pytest.mark.service  # each command opens a file anew

OLD = """
import stateroom as sr

class Poll(sr.Datastore, name="polls"):
    id: str = sr.key()
    title: str
    votes: int = 0
"""
NEW = """
import stateroom as sr

class Poll(sr.Datastore, name="polls", version=2):
    id: str = sr.key()
    name: str
    votes: int = 0

    @sr.upgrade(from_version=1)
    @staticmethod
    def _from_1(item):
        item["name"] = item.pop("title").upper()
        return item
"""
BARE = """
import stateroom as sr

class Poll(sr.Datastore, name="polls"):
    id: str = sr.key()
    votes: int = 0
"""
# Adds votes one at a time to polls in turn until told to stop; a row that newer code has upgraded is newer code's.
TRAFFIC = """
import asyncio, json, sys
import stateroom as sr
from {module} import Poll

async def main():
    done, refused = dict.fromkeys(range({polls}), 0), 0
    loop = asyncio.get_running_loop()
    stop = loop.run_in_executor(None, sys.stdin.readline)
    async with sr.open("sqlite:///stateroom.db") as store:
        polls = store.team("T00000001").datastore(Poll)
        number = {start}
        while not stop.done():
            number = (number + 1) % {polls}
            try:
                await polls.update(f"p{{number:05d}}", add={{"votes": 1}})
                done[number] += 1
                if sum(done.values()) == 25:
                    print("going", flush=True)
            except sr.FormatTooNew:
                refused += 1
                if refused == 1:
                    print("refused", flush=True)
            await asyncio.sleep(0)
    print(json.dumps([list(done.values()), refused]), flush=True)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three modules are in the current folder, and no earlier test's are imported."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STATEROOM_")]:
        monkeypatch.delenv(name)
    for name, text in (("shop_old", OLD), ("shop_new", NEW), ("shop_bare", BARE)):
        Path(f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["migrate", *args])


def told(*args: str) -> tuple[int, Any]:
    result = run(*args, "--json")
    assert result.stderr == ""
    return result.exit_code, json.loads(result.stdout)


def fill(count: int = 3, **more: Any) -> None:
    async def job() -> None:
        async with Store("sqlite:///stateroom.db") as store:
            rows = [{"id": f"p{n:05d}", "title": f"poll {n}", "votes": 0, **more} for n in range(count)]
            await store.engine.commit([Put("polls", TEAM, row["id"], row) for row in rows])

    assert run("apply", "--definitions", "shop_old").exit_code == 0
    asyncio.run(job())


def items() -> dict[str, dict[str, Any]]:
    async def job() -> dict[str, dict[str, Any]]:
        async with Store("sqlite:///stateroom.db") as store:
            return {row.id: row.item for row in await rows_of(store.engine, "polls")}

    return asyncio.run(job())


def rewritten() -> int:
    with closing(sqlite3.connect("stateroom.db")) as file:
        where = "json_extract(item, '$.\"$v\"') = 2"
        return int(file.execute(f"SELECT count(*) FROM items_polls WHERE {where}").fetchone()[0])


def test_from_status_over_plan_and_apply_and_backfill_to_nothing_to_do() -> None:
    fill()
    assert told("status", "--definitions", "shop_old")[0] == 0
    code, found = told("status", "--definitions", "shop_new")
    assert (code, found["to_do"]) == (1, True)
    assert found["datastores"][0]["state"] == "changed"
    code, found = told("plan", "--definitions", "shop_new")
    assert (code, [step["kind"] for step in found["steps"]]) == (0, ["upgrade"])
    assert told("apply", "--definitions", "shop_new")[0] == 0
    code, found = told("status", "--definitions", "shop_new")
    assert (code, found["datastores"][0]["state"]) == (1, "backfill")
    code, found = told("backfill", "polls", "--definitions", "shop_new")
    assert code == 0
    (done,) = found["datastores"]
    assert (done["datastore"], done["rewritten"], done["failed"], done["finished"]) == ("polls", 3, 0, True)
    code, found = told("status", "--definitions", "shop_new")
    assert (code, found["to_do"], found["datastores"][0]["state"]) == (0, False, "current")
    assert items()["p00001"] == {"id": "p00001", "votes": 0, "name": "POLL 1", "$v": 2}


def test_a_folder_remembers_several_datastores_and_forgets_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One item is all that is atomic there, so they are steps; a deploy's commands are the same on every store."""
    monkeypatch.setenv("STATEROOM_STORE", f"file://{tmp_path}/kept")
    more = 'class Vote(sr.Datastore, name="votes"):\n    id: str = sr.key()\n'
    Path("shop_two.py").write_text(OLD + more)
    for definitions in ("shop_two", "shop_bare"):
        done = run("apply", "--definitions", definitions)
        assert (done.exit_code, done.stderr) == (0, "")
        assert run("status", "--definitions", definitions).exit_code == 0


def test_what_loses_data_is_refused_in_one_line_and_done_with_permission() -> None:
    fill()
    code, found = told("plan", "--definitions", "shop_bare")
    assert (code, found["steps"][0]["destructive"]) == (1, True)
    result = run("apply", "--definitions", "shop_bare")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "polls.title is removed, and rows hold it" in result.stderr
    assert "--allow-data-loss" in result.stderr
    assert items()["p00001"]["title"] == "poll 1"
    assert run("apply", "--definitions", "shop_bare", "--allow-data-loss").exit_code == 0
    assert items()["p00001"] == {"id": "p00001", "votes": 0}


def test_rows_that_fail_are_listed_with_their_reasons() -> None:
    fill(2)
    with closing(sqlite3.connect("stateroom.db")) as file, file:
        file.execute("UPDATE items_polls SET item = json_remove(item, '$.title') WHERE id = 'p00001'")
    code, found = told("backfill", "--definitions", "shop_new")
    assert (code, found["datastores"][0]["failed"]) == (1, 1)
    code, found = told("status", "--definitions", "shop_new")
    assert code == 1
    (failed,) = found["failed"]
    assert (failed["team"], failed["datastore"], failed["row"]) == (TEAM, "polls", "p00001")
    assert "KeyError" in failed["reason"]
    assert "polls/p00001 failed" in run("status", "--definitions", "shop_new").stderr


def test_a_row_newer_than_the_code_is_said() -> None:
    fill(1)
    assert told("backfill", "--definitions", "shop_new")[0] == 0
    result = run("backfill", "polls", "--definitions", "shop_old")
    assert result.exit_code == 1
    assert "a row was written by version 2 of the definition, the code has 1" in result.stderr


def test_without_definitions_the_status_tells_what_is_remembered_and_backfill_asks_for_them() -> None:
    fill(1)
    result = run("status")
    assert result.exit_code == 0
    assert "polls" in result.stdout
    assert run("backfill").exit_code == 2
    assert run("backfill", "nothing", "--definitions", "shop_new").exit_code == 2
    assert run("backfill", "--rate", "0", "--definitions", "shop_new").exit_code == 2


@pytest.mark.service
def test_a_backfill_that_is_killed_goes_on_and_loses_and_doubles_nothing() -> None:
    fill(3_000)
    command = dying(30, "migrate", "backfill", "polls", "--definitions", "shop_new")
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert 0 < rewritten() < 3_000, "killed in the middle"
    code, found = told("backfill", "polls", "--definitions", "shop_new")
    assert code == 0
    assert found["datastores"][0]["rewritten"] == 3_000, "over both runs, none counted twice"
    assert items() == {f"p{n:05d}": {"id": f"p{n:05d}", "votes": 0, "name": f"POLL {n}", "$v": 2} for n in range(3_000)}


@pytest.mark.service
def test_old_and_new_code_write_one_store_while_it_is_rewritten_and_no_vote_is_lost(tmp_path: Path) -> None:
    polls = 400
    fill(polls)
    clients: list[subprocess.Popen[str]] = []
    try:
        # Old code first: what new code has written, it may not.
        for module, start in (("shop_old", 0), ("shop_old", 200), ("shop_new", 100), ("shop_new", 300)):
            client = subprocess.Popen(
                [sys.executable, "-c", TRAFFIC.format(module=module, polls=polls, start=start)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=tmp_path,
                text=True,
            )
            clients.append(client)
            assert client.stdout is not None
            assert client.stdout.readline() == "going\n"
        code, _ = told("backfill", "polls", "--definitions", "shop_new", "--rate", "300")
        assert code == 0
        for client in clients[:2]:  # old code meets rows of the new version, and is told
            assert client.stdout is not None
            assert client.stdout.readline() == "refused\n"

        results = []
        for client in clients:
            out, _ = client.communicate("stop\n", timeout=60)
            results.append(json.loads(out.splitlines()[-1]))
    finally:
        for client in clients:
            client.kill()
            client.wait()
    assert all(sum(done) > 20 for done, _ in results), "every client got something done"
    assert results[2][1] + results[3][1] == 0
    assert told("backfill", "polls", "--definitions", "shop_new")[0] == 0
    votes = [sum(done[n] for done, _ in results) for n in range(polls)]
    found = items()
    assert [found[f"p{n:05d}"]["votes"] for n in range(polls)] == votes
    assert {item["$v"] for item in found.values()} == {2}
    assert [found[f"p{n:05d}"]["name"] for n in range(polls)] == [f"POLL {n}" for n in range(polls)]
