"""`stateroom jobs`: where a Bolt app's requests stand, without a word of them."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.layers.jobs import Job, Jobs
from stateroom.store import Store

URL = "sqlite:///stateroom.db"


@pytest.fixture(autouse=True)
async def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job runs, one failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATEROOM_STORE", raising=False)
    async with Store(URL) as store:
        every = Jobs(store.engine, store.clock, "app", seconds=60)
        for team, event in (("T01", "Ev1"), ("T01", "Ev2"), ("T02", "Ev2")):
            body = {"event_id": event, "event": {"type": "app_mention", "text": "WORDS"}}
            job = await every.claim(team, body, what="event:app_mention", user="U01", acked=True)
            assert isinstance(job, Job)
            if event == "Ev2":
                await job.fail("ValueError", again=None)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["jobs", *args])


def states() -> dict[tuple[object, object], object]:
    listed = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    return {(one["team"], one["id"]): one["state"] for one in listed}


async def test_jobs_are_listed_without_their_words() -> None:
    assert await asyncio.to_thread(states) == {
        ("T01", "app:Ev1"): "running",
        ("T01", "app:Ev2"): "failed",
        ("T02", "app:Ev2"): "failed",
    }
    shown = await asyncio.to_thread(run, "list")
    assert "ValueError" in shown.stdout
    assert "WORDS" not in shown.stdout
    only = await asyncio.to_thread(run, "list", "--state", "running", "--json")
    assert [json.loads(line)["id"] for line in only.stdout.splitlines()] == ["app:Ev1"]


async def test_a_failed_job_is_to_be_run_again() -> None:
    unclear = await asyncio.to_thread(run, "retry", "app:Ev2")
    assert (unclear.exit_code, "--team" in unclear.stderr) == (2, True)
    done = await asyncio.to_thread(run, "retry", "app:Ev2", "--team", "T01", "--json")
    assert json.loads(done.stdout)["state"] == "waiting"
    assert (await asyncio.to_thread(states))["T01", "app:Ev2"] == "waiting"


@pytest.mark.parametrize("job", ["app:Ev1", "app:Ev9"])
async def test_what_runs_or_is_not_there_is_not_run_again(job: str) -> None:
    refused = await asyncio.to_thread(run, "retry", job)
    assert refused.exit_code == 1


async def test_a_job_that_is_held_is_listed_and_run_again_when_that_is_asked() -> None:
    held = await asyncio.to_thread(CliRunner().invoke, main, ["turns", "hold", "--json"])
    assert json.loads(held.stdout) == {"held": 1}
    assert ("T01", "app:Ev1") not in await asyncio.to_thread(states)
    (job,) = (await asyncio.to_thread(run, "list", "--held", "--json")).stdout.splitlines()
    assert (json.loads(job)["id"], json.loads(job)["state"]) == ("app:Ev1", "running")
    assert not (await asyncio.to_thread(run, "list", "--held", "--state", "waiting", "--json")).stdout
    done = await asyncio.to_thread(run, "retry", "app:Ev1", "--json")
    assert json.loads(done.stdout)["state"] == "waiting"
    assert (await asyncio.to_thread(states))["T01", "app:Ev1"] == "waiting"
    assert not (await asyncio.to_thread(run, "list", "--held", "--json")).stdout
