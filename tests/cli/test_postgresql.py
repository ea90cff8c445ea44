"""The commands over a PostgreSQL server: from an empty database to daily use, by a role that may not make tables."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.engines.postgresql_url import read_url
from support.postgres import drop_schema, fresh_schema, server

pytestmark = pytest.mark.service
PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
TEAM = "T01234567"
OLD = """
import stateroom as sr

class Poll(sr.Datastore, name="polls"):
    id: str = sr.key()
    title: str
"""
NEW = OLD + '    votes: int = 0\n    __indexes__ = [sr.Index("votes")]\n'


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_schema()
    yield found
    drop_schema(found)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"polls_{secrets.token_hex(4)}"
    for suffix, text in (("old", OLD), ("new", NEW)):
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


def test_the_role_of_the_app_needs_no_more_than_the_page_says(url: str, module: str) -> None:
    old = ("--definitions", f"{module}_old")
    run(url, "migrate", "apply", *old)
    schema, role = read_url(url).schema, f"app_{secrets.token_hex(4)}"
    flat = " ".join(PAGE.split())
    grants = [re.sub(r"\bstateroom\b", f'"{schema}"', g) for g in re.findall(r"`(GRANT [^`]+)`", flat)]
    assert len(grants) == 3
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        for grant in grants:
            connection.execute(f"{grant} TO {role}")
    try:
        theirs = re.sub(r"//[^/@]*@", f"//{quote(role)}:secret@", url)
        assert theirs != url
        item = json.dumps({"id": "a", "title": "lunch"})
        run(theirs, "datastore", "put", "polls", item, "--team", TEAM, *old)
        assert "lunch" in run(theirs, "datastore", "get", "polls", "a", "--team", TEAM, *old).stdout
        run(theirs, "sweep")
        said = one_line(run(theirs, "migrate", "apply", "--definitions", f"{module}_new", code=1))
        assert "lacks a right" in said
        assert "secret" not in said
    finally:
        with psycopg.connect(server(), autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    said = one_line(run("postgresql://u:hunter2@127.0.0.1:1/db", "threads", "export", code=1))
    assert "cannot be reached" in said
    assert "hunter2" not in said
