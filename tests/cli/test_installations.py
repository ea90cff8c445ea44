"""`stateroom installations`: what is shown, and what is taken over from slack_sdk's tables and a DynamoDB table."""

import asyncio
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore
from slack_sdk.oauth.installation_store.sqlite3 import SQLite3InstallationStore

from stateroom.cli import main
from stateroom.store import Store
from support.installations import CLIENT, KEYS, KEYS_TEXT, ORG, TEAM, installation

pytestmark = pytest.mark.service


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = f"sqlite:///{tmp_path}/state.db"
    for name in [name for name in os.environ if name.startswith(("STATEROOM_", "SLACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STATEROOM_STORE", found)
    monkeypatch.setenv("STATEROOM_KEYS", KEYS_TEXT)
    monkeypatch.chdir(tmp_path)
    return found


def run(*args: str) -> Result:
    result = CliRunner().invoke(main, ["installations", *args])
    assert not re.search(r"xox[bpe]-\w", result.output)
    return result


def taken(*args: str, exit_code: int = 0) -> dict[str, Any]:
    result = run("import", *args, "--json")
    assert result.exit_code == exit_code, result.output
    return dict(json.loads(result.stdout))


def kept_bot(url: str, enterprise_id: str | None = None, team_id: str | None = TEAM) -> dict[str, Any] | None:
    async def find() -> dict[str, Any] | None:
        async with Store(url, keys=KEYS) as store:
            return await store.installations(client_id=CLIENT).find_bot(enterprise_id=enterprise_id, team_id=team_id)

    return asyncio.run(find())


def save(url: str, *installations: dict[str, Any]) -> None:
    async def store_all() -> None:
        async with Store(url, keys=KEYS) as store:
            for one in installations:
                await store.installations(client_id=CLIENT).save(one)

    asyncio.run(store_all())


def test_list_and_show_tell_everything_but_a_token(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save(url, installation(1, user_token="xoxp-1"), installation(2, user_id="U00000002"))
    monkeypatch.delenv("STATEROOM_KEYS")  # to look needs no keys
    (line,) = run("list", "--json").stdout.splitlines()
    assert json.loads(line)["state"] == "INSTALLED"
    assert TEAM in run("list").stdout
    shown = json.loads(run("show", TEAM, "--json").stdout)
    assert [one["user_id"] for one in shown["people"]] == ["U00000002", "U00000001"]
    assert "U00000001" in run("show", TEAM).stdout
    assert run("show", "T99999999").exit_code == 1
    assert run("show", "nonsense").exit_code == 2


SDK: dict[str, Any] = {
    "app_id": "A00000001",
    "team_id": TEAM,
    "bot_id": "B00000001",
    "bot_user_id": "U0000B0T1",
    "bot_scopes": ["chat:write"],
    "user_id": "U00000001",
}


def sdk_installations() -> list[Installation]:
    """Two people of a workspace, a person without a bot, and an organisation."""
    return [
        Installation(**SDK, bot_token="xoxb-1", user_token="xoxp-1", installed_at=1.7e9),
        Installation(**{**SDK, "user_id": "U00000002"}, bot_token="xoxb-2", installed_at=1.7e9 + 10),
        Installation(app_id="A1", team_id=TEAM, user_id="U00000003", user_token="xoxp-3", installed_at=1.7e9 + 20),
        Installation(
            **{**SDK, "team_id": None},
            enterprise_id=ORG,
            is_enterprise_install=True,
            bot_token="xoxe.xoxb-4",
            bot_refresh_token="xoxe-1-4",
            bot_token_expires_at=1_900_000_000,
            installed_at=1.7e9,
        ),
    ]


@pytest.mark.parametrize("kind", ["sqlalchemy", "sqlite3"])
def test_slack_sdks_tables_are_taken_over_and_again_changes_nothing(url: str, tmp_path: Path, kind: str) -> None:
    source = f"sqlite:///{tmp_path}/{kind}.db"
    if kind == "sqlalchemy":
        engine = sqlalchemy.create_engine(source)
        store = SQLAlchemyInstallationStore(client_id=CLIENT, engine=engine)
        store.create_tables()
    else:
        store = SQLite3InstallationStore(database=str(tmp_path / f"{kind}.db"), client_id=CLIENT)
    for one in sdk_installations():
        store.save(one)
    if kind == "sqlalchemy":  # an exchanged token stands in the bots' table alone
        bot = {name: value for name, value in SDK.items() if name != "user_id"}
        store.save_bot(Bot(**bot, bot_token="xoxb-5", installed_at=1.7e9 + 10))
        engine.dispose()

    assert taken("--from", source, "--dry-run")["imported"] == 6
    assert kept_bot(url) is None
    first = taken("--from", source)
    assert (first["imported"], first["there"], first["bad"]) == (6, 0, 0)
    assert (kept_bot(url) or {})["bot_token"] == ("xoxb-5" if kind == "sqlalchemy" else "xoxb-2")
    organisation = kept_bot(url, ORG, None) or {}
    assert (organisation["bot_refresh_token"], organisation["bot_token_expires_at"]) == ("xoxe-1-4", 1_900_000_000)

    save(url, installation(100_000_000, bot_token="xoxb-9"))  # since then it was installed here
    again = taken("--from", source)
    assert (again["imported"], again["there"]) == (0, 6)
    assert (kept_bot(url) or {})["bot_token"] == "xoxb-9"


def test_rows_that_are_no_installations_are_told_and_hold_up_no_other(url: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.db"
    store = SQLite3InstallationStore(database=str(file), client_id=CLIENT)
    for one in sdk_installations()[:2]:
        store.save(one)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("update slack_installations set bot_token = 'xoxp-not-a-bots' where id = 1")
        connection.execute("update slack_bots set team_id = 'nowhere' where id = 1")
    done = taken("--from", f"sqlite:///{file}", exit_code=1)
    assert done["imported"] == 2
    reasons = {one["row"]: one["reason"] for one in done["rejects"]}
    assert "bot_token" in reasons["slack_installations 1"]
    assert "team_id" in reasons["slack_bots 1"]


def test_a_row_is_counted_once_though_a_person_and_a_bot_come_of_it(url: str, tmp_path: Path) -> None:
    file = tmp_path / "one.db"
    store = SQLite3InstallationStore(database=str(file), client_id=CLIENT)
    store.save(sdk_installations()[0])
    store.save(sdk_installations()[0])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("delete from slack_bots")
    source = f"sqlite:///{file}"
    figures = [taken("--from", source, *more) for more in (("--dry-run",), (), ())]
    assert [(one["imported"], one["there"], one["older"]) for one in figures] == [(1, 0, 1), (1, 0, 1), (0, 1, 1)]
    assert (kept_bot(url) or {})["bot_token"] == "xoxb-1"


def test_only_one_apps_rows_may_be_taken(url: str, tmp_path: Path) -> None:
    file = tmp_path / "two.db"
    for client in (CLIENT, "2.2"):
        SQLite3InstallationStore(database=str(file), client_id=client).save(sdk_installations()[0])
    assert taken("--from", f"sqlite:///{file}", "--client-id", CLIENT)["imported"] == 2
    assert taken("--from", f"sqlite:///{file}")["imported"] == 2


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A table as seed 002 designs it; gives its endpoint."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("dynamodb", region_name="eu-central-1", endpoint_url=endpoint)
    client.create_table(
        TableName="slack-workspace-tokens",
        KeySchema=[{"AttributeName": "team_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "team_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    rows = [
        {"team_id": TEAM, "bot_token": "xoxb-d", "installation_timestamp": 1_700_000_000, "scope": "chat:write"},
        {"team_id": "T1", "bot_token": "xoxb-short", "installation_timestamp": 1_700_000_000},
        {"team_id": "T00000009", "bot_token": "xoxp-user", "installation_timestamp": 1_700_000_000},
    ]
    for row in rows:
        item = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in row.items()}
        client.put_item(TableName="slack-workspace-tokens", Item=item)
    yield f"dynamodb://eu-central-1/slack-workspace-tokens?endpoint={endpoint}"
    server.stop()


def test_a_dynamodb_table_of_tokens_is_taken_over(url: str, dynamodb: str) -> None:
    assert run("import", "--from", dynamodb).exit_code == 2  # whose tokens they are it does not say
    done = taken("--from", dynamodb, "--client-id", CLIENT, exit_code=1)
    assert (done["imported"], done["bad"]) == (1, 2)
    bot = kept_bot(url) or {}
    assert (bot["bot_token"], bot["installed_at"], bot["bot_scopes"]) == ("xoxb-d", 1_700_000_000, "chat:write")
    assert taken("--from", dynamodb, "--client-id", CLIENT, exit_code=1)["there"] == 1


@pytest.mark.parametrize(
    ("source", "exit_code"), [("sqlite:///none.db", 1), ("nonsense", 2), ("nonsense://x", 2), ("dynamodb://", 2)]
)
def test_a_source_that_is_none_is_said(url: str, source: str, exit_code: int) -> None:
    assert run("import", "--from", source, "--client-id", CLIENT).exit_code == exit_code


def test_without_keys_nothing_is_taken_over(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATEROOM_KEYS")
    result = run("import", "--from", "sqlite:///any.db")
    assert result.exit_code == 2
    assert "STATEROOM_KEYS" in result.stderr
