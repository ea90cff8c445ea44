"""`stateroom erase`: asks, erases, reports, and finds nothing the second time."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.engines.port import Put
from stateroom.store import Store
from support.dying import dying
from support.retention import ANN, BOB, OTHER, TEAM, TICKETS

pytestmark = pytest.mark.service  # each command opens a file anew


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STATEROOM_")]:
        monkeypatch.delenv(name)


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["erase", *args], input=stdin)


def fill(anns: int = 2, bobs: int = 1) -> None:
    async def job() -> None:
        async with Store("sqlite:///stateroom.db") as store:
            for team in (TEAM, OTHER):
                await store.team(team).items(TICKETS).get("none")
                rows = [(f"a{n:06d}", ANN) for n in range(anns)] + [(f"b{n:06d}", BOB) for n in range(bobs)]
                await store.engine.commit(
                    [Put("tickets", team, name, {"id": name, "owner": who, "approver": ANN}) for name, who in rows]
                )

    asyncio.run(job())


def count(where: str = "true") -> int:
    with closing(sqlite3.connect("stateroom.db")) as file:
        return int(file.execute(f"SELECT count(*) FROM items_tickets WHERE {where}").fetchone()[0])


def test_a_person_goes_and_the_report_says_what_stays_and_why() -> None:
    fill()
    result = run("--user", ANN, "--yes", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert {name: told[name] for name in ("user", "team", "removed", "cleared")} == {
        "user": ANN,
        "team": None,
        "removed": 4,
        "cleared": 0,
    }
    assert told["datastores"] == [{"datastore": "tickets", "removed": 4, "cleared": 0}]
    assert told["stays"][0].startswith("tickets.approver names them in 2 rows")
    assert count() == 2
    assert json.loads(run("--user", ANN, "--yes", "--json").stdout)["removed"] == 0


def test_a_person_may_go_from_one_workspace_and_a_workspace_as_a_whole() -> None:
    fill()
    assert json.loads(run("--user", ANN, "--team", OTHER, "--yes", "--json").stdout)["removed"] == 2
    assert count(f"team = '{TEAM}'") == 3
    assert json.loads(run("--team", TEAM, "--yes", "--json").stdout)["removed"] == 3
    assert count(f"team = '{TEAM}'") == 0
    assert "nothing was left to erase" in run("--team", TEAM, "--yes").stdout


def test_it_asks_first_and_no_leaves_everything() -> None:
    fill()
    result = run("--user", ANN, stdin="n\n")
    assert result.exit_code == 1
    assert "for good?" in result.stderr
    assert count() == 6
    assert run("--user", ANN, stdin="y\n").exit_code == 0
    assert count() == 2


@pytest.mark.parametrize(
    "args", [(), ("--yes",), ("--user", "x", "--yes"), ("--team", ANN, "--yes"), ("--user", ANN, "--json")]
)
def test_what_cannot_be_meant_is_wrong_use_and_erases_nothing(args: tuple[str, ...]) -> None:
    fill()
    result = run(*args)
    assert result.exit_code == 2
    assert count() == 6


@pytest.mark.service
def test_an_erase_that_is_killed_is_run_again_and_ends_the_same() -> None:
    fill(5_000, 20)
    for moment in (60, 61):
        before = count()
        killed = subprocess.run(dying(moment, "erase", "--user", ANN, "--yes"), check=False)
        assert killed.returncode == -signal.SIGKILL
        assert 40 < count() < before, "killed in the middle"
    before = count()
    told = json.loads(run("--user", ANN, "--yes", "--json").stdout)
    assert told["removed"] == before - 40
    assert count() == 40
