"""A DynamoDB for tests: $STATEROOM_TEST_DYNAMODB (an endpoint), else moto's over HTTP, one for each test process.

Rules of this file: moto is not atomic under threads, so one lock stands around it. It is slow, and it keeps everything
in memory: each store gets a table of its own, which is dropped afterwards. What moto does not refuse and DynamoDB does
(more than 25 rows in a BatchWriteItem, a filter on a key, unused placeholders), `asked` lets tests look at.
"""

import asyncio
import atexit
import inspect
import json
import os
import secrets
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stateroom.engines.dynamodb import DynamoEngine
from stateroom.store import Store

REGION = "eu-central-1"
TOKENS = 20_000  # of transactions, remembered
asked: list[tuple[str, dict[str, Any]]] = []
"""Requests that moto has got, while a test listens (`listening`)."""
_listening = False


def credentials() -> None:
    """Those that moto takes, for us and for child processes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "testing")
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


@cache
def server() -> str:
    """The endpoint."""
    given = os.environ.get("STATEROOM_TEST_DYNAMODB")
    credentials()
    if given:
        return given
    return served(answer)


def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """moto's answer."""
    if _listening:
        note(environ)
    app, lock = moto()
    if environ.get("HTTP_X_AMZ_TARGET", "").startswith("AmazonSQS"):
        return app(environ, start)  # a long poll would hold everybody up
    with lock:
        return list(app(environ, start))


@cache
def moto() -> tuple[Callable[..., Iterable[bytes]], Any]:
    """moto as an application, and the lock that whoever asks it holds."""
    from moto.server import DomainDispatcherApplication, create_backend_app

    quicken()
    return DomainDispatcherApplication(create_backend_app), threading.RLock()


def served(app: Callable[..., Iterable[bytes]]) -> str:
    """The address of an application, until this process ends."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections

        def log_request(self, *args: Any, **kwargs: Any) -> None:
            pass

    made = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    atexit.register(made.shutdown)
    return f"http://127.0.0.1:{made.server_port}"


def quicken() -> None:
    """Of tables with our keys.

    moto copies the whole table before each transaction, and sorts it for each query; this takes the rows concerned. It
    also carries requests and answers, which are JSON already, through the shapes of the service.
    """
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.models.dynamo_type import DynamoType
    from moto.dynamodb.models.table import Table
    from moto.dynamodb.responses import DynamoHandler, DynamoResult

    slow_query, slow_parse, slow_result = Table.query, DynamoHandler.parse_parameters, DynamoResult.execute_result

    def query(table: Any, *args: Any, **more: Any) -> Any:
        if (table.hash_key_attr, table.range_key_attr) != ("pk", "sk"):
            return slow_query(table, *args, **more)
        asked = inspect.signature(slow_query).bind(table, *args, **more).arguments
        start, backwards = asked["exclusive_start_key"], asked["scan_index_forward"] is False
        names = ["sk"]
        if asked.get("index_name"):
            ((part, wanted),) = asked["hash_key_conditions"]
            every = (item for rows in table.items.values() for item in rows.values())
            rows = [item for item in every if part in item.attrs and item.attrs[part].value == wanted.value]
            names = [f"s{part[1:]}", "pk", "sk"]
        else:
            rows = list(table.items.get(asked["hash_key"], {}).values())
        places = [(tuple(item.attrs[name].value for name in names), item) for item in rows]
        if start is not None:
            begin = tuple(start[name]["S"] for name in names)
            places = [one for one in places if (one[0] < begin if backwards else one[0] > begin)]
        places.sort(key=itemgetter(0))  # moto's own sort is quick with what is sorted
        rows = [item for _, item in places]
        if not asked["range_comparison"] and asked["limit"]:
            rows = rows[-asked["limit"] - 1 :] if backwards else rows[: asked["limit"] + 1]
        table.all_items = lambda: rows
        try:
            return slow_query(**{**asked, "self": table, "exclusive_start_key": None})
        finally:
            del table.all_items

    def parse(handler: Any, request: Any) -> None:
        if b'"B' in request.data:  # bytes
            slow_parse(handler, request)
        else:
            handler.params = json.loads(request.data)

    def told(result: Any, context: Any) -> Any:
        try:
            text = json.dumps(result.result)
        except TypeError:  # dates, bytes
            return slow_result(result, context)
        return 200, {"Content-Type": "application/x-amz-json-1.0"}, text

    setattr(DynamoHandler, "parse_parameters", parse)  # noqa: B010
    setattr(DynamoResult, "execute_result", told)  # noqa: B010
    setattr(Table, "query", query)  # noqa: B010
    whole, named = DynamoDBBackend.transact_write_items, list[tuple[DynamoType, DynamoType]]()

    def copied(table: Any, memo: Any) -> Any:
        found = copy(table)
        found.items = defaultdict(dict, {part: dict(rows) for part, rows in table.items.items()})
        for part, sort in named:
            if sort in found.items.get(part, ()):
                found.items[part][sort] = deepcopy(found.items[part][sort])
        return found

    def quick(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        places = [op.get("Key") or op["Item"] for one in transact_items for op in one.values()]
        named[:] = [(DynamoType(place["pk"]), DynamoType(place["sk"])) for place in places]
        whole(backend, transact_items)

    remember_tokens()
    setattr(Table, "__deepcopy__", copied)  # noqa: B010
    setattr(DynamoDBBackend, "transact_write_items", quick)  # noqa: B010


def remember_tokens() -> None:
    """A transaction with the token of one that was done is not done again, as on DynamoDB; moto forgets tokens.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    from moto.dynamodb.exceptions import DynamodbException
    from moto.dynamodb.responses import DynamoHandler, DynamoResult

    slow, had = DynamoHandler.transact_write_items, dict[str, int]()

    def once(handler: Any) -> Any:
        token = handler.body.get("ClientRequestToken") or secrets.token_hex(16)
        asked = hash(json.dumps(handler.body["TransactItems"], sort_keys=True, default=str))
        if token in had:
            if had[token] != asked:
                raise DynamodbException("com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException", "")
            return DynamoResult({})
        result = slow(handler)
        had[token] = asked
        if len(had) > TOKENS:
            del had[next(iter(had))]
        return result

    setattr(DynamoHandler, "transact_write_items", once)  # noqa: B010


def note(environ: dict[str, Any]) -> None:
    from io import BytesIO

    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(data)
    asked.append((environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2], json.loads(data or b"{}")))


@contextmanager
def listening() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The requests that come meanwhile: their names and bodies."""
    global _listening
    asked.clear()
    _listening = True
    try:
        yield asked
    finally:
        _listening = False


@contextmanager
def own_process() -> Iterator[str]:
    """The endpoint of a moto that takes none of this process's time."""
    given = os.environ.get("STATEROOM_TEST_DYNAMODB")
    credentials()
    if given:
        yield given
        return
    told = "import sys; from support.dynamodb import server; print(server(), flush=True); sys.stdin.read()"
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    child = subprocess.Popen(
        [sys.executable, "-c", told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


@contextmanager
def migrated(endpoint: str) -> Iterator[str]:
    """The URL of a store that has all of Stateroom's own tables."""
    url = fresh_table(endpoint)

    async def make() -> None:
        async with Store(url, migrating=True) as store:
            await store.migrate([], apply=True)

    asyncio.run(make())
    yield url


def fresh_table(endpoint: str | None = None) -> str:
    """The URL of a table that is not there yet."""
    return f"dynamodb://{REGION}/t-{secrets.token_hex(6)}?endpoint={quote(endpoint or server(), safe='')}"


def client(endpoint: str | None = None) -> Any:
    import boto3

    return boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint or server())


def drop_table(url: str) -> None:
    name = url.partition("?")[0].rpartition("/")[2]
    found = client()
    if name in found.list_tables()["TableNames"]:
        found.delete_table(TableName=name)


class Quick(DynamoEngine):
    """The engine, alone on its table: a new index or a freeze need not wait for other processes."""

    settle = 0.0
    patience = 0.0


class SelfMade(Quick):
    """The engine with tables that make themselves, as embedded ones do, for tests that declare as they go."""

    capabilities = replace(DynamoEngine.capabilities, embedded=True)


@contextmanager
def self_made(clock: Callable[[], float]) -> Iterator[SelfMade]:
    """One on a table of its own, which is gone afterwards."""
    url = fresh_table()
    try:
        yield SelfMade(url, clock)
    finally:
        drop_table(url)
