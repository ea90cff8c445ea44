"""dynalite for tests: a DynamoDB on Node that knows AWS's limits, sizes and refusals better than moto does.

Rules of this file: it is installed by node.py and bound to 127.0.0.1. It has no transactions and no expiry, so a store
on it has its table and catalogue written here, and takes writes that are one request. It is older than
ReturnValuesOnConditionCheckFailure, so what stands before it adds the row to a refusal; and it sorts texts by UTF-16.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from stateroom.engines.dynamodb_apply import definition, layouts_of, needed
from stateroom.engines.dynamodb_tables import FORMAT, FORMAT_ROW, catalogue_row
from stateroom.engines.port import Table
from support import node
from support.dynamodb import REGION, Quick, credentials, fresh_table, served

CannotInstall = node.CannotInstall
SERVE = """
const server = require('dynalite')({createTableMs: 0, deleteTableMs: 0, updateTableMs: 0})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
"""


@contextmanager
def running() -> Iterator[str]:
    """The endpoint of one, as long as the block runs. CannotInstall."""
    with tempfile.TemporaryDirectory() as name:
        script = node.workspace(Path(name)).write("serve.cjs", SERVE)
        child = subprocess.Popen(["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield served(Telling(f"http://127.0.0.1:{int(child.stdout.readline())}/"))
        finally:
            child.stdin.close()
            child.wait()
            child.stdout.close()


class Telling:
    """A server before dynalite's that tells the row with a condition that failed, where that was asked for."""

    def __init__(self, behind: str) -> None:
        self._behind = behind

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, found = self._ask(environ, environ["HTTP_X_AMZ_TARGET"], data)
        asked = json.loads(data)
        if "ReturnValuesOnConditionCheckFailure" in asked and b"ConditionalCheckFailedException" in found:
            place = asked.get("Key") or {name: asked["Item"][name] for name in ("pk", "sk")}
            look = {"TableName": asked["TableName"], "Key": place, "ConsistentRead": True}
            _, row = self._ask(environ, "DynamoDB_20120810.GetItem", json.dumps(look).encode())
            found = json.dumps({**json.loads(found), **json.loads(row)}).encode()
        start(f"{status} So", [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(found)))])
        return [found]

    def _ask(self, environ: dict[str, Any], target: str, data: bytes) -> tuple[int, bytes]:
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
        headers |= {"Authorization": environ["HTTP_AUTHORIZATION"], "X-Amz-Date": environ["HTTP_X_AMZ_DATE"]}
        try:
            with urllib.request.urlopen(urllib.request.Request(self._behind, data, headers), timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()


def client(endpoint: str) -> Any:
    """boto3's."""
    import boto3

    credentials()
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint)


@asynccontextmanager
async def opened(endpoint: str, clock: Any, tables: Sequence[Table]) -> AsyncIterator[Quick]:
    """A store on a table of its own that has these tables."""
    url, layouts = fresh_table(endpoint), layouts_of({}, tables)
    name, asked = url.partition("?")[0].rpartition("/")[2], client(endpoint)
    asked.create_table(**definition(name, needed(layouts)))
    asked.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    for row in ({**FORMAT_ROW, "n": {"N": str(FORMAT)}}, *map(catalogue_row, layouts)):
        asked.put_item(TableName=name, Item=row)
    engine = Quick(url, clock)
    await engine.open()
    yield engine
    await engine.close()
