"""The same store for code that does not await: `with stateroom.sync.open(url) as store`.

Rules of this file: one small face over the async one and no behaviour of its own. Every verb is the async verb, run on
the event loop of a background thread that belongs to one opened store; types, arguments and errors are the async
verb's. Many threads may use one store: their calls run side by side on that loop, so writes share commits. A store
does not outlive a fork: in the child every call is WrongUse, and the child opens its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from stateroom import store as asynchronous
from stateroom.engines import handle, handle_once, handle_transaction
from stateroom.layers import installations, threads
from stateroom.model.errors import WrongUse

if TYPE_CHECKING:
    from stateroom.model.datastore import Datastore as Model
    from stateroom.model.definition import Definition

    M = TypeVar("M", bound=Model)

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_AT_ONCE: Final = 100  # items that an iteration fetches in one trip to the loop


class LoopThread:
    """An event loop in a thread of its own, for one process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stateroom", daemon=True)
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Whether this is the process that began it, and it was not ended."""
        return os.getpid() == self._pid and not self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """What `work` gives or raises. Callable from any thread but the loop's own."""
        if reason := self._refusal():
            work.close()
            raise WrongUse(reason)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # nothing, unless the waiting thread was interrupted

    def end(self) -> None:
        """Stop the loop and its thread; a second time, and in a forked child, nothing."""
        if not self.usable:
            return
        self.run(_cancelled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _refusal(self) -> str:
        if os.getpid() != self._pid:
            return "this store was opened before the fork; open one in each process, after the fork"
        if self._loop.is_closed():
            return "this store is closed; open it again with `with stateroom.sync.open(url) as store`"
        if threading.get_ident() == self._thread.ident:
            return "a function that was handed to the store cannot call the store; use what it is given"
        return ""


class _Face:
    """An object of the async face and the loop that it lives on."""

    def __init__(self, inner: Any, loop: LoopThread) -> None:
        self._inner = inner
        self._loop = loop

    def __repr__(self) -> str:
        return repr(self._inner)

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return self._loop.run(work)


def _waiting(verb: Callable[Concatenate[A, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """The verb that waits for what the async verb gives."""

    @wraps(verb)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self._run(verb(self._inner, *args, **kwargs))
        return result

    return call


def _iterating(verb: Callable[Concatenate[A, P], AsyncIterator[R]]) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """The verb that gives one item after another."""

    @wraps(verb)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        found: Any = verb(self._inner, *args, **kwargs)
        try:
            while some := self._run(_some(found)):
                yield from some
        finally:
            self._run(found.aclose())

    return call


async def _some(found: AsyncIterator[R]) -> list[R]:
    """The next items, few enough that the first is not waited for long; empty at the end."""
    some: list[R] = []
    async for one in found:
        some.append(one)
        if len(some) == _AT_ONCE:
            break
    return some


class Datastore(_Face, Generic[T]):
    """One datastore of one team; see `stateroom.engines.handle.Datastore`."""

    get = _waiting(handle.Datastore[T].get)
    version = _waiting(handle.Datastore[T].version)
    put = _waiting(handle.Datastore[T].put)
    update = _waiting(handle.Datastore[T].update)
    delete = _waiting(handle.Datastore[T].delete)
    restore = _waiting(handle.Datastore[T].restore)
    modify = _waiting(handle.Datastore[T].modify)
    bulk_get = _waiting(handle.Datastore[T].bulk_get)
    bulk_put = _waiting(handle.Datastore[T].bulk_put)
    bulk_delete = _waiting(handle.Datastore[T].bulk_delete)
    query = _waiting(handle.Datastore[T].query)
    count = _waiting(handle.Datastore[T].count)
    changes = _waiting(handle.Datastore[T].changes)
    scan = _iterating(handle.Datastore[T].scan)


class Thread(_Face):
    """A conversation; see `stateroom.layers.threads.Thread`."""

    append = _waiting(threads.Thread.append)
    known = _waiting(threads.Thread.known)
    messages = _waiting(threads.Thread.messages)
    entries = _waiting(threads.Thread.entries)
    count = _waiting(threads.Thread.count)
    first = _waiting(threads.Thread.first)
    tombstone = _waiting(threads.Thread.tombstone)
    erase = _waiting(threads.Thread.erase)


class Threads(_Face):
    """All conversations of a team; see `stateroom.layers.threads.Threads`."""

    list = _waiting(threads.Threads.list)

    def thread(self, channel: str, thread_ts: str) -> Thread:
        """A conversation; it need not exist yet."""
        return Thread(self._inner.thread(channel, thread_ts), self._loop)


class Team(_Face):
    """Everything of one workspace; see `stateroom.store.Team`."""

    @property
    def id(self) -> str:
        """The team's id."""
        return str(self._inner.id)

    def datastore(self, model: type[M], *, idempotency_seconds: float = handle_once.WINDOW) -> Datastore[M]:
        """The datastore of a `sr.Datastore` class; `idempotency_seconds` is how long it remembers idempotency keys."""
        return Datastore(self._inner.datastore(model, idempotency_seconds=idempotency_seconds), self._loop)

    def items(
        self, definition: Definition, *, idempotency_seconds: float = handle_once.WINDOW
    ) -> Datastore[dict[str, Any]]:
        """A datastore by definition, with plain dicts."""
        return Datastore(self._inner.items(definition, idempotency_seconds=idempotency_seconds), self._loop)

    def thread(self, channel: str, thread_ts: str) -> Thread:
        """A conversation; it need not exist yet."""
        return Thread(self._inner.thread(channel, thread_ts), self._loop)

    @property
    def threads(self) -> Threads:
        """All conversations of the team."""
        return Threads(self._inner.threads, self._loop)


class Installations(_Face):
    """Who installed an app, with which tokens; see `stateroom.layers.installations.Installations`."""

    save = _waiting(installations.Installations.save)
    save_bot = _waiting(installations.Installations.save_bot)
    find_bot = _waiting(installations.Installations.find_bot)
    find_installation = _waiting(installations.Installations.find_installation)
    delete_bot = _waiting(installations.Installations.delete_bot)
    delete_installation = _waiting(installations.Installations.delete_installation)
    delete_all = _waiting(installations.Installations.delete_all)
    fresh = _waiting(installations.Installations.fresh)
    state_of = _waiting(installations.Installations.state_of)
    listed = _iterating(installations.Installations.listed)
    people = _waiting(installations.Installations.people)
    places_in = _waiting(installations.Installations.places_in)
    uninstalled = _waiting(installations.Installations.uninstalled)
    revoked = _waiting(installations.Installations.revoked)
    issue_state = _waiting(installations.Installations.issue_state)
    consume_state = _waiting(installations.Installations.consume_state)
    note_member = _waiting(installations.Installations.note_member)
    organisation_of = _waiting(installations.Installations.organisation_of)

    @property
    def client_id(self) -> str:
        """The app's client id; a dash when none was given."""
        return str(self._inner.client_id)


class TransactionItems(_Face, Generic[T]):
    """A datastore inside a transaction: the same verbs by id. What they find and write is checked at the end."""

    get = _waiting(handle_transaction.TransactionItems[T].get)
    put = _waiting(handle_transaction.TransactionItems[T].put)
    update = _waiting(handle_transaction.TransactionItems[T].update)
    delete = _waiting(handle_transaction.TransactionItems[T].delete)


class TransactionTeam(_Face):
    """One workspace inside a transaction: its datastores. Threads need none, see `Thread.append`."""

    @property
    def id(self) -> str:
        """The team's id."""
        return str(self._inner.id)

    def datastore(self, model: type[M]) -> TransactionItems[M]:
        """The datastore of a `sr.Datastore` class, inside the transaction."""
        return TransactionItems(self._inner.datastore(model), self._loop)

    def items(self, definition: Definition) -> TransactionItems[dict[str, Any]]:
        """A datastore by definition, with plain dicts, inside the transaction."""
        return TransactionItems(self._inner.items(definition), self._loop)


class TransactionStore(_Face):
    """What `with store.transaction() as tx` gives: `tx.team(...)` leads to the datastores of one team."""

    def team(self, team: str) -> TransactionTeam:
        """The part of one workspace. A transaction is of one team: WrongUse when a second one is used."""
        return TransactionTeam(self._inner.team(team), self._loop)


class _Block:
    """A transaction's `with` block: what leaves it decides, as in the async one."""

    def __init__(self, block: AbstractAsyncContextManager[asynchronous.TransactionStore], loop: LoopThread) -> None:
        self._block = block
        self._loop = loop

    def __enter__(self) -> TransactionStore:
        return TransactionStore(self._loop.run(_entered(self._block)), self._loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._loop.run(_left(self._block, kind, error, trace))


async def _cancelled() -> None:
    """Let what else runs on the loop go."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


async def _entered(block: AbstractAsyncContextManager[R]) -> R:
    return await block.__aenter__()


async def _left(block: AbstractAsyncContextManager[Any], *raised: Any) -> bool | None:
    return await block.__aexit__(*raised)


class Store(_Face):
    """A store; `with` opens and closes it, and with it the thread that its event loop runs on."""

    def __init__(self, inner: asynchronous.Store) -> None:
        self._inner = inner
        self._held: LoopThread | None = None

    def __enter__(self) -> Store:
        if self._held is not None and self._held.usable:
            raise WrongUse("this store is open already; hand it on instead of opening it twice")
        self._held = LoopThread()
        with ExitStack() as undoing:
            undoing.callback(self._held.end)
            self._held.run(_entered(self._inner))
            undoing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is under way and release everything. A second time, and in a forked child, it does nothing."""
        if self._held is None or not self._held.usable:
            return
        try:
            self._held.run(_left(self._inner, None, None, None))
        finally:
            self._held.end()

    def team(self, team: str) -> Team:
        """The part of one workspace, by its team id."""
        return Team(self._inner.team(team), self._opened())

    def installations(self, *, client_id: str = "", erase_after: float = 0.0) -> Installations:
        """Who installed the app `client_id`, with which tokens; `erase_after`: seconds between uninstall and erase."""
        return Installations(self._inner.installations(client_id=client_id, erase_after=erase_after), self._opened())

    def transaction(self, *, connection: Any = None) -> _Block:
        """Several items of one team, read and written together: `with store.transaction() as tx`.

        `connection` is for the async store alone (WrongUse): this one has a loop of its own.
        """
        if connection is not None:
            raise WrongUse("a transaction of yours can be joined by the async store alone: stateroom.open")
        return _Block(self._inner.transaction(), self._opened())

    def ask(self, work: Callable[[asynchronous.Store], Coroutine[Any, Any, R]]) -> R:
        """What a coroutine function of the async store gives, run on this store's loop."""
        return self._run(work(self._inner))

    migrate = _waiting(asynchronous.Store.migrate)
    everything = _waiting(asynchronous.Store.everything)

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return self._opened().run(work)

    def _opened(self) -> LoopThread:
        if self._held is None:
            raise WrongUse("open the store first: `with stateroom.sync.open(url) as store`")
        return self._held


def _opening(make: Callable[P, asynchronous.Store]) -> Callable[P, Store]:
    @wraps(make)
    def call(*args: P.args, **kwargs: P.kwargs) -> Store:
        return Store(make(*args, **kwargs))

    return call


open = _opening(asynchronous.open)
"""As `stateroom.open`, for a plain `with`."""
