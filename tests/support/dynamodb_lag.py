"""A DynamoDB whose global secondary indexes lag, as AWS's do: a server of its own before moto.

Rules of this file: rows and streams are answered as they are; a Query by an index is answered from a second table, the
shadow, into which every write comes `lag()` seconds later. What an index says is therefore what was true some time ago,
for each row. Only what is written through this server comes into the shadow.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

from support.dynamodb import credentials, moto, served

WRITES = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
TABLES = ("CreateTable", "UpdateTable", "DeleteTable")


class Lagging:
    """One server. `stale` counts answers by an index that had still to hear of writes."""

    def __init__(self, lag: Callable[[], float]) -> None:
        self._lag = lag
        self._late: deque[tuple[float, str, dict[str, Any], dict[str, Any] | None]] = deque()
        self.stale = 0
        credentials()
        self.endpoint = served(self._answer)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        _, lock = moto()
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
        with lock:
            if action == "Query" and "IndexName" in body:
                self._catch_up()
                self.stale += bool(self._late)
                body["TableName"] = _shadow(body["TableName"])
            status, headers, answer = _ask(environ, action, body)
            if status.startswith("200"):
                if action in TABLES:
                    _ask(environ, action, {**body, "TableName": _shadow(body["TableName"])})
                for table, key in _written(action, body):
                    item = json.loads(_ask(environ, "GetItem", {"TableName": table, "Key": key})[2]).get("Item")
                    self._late.append((time.monotonic() + self._lag(), table, key, item))
                    self._environ = environ
        start(status, headers)
        return [answer]

    def _catch_up(self) -> None:
        """Into the shadow what is old enough; the writes of one row stay in their order."""
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, table, key, item = self._late.popleft()
            name = {"TableName": _shadow(table)}
            put = ("PutItem", {**name, "Item": item}) if item else ("DeleteItem", {**name, "Key": key})
            _ask(self._environ, *put)


def _shadow(table: str) -> str:
    return f"{table}.late"


def _written(action: str, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys of what a request writes."""
    if action in WRITES:
        yield body["TableName"], _key(body)
    for one in body.get("TransactItems", ()) if action == "TransactWriteItems" else ():
        for kind, inner in one.items():
            if kind != "ConditionCheck":
                yield inner["TableName"], _key(inner)
    for table, requests in body.get("RequestItems", {}).items() if action == "BatchWriteItem" else ():
        for request in requests:
            for inner in request.values():
                yield table, _key(inner)


def _key(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("Key") or body["Item"]
    return {name: found[name] for name in ("pk", "sk")}


def _ask(environ: dict[str, Any], action: str, body: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    app, _ = moto()
    data, told = json.dumps(body).encode(), []
    asked = {
        **environ,
        "HTTP_X_AMZ_TARGET": f"DynamoDB_20120810.{action}",
        "wsgi.input": BytesIO(data),
        "CONTENT_LENGTH": str(len(data)),
    }
    answer = b"".join(app(asked, lambda status, headers, _=None: told.append((status, headers))))
    return *told[0], answer
