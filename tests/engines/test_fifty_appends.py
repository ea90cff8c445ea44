"""Fifty appends at once to one thread, from five processes: all are kept, on each engine that processes may share."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from stateroom.store import Store
from stateroom.store import open as opened
from support import appending_worker, objects
from support.appending_worker import CHANNEL, TEAM, TS
from support.dynamodb import credentials, drop_table, fresh_table
from support.pgbouncer import CannotStart, pooled
from support.postgres import migrated

pytestmark = pytest.mark.service
PROCESSES, EACH = 5, 10
ENGINES = ("sqlite", "postgresql", "pooled", "dynamodb", "file", *objects.SERVERS, "mixed")


class Place(NamedTuple):
    """A store's URL, and that of its conversations where they are apart."""

    url: str
    threads: str = ""


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind = request.param
    with ExitStack() as ends:
        if kind == "sqlite":
            yield Place(f"sqlite:///{tmp_path}/store.db")
        elif kind == "file":
            yield Place(f"file://{tmp_path}/objects")
        elif kind in objects.SERVERS:
            yield Place(objects.fresh(kind))
        elif kind == "dynamodb":
            url = fresh_table()
            ends.callback(drop_table, url)
            asyncio.run(migrate(url))
            yield Place(url)
        else:
            url = ends.enter_context(migrated())
            try:
                yield Place(pooled(url) if kind == "pooled" else url, objects.fresh("seaweedfs") * (kind == "mixed"))
            except CannotStart as error:
                request.getfixturevalue("cannot_start")(str(error))


async def migrate(url: str) -> None:
    async with Store(url, migrating=True) as store:
        await store.migrate([], apply=True)


class Workers:
    """Processes that begin together."""

    def __init__(self) -> None:
        command = [sys.executable, appending_worker.__file__]
        self._children = [
            subprocess.Popen(
                [*command, f"p{number}", str(EACH)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                text=True,
            )
            for number in range(PROCESSES)
        ]

    def _say(self, line: str) -> None:
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(f"{line}\n")
            child.stdin.flush()

    def _heard(self) -> list[str]:
        return [child.stdout.readline() for child in self._children if child.stdout is not None]

    def append(self, place: Place) -> list[int]:
        """The numbers that they were given."""
        self._say(json.dumps(place))
        assert self._heard() == ["ready\n"] * PROCESSES
        self._say("go")
        return [number for line in self._heard() for number in json.loads(line)]

    def kill(self) -> None:
        for child in self._children:
            child.kill()
            child.communicate()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    credentials()  # before they get our environment
    objects.credentials()
    found = Workers()
    yield found
    found.kill()


def test_fifty_appends_at_once_from_several_processes_are_all_kept(workers: Workers, place: Place) -> None:
    async def read() -> list[str]:
        async with opened(place.url, threads=place.threads or None) as store:
            found = await store.team(TEAM).thread(CHANNEL, TS).messages()
            assert found.entries == PROCESSES * EACH
            return [part["content"] for message in found.messages for part in message["parts"]]

    assert sorted(workers.append(place)) == list(range(1, PROCESSES * EACH + 1))
    kept = asyncio.run(read())
    assert sorted(kept) == sorted(f"p{process}-{number}" for process in range(PROCESSES) for number in range(EACH))
