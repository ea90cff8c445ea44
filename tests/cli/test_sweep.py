"""`stateroom sweep`: the figures, the choices, and a kill in the middle."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.engines.port import Put
from stateroom.model.content import Content
from stateroom.model.definition import Definition
from stateroom.store import Store
from support.dying import dying
from support.retention import OTHER, TEAM, TICKETS, rows_of

pytestmark = pytest.mark.service  # each command opens a file anew


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STATEROOM_")]:
        monkeypatch.delenv(name)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["sweep", *args])


def fill(dead: int, alive: int = 0, team: str = TEAM, definition: Definition = TICKETS) -> None:
    """A store of the default name with so many tickets that have expired, and so many that have not."""

    async def job() -> None:
        async with Store("sqlite:///stateroom.db") as store:
            await store.team(team).items(definition).get("none")
            past = time.time() - 5
            names = [(f"d{n:07d}", past) for n in range(dead)] + [(f"a{n:07d}", None) for n in range(alive)]
            for start in range(0, len(names), 5000):
                await store.engine.commit(
                    [Put("tickets", team, name, {"id": name}, ends) for name, ends in names[start : start + 5000]]
                )

    asyncio.run(job())


def left() -> list[str]:
    async def job() -> list[str]:
        async with Store("sqlite:///stateroom.db") as store:
            return [row.id for row in await rows_of(store.engine, "tickets")]

    return asyncio.run(job())


def test_a_folder_is_swept_and_erased_although_it_has_no_indexes(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/kept"

    async def job() -> None:
        async with Store(url, content=Content("ttl", 1), clock=lambda: 1.7e9) as store:
            thread = store.team(TEAM).thread("C00000001", "1700000000.000100")
            await thread.append([{"kind": "request", "parts": []}], turn_id="a")

    asyncio.run(job())
    swept = run("--json", "--store", url)
    assert (swept.exit_code, json.loads(swept.stdout)["removed"]) == (0, 1)
    erased = CliRunner().invoke(main, ["erase", "--team", TEAM, "--yes", "--json", "--store", url])
    assert (erased.exit_code, json.loads(erased.stdout)["removed"] > 0) == (0, True)


def test_it_removes_what_has_expired_without_knowing_the_modules_and_tells_figures() -> None:
    fill(5, 2)
    result = run("--json", "--batch", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "finished": True,
        "dry_run": False,
        "seen": 5,
        "removed": 5,
        "kept": 0,
        "datastores": [{"datastore": "tickets", "seen": 5, "removed": 5, "kept": 0}],
    }
    assert left() == ["a0000000", "a0000001"]


def test_people_get_a_table_and_are_told_when_there_is_nothing() -> None:
    fill(3)
    result = run()
    assert result.exit_code == 0
    assert result.stdout.split()[:4] == ["Datastore", "Seen", "Removed", "Kept"]
    assert result.stdout.split()[-4:] == ["tickets", "3", "3", "0"]
    assert "nothing has expired" in run().stderr


def test_a_dry_run_removes_nothing_and_a_team_is_swept_alone() -> None:
    fill(2)
    fill(3, team=OTHER)
    assert json.loads(run("--dry-run", "--json").stdout)["seen"] == 5
    assert len(left()) == 5
    assert json.loads(run("--team", OTHER, "--json").stdout)["removed"] == 3
    assert len(left()) == 2


def count() -> int:
    """How many rows are physically there."""
    with closing(sqlite3.connect("stateroom.db")) as file:
        return int(file.execute("SELECT count(*) FROM items_tickets").fetchone()[0])


@pytest.mark.parametrize("args", [("--team", "x"), ("--batch", "0"), ("--max-seconds", "0")])
def test_what_cannot_be_meant_is_wrong_use(args: tuple[str, ...]) -> None:
    fill(1)
    result = run(*args)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_store_that_is_not_there_is_not_made() -> None:
    assert run().exit_code == 1
    assert not Path("stateroom.db").exists()


@pytest.mark.service
def test_a_sweep_that_is_killed_is_run_again_and_loses_and_doubles_nothing() -> None:
    fill(5_000, 50)
    for moment in (60, 61):
        before = count()
        killed = subprocess.run(dying(moment, "sweep", "--batch", "20"), check=False)
        assert killed.returncode == -signal.SIGKILL
        assert 50 < count() < before, "killed in the middle"
    remaining = count() - 50
    result = json.loads(run("--json").stdout)
    assert (result["seen"], result["removed"], result["kept"]) == (remaining, remaining, 0)
    assert left() == [f"a{n:07d}" for n in range(50)]
