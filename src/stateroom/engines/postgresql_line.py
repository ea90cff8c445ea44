"""A connection that sends prepared statements by a short way: no cursor, no query object, all of a group at once.

Rules of this file: libpq does the protocol and psycopg the waiting, the errors and the values of rows. Values go as
text of no type, as the server infers it from the statement, so a statement is prepared once whatever it is given. A
value that is not in the table of kinds, or a statement past the limit of those that are kept, goes psycopg's long way,
which means the same. Who uses one has it alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors, generators
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

KEPT: Final = 500  # statements that are prepared by one connection
_READ: Final = 1  # of the two things that psycopg's waiting waits for
_BOTH: Final = 3
_MARK: Final = re.compile("%[s%]")

Statement = tuple[str, Sequence[Any]]
Values = list["bytes | None"]


class Line(AsyncConnection[Any]):
    """A connection of ours: `ask` and `ask_all` beside all that psycopg's has."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._kept: dict[str, tuple[bytes, Any]] = {}
        self._named = 0  # also those whose preparing was stopped half-way: the server may have them

    @property
    def usable(self) -> bool:
        """Whether it is not closed; said by psycopg, too, but more slowly."""
        return bool(self.pgconn.status == ConnStatus.OK)

    def forget(self) -> None:
        """The server has no prepared statement any more: psycopg lets all go behind a ROLLBACK, DROP or ALTER."""
        self._kept.clear()

    def hang_up(self) -> None:
        """End what is under way, without a word to the server, which may not hear it. The descriptor stays taken."""
        if self.usable:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.pgconn.socket)) as same:
                same.shutdown(socket.SHUT_RDWR)

    async def ask(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement."""
        try:
            return await self._ask(statement, values)
        except errors.InvalidSqlStatementName:  # so it was not done
            self.forget()
            return await self._ask(statement, values)

    async def _ask(self, statement: str, values: Sequence[Any]) -> list[Any]:
        texts = _texts(values)
        kept = self._kept.get(statement)
        if kept is None or texts is None:
            kept = await self._keep(statement) if texts is not None else None
            if kept is None or texts is None:
                return await (await self.execute(statement, values)).fetchall()
        self.pgconn.send_query_prepared(kept[0], texts)
        (result,) = await self.wait(generators.execute(self.pgconn))
        return self._rows(statement, result)

    async def ask_all(self, begin: Sequence[str], asked: Sequence[Statement], end: str) -> list[list[Any]]:
        """The rows of each of several statements in one round trip, between `begin` and `end`, which have none."""
        texts = [_texts(values) for _, values in asked]
        names = [self._kept.get(sql) or await self._keep(sql) for sql, _ in asked]
        if None in texts or None in names:
            return await self._slowly(begin, asked, end)
        pgconn = self.pgconn
        pgconn.enter_pipeline_mode()
        try:
            for statement in begin:
                pgconn.send_query_params(statement.encode(), None)
            for kept, given in zip(names, texts, strict=True):
                assert kept is not None
                pgconn.send_query_prepared(kept[0], given)
            pgconn.send_query_params(end.encode(), None)
            pgconn.pipeline_sync()
            results = await self.wait(_answers(self, len(begin) + len(asked) + 1))
            pgconn.exit_pipeline_mode()
        except BaseException:
            pgconn.finish()  # nobody knows how far it has come
            raise
        for result in results:
            _check(self, result)
        mine = results[len(begin) : -1]
        return [self._rows(sql, result) for (sql, _), result in zip(asked, mine, strict=True)]

    async def _slowly(self, begin: Sequence[str], asked: Sequence[Statement], end: str) -> list[list[Any]]:
        async with self.pipeline():
            for statement in begin:
                await self.execute(statement)
            cursors = [await self.execute(sql, values) for sql, values in asked]
            await self.execute(end)
        return [await cursor.fetchall() for cursor in cursors]

    async def _keep(self, statement: str) -> tuple[bytes, Any] | None:
        """Prepare it; None where that is not done here."""
        if self.prepare_threshold is None or len(self._kept) >= KEPT:
            return None
        self._named += 1
        name = b"stateroom_%d" % self._named
        self.pgconn.send_prepare(name, _numbered(statement).encode())
        (result,) = await self.wait(generators.execute(self.pgconn))
        _check(self, result)
        self._kept[statement] = kept = (name, None)
        return kept

    def _rows(self, statement: str, result: PGresult) -> list[Any]:
        _check(self, result)
        if not result.nfields:
            return []
        name, transformer = self._kept[statement]
        if transformer is None:
            transformer = Transformer(self)
            transformer.set_pgresult(result)
            self._kept[statement] = (name, transformer)
        else:
            transformer.set_pgresult(result, set_loaders=False)
        rows: list[Any] = transformer.load_rows(0, result.ntuples, tuple)
        return rows


def _check(line: Line, result: PGresult) -> None:
    """Raise what the server says is wrong."""
    status = result.status
    if status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return
    if status == ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(result, encoding=line.info.encoding)
    raise errors.InternalError("the server answered with neither rows nor an error")


def _answers(line: Line, count: int) -> Generator[Any, Any, list[PGresult]]:
    """Send what is waiting to be sent, and read one result for each statement and the end."""
    pgconn = line.pgconn
    while pgconn.flush():
        if (yield _BOTH) & _READ:
            pgconn.consume_input()  # else both would wait for the other to read
    found: list[PGresult] = []
    for _ in range(count):
        found += yield from generators.fetch_many(pgconn)
    yield from generators.fetch_many(pgconn)  # the end of the group
    return found


def _numbered(statement: str) -> str:
    """The statement with the server's own marks for values."""
    number = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] == "%%":
            return "%"
        number += 1
        return f"${number}"

    return _MARK.sub(mark, statement)


def _texts(values: Sequence[Any]) -> Values | None:
    """The values as the server reads them; None where one is of another kind."""
    try:
        return [_TEXTS[type(value)](value) for value in values]
    except KeyError:
        return None


def _str(value: str) -> bytes:
    if "\0" in value:
        raise psycopg.DataError("PostgreSQL keeps no text with a NUL in it")
    return value.encode()


def _list(values: Sequence[Any]) -> bytes:
    """An array of texts or numbers, some of which may be missing."""
    return b"{" + b",".join([_IN_LISTS[type(value)](value) for value in values]) + b"}"


def _quoted(value: str) -> bytes:
    return b'"' + _str(value).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _int(value: int) -> bytes:
    return b"%d" % value


def _float(value: float) -> bytes:
    return repr(value).encode()


_TEXTS: Final[Mapping[type, Callable[[Any], bytes | None]]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: lambda value: b"t" if value else b"f",
    type(None): lambda _: None,
    list: _list,
}
_IN_LISTS: Final[Mapping[type, Callable[[Any], bytes]]] = {
    str: _quoted,
    int: _int,
    float: _float,
    type(None): lambda _: b"NULL",
}
