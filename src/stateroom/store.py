"""`open(url)`, `Store`, `Team`: hands out datastores, threads and the other layers for one team.

Rules of this file: it chooses the engine from the URL and nothing else; engines are imported when their URL is used,
so `import stateroom` loads no client library. Embedded engines make their tables on first use; servers never do
(invariant 9).
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload
from urllib.parse import urlsplit

from stateroom.engines import handle_once, leases
from stateroom.engines.handle import Datastore, table_of, tables_of
from stateroom.engines.handle_surroundings import Surroundings
from stateroom.engines.handle_transaction import Transaction, TransactionItems
from stateroom.engines.port import Engine, Hosted, Table
from stateroom.engines.steps import fitting
from stateroom.model.content import FULL, Content
from stateroom.model.definition import Definition
from stateroom.model.errors import MigrationNeeded, Unsupported, WrongUse
from stateroom.model.ids import check_id
from stateroom.model.profiles import check_profile
from stateroom.model.sealing import Keyring

if TYPE_CHECKING:
    from stateroom.engines.port import Joining
    from stateroom.layers.installations import Installations
    from stateroom.layers.keys import DataKeys, KeyService
    from stateroom.layers.threads import Thread, Threads
    from stateroom.model.datastore import Datastore as Model

    M = TypeVar("M", bound=Model)

DEFAULT_URL = "sqlite:///stateroom.db"
_OBJECTS = {"s3", "gs", "az", "file"}


def engine_of(url: str, clock: Callable[[], float], slack_token: str | None = None) -> Engine:
    """The engine for `url`: memory://, sqlite:///relative.db, sqlite:////absolute.db, postgresql://, dynamodb://,
    file:///folder, s3://, gs://, az://bucket/prefix, slack:// (with `slack_token`, or the environment's).
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        from stateroom.engines.memory import MemoryEngine

        return MemoryEngine(clock)
    if parts.scheme == "sqlite":
        from stateroom.engines.sqlite import SqliteEngine

        if parts.netloc or not parts.path.strip("/"):
            raise WrongUse("give a path: sqlite:///relative.db has three slashes, sqlite:////absolute.db has four")
        return SqliteEngine(parts.path[1:], clock)
    if parts.scheme in ("postgresql", "postgres"):
        from stateroom.engines.postgresql import PostgresEngine

        return PostgresEngine(url, clock)
    if parts.scheme == "dynamodb":
        from stateroom.engines.dynamodb import DynamoEngine

        return DynamoEngine(url, clock)
    if parts.scheme == "slack":
        from stateroom.engines.slack_hosted import SlackHostedEngine

        known = slack_token or os.environ.get("SLACK_SERVICE_TOKEN") or os.environ.get("SLACK_BOT_TOKEN")
        return SlackHostedEngine(url, clock, known)
    if parts.scheme in _OBJECTS:
        from stateroom.engines.objects import ObjectsEngine

        return ObjectsEngine(url, clock)
    raise WrongUse(
        "a store URL begins with memory://, sqlite:///, postgresql://, dynamodb://, file:///, s3://, gs://, az:// "
        "or slack://"
    )


def mixed(main: Engine, side: Engine) -> Engine:
    """One engine of two: conversations are on `side`, everything else on `main`."""
    from stateroom.engines.mixed import MixedEngine
    from stateroom.layers import threads

    return MixedEngine(main, side, frozenset(one.name for one in threads.DEFINITIONS))


def service_of(url: str) -> KeyService:
    """The key service for `url`: aws://region/key-id?endpoint=. WrongUse for others."""
    if urlsplit(url).scheme == "aws":
        from stateroom.engines.kms_aws import AwsKms

        return AwsKms.of(url)
    raise WrongUse("a key service is aws://region/key-id, with ?endpoint=URL for another address")


def own_definitions() -> tuple[Definition, ...]:
    """What Stateroom itself keeps in a store, layer by layer."""
    from stateroom.layers import assistant, catalogue, inbox, installations, jobs, keys, outbox, threads

    return (
        *threads.DEFINITIONS,
        *inbox.DEFINITIONS,
        *outbox.DEFINITIONS,
        *installations.DEFINITIONS,
        *jobs.DEFINITIONS,
        *assistant.DEFINITIONS,
        *handle_once.DEFINITIONS,
        *catalogue.DEFINITIONS,
        *keys.DEFINITIONS,
    )


def own_tables() -> list[Table]:
    """The tables of what Stateroom itself keeps."""
    return [*(table_of(one) for one in own_definitions()), leases.TABLE]


def own_words() -> dict[Table, tuple[str, ...]]:
    """By table: the attributes that hold people's words, which `encrypt_content` seals."""
    from stateroom.layers import inbox, jobs, outbox, threads

    words = threads.WORDS | inbox.WORDS | jobs.WORDS | outbox.WORDS
    return {table_of(one): words[one.name] for one in own_definitions() if one.name in words}


def held() -> dict[str, tuple[str, ...]]:
    """By table: the attributes by which workers find what is to be done. A copy puts them aside until its release."""
    from stateroom.layers import inbox, jobs

    return inbox.HELD | jobs.HELD


def bot_tables() -> frozenset[str]:
    """The tables without which the bot cannot run."""
    from stateroom.layers import inbox, jobs, outbox

    return frozenset(one.name for one in (*inbox.DEFINITIONS, *outbox.DEFINITIONS, *jobs.DEFINITIONS))


class Team:
    """Everything of one workspace. No call through it can see another team's rows (invariant 5)."""

    def __init__(self, store: Store, team: str) -> None:
        self.id = check_id("team", team)
        self._store = store

    def datastore(self, model: type[M], *, idempotency_seconds: float = handle_once.WINDOW) -> Datastore[M]:
        """The datastore of a `sr.Datastore` class; `idempotency_seconds` is how long it remembers idempotency keys."""
        if not hasattr(model, "__definition__"):
            raise WrongUse('datastore() takes a class made as class X(sr.Datastore, name="x"); items() a Definition')
        return self._handle(model.__definition__, idempotency_seconds)

    def items(
        self, definition: Definition, *, idempotency_seconds: float = handle_once.WINDOW
    ) -> Datastore[dict[str, Any]]:
        """A datastore by definition, with plain dicts."""
        if not isinstance(definition, Definition):
            raise WrongUse("items() takes a Definition; datastore() a class of sr.Datastore")
        plain = definition if definition.model is None else replace(definition, model=None)
        return self._handle(plain, idempotency_seconds)

    def thread(self, channel: str, thread_ts: str) -> Thread:
        """A conversation; it need not exist yet."""
        return self.threads.thread(channel, thread_ts)

    @property
    def threads(self) -> Threads:
        """All conversations of the team."""
        from stateroom.layers.threads import Threads

        return Threads(self._store.engine, self._store.clock, self.id, content=self._store.content)

    def _handle(self, definition: Definition, idempotency_seconds: float) -> Datastore[Any]:
        store = self._store
        return Datastore(
            store.raw,
            definition,
            self.id,
            prepare=store.preparer(definition),
            around=store.surroundings,
            idempotency_seconds=idempotency_seconds,
            keyring=store.keys,
        )


class TransactionTeam:
    """One workspace inside a transaction: its datastores. Threads need none, see `Thread.append`."""

    def __init__(self, transaction: Transaction, team: str) -> None:
        self.id = check_id("team", team)
        self._transaction = transaction

    def datastore(self, model: type[M]) -> TransactionItems[M]:
        """The datastore of a `sr.Datastore` class, inside the transaction."""
        return self._transaction.items(model.__definition__, self.id)

    def items(self, definition: Definition) -> TransactionItems[dict[str, Any]]:
        """A datastore by definition, with plain dicts, inside the transaction."""
        return self._transaction.items(
            definition if definition.model is None else replace(definition, model=None), self.id
        )


class TransactionStore:
    """What `async with store.transaction() as tx` gives: `tx.team(...)` leads to the datastores of one team."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def team(self, team: str) -> TransactionTeam:
        """The part of one workspace. A transaction is of one team: WrongUse when a second one is used."""
        return TransactionTeam(self._transaction, team)


class JoinedStore:
    """What `async with store.transaction(connection=…) as tx` gives: the store inside of the caller's transaction."""

    def __init__(self, inside: Store) -> None:
        self._inside = inside

    def team(self, team: str) -> Team:
        """The part of one workspace, with all that it has outside: datastores and threads."""
        return self._inside.team(team)


class Store:
    """A store by URL; `async with` opens and closes it. `.engine` is the port underneath.

    `keys` seals encrypted attributes; `encrypt_content` people's words too, with data keys that the keys wrap, or
    the key service `kms` (docs/keys.md). `.raw` is the port that sees all of that sealed. `slack_token` is for
    slack:// alone. `threads`: the URL of another store for conversations alone.
    """

    def __init__(
        self,
        url: str,
        *,
        content: Content = FULL,
        clock: Callable[[], float] = time.time,
        engine: Engine | None = None,
        surroundings: Surroundings | None = None,
        migrating: bool = False,
        keys: Keyring | str | None = None,
        encrypt_content: bool = False,
        kms: str | KeyService | None = None,
        slack_token: str | None = None,
        threads: str | None = None,
    ) -> None:
        self.url = url
        self.keys = Keyring.parse(keys) if isinstance(keys, str) else keys
        self.clock = clock
        self.surroundings = surroundings or Surroundings(clock)
        self.content = content
        kept = engine_of(url, clock, slack_token) if engine is None else engine
        self.raw = mixed(kept, engine_of(threads, clock)) if threads else kept
        self.data_keys = self._data_keys(service_of(kms) if isinstance(kms, str) else kms)
        self._encrypt_content = encrypt_content
        self.engine = self._worded(self.raw, encrypt_content=encrypt_content)
        self._migrating = migrating
        self._tables: set[Table] = set()
        self._hosted: dict[str, Definition] = {}  # those that are to fit one app on Slack's own datastores

    def __repr__(self) -> str:
        return f"<Store {urlsplit(self.url).scheme}>"  # never the URL: some carry credentials

    async def __aenter__(self) -> Store:
        await self.engine.open()
        able = self.engine.capabilities
        try:
            if (able.embedded or not self._migrating) and not able.hosted:  # a platform's datastores are users' alone
                await self.prepare(fitting(own_tables(), able))
        except BaseException:
            await self.engine.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.close()

    def team(self, team: str) -> Team:
        """The part of one workspace, by its team id."""
        return Team(self, team)

    def installations(self, *, client_id: str = "", erase_after: float = 0.0) -> Installations:
        """Who installed the app `client_id`, with which tokens; `erase_after`: seconds between uninstall and erase."""
        from stateroom.layers.installations import Installations

        return Installations(
            self.raw,
            self.clock,
            client_id=client_id,
            keyring=self.keys,
            around=self.surroundings,
            erase_after=erase_after,
        )

    @overload
    def transaction(self) -> AbstractAsyncContextManager[TransactionStore]: ...
    @overload
    def transaction(self, *, connection: Any) -> AbstractAsyncContextManager[JoinedStore]: ...
    def transaction(
        self, *, connection: Any = None
    ) -> AbstractAsyncContextManager[TransactionStore] | AbstractAsyncContextManager[JoinedStore]:
        """Several items of one team, read and written together: `async with store.transaction() as tx`.

        Nothing is locked. Leaving the block writes everything if every row it looked at is as it was, else
        TransactionConflict (retryable): run the block again. A block that raises writes nothing.

        `connection` (PostgreSQL): a psycopg AsyncConnection to the store's database, in a transaction of yours. `tx` is
        then the store inside of it: all verbs of all teams, at once; what they write is there with your commit, and
        not without. A call that is refused leaves your transaction as it was. WrongUse for a connection that leads to
        another database or whose transaction has failed; Unsupported on other engines.
        """
        return self._own_transaction() if connection is None else self._joined(connection)

    @asynccontextmanager
    async def _own_transaction(self) -> AsyncIterator[TransactionStore]:
        transaction = Transaction(self.raw, self.surroundings, self._prepare, self.keys)
        try:
            yield TransactionStore(transaction)
            await transaction.commit()
        finally:
            transaction.close()

    @asynccontextmanager
    async def _joined(self, connection: Any) -> AsyncIterator[JoinedStore]:
        able = self.raw.capabilities
        if not able.joins:
            raise Unsupported(able.name, "transaction(connection=…): it has no transactions of yours to join")
        inside = copy(self)
        inside.raw = await cast("Joining", self.raw).joined(connection)
        inside.engine = self._worded(inside.raw, encrypt_content=self._encrypt_content)
        try:
            yield JoinedStore(inside)
        finally:
            await inside.raw.close()

    async def prepare(self, tables: Iterable[Table]) -> None:
        """Make tables exist on an embedded engine; on a server, MigrationNeeded when they do not."""
        able = self.engine.capabilities
        wanted = tables if able.expired else [replace(t, expires=False) for t in tables]
        missing = [t for t in wanted if t not in self._tables]
        if not missing:
            return
        steps = await self.engine.apply(missing, dry_run=not self.engine.capabilities.embedded)
        if steps and not self.engine.capabilities.embedded:
            raise MigrationNeeded("the store lacks tables of your definitions; run `stateroom migrate plan`")
        self._tables.update(missing)

    async def migrate(
        self, definitions: Iterable[type[Model] | Definition], *, apply: bool = False, allow_data_loss: bool = False
    ) -> list[str]:
        """What leads the store to `definitions` (all of yours), one sentence a step; with `apply` it is done, too.

        MigrationRefused, before anything is changed, where a step would lose something and that is not allowed.
        A server's store that lacks tables is opened for this with `migrating=True`.
        """
        from stateroom.layers.migrations import Migration

        given = [one if isinstance(one, Definition) else one.__definition__ for one in definitions]
        migration = Migration(self.engine, self.clock, own=own_tables(), given=given)
        steps = await (migration.apply(allow_data_loss=allow_data_loss) if apply else migration.plan())
        return [step.text for step in steps]

    async def everything(self, given: Iterable[Definition] = ()) -> list[Definition]:
        """All there is to walk: Stateroom's own, `given`, and what the store remembers of others."""
        from stateroom.layers import catalogue

        return catalogue.everything((*own_definitions(), *given), await catalogue.known(self.engine))

    def preparer(self, definition: Definition) -> Callable[[], Awaitable[None]]:
        """What a handle awaits before its first call. InvalidDefinition for more datastores than Slack takes."""
        if definition.profile == "slack":
            check_profile({**self._hosted, definition.name: definition}.values(), "slack")
            self._hosted[definition.name] = definition
        return partial(self._prepare, definition)

    def _data_keys(self, service: KeyService | None) -> DataKeys | None:
        if self.keys is None and service is None:
            return None
        from stateroom.layers.keys import DataKeys

        return DataKeys(self.raw, self.clock, self.keys, service)

    def _worded(self, raw: Engine, *, encrypt_content: bool) -> Engine:
        """The engine `raw` as the layers see it: with words in plain."""
        if self.data_keys is None:
            if encrypt_content:
                raise WrongUse("encrypting content needs keys: give STATEROOM_KEYS or STATEROOM_KMS (docs/keys.md)")
            return raw
        from stateroom.layers.keys_words import WordsEngine

        words = {table.name: names for table, names in own_words().items()}
        return WordsEngine(raw, self.data_keys, words, seals=encrypt_content)

    async def _prepare(self, definition: Definition) -> None:
        from stateroom.layers import catalogue

        if self.raw.capabilities.hosted:
            cast("Hosted", self.raw).know(definition.name, definition.key, definition.ttl)
        await self.prepare(tables_of(definition))
        if self.engine.capabilities.embedded:
            await catalogue.remember(self.engine, self.clock, definition)


def open(
    url: str | None = None,
    *,
    content: Content | None = None,
    migrating: bool = False,
    keys: Keyring | str | None = None,
    encrypt_content: bool | None = None,
    kms: str | None = None,
    threads: str | None = None,
) -> Store:
    """The store at `url` (default $STATEROOM_STORE, else sqlite:///stateroom.db), to be used with `async with`.

    `content`: what is kept of people's words (default $STATEROOM_CONTENT, else all). `keys`: a keyring, or the text of
    one, for encrypted attributes (default $STATEROOM_KEYS). `encrypt_content`: seal people's words as well (default
    $STATEROOM_ENCRYPT_CONTENT); `kms`: a key service that wraps the keys for that (default $STATEROOM_KMS).
    `migrating`: a server's store opens although it lacks tables, for `migrate` to make them. `threads`: another store
    for conversations alone, such as s3://bucket/prefix (default $STATEROOM_THREADS, else they are in the store).
    """
    found = url or os.environ.get("STATEROOM_STORE") or DEFAULT_URL
    ring = keys or os.environ.get("STATEROOM_KEYS") or None
    service = kms or os.environ.get("STATEROOM_KMS") or None
    kept = Content.parse(os.environ.get("STATEROOM_CONTENT") or "full") if content is None else content
    seals = _is_on("STATEROOM_ENCRYPT_CONTENT") if encrypt_content is None else encrypt_content
    apart = threads or os.environ.get("STATEROOM_THREADS") or None
    return Store(found, content=kept, migrating=migrating, keys=ring, encrypt_content=seals, kms=service, threads=apart)


def _is_on(name: str) -> bool:
    """A switch of the environment. WrongUse for what is neither on nor off: words would be in plain."""
    text = os.environ.get(name, "").lower()
    if text in ("true", "1", "yes"):
        return True
    if text in ("", "false", "0", "no"):
        return False
    raise WrongUse(f"{name}: give true or false")
