"""The port inside of a transaction that belongs to the caller: on their connection, between what they do there.

Rules of this file: commit and rollback are theirs. Each call is under a savepoint of its own, so one that is refused
leaves their transaction as it was. What they have set on the connection (row and cursor factories, autocommit) is left
alone and made no use of. Our calls take turns; theirs and ours at the same time are for them to avoid. Nothing that
fails here was applied, since nothing here commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import AsyncConnection, AsyncCursor, errors
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from stateroom.engines.port import Capabilities, Write, Written
from stateroom.engines.postgresql_batch import Conflict
from stateroom.engines.postgresql_errors import translate
from stateroom.engines.postgresql_lines import Asks, Frame
from stateroom.engines.postgresql_lone import Lone
from stateroom.engines.postgresql_tables import Layout
from stateroom.engines.postgresql_verbs import Verbs
from stateroom.model.errors import TransactionConflict, WrongUse

# Two connections lead to one database when they agree on this. A server's start tells it from its replicas.
SERVER: Final = "SELECT current_database(), pg_postmaster_start_time()::text"
_ISOLATION: Final = "SELECT current_setting('transaction_isolation')"
_BEGIN: Final = "SAVEPOINT _stateroom"
_END: Final = "RELEASE SAVEPOINT _stateroom"
_UNDO: Final = "ROLLBACK TO SAVEPOINT _stateroom"


class _Borrowed:
    """The caller's connection, with rows as tuples."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.connection = connection

    async def execute(self, query: str, params: Sequence[Any] | None = None) -> AsyncCursor[Any]:
        return await AsyncCursor(self.connection, row_factory=tuple_row).execute(query, params)

    def pipeline(self) -> AbstractAsyncContextManager[Any]:
        return self.connection.pipeline()


async def _undo(borrowed: _Borrowed) -> None:
    """As before the savepoint; a connection that is gone has undone everything."""
    if borrowed.connection.closed or borrowed.connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        await borrowed.execute(_UNDO)
        await borrowed.execute(_END)
    except psycopg.Error:
        pass  # there was no savepoint yet: what made it fail is told, and their transaction has failed


class Store(NamedTuple):
    """What a store hands to the transactions that join it."""

    schema: str
    place: str
    clock: Callable[[], float]
    capabilities: Capabilities
    layouts: Mapping[str, Layout]
    apply: Callable[..., Awaitable[list[str]]]


class Joined(Verbs):
    """A store as the transaction on `connection` sees it, until it is closed. `apply` is the store's own."""

    _frame = Frame(_BEGIN, _END, _undo, commits=False)

    def __init__(self, connection: Any, store: Store) -> None:
        super().__init__(store.schema, store.place, store.clock)
        self.capabilities = store.capabilities
        self.apply = store.apply
        self._layouts = dict(store.layouts)
        self._borrowed = _Borrowed(connection)
        self._turn = asyncio.Lock()
        self._isolation = ""

    async def check(self, mine: list[Any]) -> None:
        """WrongUse for a connection that cannot be used or leads elsewhere: where SERVER does not give `mine`."""
        if not isinstance(self._borrowed.connection, AsyncConnection):
            raise WrongUse("transaction(connection=) takes an AsyncConnection of psycopg 3 that is in a transaction")
        if await self._fetch(SERVER, ()) != mine:
            raise WrongUse("the connection is to another database than the store; open both by one address")
        self._isolation = (await self._fetch(_ISOLATION, ()))[0][0]

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        """No more calls; the transaction goes on."""
        self._layouts = None

    # How statements reach the server.

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Asks]:
        async with self._turn:
            _check_state(self._borrowed.connection)
            yield self._borrowed

    async def _fetch(self, statement: str, values: Sequence[Any]) -> list[Any]:
        try:
            async with self._lent():
                return await self._saved(statement, values)
        except psycopg.Error as error:
            raise translate(error, self._place) from error

    async def _alone(self, lone: Lone) -> Written | None:
        try:
            async with self._lent():
                found = await self._saved(lone.sql, lone.values)
        except (errors.UniqueViolation, errors.ProgramLimitExceeded):
            return None
        except (errors.SerializationFailure, errors.DeadlockDetected):
            raise TransactionConflict(f"{lone.key[0]}/{lone.key[-1]}") from None
        except psycopg.Error as error:
            raise translate(error, self._place) from error
        return lone.read(found[0]) if found else None

    async def _saved(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement under a savepoint, in one round trip."""
        ended = False
        try:
            async with self._borrowed.pipeline():
                await self._borrowed.execute(_BEGIN)
                cursor = await self._borrowed.execute(statement, values)
                await self._borrowed.execute(_END)
            ended = True
            return await cursor.fetchall()
        finally:
            if not ended:
                await _undo(self._borrowed)

    def _check_again(self, conflict: Conflict, writes: Sequence[Write]) -> None:
        """A transaction that keeps its snapshot never sees what came between; of a deadlock it keeps its locks."""
        dead = isinstance(conflict.__cause__, (errors.SerializationFailure, errors.DeadlockDetected))
        if dead or self._isolation != "read committed":
            first = writes[0]
            raise TransactionConflict(f"{first.table}/{getattr(first, 'id', getattr(first, 'stream', ''))}") from None

    def _ready(self) -> dict[str, Layout]:
        if self._layouts is None:
            raise WrongUse("this transaction block is over; use the store inside of its `async with`")
        return self._layouts


def _check_state(connection: AsyncConnection[Any]) -> None:
    """WrongUse unless the connection is in a transaction that can go on, or begins one by itself."""
    status = connection.info.transaction_status
    if connection.closed:
        raise WrongUse("the connection is closed; what was written in its transaction is gone with it")
    if status == TransactionStatus.INERROR:
        raise WrongUse("the connection's transaction has failed: roll it back, and run the block again in a new one")
    if status == TransactionStatus.ACTIVE or connection.info.pipeline_status != PipelineStatus.OFF:
        raise WrongUse("the connection is busy with a statement or a pipeline of yours; let it end first")
    if status == TransactionStatus.IDLE and connection.autocommit:
        raise WrongUse("the connection is in no transaction: put the block into `async with connection.transaction()`")
