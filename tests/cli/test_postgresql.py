"""The commands over a PostgreSQL server: from an empty database to daily use, by a role that may not make tables."""

import asyncio
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from stateroom.cli import main
from stateroom.engines.postgresql_url import read_url
from stateroom.store import Store
from support.bot import MENTION, bot
from support.local_slack import LocalSlack, eventually, local_slack
from support.postgres import drop_schema, fresh_schema, server

pytestmark = pytest.mark.service
TEAM = "T01234567"
OLD = """
import stateroom as sr

class Poll(sr.Datastore, name="polls"):
    id: str = sr.key()
    title: str
"""
MORE = """
class Vote(sr.Datastore, name="votes"):
    id: str = sr.key()
"""
PLACE = ("C00000001", "1700000000.000100")
NEW = OLD + '    votes: int = 0\n    __indexes__ = [sr.Index("votes")]\n'


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_schema()
    yield found
    drop_schema(found)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"polls_{secrets.token_hex(4)}"
    for suffix, text in (("old", OLD), ("new", NEW), ("more", NEW + MORE)):
        (tmp_path / f"{name}_{suffix}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def run(url: str, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [*arguments, "--store", url])
    assert result.exit_code == code, (arguments, result.output, result.stderr)
    return result


def one_line(result: Result) -> str:
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


def test_an_empty_database_is_migrated_and_then_every_command_works(url: str, module: str) -> None:
    old = ("--definitions", f"{module}_old")
    assert "stateroom migrate" in one_line(run(url, "datastore", "get", "polls", "a", "--team", TEAM, *old, code=1))
    run(url, "migrate", "status", *old, code=1)
    assert "make table polls" in run(url, "migrate", "plan", *old).stdout
    assert "make table polls" in run(url, "migrate", "apply", *old).stdout
    run(url, "migrate", "status", *old)
    assert "nothing was to do" in run(url, "migrate", "apply", *old).stdout
    item = json.dumps({"id": "a", "title": "lunch"})
    run(url, "datastore", "put", "polls", item, "--team", TEAM, *old)
    assert "lunch" in run(url, "datastore", "get", "polls", "a", "--team", TEAM, *old).stdout
    assert "lunch" in run(url, "datastore", "query", "polls", "--team", TEAM, "--json", *old).stdout
    for command in (("threads", "export"), ("turns", "list"), ("sweep",)):
        run(url, *command)
    new = ("--definitions", f"{module}_new")
    assert "stateroom migrate" in one_line(run(url, "datastore", "get", "polls", "a", "--team", TEAM, *new, code=1))
    assert "make index votes of polls" in run(url, "migrate", "plan", *new).stdout
    run(url, "migrate", "apply", *new)
    run(url, "datastore", "put", "polls", json.dumps({"id": "b", "title": "x", "votes": 3}), "--team", TEAM, *new)
    assert "lunch" in run(url, "datastore", "get", "polls", "a", "--team", TEAM, *old).stdout


@contextmanager
def role(script: str, admin: str) -> Iterator[str]:
    """A role that the script was run for (%s in it), and the store's URL for it."""
    name = f"role_{secrets.token_hex(4)}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        connection.execute(script.replace("ROLE", name))
    try:
        yield re.sub(r"//[^/@]*@", f"//{quote(name)}:secret@", admin)
    finally:
        with psycopg.connect(server(), autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


def raw(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(read_url(url).conninfo, autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


@pytest.fixture
def migrated(url: str, module: str) -> tuple[str, ...]:
    old = ("--definitions", f"{module}_old")
    run(url, "migrate", "apply", *old)
    return old


def put(url: str, key: str, team: str, *given: str, code: int = 0) -> Result:
    return run(
        url, "datastore", "put", "polls", json.dumps({"id": key, "title": "lunch"}), "--team", team, *given, code=code
    )


def test_the_role_of_the_app_reads_and_writes_rows_and_changes_no_table(
    url: str, module: str, migrated: tuple[str, ...]
) -> None:
    schema = f'"{read_url(url).schema}"'
    with role(run(url, "migrate", "grants", "--role", "ROLE").stdout.replace('"ROLE"', "ROLE"), url) as theirs:
        put(theirs, "a", TEAM, *migrated)
        assert "lunch" in run(theirs, "datastore", "get", "polls", "a", "--team", TEAM, *migrated).stdout
        run(theirs, "sweep")
        said = one_line(run(theirs, "migrate", "apply", "--definitions", f"{module}_new", code=1))
        assert "lacks a right" in said
        assert "secret" not in said
        for statement in (
            f"CREATE TABLE {schema}.mine (x int)",
            f"ALTER TABLE {schema}.items_polls ADD COLUMN x int",
            f"CREATE INDEX ON {schema}.items_polls (version)",
            f"DROP TABLE {schema}.items_polls",
            f"TRUNCATE {schema}.items_polls",
            f"UPDATE {schema}.sr_meta SET value = '9'",
            f"DELETE FROM {schema}.sr_tables",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                raw(theirs, statement)
        run(url, "migrate", "apply", "--definitions", f"{module}_new")
        new = ("--definitions", f"{module}_new")
        run(url, "migrate", "apply", "--definitions", f"{module}_more")
        put(theirs, "b", TEAM, *new)
        more = ("--definitions", f"{module}_more")
        run(theirs, "datastore", "put", "votes", '{"id": "v"}', "--team", TEAM, *more)  # a table that was made since


def test_the_role_of_the_app_runs_the_bot(url: str, migrated: tuple[str, ...]) -> None:
    async def ask(theirs: str, slack: LocalSlack) -> None:
        async with bot(slack, theirs):
            ts = slack.say(f"{MENTION} hello")
            await eventually(lambda: [m for m in slack.replies(ts) if not m.get("streaming")], 20)

    script = run(url, "migrate", "grants", "--role", "ROLE").stdout.replace('"ROLE"', "ROLE")
    with role(script, url) as theirs, local_slack() as slack:
        asyncio.run(ask(theirs, slack))


def test_a_reader_of_one_team_sees_its_rows_and_no_others_whatever_it_asks(url: str, migrated: tuple[str, ...]) -> None:
    schema, other = f'"{read_url(url).schema}"', "T09999999"

    async def talk() -> None:
        async with Store(url) as store:
            for team in (TEAM, other):
                await store.team(team).thread(*PLACE).append([{"kind": "request", "parts": []}], turn_id="t")

    asyncio.run(talk())
    for team in (TEAM, other):
        put(url, "a", team, *migrated)
    script = run(url, "migrate", "grants", "--role", "ROLE", "--team", TEAM).stdout.replace('"ROLE"', "ROLE")
    with role(script, url) as theirs:
        assert "lunch" in run(theirs, "datastore", "get", "polls", "a", "--team", TEAM, *migrated).stdout
        run(theirs, "datastore", "get", "polls", "a", "--team", other, *migrated, code=1)
        assert raw(theirs, f"SELECT DISTINCT team FROM {schema}.items_polls") == [(TEAM,)]
        assert raw(theirs, f"SELECT count(*) FROM {schema}.log_sr_entries") == [(1,)]
        assert raw(theirs, f"SELECT DISTINCT team FROM {schema}.streams_sr_entries") == [(TEAM,)]
        assert raw(url, f"SELECT count(*) FROM {schema}.log_sr_entries") == [(2,)]
        assert "lacks a right" in one_line(put(theirs, "b", TEAM, *migrated, code=1))
        with role(run(url, "migrate", "grants", "--role", "ROLE").stdout.replace('"ROLE"', "ROLE"), url) as app:
            put(app, "b", other, *migrated)  # whoever is no such reader is as before
            assert raw(app, f"SELECT count(*) FROM {schema}.items_polls") == [(3,)]
        raw(url, script.replace("ROLE", str(read_role(theirs))))  # again


def read_role(url: str) -> object:
    return conninfo_to_dict(read_url(url).conninfo)["user"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("timeout=abc", "?timeout= takes seconds"),
        ("timeout=nan", "?timeout= takes seconds"),
        ("timeout=-1", "?timeout= takes seconds"),
        ("connect_timeout=soon", "?connect_timeout= takes whole seconds"),
        ("schema=pg_mine", "which are the server's"),
        ("pooler=yes", "?pooler="),
        ("nothing=1", "its options are"),
    ],
)
def test_an_option_of_the_url_that_is_wrong_is_named(options: str, words: str) -> None:
    said = one_line(run(f"postgresql://u:hunter2@127.0.0.1:1/db?{options}", "threads", "export", code=2))
    assert words in said
    assert "hunter2" not in said


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    said = one_line(run("postgresql://u:hunter2@127.0.0.1:1/db", "threads", "export", code=1))
    assert "cannot be reached" in said
    assert "hunter2" not in said
