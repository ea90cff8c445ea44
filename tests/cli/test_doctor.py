"""`stateroom doctor` against a real local Slack: what is wrong is named with what to do, and no secret is shown."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.cli.doctor_here import clock_skew
from stateroom.cli.doctor_slack import compare
from stateroom.slack.app_manifest import Choice, app_manifest
from stateroom.slack.features import LEAST, scopes
from stateroom.store import Store
from support.local_slack import LocalSlack, local_slack

pytestmark = pytest.mark.service  # each command opens a file anew

TOKEN = "xoxb-local-1"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("STATEROOM_", "SLACK_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        yield running


def run(*args: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *args], env=environ)


def found(result: Result) -> dict[str, dict[str, Any]]:
    """The worst finding of each check."""
    order = ["ok", "unknown", "warning", "wrong"]
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {one["check"]: one for one in sorted(lines, key=lambda one: order.index(one["status"]))}


def register(slack: LocalSlack, granted: list[str]) -> None:
    manifest = app_manifest(Choice(LEAST))
    manifest["oauth_config"]["scopes"]["bot"] = granted
    slack.sim("POST", "apps", {"app_id": "A00000001", "manifest": manifest, "signing_secret": "s", "bot_token": TOKEN})


def environ(slack: LocalSlack, **more: str) -> dict[str, str]:
    return {"SLACK_BOT_TOKEN": TOKEN, "SLACK_SIGNING_SECRET": "s", "SLACK_API_URL": slack.api_url, **more}


@pytest.mark.service
def test_all_is_well(slack: LocalSlack) -> None:
    register(slack, list(scopes(LEAST)))
    done = run("--json", **environ(slack, STATEROOM_STORE="sqlite:///new.db"))
    assert done.exit_code == 0, done.output
    seen = found(done)
    assert {seen[name]["status"] for name in ("settings", "transport", "store", "token", "scopes", "clock")} == {"ok"}
    assert seen["events"]["status"] == "unknown"
    assert not Path("new.db").exists()


@pytest.mark.service
def test_a_missing_scope_is_named_with_the_feature_and_a_needless_one_too(slack: LocalSlack) -> None:
    register(slack, [s for s in scopes(LEAST) if s != "im:history"] + ["files:read", "assistant:write"])
    done = run("--scopes", **environ(slack))
    assert done.exit_code == 1
    lines = " ".join(done.stdout.split())
    assert "im:history is missing" in lines
    assert "direct needs it to read what people write" in lines
    assert "files:read is granted beyond need" in lines
    assert "feature agent or assistant would use it" in lines
    assert "Check" in lines
    assert "disk" not in lines


@pytest.mark.service
def test_no_token_is_ever_shown(slack: LocalSlack) -> None:
    wrong = environ(slack, SLACK_BOT_TOKEN="xoxb-other", SLACK_SIGNING_SECRET="sec-1", SLACK_APP_TOKEN="xapp-1-2")
    done = run(**wrong)
    assert done.exit_code == 1
    assert "invalid_auth" in done.stdout
    assert not [secret for secret in ("xoxb-other", "sec-1", "xapp-1-2") if secret in done.output]


@pytest.mark.service
def test_an_app_level_token_is_tried(slack: LocalSlack) -> None:
    good = found(run("--json", **environ(slack, SLACK_APP_TOKEN="xapp-local-1")))["socket"]
    assert good == {"check": "socket", "status": "ok", "found": "SLACK_APP_TOKEN opens sockets", "advice": ""}
    assert slack.sim("GET", "sockets")["sockets"] == []
    bad = found(run("--json", **environ(slack, SLACK_APP_TOKEN="xapp-other")))["socket"]
    assert (bad["status"], "copy SLACK_APP_TOKEN again" in bad["found"]) == ("wrong", True)


@pytest.mark.service
def test_slack_out_of_reach_is_said(slack: LocalSlack) -> None:
    done = run("--json", **environ(slack, SLACK_API_URL="http://127.0.0.1:9/api/"))
    assert done.exit_code == 1
    assert "cannot be reached" in found(done)["token"]["advice"]


@pytest.mark.service
def test_a_store_that_is_there_is_read_and_written() -> None:
    settings = {"STATEROOM_STORE": "sqlite:///here.db", "SLACK_SIGNING_SECRET": "s"}
    assert CliRunner().invoke(main, ["threads", "list", "--json"], env=settings).exit_code == 1
    Path("here.db").touch()
    seen = found(run("--json", **settings))
    assert seen["store"] == {"check": "store", "status": "ok", "found": "sqlite can be read and written", "advice": ""}
    assert seen["disk"]["status"] == "ok"


@pytest.mark.service
def test_the_store_of_conversations_is_tried_too(tmp_path: Path) -> None:
    async def make() -> None:
        async with Store("sqlite:///a.db"):
            pass

    asyncio.run(make())
    well = found(run("--json", STATEROOM_STORE="sqlite:///a.db", STATEROOM_THREADS=f"file://{tmp_path}/threads"))
    assert well["store"]["status"] == "ok"
    (tmp_path / "in-the-way").write_text("")
    told = found(run("--json", STATEROOM_STORE="sqlite:///a.db", STATEROOM_THREADS=f"file://{tmp_path}/in-the-way/t"))
    assert told["store"]["status"] == "wrong"
    assert "STATEROOM_THREADS" in told["store"]["advice"]


def test_a_file_that_is_no_database_is_wrong() -> None:
    Path("notes.db").write_text("not a database, " * 100)
    done = run("--json", STATEROOM_STORE="sqlite:///notes.db", SLACK_SIGNING_SECRET="s")
    assert found(done)["store"]["status"] == "wrong"
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("environ", "check"),
    [
        ({"STATEROOM_STORE": "sqlite:///no/such/folder/x.db"}, "store"),
        ({"STATEROOM_STORE": "mysql://x"}, "store"),
        ({"STATEROOM_MODEL": "a:b", "STATEROOM_MODELS": "c:d"}, "model"),
        ({"STATEROOM_CONTENT": "everything"}, "settings"),
        ({"STATEROOM_FEATURES": "threads"}, "settings"),
        ({"SLACK_APP_TOKEN": "xoxb-wrong-place"}, "transport"),
        ({"SLACK_SIGNING_SECRET": ""}, "transport"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_wrong_setting_is_found_with_what_to_do(environ: dict[str, str], check: str) -> None:
    done = run("--json", **{"SLACK_SIGNING_SECRET": "s", "STATEROOM_STORE": "memory://", **environ})
    finding = found(done)[check]
    assert finding["status"] == "wrong"
    assert finding["advice"]
    assert done.exit_code == 1


def test_keys_are_tried_and_never_shown() -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    done = run("--json", STATEROOM_KEYS=f"k7:{key}", SLACK_SIGNING_SECRET="s", STATEROOM_STORE="memory://")
    assert found(done)["keys"]["found"].startswith("k7 seals and opens")
    assert key not in done.output


def test_keys_that_are_none_are_found() -> None:
    assert found(run("--json", STATEROOM_KEYS="k7:short"))["settings"]["status"] == "wrong"
    assert found(run("--json", STATEROOM_STORE="memory://"))["keys"]["status"] == "warning"


@pytest.mark.parametrize(("off", "status"), [(0, "ok"), (-31, "warning"), (60, "warning"), (290, "wrong")])
def test_a_clock_that_is_off_is_noticed(off: int, status: str) -> None:
    import time

    (one,) = clock_skew(time.time() + off)
    assert one.status == status


async def test_workspaces_that_granted_too_little_are_named() -> None:
    environ = {
        "STATEROOM_STORE": "sqlite:///teams.db",
        "STATEROOM_KEYS": f"k:{base64.b64encode(bytes(32)).decode()}",
        "SLACK_CLIENT_ID": "1.2",
        "SLACK_CLIENT_SECRET": "never-shown",
        "SLACK_SIGNING_SECRET": "s",
    }
    async with Store("sqlite:///teams.db", keys=environ["STATEROOM_KEYS"]) as store:
        kept = store.installations(client_id="1.2")
        for team, granted in (("T00000001", ",".join(scopes(LEAST))), ("T00000002", "chat:write,im:history")):
            await kept.save(
                {
                    "team_id": team,
                    "enterprise_id": None,
                    "bot_token": f"xoxb-{team}",
                    "bot_id": "B00000001",
                    "bot_user_id": "UB0000001",
                    "bot_scopes": granted,
                    "user_id": "U00000001",
                    "installed_at": 1_700_000_000.0,
                }
            )
    done = await asyncio.to_thread(run, "--json", **environ)
    lines = [one for one in map(json.loads, done.stdout.splitlines()) if one["check"] == "workspaces"]
    assert [one["status"] for one in lines] == ["ok", "wrong"]
    assert lines[0]["found"] == "2 installed"
    assert lines[1]["found"].startswith("T00000002 has not granted app_mentions:read, channels:history")
    assert not [secret for secret in ("never-shown", "xoxb-T") if secret in done.output]


@pytest.mark.parametrize("more", [{}, {"SLACK_CLIENT_SECRET": "x"}], ids=["no secret", "no keys"])
def test_what_an_install_lacks_is_found(more: dict[str, str]) -> None:
    done = run("--json", SLACK_CLIENT_ID="1.2", SLACK_SIGNING_SECRET="s", STATEROOM_STORE="sqlite:///x.db", **more)
    assert found(done)["installs"]["status"] == "wrong"


def test_granted_scopes_that_slack_does_not_name_are_unknown_not_fine() -> None:
    assert [one.status for one in compare(LEAST, None)] == ["unknown"]
